// Calls every operation of the samples three times: npm client to npm server; JSON through the gateway to the npm server;
// npm client through the gateway to a REST server. Reads one JSON document from a file, says where its servers are, waits
// for the gateway's address on its input, and prints one result a line.
'use strict';
const fs = require('fs');
const http = require('http');
const readline = require('readline');
const soap = require('soap');

const samples = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const quiet = () => {};

// toNpm turns the gateway's JSON into the objects of the soap package: @name into attributes, #text into $value.
function toNpm(v) {
  if (Array.isArray(v)) return v.map(toNpm);
  if (v === null || typeof v !== 'object') return v;
  const o = {};
  for (const [key, value] of Object.entries(v)) {
    if (key === '#text') o.$value = value;
    else if (key[0] === '@') (o.attributes ||= {})[key.slice(1)] = value;
    else o[key] = toNpm(value);
  }
  return o;
}

// same is deep equality of what both say: the soap package knows no lists of one, turns dates into Date and leaves
// numbers as strings where it does not know the type.
function plain(v) {
  if (v instanceof Date) return isNaN(v) ? 'invalid' : v.toISOString();
  if (Array.isArray(v)) return v.length === 1 ? plain(v[0]) : v.map(plain);
  if (v === null || v === undefined) return '';
  if (typeof v === 'object') {
    const o = {};
    for (const key of Object.keys(v).sort()) {
      if (key === 'attributes') {
        const a = {};
        for (const name of Object.keys(v.attributes).sort()) {
          if (!/^(xmlns|xsi:|xsi_|nil$|type$)/.test(name)) a[name] = plain(v.attributes[name]);
        }
        if (Object.keys(a).length) o.attributes = a;
      } else if (v[key] !== undefined) o[key] = plain(v[key]);
    }
    const keys = Object.keys(o);
    if (keys.length === 0) return '';
    if (keys.length === 1 && keys[0] === '$value') return o.$value;
    return o;
  }
  const text = String(v);
  return /^\d{4}-\d{2}-\d{2}(T.*)?$/.test(text) ? new Date(text).toISOString() : text;
}
// differ is the first place where two values are not the same.
function differ(a, b, at = '') {
  if (a && b && typeof a === 'object' && typeof b === 'object') {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const found = differ(a[key], b[key], `${at}.${key}`);
      if (found) return found;
    }
    return '';
  }
  return a === b ? '' : `at ${at || 'the root'} ${JSON.stringify(a)} is not ${JSON.stringify(b)}`.slice(0, 200);
}
const compare = (who, got, want) => {
  const found = differ(plain(got), plain(want));
  if (found) throw new Error(`${who}: ${found}`);
};

const listen = (server) => new Promise((done) => server.listen(0, '127.0.0.1', () => done(server.address().port)));
const within = (ms, promise) => Promise.race([promise, new Promise((_, fail) => setTimeout(() => fail(new Error('no answer')), ms).unref())]);

// serve starts the npm server and the REST server of a sample. What they got last is kept.
async function serve(s) {
  const operations = {};
  for (const op of s.operations) {
    operations[op.name] = (args) => { s.got = args; return toNpm(op.output); };
  }
  const server = http.createServer((_, res) => { res.statusCode = 404; res.end(); });
  const ports = samples.filter((o) => o.wsdl === s.wsdl && o.service === s.service).map((o) => o.port);
  s.soapPort = await listen(server);
  try {
    const xml = fs.readFileSync(s.wsdl, 'utf8');
    await within(5000, new Promise((done) => {
      const listening = soap.listen(server, { path: '/soap', services: { [s.service]: Object.fromEntries(ports.map((port) => [port, operations])) }, xml, uri: s.wsdl, forceSoap12Headers: s.version === '1.2', callback: (err) => { s.broken = err; done(); } });
      listening.log = quiet;
    }));
  } catch (err) { s.broken = err; }
  const rest = http.createServer((req, res) => {
    let body = '';
    req.on('data', (chunk) => { body += chunk; });
    req.on('end', () => {
      try { s.gotJSON = JSON.parse(body); } catch { s.gotJSON = body; }
      const op = s.operations.find((o) => '/' + o.name === req.url);
      res.statusCode = op ? 200 : 404;
      res.setHeader('content-type', 'application/json');
      res.end(op ? JSON.stringify(op.output) : '{}');
    });
  });
  s.restPort = await listen(rest);
}

async function npmCall(url, options, s, op) {
  const client = await within(5000, soap.createClientAsync(url, options));
  const method = ((client[s.service] || {})[s.port] || {})[op.name];
  if (!method) throw new Error('the npm client knows no such operation');
  return within(5000, new Promise((done, fail) => {
    method.call(client, toNpm(op.input), (err, result) => (err ? fail(err) : done(result)));
  }));
}

const reason = (err) => String((err && err.message) || err).replace(/\s+/g, ' ').slice(0, 300);

async function direct(s, op) {
  s.got = undefined;
  const result = await npmCall(s.wsdl, { endpoint: `http://127.0.0.1:${s.soapPort}/soap`, forceSoap12Headers: s.version === '1.2' }, s, op);
  compare('the npm server', s.got, toNpm(op.input));
  compare('the npm client', result, toNpm(op.output));
}

async function fromJSON(gateway, s, op) {
  s.got = undefined;
  const res = await within(5000, fetch(`${gateway}/a${s.id}/${op.name}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(op.input) }));
  const text = await res.text();
  if (res.status !== 200) throw new Error(`${res.status} ${text}`);
  compare('the npm server', s.got, toNpm(op.input));
  compare('the answer', JSON.parse(text), op.output);
}

async function toREST(gateway, s, op) {
  s.gotJSON = undefined;
  const result = await npmCall(`${gateway}/b${s.id}?wsdl`, { forceSoap12Headers: s.version === '1.2' }, s, op);
  compare('the service', s.gotJSON, op.input);
  compare('the npm client', result, toNpm(op.output));
}

async function attempt(f) {
  try { await f(); return ''; } catch (err) { return reason(err) || 'failed'; }
}

async function main() {
  for (const s of samples) await serve(s);
  console.log(JSON.stringify(samples.map((s) => ({ soap: s.soapPort, rest: s.restPort }))));
  const gateway = await new Promise((done) => readline.createInterface({ input: process.stdin }).once('line', done));
  for (const s of samples) {
    for (const op of s.operations) {
      const result = { id: s.id, operation: op.name };
      result.direct = await attempt(() => { if (s.broken) throw s.broken; return direct(s, op); });
      result.json = await attempt(() => fromJSON(gateway, s, op));
      result.rest = await attempt(() => toREST(gateway, s, op));
      console.log(JSON.stringify(result));
    }
  }
  process.exit(0);
}

process.on('uncaughtException', () => {}); // an answer that breaks the npm client is a result, not an end
main();

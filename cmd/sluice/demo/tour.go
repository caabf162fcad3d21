package demo

import (
	"fmt"
	"io"
	"strings"
)

// Tour is where everything is, for the commands to name.
type Tour struct {
	Public, Internal, Admin string // host:port
	Program                 string // how to start this program again
}

// stop is one thing to try. In its command {public}, {internal}, {admin} and {program} stand for the addresses and for
// this program.
type stop struct{ expect, command string }

// stops are the tour. A command that begins with curl must end by itself within 10 s and exit with 0 whatever the
// answer, so none uses --fail or needs --max-time.
var stops = []stop{
	{"200, and what reached the microservice: a request id, the client's address",
		`curl -sS http://{public}/users/1`},
	{"401: orders want an API key, and the challenge says so",
		`curl -sS -i http://{public}/orders/1001`},
	{"200: with the key the service learns who is calling, and never sees the key",
		`curl -sS -H 'apikey: demo-key' http://{public}/orders/1001`},
	{"200 until the limit of 5 in 10 s is used up, then 429",
		`curl -sS -H 'apikey: demo-key' -o /dev/null -w '%{http_code}\n' 'http://{public}/orders/[1-7]'`},
	{"versions 1 and 2 of one microservice: about one answer in ten is v2",
		`curl -sS 'http://{public}/catalog/gear?n=[1-20]'`},
	{"the same caller keeps the same version",
		`curl -sS -H 'x-user: ada' 'http://{public}/catalog/gear?n=[1-5]'`},
	{"v2, asked for by path, by header field and by query",
		`curl -sS http://{public}/v2/catalog/gear --next -sS -H 'x-api-version: 2' http://{public}/catalog/gear --next -sS 'http://{public}/catalog/gear?version=2'`},
	{"200, rewritten: /api/people/2 here is /users/2 there",
		`curl -sS http://{public}/api/people/2`},
	{"200 on the second attempt: the service failed the first, the gateway tried again",
		`curl -sS -i http://{public}/flaky/first`},
	{"504 after one second: the service would need three",
		`curl -sS -i http://{public}/flaky/slow`},
	{"502: the service broke off; the body says so without giving anything away",
		`curl -sS -i http://{public}/flaky/reset`},
	{"four server-sent events, one after another, as they happen",
		`curl -sS -N http://{public}/events`},
	{"308 to /catalog/gear?color=red",
		`curl -sS -i 'http://{public}/shop/gear?color=red'`},
	{"204: the preflight of a page at app.example.com, answered by the gateway",
		`curl -sS -i -X OPTIONS -H 'Origin: https://app.example.com' -H 'Access-Control-Request-Method: POST' http://{public}/orders`},
	{"Content-Encoding: gzip on a long answer",
		`curl -sS -o /dev/null -D - -H 'Accept-Encoding: gzip' http://{public}/v1/catalog`},
	{"405, and Allow says what would do",
		`curl -sS -i -X DELETE http://{public}/users/1`},
	{"404 as application/problem+json",
		`curl -sS -i http://{public}/nowhere`},
	{"200: the internal listener has its own routes and asks for no key",
		`curl -sS http://{internal}/orders/1001`},
	{"403: this route is for 10.20.0.0/16 only",
		`curl -sS -i http://{internal}/payroll`},
	{"is the gateway ready, and what does it run",
		`curl -sS 'http://{admin}/readyz?verbose' http://{admin}/config`},
	{"every request counted, by route, service and status (Prometheus)",
		`curl -sS http://{admin}/metrics`},
	{"gRPC, unary and streaming, over HTTP/2 on the same port",
		`{program} demo call grpc --address {public} Ada`},
	{"200, JSON from the same gRPC service, and its stream as lines of JSON",
		`curl -sS http://{public}/hello/Ada http://{public}/hello/Ada/often`},
	{"200, JSON from a SOAP service; a POST with JSON asks the same",
		`curl -sS 'http://{public}/calculator/Add?a=1&b=2.5'`},
	{"400: a SOAP fault, told as application/problem+json",
		`curl -sS 'http://{public}/calculator/Divide?a=1&b=0'`},
	{"a SOAP client calls a service that speaks JSON",
		`curl -sS -H 'content-type: text/xml' -d '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><Add xmlns="urn:sluice:calculator"><a>2</a><b>3</b></Add></e:Body></e:Envelope>' http://{public}/soap/sums`},
	{"one answer from three services; one of them failed and was not required",
		`curl -sS -i http://{public}/profile/1`},
	{"404 under the gateway's own body: the user was required",
		`curl -sS -i http://{public}/profile/9`},
	{"two requests in one, each through its own route",
		`curl -sS -H 'content-type: application/json' -d '[{"path":"/users/2"},{"path":"/orders/7"}]' http://{public}/batch`},
	{"a WebSocket through the gateway",
		`{program} demo call websocket --address {public} 'still here?'`},
}

const picture = `
Sluice is running, with sample microservices behind it.

  clients ──▶ public    {public} ──┬─ /users  /api/people ───────▶ users
                                          ├─ /orders   key, limit ────────▶ orders
                                          ├─ /events   server-sent ───────▶ orders
                                          ├─ /catalog  90 : 10 ───────────▶ catalog v1, v2
                                          ├─ /v1 /v2   version by path ───▶ catalog v1, v2
                                          ├─ /flaky    retry, timeout ────▶ flaky
                                          ├─ /ws       WebSocket ─────────▶ echo
                                          ├─ gRPC      over HTTP/2 ───────▶ greeter
                                          ├─ /hello    JSON to gRPC ──────▶ greeter
                                          ├─ /calculator  JSON to SOAP ───▶ calculator
                                          ├─ /soap/sums   SOAP to JSON ───▶ calculator
                                          ├─ /profile  three in one ──────▶ users, orders, flaky
                                          └─ /batch    many in one
  house   ──▶ internal  {internal} ──── /orders   no key ─────────────▶ orders
  you     ──▶ admin     {admin} ──── /metrics /readyz /healthz /config

Paste these into another terminal. Here you will see one line for every request.
`

// Print writes the picture and the commands, each on a line of its own below a comment that says what to expect.
func (t Tour) Print(w io.Writer) error {
	var b strings.Builder
	b.WriteString(t.fill(picture, t.padded()))
	for _, s := range stops {
		fmt.Fprintf(&b, "\n# %s\n%s\n", s.expect, t.fill(s.command, t))
	}
	b.WriteString("\nCtrl-C ends it. The configuration behind all this: " + t.Program + " demo config\n\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (t Tour) fill(text string, with Tour) string {
	return strings.NewReplacer("{public}", with.Public, "{internal}", with.Internal, "{admin}", with.Admin,
		"{program}", with.Program).Replace(text)
}

// padded has addresses of one width, so that the picture's lines meet.
func (t Tour) padded() Tour {
	pad := func(s string) string { return fmt.Sprintf("%-15s", s) }
	return Tour{pad(t.Public), pad(t.Internal), pad(t.Admin), t.Program}
}

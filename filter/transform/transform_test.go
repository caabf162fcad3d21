package transform_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}

type exchange struct {
	seen     http.Request
	seenBody string
	status   int
	header   http.Header
	body     string
}

// through sends one request through the filter of settings to a service that answers as given.
func through(t *testing.T, settings string, answer http.HandlerFunc, method, path, contentType, body string, header ...string) (e exchange) {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		e.seen, e.seenBody = *r, string(text)
		answer(w, r)
	}))
	defer service.Close()
	g := gatewaytest.Start(t, fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
services: [{name: s, endpoints: [{url: %q}]}]
routes:
  - name: r
    match: {path: "/{id}"}
    service: s
    filters:
      - transform: %s
`, service.URL, settings))
	request, err := http.NewRequest(method, g.URL("public", path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	e.status, e.header, e.body = response.StatusCode, response.Header, string(text)
	return e
}

// says answers with a body of a type.
func says(typ, text string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{typ}
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		io.WriteString(w, text)
	}
}

func TestRequests(t *testing.T) {
	const xmlHead = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	for _, c := range []struct{ settings, typ, body, want string }{
		{`{request: {jq: '{id: .a, n: .n}'}}`, "application/json", `{"a":"x","n":1.500,"secret":1}`, `application/json {"id":"x","n":1.500}`},
		{`{request: {to: xml}}`, "application/json; charset=utf-8", `{"order":{"@id":1.50,"item":["a","b"]}}`, "application/xml " + xmlHead + `<order id="1.50"><item>a</item><item>b</item></order>`},
		{`{request: {to: xml, root: list, contentType: text/xml}}`, "application/vnd.x+json", `{"a":1,"b":2}`, "text/xml " + xmlHead + `<list><a>1</a><b>2</b></list>`},
		{`{request: {from: xml}}`, "text/xml", `<a><b>1.50</b></a>`, `application/json {"a":{"b":"1.50"}}`},
		{`{request: {from: xml, jq: '.a.b | tonumber'}}`, "text/xml", `<a><b>1.5</b></a>`, `application/json 1.5`},
		{`{request: {from: form}}`, "application/x-www-form-urlencoded", `a=1&b=x+y&a=2`, `application/json {"a":["1","2"],"b":"x y"}`},
		{`{request: {to: form}}`, "application/json", `{"a":[1,2],"b":"x&y"}`, `application/x-www-form-urlencoded a=1&a=2&b=x%26y`},
		{`{request: {template: '{"who":"{consumer:-nobody}","id":{id},"all":{body},"q":"{query.q}"}'}}`, "application/json", `{"n":1.50}`, `application/json {"who":"nobody","id":"7","all":{"n":1.50},"q":"\"x"}`},
		{`{request: {template: "<a>{body.t}</a>", contentType: text/xml}}`, "application/json", `{"t":"<b>"}`, `text/xml <a>&lt;b&gt;</a>`},
		{`{request: {jq: .a}}`, "", `{"a":1}`, `application/json 1`},
	} {
		e := through(t, c.settings, says("text/plain", "fine"), "POST", "/7?q=%22x", c.typ, c.body, "Digest", "x")
		got := e.seen.Header.Get("Content-Type") + " " + e.seenBody
		if e.status != 200 || got != c.want || e.seen.ContentLength != int64(len(e.seenBody)) || e.seen.Header["Digest"] != nil {
			t.Errorf("%s: %d %s %s\nwant %s", c.settings, e.status, e.body, got, c.want)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		settings, typ, body string
		status              int
	}{
		{`{request: {jq: .a}}`, "text/plain", `{"a":1}`, 415},
		{`{request: {jq: .a}}`, "application/json; charset=latin1", `{"a":1}`, 415},
		{`{request: {jq: .a}}`, "application/json", `{"a":1`, 400},
		{`{request: {jq: .a}}`, "application/json", "{\"a\":\"\xff\"}", 400},
		{`{request: {jq: .a}}`, "application/json", strings.Repeat("[", 100), 400},
		{`{request: {jq: '.a[]'}}`, "application/json", `{"a":1}`, 400},
		{`{request: {jq: .a, maxBytes: 10B}}`, "application/json", `{"a":"123456789"}`, 413},
		{`{request: {jq: '.a * 10', maxBytes: 10B}}`, "application/json", `{"a":"12"}`, 413},
		{`{request: {from: xml}}`, "text/xml", `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, 400},
		{`{request: {from: xml}}`, "text/xml", strings.Repeat("<a>", 100), 400},
		{`{request: {from: form}}`, "application/x-www-form-urlencoded", `a=%zz`, 400},
		{`{request: {to: form}}`, "application/json", `[1]`, 400},
		{`{request: {to: xml}}`, "application/json", `{"a b":1}`, 400},
		{`{request: {template: "{body.gone}", contentType: text/plain}}`, "application/json", `{}`, 400},
	} {
		e := through(t, c.settings, says("text/plain", "reached"), "POST", "/7", c.typ, c.body)
		if e.status != c.status || e.seen.Method != "" || e.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %s", c.settings, c.body, e.status, e.body)
		}
	}
	if e := through(t, `{request: {jq: .a}}`, says("text/plain", "reached"), "POST", "/7", "application/json", `{"a":1}`, "Content-Encoding", "gzip"); e.status != 415 {
		t.Error(e.status)
	}
	if e := through(t, `{request: {jq: .a}}`, says("text/plain", "reached"), "GET", "/7", "", ""); e.status != 200 || e.body != "reached" {
		t.Errorf("a request without a body: %d", e.status)
	}
}

func TestResponses(t *testing.T) {
	const secret = `{"a":{"b":1.500},"secret":"s"}`
	status := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			io.WriteString(w, text)
		}
	}
	for _, c := range []struct {
		name, settings string
		answer         http.HandlerFunc
		want           string
	}{
		{"jq", `{response: {jq: .a}}`, says("application/json", secret), `200 application/json {"b":1.500}`},
		{"chunked", `{response: {jq: .a}}`, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			says("application/json", secret)(w, r)
		}, `200 application/json {"b":1.500}`}, // no type was said in time, so it is taken at its word
		{"XML", `{response: {from: xml, jq: .a}}`, says("application/xml", "<a><b>x</b></a>"), `200 application/json {"b":"x"}`},
		{"template", `{response: {template: "b={body.a.b} {id}\n", contentType: text/plain}}`, says("application/json", secret), "200 text/plain b=1.500 7\n"},
		{"another type", `{response: {jq: .a}}`, says("text/html", secret), "502 "},
		{"malformed", `{response: {jq: .a}}`, says("application/json", secret+"}"), "502 "},
		{"too long", `{response: {jq: .a, maxBytes: 20B}}`, says("application/json", secret), "502 "},
		{"does not fit", `{response: {jq: '.a[] | .b'}}`, says("application/json", secret), "502 "},
		{"coded", `{response: {jq: .a}}`, says("application/json", secret, "Content-Encoding", "gzip"), "502 "},
		{"partial", `{response: {jq: .a}}`, status(206, secret), "502 "},
		{"not found", `{response: {jq: .a}}`, status(404, `{"gone":1}`), `404 application/json {"gone":1}`},
		{"nothing", `{response: {jq: .a}}`, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "204  "},
		{"broken off", `{response: {jq: .a}}`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, secret)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "502 "},
		{"reset", `{response: {jq: .a}}`, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "502 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := through(t, c.settings, c.answer, "GET", "/7", "", "", "Accept-Encoding", "gzip", "Range", "bytes=0-1")
			got := fmt.Sprintf("%d %s %s", e.status, e.header.Get("Content-Type"), e.body)
			if !strings.HasPrefix(got, strings.TrimSuffix(c.want, " ")) || strings.Contains(e.body, "secret") {
				t.Errorf("%s, want %s", got, c.want)
			}
			if e.seen.Header.Get("Accept-Encoding") != "identity" || e.seen.Header["Range"] != nil {
				t.Errorf("the service was asked %v", e.seen.Header)
			}
		})
	}
	e := through(t, `{response: {jq: .a}}`, says("application/json", secret, "ETag", `"x"`, "Content-Digest", "d", "Accept-Ranges", "bytes"), "GET", "/7", "", "")
	if e.header.Get("Etag") != `W/"x"` || e.header["Content-Digest"] != nil || e.header["Accept-Ranges"] != nil {
		t.Error(e.header)
	}
	e = through(t, `{response: {jq: .a}}`, says("application/json", secret), "HEAD", "/7", "", "")
	if e.status != 200 || e.header.Get("Content-Length") == fmt.Sprint(len(secret)) {
		t.Error(e.status, e.header)
	}
}

func TestSettings(t *testing.T) {
	for settings, want := range map[string]string{
		`{}`: "write request or response", `{request: {}}`: "would stay as it is", `{request: {jq: "{"}}`: "request.jq",
		`{response: {jq: ., root: "a b"}}`: "response.root", `{response: {jq: ., contentType: "x y"}}`: "response.contentType",
		`{response: {template: "{"}}`: "response.template", `{response: {template: '{"a": {other}}'}}`: "{other}",
		`{request: {jq: ., from: yaml}}`: "yaml",
	} {
		g, err := gatewaytest.Try(t, `
listeners: [{name: public, address: "127.0.0.1:0"}]
routes: [{name: r, match: {path: "/{id}"}, respond: {}, filters: [{transform: `+settings+`}]}]
`)
		if err == nil || !strings.Contains(g.Log.String(), want) {
			t.Errorf("%s: %v, %s, want %s", settings, err, g.Log, want)
		}
	}
}

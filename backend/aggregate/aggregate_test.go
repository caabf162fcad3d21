package aggregate_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a microservice that answers as its function says and remembers what reached it.
type service struct {
	url string

	mu   sync.Mutex
	seen []seen
}

type seen struct {
	method, uri, body string
	header            http.Header
}

func serve(t testing.TB, answer http.HandlerFunc) *service {
	t.Helper()
	s := new(service)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen = append(s.seen, seen{r.Method, r.RequestURI, string(body), r.Header.Clone()})
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *service) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// says answers with a JSON text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, text)
	}
}

// gateway runs one whose services are a, b, c, …, and whose route /get/{id} ends in the aggregate.
func gateway(t testing.TB, aggregate string, services ...*service) *gatewaytest.Gateway {
	t.Helper()
	return gatewaytest.Start(t, configuration(aggregate, services...))
}

func configuration(aggregate string, services ...*service) string {
	var b strings.Builder
	b.WriteString("listeners: [{name: public, address: \"127.0.0.1:0\"}]\nservices:\n")
	for i, s := range services {
		fmt.Fprintf(&b, "  - {name: %c, endpoints: [{url: %q}]}\n", 'a'+i, s.url)
	}
	b.WriteString("routes:\n  - name: whole\n    match: {path: \"/get/{id}\"}\n    aggregate:\n")
	for line := range strings.SplitSeq(strings.TrimSpace(aggregate), "\n") {
		b.WriteString("      " + strings.TrimPrefix(line, "\t") + "\n")
	}
	return b.String()
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) String() string {
	return fmt.Sprintf("%d completed=%s failed=%s %s", r.status, r.header.Get("X-Aggregate-Completed"), r.header.Get("X-Aggregate-Failed"), r.body)
}

func ask(t testing.TB, g *gatewaytest.Gateway, method, path, body string, header ...string) reply {
	t.Helper()
	request, err := http.NewRequest(method, g.URL("public", path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
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
	return reply{response.StatusCode, response.Header, string(text)}
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}

const three = `
calls:
  - {name: user,   service: a, path: "/users/{id}", required: true}
  - {name: orders, service: b, path: "/orders?user={id}", fallback: {items: []}, pick: [items]}
  - {name: region, service: c, path: "/regions/{user.regionId}"}
`

func TestTheExampleOfTheIssue(t *testing.T) {
	user := serve(t, says(`{"name":"Ada", "regionId":"eu/w", "balance": 12345678901234567890.10}`))
	orders := serve(t, says(`{"items":[{"id":1,"open":true,"sum":1.50},{"id":2,"open":false}],"page":1}`))
	region := serve(t, says(`{"name":"Europe"}`))
	g := gateway(t, three, user, orders, region)
	r := ask(t, g, "GET", "/get/7%2Fx", "")
	want := `{"user":{"name":"Ada", "regionId":"eu/w", "balance": 12345678901234567890.10},"orders":{"items":[{"id":1,"open":true,"sum":1.50},{"id":2,"open":false}]},"region":{"name":"Europe"}}`
	if r.String() != "200 completed=true failed= "+want || r.header.Get("Content-Type") != "application/json" {
		t.Error(r, r.header)
	}
	for s, want := range map[*service]string{user: "/users/7%2Fx", orders: "/orders?user=7%2Fx", region: "/regions/eu%2Fw"} {
		if seen := s.requests(); len(seen) != 1 || seen[0].uri != want || seen[0].method != "GET" {
			t.Errorf("%+v, want %s", seen, want)
		}
	}

	shaped := gateway(t, three+`response: '{user: .user.name, open: [.orders.items[] | select(.open)], region: .region.name, balance: .user.balance}'`, user, orders, region)
	r = ask(t, shaped, "GET", "/get/7", "")
	if want := `{"balance":12345678901234567890.10,"open":[{"id":1,"open":true,"sum":1.50}],"region":"Europe","user":"Ada"}`; r.body != want {
		t.Error(r)
	}
}

// What one of the calls does, and what then becomes of the whole. The call named is optional, with and without a fallback,
// or required.
func TestPartialFailure(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	half := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, `{"secret":`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	halfThenNever := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"secret":`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Www-Authenticate", "Basic")
			w.WriteHeader(code)
			io.WriteString(w, `{"secret":"leaked"}`)
		}
	}
	typed := func(typ, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{typ}
			io.WriteString(w, text)
		}
	}
	coded := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, `{"secret":1}`)
		z.Close()
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		status int // of the whole, if the call is required
	}{
		{"400", status(400), 400}, {"401", status(401), 401}, {"404", status(404), 404}, {"418", status(418), 418},
		{"429", status(429), 429}, {"407", status(407), 502}, {"500", status(500), 502}, {"503", status(503), 502},
		{"302", status(302), 502}, {"304", status(304), 502}, {"206", status(206), 502},
		{"wrong type", typed("text/html", `{"secret":1}`), 502},
		{"wrong charset", typed("application/json; charset=latin1", `{"secret":1}`), 502},
		{"bad JSON", says(`{"secret":1,}`), 502}, {"not UTF-8", says("{\"secret\":\"\xff\"}"), 502},
		{"empty", typed("application/json", ""), 502}, {"two values", says(`{"secret":1}{}`), 502},
		{"too deep", says(strings.Repeat("[", 100)), 502}, {"too long", says(`"secret` + strings.Repeat("x", 2<<20) + `"`), 502},
		{"too long in chunks", func(w http.ResponseWriter, r *http.Request) {
			says(`"secret`)(w, r)
			for range 1 << 11 {
				io.WriteString(w, strings.Repeat("x", 1<<10))
				w.(http.Flusher).Flush()
			}
		}, 502},
		{"gzip", coded, 502}, {"half", half, 502}, {"half, then never", halfThenNever, 504}, {"never", hang, 504},
		{"reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			good, bad := serve(t, says(`{"good":1}`)), serve(t, c.answer)
			for policy, want := range map[string]string{
				"":                             `200 completed=false failed=bad {"good":{"good":1}}`,
				`, fallback: {n: 1.50, l: []}`: `200 completed=false failed=bad {"good":{"good":1},"bad":{"n":1.50,"l":[]}}`,
				`, required: true`:             fmt.Sprintf("%d completed=false failed=bad", c.status),
			} {
				g := gateway(t, "calls:\n  - {name: good, service: a, path: /}\n  - {name: bad, service: b, path: /, timeout: 200ms"+policy+"}\n", good, bad)
				r := ask(t, g, "GET", "/get/7", "")
				if !strings.HasPrefix(r.String(), want) || strings.Contains(r.String(), "secret") {
					t.Errorf("%q: %v, want %s", policy, r, want)
				}
				if r.header.Get("Cache-Control") != "no-store" {
					t.Errorf("%q: what is not whole may be kept: %v", policy, r.header)
				}
				if policy == `, required: true` && (r.header.Get("Content-Type") != "application/problem+json" ||
					!strings.Contains(r.body, "The call bad failed") || (r.header.Get("Www-Authenticate") != "") != (r.status == 401)) {
					t.Errorf("%v %v", r, r.header)
				}
			}
		})
	}
}

func TestEmptyAnswersAreNull(t *testing.T) {
	empty := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	g := gateway(t, `
calls:
  - {name: none, service: a, path: /, required: true}
  - {name: head, service: b, path: /, method: HEAD, required: true}
`, empty, serve(t, says(`{}`)))
	if r := ask(t, g, "GET", "/get/7", ""); r.String() != `200 completed=true failed= {"none":null,"head":null}` {
		t.Error(r)
	}
}

// A call that fails is not waited for, and what needs it fails with it; a default stands in where there is one.
func TestWhatNeedsAFailedCall(t *testing.T) {
	gone := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) { says(fmt.Sprintf("%q", r.RequestURI))(w, r) })
	g := gateway(t, `
calls:
  - {name: first, service: a, path: /}
  - {name: second, service: b, path: "/{first.id}"}
  - {name: third, service: b, path: "/{first.id:-none}"}
  - {name: fourth, service: b, path: "/{second.x}", fallback: 4}
  - {name: stood-in, service: a, path: /, fallback: {id: 5}}
  - {name: fifth, service: b, path: "/{stood-in.id}"}
`, gone, echo)
	r := ask(t, g, "GET", "/get/7", "")
	if want := `200 completed=false failed=first,second,fourth,stood-in {"third":"/none","fourth":4,"stood-in":{"id":5},"fifth":"/5"}`; r.String() != want {
		t.Errorf("%v\nwant %s", r, want)
	}
}

// The first request of each service waits for that of the other, so they can only be answered if they run at once.
func TestIndependentCallsRunAtOnce(t *testing.T) {
	var both sync.WaitGroup
	both.Add(3)
	meet := func(w http.ResponseWriter, r *http.Request) {
		both.Done()
		both.Wait()
		says(`{"id":1}`)(w, r)
	}
	a, b, c := serve(t, meet), serve(t, meet), serve(t, meet)
	g := gateway(t, `
calls:
  - {name: one, service: a, path: /, required: true}
  - {name: two, service: b, path: /, required: true}
  - {name: three, service: c, path: /, required: true}
`, a, b, c)
	if r := ask(t, g, "GET", "/get/7", ""); r.status != 200 {
		t.Error(r)
	}
}

// A required call that fails ends those under way, and those that wait are never made.
func TestARequiredFailureCancelsTheRest(t *testing.T) {
	cancelled := make(chan struct{})
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); close(cancelled) })
	reached := make(chan struct{})
	bad := serve(t, func(w http.ResponseWriter, _ *http.Request) { <-reached; w.WriteHeader(404) })
	after := serve(t, says(`{}`))
	g := gateway(t, `
calls:
  - {name: slow, service: a, path: /, required: true}
  - {name: bad, service: b, path: /, required: true}
  - {name: after, service: c, path: "/{slow.id}"}
`, slow, bad, after)
	go func() {
		for len(slow.requests()) == 0 {
			time.Sleep(time.Millisecond)
		}
		close(reached)
	}()
	if r := ask(t, g, "GET", "/get/7", ""); r.status != 404 || r.header.Get("X-Aggregate-Failed") != "bad" {
		t.Error(r)
	}
	<-cancelled
	if n := len(after.requests()); n != 0 {
		t.Errorf("%d requests were made for nothing", n)
	}
}

// The answer waits for the slow optional call no longer than that call's own timeout: the test would hang for a minute.
func TestASlowOptionalCallDoesNotHoldTheAnswer(t *testing.T) {
	never := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	g := gateway(t, `
timeout: 1m
calls:
  - {name: good, service: a, path: /}
  - {name: slow, service: b, path: /, timeout: 50ms}
  - {name: list, service: b, path: /, timeout: 50ms, forEach: .good, fallback: "?"}
`, serve(t, says(`[1,2,3]`)), never)
	if r := ask(t, g, "GET", "/get/7", ""); r.String() != `200 completed=false failed=slow,list {"good":[1,2,3],"list":["?","?","?"]}` {
		t.Error(r)
	}
}

func TestTheTimeOfTheWhole(t *testing.T) {
	never := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	g := gateway(t, `
timeout: 50ms
calls:
  - {name: good, service: a, path: /}
  - {name: slow, service: b, path: /, timeout: 1m}
`, serve(t, says(`{}`)), never)
	if r := ask(t, g, "GET", "/get/7", ""); r.String() != `200 completed=false failed=slow {"good":{}}` {
		t.Error(r)
	}
}

func TestForEach(t *testing.T) {
	orders := serve(t, says(`{"items":[{"sku":"a b"},{"sku":"c"},{"sku":"bad"},{"sku":"d"}],"many":[`+strings.Repeat("1,", 100)+`1],"none":[],"text":"x"}`))
	var at, most atomic.Int32
	stock := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := at.Add(1)
		defer at.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if strings.Contains(r.RequestURI, "bad") {
			w.WriteHeader(404)
			return
		}
		says(fmt.Sprintf(`{"uri":%q,"n":1.0}`, r.RequestURI))(w, r)
	})
	g := gateway(t, `
calls:
  - {name: orders, service: a, path: /, pick: [text]}
  - {name: stock, service: b, path: "/stock/{item.sku}/{index}?o={orders.text}", forEach: .orders.items, concurrency: 2, pick: [uri]}
  - {name: filled, service: b, path: "/{item.sku}", forEach: orders.items, fallback: 0.0}
  - {name: many, service: b, path: "/{item}", forEach: .orders.many}
  - {name: none, service: b, path: "/{item}", forEach: .orders.none}
  - {name: text, service: b, path: "/{item}", forEach: .orders.text}
  - {name: gone, service: b, path: "/{item}", forEach: .orders.gone}
`, orders, stock)
	r := ask(t, g, "GET", "/get/7", "")
	want := `200 completed=false failed=stock,filled,many,text,gone {"orders":{"text":"x"},` +
		`"stock":[{"uri":"/stock/a%20b/0?o=x"},{"uri":"/stock/c/1?o=x"},null,{"uri":"/stock/d/3?o=x"}],` +
		`"filled":[{"uri":"/a%20b","n":1.0},{"uri":"/c","n":1.0},0.0,{"uri":"/d","n":1.0}],"none":[]}`
	if r.String() != want {
		t.Errorf("%v\nwant %s", r, want)
	}
	required := gateway(t, `
calls:
  - {name: orders, service: a, path: /}
  - {name: stock, service: b, path: "/{item.sku}", forEach: .orders.items, required: true, concurrency: 1}
`, orders, stock)
	before := len(stock.requests())
	if r := ask(t, required, "GET", "/get/7", ""); r.status != 404 || r.header.Get("X-Aggregate-Failed") != "stock" {
		t.Error(r)
	}
	if n := len(stock.requests()) - before; n != 3 {
		t.Errorf("%d calls were made, want those up to the one that failed", n)
	}
}

// The calls of a forEach run at once, and no more than it says.
func TestForEachIsBounded(t *testing.T) {
	const bound = 3
	var at atomic.Int32
	over := make(chan struct{})
	stock := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n := at.Add(1); n == bound {
			close(over) // as many as may be are here
		} else if n > bound {
			t.Errorf("%d calls at once", n)
		}
		<-over
		if at.Add(-1) == 0 {
			at.Store(-1 << 16)
		}
		says(`1`)(w, r)
	})
	g := gateway(t, `
calls:
  - {name: list, service: a, path: /}
  - {name: each, service: b, path: "/{item}", forEach: .list, concurrency: 3}
`, serve(t, says(`[1,2,3]`)), stock)
	if r := ask(t, g, "GET", "/get/7", ""); r.body != `{"list":[1,2,3],"each":[1,1,1]}` {
		t.Error(r)
	}
}

func TestFlat(t *testing.T) {
	g := gateway(t, `
merge: flat
calls:
  - {name: one, service: a, path: /}
  - {name: two, service: b, path: /, pick: [b, x]}
  - {name: three, service: c, path: /}
`, serve(t, says(`{"a":1.0,"b":"one","a":2.0}`)), serve(t, says(`{"\u0062":"two","x":[1],"y":2}`)), serve(t, says(`[3]`)))
	if r := ask(t, g, "GET", "/get/7", ""); r.body != `{"a":2.0,"\u0062":"two","x":[1],"three":[3]}` {
		t.Error(r)
	}
}

func TestFormats(t *testing.T) {
	xml := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		io.WriteString(w, `<order id="7"><item>a</item><item>b</item></order>`)
	})
	text := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "line \"one\"\n")
	})
	bomb := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		io.WriteString(w, `<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>`)
	})
	g := gateway(t, `
calls:
  - {name: xml, service: a, path: /, format: xml, pick: [order.item]}
  - {name: text, service: b, path: /, format: text}
  - {name: bomb, service: c, path: /, format: xml}
`, xml, text, bomb)
	r := ask(t, g, "GET", "/get/7", "")
	if want := `200 completed=false failed=bomb {"xml":{"order":{"item":["a","b"]}},"text":"line \"one\"\n"}`; r.String() != want {
		t.Error(r)
	}
}

// A path that the client's own values lead elsewhere is the client's mistake, and no service is asked.
func TestAPathThatTheClientLeadsElsewhere(t *testing.T) {
	g := gateway(t, `
calls:
  - {name: one, service: a, path: "/users/{query.id}/orders", required: true}
`, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the service was asked") }))
	for _, id := range []string{"..", ".", "%2e%2e", ""} {
		if r := ask(t, g, "GET", "/get/7?id="+id, ""); r.status != 400 {
			t.Errorf("%q: %v", id, r)
		}
	}
}

// Values go where they are put, escaped for the place, and nowhere else.
func TestWhatIsSent(t *testing.T) {
	first := serve(t, says(`{"id":"../x?y#z é","n":1.50,"list":[1, 2],"quote":"\"q\"\n","line":"a\r\nb: c","dots":"..","null":null,"empty":""}`))
	echo := serve(t, says(`{}`))
	g := gateway(t, `
forward: [accept-language]
calls:
  - {name: first, service: a, path: /}
  - {name: target, service: b, path: "/t/{first.id}/{id}?q={first.id}&n={first.n}&l={query.lang}&e={first.empty}"}
  - {name: dots, service: b, path: "/dots/{first.dots}/secret"}
  - {name: empty, service: b, path: "/empty/{first.empty}/secret"}
  - {name: line, service: b, path: /line, headers: {x-line: "{first.line}"}}
  - {name: object, service: b, path: "/object?x={first.list}"}
  - {name: nothing, service: b, path: "/nothing?x={first.null}"}
  - {name: noquery, service: b, path: "/noquery?x={query.none}"}
  - {name: fields, service: b, path: /fields, headers: {x-a: "{first.id} {client.ip} {method}", accept: "a/b"}, forward: [x-mine]}
  - name: post
    service: b
    path: /post
    query: {"a b": "{first.quote}"}
    body: '{"id":"<{first.id}>", "list":{first.list}, "q":{first.quote}, "all": {"of": {first.n}}, "d": {query.none:-[null]}, "id2": {id}, "{{n}":1}'
  - {name: form, service: b, path: /form, contentType: application/x-www-form-urlencoded, body: "a={first.quote}&b={query.lang}", method: PUT}
  - {name: xml, service: b, path: /xml, contentType: text/xml, body: "<a b=\"{first.quote}\">{first.id}</a>"}
`, first, echo)
	r := ask(t, g, "GET", "/get/%FF%2F7?lang=d%26e&x=1", "", "Accept-Language", "de", "X-Mine", "m", "Cookie", "a=b", "Authorization", "secret",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Consumer-Name", "forged", "X-Forwarded-For", "6.6.6.6",
		"Accept", "text/html", "Accept-Encoding", "br", "If-None-Match", `"x"`, "Range", "bytes=0-1", "X_Consumer_Name", "forged")
	if r.status != 200 || r.header.Get("X-Aggregate-Failed") != "dots,empty,line,object,nothing,noquery,post" {
		t.Error(r) // the octet %FF of the path is no character that JSON could hold, so post fails
	}
	ask(t, g, "GET", "/get/7%2F7?lang=d", "")
	sent := make(map[string]seen)
	for _, s := range echo.requests() {
		path, _, _ := strings.Cut(s.uri, "?")
		sent[s.method+" "+path] = s
	}
	for key, want := range map[string]seen{
		"GET /t/..%2Fx%3Fy%23z%20%C3%A9/%FF%2F7": {uri: "/t/..%2Fx%3Fy%23z%20%C3%A9/%FF%2F7?q=..%2Fx%3Fy%23z%20%C3%A9&n=1.50&l=d%26e&e="},
		"POST /post":                             {uri: "/post?a%20b=%22q%22%0A", body: `{"id":"<../x?y#z é>", "list":[1, 2], "q":"\"q\"\n", "all": {"of": 1.50}, "d": [null], "id2": "7/7", "{n}":1}`},
		"PUT /form":                              {uri: "/form", body: "a=%22q%22%0A&b=d"},
		"POST /xml":                              {uri: "/xml", body: "<a b=\"&#34;q&#34;&#10;\">../x?y#z é</a>"},
	} {
		if s, ok := sent[key]; !ok || s.uri != want.uri || s.body != want.body {
			t.Errorf("%s: %+v\nwant %+v", key, s, want)
		}
	}
	if len(sent) != 6 {
		t.Errorf("sent: %+v", sent)
	}
	h := sent["GET /fields"].header
	for _, s := range echo.requests() {
		if s.uri == "/fields" {
			h = s.header
			break
		}
	}
	for name, want := range map[string]string{
		"X-A": "../x?y#z é 127.0.0.1 GET", "Accept": "a/b", "Accept-Encoding": "identity", "Accept-Language": "de", "X-Mine": "m",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1",
		"X-Forwarded-Proto": "http", "Via": "1.1 sluice", "X-Request-Id": r.header.Get("X-Request-Id"),
		"Cookie": "", "Authorization": "", "X-Consumer-Name": "", "If-None-Match": "", "Range": "", "User-Agent": "", "X_consumer_name": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if h := sent["POST /post"].header; h.Get("Content-Type") != "application/json" {
		t.Error(h)
	}
}

func TestTheRequestsBody(t *testing.T) {
	echo := serve(t, says(`{}`))
	g := gateway(t, `
calls:
  - {name: one, service: a, path: "/{body.id}", body: '{"whole":{body},"name":"{body.name:-}"}', required: true}
  - {name: each, service: a, path: "/each/{item}", forEach: .body.ids, fallback: 0}
limits: {requestBytes: 64, depth: 4}
`, echo)
	if r := ask(t, g, "POST", "/get/7", `{"id": 1.50, "ids":["a","b"]}`); r.String() != `200 completed=true failed= {"one":{},"each":[{},{}]}` {
		t.Error(r)
	}
	if s := echo.requests()[0]; len(echo.requests()) != 3 || s.uri == "/1.50" && s.body != `{"whole":{"id": 1.50, "ids":["a","b"]},"name":""}` {
		t.Errorf("%+v", echo.requests())
	}
	for body, want := range map[string]int{
		`id=3&ids=x&ids=y`: 415, `{"id":1`: 400, `{}`: 400, `{"id":[]}`: 400, ``: 400, `[[[[[1]]]]]`: 400, "{\"id\":\"\xff\"}": 400,
		`{"id":"` + strings.Repeat("x", 64) + `"}`: 413,
	} {
		typ := "application/json"
		if want == 415 {
			typ = "text/plain"
		}
		if r := ask(t, g, "POST", "/get/7", body, "Content-Type", typ); r.status != want {
			t.Errorf("%s: %v, want %d", body, r, want)
		}
	}
	if r := ask(t, g, "POST", "/get/7", "id=3&ids=x&ids=y", "Content-Type", "application/x-www-form-urlencoded"); r.status != 200 {
		t.Error(r)
	}
}

func TestHead(t *testing.T) {
	g := gateway(t, "calls: [{name: one, service: a, path: /}]", serve(t, says(`{"a":1}`)))
	r := ask(t, g, "HEAD", "/get/7", "")
	if r.status != 200 || r.body != "" || r.header.Get("Content-Length") != fmt.Sprint(len(`{"one":{"a":1}}`)) {
		t.Error(r, r.header)
	}
}

// A program that does not fit what the calls said is a 502 that names neither.
func TestAProgramThatFails(t *testing.T) {
	a := serve(t, says(`{"items":5,"secret":"s"}`))
	for _, program := range []string{".one.items[]", ".one | keys[]", "empty", "[.one | .secret * 100000000]"} {
		g := gateway(t, "calls: [{name: one, service: a, path: /}]\nresponse: '"+program+"'\n", a)
		if r := ask(t, g, "GET", "/get/7", ""); r.status != 502 || strings.Contains(r.body, "secret") {
			t.Errorf("%s: %v", program, r)
		}
	}
}

// The limit on all answers together fails the call that goes over it.
func TestAllAnswersTogether(t *testing.T) {
	long := serve(t, says(`"`+strings.Repeat("x", 600)+`"`))
	g := gateway(t, `
limits: {totalBytes: 1000B}
calls:
  - {name: one, service: a, path: /}
  - {name: two, service: a, path: "/{one}"}
`, long)
	if r := ask(t, g, "GET", "/get/7", ""); r.header.Get("X-Aggregate-Failed") != "two" {
		t.Error(r)
	}
}

func TestRetriesAndTheRecord(t *testing.T) {
	var n atomic.Int32
	flaky := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(503)
			return
		}
		says(`{}`)(w, r)
	})
	log := t.TempDir() + "/log"
	text := configuration("calls:\n  - {name: one, service: a, path: /, required: true, retry: {attempts: 3, on: [503]}}\n  - {name: two, service: b, path: /}", flaky, serve(t, says(`{}`)))
	g := gatewaytest.Start(t, text+"\ntelemetry: {accessLog: {to: "+log+"}}\n")
	if r := ask(t, g, "GET", "/get/7", ""); r.status != 200 {
		t.Error(r)
	}
	_, metrics := g.Admin("/metrics")
	for _, want := range []string{`sluice_upstream_attempts_total{outcome="status_5xx",service="a"} 1`, `sluice_upstream_attempts_total{outcome="success",service="b"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if line := firstLine(t, log); !strings.Contains(line, `"attempts":3`) || !strings.Contains(line, `"status":503`) {
		t.Errorf("the access log says %s", line)
	}
}

// A client that goes away ends the calls.
func TestAClientThatLeaves(t *testing.T) {
	reached, cancelled := make(chan struct{}), make(chan struct{})
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) { close(reached); <-r.Context().Done(); close(cancelled) })
	g := gateway(t, "calls: [{name: one, service: a, path: /}, {name: two, service: b, path: /}]", slow, serve(t, says(`{}`)))
	ctx, leave := context.WithCancel(context.Background())
	go func() { <-reached; leave() }()
	request, err := http.NewRequestWithContext(ctx, "GET", g.URL("public", "/get/7"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := client.Do(request); err == nil {
		response.Body.Close()
		t.Error("an answer came")
	}
	<-cancelled
}

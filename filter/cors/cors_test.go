package cors

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
)

func build(t testing.TB, c Config) *Filter {
	t.Helper()
	f, err := New(filter.Env{}, c)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Filter)
}

const app = "https://app.example.com"

var usual = Config{
	AllowOrigins: []string{app, "https://*.example.net", "http://localhost:3000"}, AllowMethods: []string{"GET", "PUT"},
	AllowHeaders: []string{"apikey", "content-type"}, ExposeHeaders: []string{"X-Total"}, AllowCredentials: true, MaxAge: time.Minute,
}

var open = Config{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}, ExposeHeaders: []string{"*"}}

func preflight(origin string) *exchange.Exchange {
	return &exchange.Exchange{In: &http.Request{Method: "OPTIONS", Header: http.Header{
		"Origin": {origin}, "Access-Control-Request-Method": {"PUT"}, "Access-Control-Request-Headers": {"apikey,x-odd"},
	}}}
}

func TestPreflight(t *testing.T) {
	const all = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
	for _, c := range []struct {
		name     string
		settings Config
		origin   string
		want     http.Header // nil: refused
	}{
		{"allowed", usual, app, http.Header{
			"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Max-Age": {"60"},
			"Access-Control-Allow-Methods": {"GET, PUT"}, "Access-Control-Allow-Headers": {"apikey, content-type"}, "Vary": {all},
		}},
		{"not allowed", usual, "https://evil.example", nil},
		{"any", open, "https://any.example", http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Max-Age": {"0"},
			"Access-Control-Allow-Methods": {"PUT"}, "Access-Control-Allow-Headers": {"apikey,x-odd"}, "Vary": {all},
		}},
		{"no fields allowed", Config{AllowOrigins: []string{app}}, app, http.Header{
			"Access-Control-Allow-Origin": {app}, "Access-Control-Max-Age": {"0"}, "Vary": {all},
		}},
	} {
		f, x := build(t, c.settings), preflight(c.origin)
		err := f.OnRequest(context.Background(), x)
		if c.want == nil {
			if failure.From(err).Code() != 403 || x.Response != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || x.Response.StatusCode != 204 {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := f.OnResponse(context.Background(), x); err != nil || !reflect.DeepEqual(x.Response.Header, c.want) {
			t.Errorf("%s: %v\ngot  %v\nwant %v", c.name, err, x.Response.Header, c.want)
		}
	}
}

func TestARefusedPreflightVaries(t *testing.T) {
	x := preflight("https://evil.example")
	x.Response = &http.Response{}
	_ = build(t, usual).OnResponse(context.Background(), x)
	if h := x.Response.Header; len(h) != 1 || !strings.HasPrefix(h.Get("Vary"), "Origin") {
		t.Errorf("%v", h)
	}
}

func TestResponse(t *testing.T) {
	allowed := http.Header{
		"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Expose-Headers": {"X-Total"},
		"Vary": {"Origin"},
	}
	for _, c := range []struct {
		name     string
		settings Config
		origins  []string
		sent     http.Header // by the service
		want     http.Header
	}{
		{"allowed", usual, []string{app}, nil, allowed},
		{"the service's fields are replaced", usual, []string{app}, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Methods": {"DELETE"}, "Access-Control-Expose-Headers": {"X-Secret"},
		}, allowed},
		{"and removed", usual, []string{"https://evil.example"}, http.Header{"Access-Control-Allow-Origin": {"*"}}, http.Header{"Vary": {"Origin"}}},
		{"no origin", usual, nil, http.Header{"Vary": {"Accept"}}, http.Header{"Vary": {"Accept", "Origin"}}},
		{"varies already", usual, nil, http.Header{"Vary": {"accept, origin"}}, http.Header{"Vary": {"accept, origin"}}},
		{"varies by all", usual, nil, http.Header{"Vary": {"*"}}, http.Header{"Vary": {"*"}}},
		{"two origins", usual, []string{app, app}, nil, http.Header{"Vary": {"Origin"}}},
		{"any", open, []string{"https://any.example"}, nil, http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"*"}}},
		{"any, no origin", open, nil, nil, http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"*"}}},
	} {
		f := build(t, c.settings)
		for range 2 { // what is shared must not be worn out by the first
			x := &exchange.Exchange{In: &http.Request{Method: "GET", Header: http.Header{}}}
			if c.origins != nil {
				x.In.Header["Origin"] = c.origins
			}
			if err := f.OnRequest(context.Background(), x); err != nil || x.Response != nil {
				t.Fatalf("%s: %v, %v", c.name, x.Response, err)
			}
			x.Response = &http.Response{StatusCode: 429, Header: c.sent.Clone()}
			if err := f.OnResponse(context.Background(), x); err != nil || !reflect.DeepEqual(x.Response.Header, c.want) {
				t.Errorf("%s: %v\ngot  %v\nwant %v", c.name, err, x.Response.Header, c.want)
			}
		}
	}
}

func TestOptionsThatIsNoPreflight(t *testing.T) {
	x := preflight(app)
	delete(x.In.Header, "Access-Control-Request-Method")
	if err := build(t, usual).OnRequest(context.Background(), x); err != nil || x.Response != nil {
		t.Errorf("%v, %v: it is the service's to answer", x.Response, err)
	}
}

func TestOrigins(t *testing.T) {
	o, err := newOrigins(append([]string{"HTTPS://Upper.Example", "https://*.example.com:8443", "capacitor://localhost"}, usual.AllowOrigins...))
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]bool{
		app:                                true,
		"HTTPS://APP.example.com":          true,
		"https://upper.example":            true,
		"http://app.example.com":           false,
		"https://app.example.com:8080":     false,
		"https://app.example.com.evil":     false,
		"https://app.example.com/":         false,
		"http://localhost:3000":            true,
		"http://localhost":                 false,
		"capacitor://localhost":            true,
		"https://a.example.net":            true,
		"https://a.b.example.net":          true,
		"https://example.net":              false,
		"https://.example.net":             false,
		"https://evilexample.net":          false,
		"https://evil.com/.example.net":    false,
		"https://evil.com#.example.net":    false,
		"https://evil.com:80.example.net":  false,
		"https://u:p@a.example.net":        false,
		"https://evil.com\\.example.net":   false,
		"http://a.example.net":             false,
		"https://a.example.net:8443":       false,
		"https://a.example.com:8443":       true,
		"https://a.example.com":            false,
		"https://a.example.net.evil":       false,
		"https://[::1].example.net":        false,
		"null":                             false,
		"":                                 false,
		"*":                                false,
		"https://*.example.net":            false,
		"https://a..example.net":           false,
		"https://a%2f.example.net":         false,
		strings.Repeat("https://a.", 1000): false,
	} {
		if o.allow(origin) != want {
			t.Errorf("%q: %v", origin, !want)
		}
	}
}

func TestErrors(t *testing.T) {
	origin := func(text string) Config { return Config{AllowOrigins: []string{app, text}} }
	for _, c := range []struct {
		settings Config
		want     string
	}{
		{Config{}, "allowOrigins: no origin is allowed"},
		{origin("null"), "allowOrigins[1]: null is the origin of"},
		{origin("app.example.com"), "is no origin"},
		{origin("https://"), "is no origin"},
		{origin("https://a.example/"), "write https://a.example"},
		{origin("https://a.example/path"), "write https://a.example"},
		{origin("https://u@a.example"), "write https://a.example"},
		{origin("https://a.example:443"), "write https://a.example"},
		{origin("http://a.example:80"), "write http://a.example"},
		{origin("https://a.*.example"), "a * stands only for"},
		{origin("https://*example.com"), "a * stands only for"},
		{origin("https://*.*.com"), "a * stands only for"},
		{Config{AllowOrigins: []string{"*"}, AllowCredentials: true}, "allowCredentials: cannot go with"},
		{Config{AllowOrigins: []string{app}, AllowCredentials: true, ExposeHeaders: []string{"*"}}, "exposeHeaders: browsers"},
		{Config{AllowOrigins: []string{app}, AllowMethods: []string{"GET", "patch"}}, "allowMethods[1]"},
		{Config{AllowOrigins: []string{app}, AllowHeaders: []string{"a b"}}, "allowHeaders[0]"},
		{Config{AllowOrigins: []string{app}, ExposeHeaders: []string{""}}, "exposeHeaders[0]"},
	} {
		if _, err := New(filter.Env{}, c.settings); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q in it", c.settings, err, c.want)
		}
	}
	if typ := Type(); typ.Name != "cors" || typ.Repeat || typ.Phase != filter.Admit {
		t.Errorf("%+v", typ)
	}
}

func BenchmarkOnResponse(b *testing.B) {
	f := build(b, usual)
	x := &exchange.Exchange{In: &http.Request{Method: "GET", Header: http.Header{"Origin": {app}}}, Response: &http.Response{Header: make(http.Header, 16)}}
	b.ReportAllocs()
	for b.Loop() {
		delete(x.Response.Header, "Vary")
		_ = f.OnResponse(context.Background(), x)
	}
}

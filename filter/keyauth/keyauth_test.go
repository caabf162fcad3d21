package keyauth

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
)

func directory() *exchange.Directory {
	d := new(exchange.Directory)
	d.AddKey("right", &exchange.Consumer{Name: "mobile-app", Groups: []string{"partners", "beta"}})
	d.AddKey("a+b&c", &exchange.Consumer{Name: "odd"})
	return d
}

func build(t testing.TB, c Config) *Filter {
	t.Helper()
	f, err := New(filter.Env{}, c)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Filter)
}

func request(query string, fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{In: &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{}}}
	for i := 0; i < len(fields); i += 2 {
		x.In.Header.Add(fields[i], fields[i+1])
	}
	x.UseConsumers(directory())
	return x
}

func TestFieldsThatCannotHoldAKey(t *testing.T) {
	for _, header := range []string{"host", "cookie", "connection", "x-request-id", "X-Real-IP", "via", "x-forwarded-for", "a b"} {
		if _, err := New(filter.Env{}, Config{Header: header}); err == nil {
			t.Errorf("%s may hold a key", header)
		}
	}
}

func TestOnRequest(t *testing.T) {
	byQuery, groups := Config{Query: "key"}, Config{Groups: []string{"gold", "beta"}}
	for _, c := range []struct {
		name     string
		settings Config
		x        *exchange.Exchange
		consumer string
		code     int // 0: not refused
	}{
		{"right", Config{}, request("", "apikey", "right"), "mobile-app", 0},
		{"none", Config{}, request(""), "", 0},
		{"wrong", Config{}, request("", "apikey", "wrong"), "", 401},
		{"empty", Config{}, request("", "apikey", ""), "", 401},
		{"too long", Config{}, request("", "apikey", strings.Repeat("x", maxKey+1)), "", 401},
		{"twice", Config{}, request("", "apikey", "right", "apikey", "right"), "", 401},
		{"another field", Config{Header: "x-api-key"}, request("", "X-API-Key", "right"), "mobile-app", 0},
		{"not that field", Config{Header: "x-api-key"}, request("", "apikey", "right"), "", 0},
		{"query not asked for", Config{}, request("apikey=right"), "", 0},
		{"query", byQuery, request("a=b&key=right"), "mobile-app", 0},
		{"query encoded", byQuery, request("%6bey=a%2Bb%26c"), "odd", 0},
		{"query wrong", byQuery, request("key=wrong"), "", 401},
		{"query empty", byQuery, request("key"), "", 401},
		{"query broken", byQuery, request("key=%zz"), "", 401},
		{"query twice", byQuery, request("key=right&key=right"), "", 401},
		{"query of another", byQuery, request("keys=right&%zz=right"), "", 0},
		{"both", byQuery, request("key=right", "apikey", "right"), "", 401},
		{"in a group", groups, request("", "apikey", "right"), "mobile-app", 0},
		{"in no group", groups, request("", "apikey", "a+b&c"), "", 403},
		{"nobody in a group", groups, request(""), "", 0},
	} {
		err := build(t, c.settings).OnRequest(context.Background(), c.x)
		if f := failure.From(err); (f == nil) != (c.code == 0) || f != nil && f.Code() != c.code {
			t.Errorf("%s: %v, want %d", c.name, err, c.code)
		} else if c.code == 401 && f.Header.Get("WWW-Authenticate") != challenge {
			t.Errorf("%s: refused with %v", c.name, f.Header)
		}
		if c.x.Identity.Name() != c.consumer {
			t.Errorf("%s: consumer %q, want %q", c.name, c.x.Identity.Name(), c.consumer)
		}
		if nobody := c.consumer == "" && c.code == 0; nobody != slices.Equal(c.x.Challenges, []string{challenge}) {
			t.Errorf("%s: challenges %q", c.name, c.x.Challenges)
		}
	}
}

func TestAnotherSchemeCameFirst(t *testing.T) {
	x := request("", "apikey", "right")
	first := &exchange.Identity{Scheme: "other"}
	x.Identity = first
	if err := build(t, Config{}).OnRequest(context.Background(), x); err != nil || x.Identity != first {
		t.Errorf("%v, %v", x.Identity, err)
	}
	x = request("", "apikey", "wrong")
	x.Identity = first
	if build(t, Config{}).OnRequest(context.Background(), x) == nil {
		t.Error("a wrong key was passed over")
	}
}

func TestOnOut(t *testing.T) {
	consumer := &exchange.Consumer{Name: "mobile-app", Groups: []string{"partners", "beta"}}
	named := http.Header{"X-Consumer-Name": {"mobile-app"}, "X-Consumer-Groups": {"partners,beta"}}
	for _, c := range []struct {
		settings      Config
		query, want   string
		key, keyAfter []string
	}{
		{Config{}, "a=b&key=right", "a=b&key=right", []string{"right"}, nil},
		{Config{KeepCredential: true, Query: "key"}, "key=right", "key=right", []string{"right"}, []string{"right"}},
		{Config{Query: "key"}, "a=%20+b&&key=right&c;d=%zz&k%65y=x&e", "a=%20+b&&c;d=%zz&e", nil, nil},
		{Config{Query: "key"}, "key=right", "", nil, nil},
		{Config{Query: "key"}, "keys=1&a=key", "keys=1&a=key", nil, nil},
		{Config{Query: "key"}, "", "", nil, nil},
	} {
		x := &exchange.Exchange{Identity: &exchange.Identity{Consumer: consumer}}
		x.Out = &http.Request{URL: &url.URL{RawQuery: c.query}, Header: http.Header{}}
		want := named.Clone()
		if c.key != nil {
			x.Out.Header["Apikey"] = c.key
		}
		if c.keyAfter != nil {
			want["Apikey"] = c.keyAfter
		}
		if err := build(t, c.settings).OnOut(context.Background(), x); err != nil {
			t.Fatal(err)
		}
		if x.Out.URL.RawQuery != c.want || !reflect.DeepEqual(x.Out.Header, want) {
			t.Errorf("%+v of %q: %q with %v", c.settings, c.query, x.Out.URL.RawQuery, x.Out.Header)
		}
	}
}

func TestOnOutOfNobodyNamed(t *testing.T) {
	for _, identity := range []*exchange.Identity{nil, {Scheme: "other"}, {Consumer: &exchange.Consumer{Name: "alone"}}} {
		x := &exchange.Exchange{Identity: identity, Out: &http.Request{URL: &url.URL{}, Header: http.Header{}}}
		if err := build(t, Config{}).OnOut(context.Background(), x); err != nil {
			t.Fatal(err)
		}
		if got := x.Out.Header.Get("X-Consumer-Name"); got != identity.Name() || x.Out.Header["X-Consumer-Groups"] != nil {
			t.Errorf("%+v: %v", identity, x.Out.Header)
		}
	}
}

func TestErrors(t *testing.T) {
	for want, c := range map[string]Config{
		"cannot be the name": {Header: "a b"},
		"Cookie cannot hold": {Header: "cookie"},
		"Te cannot hold":     {Header: "TE"},
		"a group has a name": {Groups: []string{"a", ""}},
	} {
		if _, err := New(filter.Env{}, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q in it", c, err, want)
		}
	}
	if typ := Type(); typ.Name != "keyAuth" || typ.Repeat || typ.Phase != filter.Authenticate {
		t.Errorf("%+v", typ)
	}
}

func FuzzCut(f *testing.F) {
	f.Add("a=b&key=c&&%6bey")
	f.Fuzz(func(t *testing.T, raw string) {
		filter := build(t, Config{Query: "key"})
		cut := filter.cut(raw)
		x := &http.Request{URL: &url.URL{RawQuery: cut}, Header: http.Header{}}
		if _, found := filter.credential(x); found != 0 {
			t.Fatalf("%q of %q still holds a key", cut, raw)
		}
		if parsed, _ := url.ParseQuery(cut); parsed.Has("key") {
			t.Fatalf("%q of %q still holds a key for net/url", cut, raw)
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	f, ctx := build(b, Config{}), context.Background()
	x := request("", "apikey", "right")
	out := make(http.Header, 8)
	x.Out = &http.Request{URL: &url.URL{}, Header: out}
	b.ReportAllocs()
	for b.Loop() {
		x.Identity = nil
		if f.OnRequest(ctx, x) != nil || f.OnOut(ctx, x) != nil {
			b.Fatal("refused")
		}
	}
}

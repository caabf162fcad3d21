package rewrite

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
)

func run(t testing.TB, c Config, path string, captures exchange.Captures) (*http.Request, error) {
	t.Helper()
	f, err := New(filter.Env{}, c)
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	x := &exchange.Exchange{
		Path: path, Captures: captures,
		Out: &http.Request{URL: &url.URL{Opaque: path, RawQuery: "a=%20b"}, Host: "client.example"},
	}
	err = f.(*Filter).OnRequest(context.Background(), x)
	return x.Out, err
}

func TestPath(t *testing.T) {
	id := exchange.Captures{{Name: "id", Value: "a%2Fb"}, {Name: "v", Value: "2"}, {Name: "dot", Value: "."}, {Name: "file", Value: ".x"}}
	for _, c := range []struct {
		settings   Config
		path, want string // empty: refused
	}{
		{Config{StripPrefix: "/orders"}, "/orders/7", "/7"},
		{Config{StripPrefix: "/orders"}, "/orders", "/"},
		{Config{StripPrefix: "/orders"}, "/orders/", "/"},
		{Config{StripPrefix: "/orders"}, "/ordersets/7", "/ordersets/7"},
		{Config{StripPrefix: "/orders"}, "/other", "/other"},
		{Config{StripPrefix: "/orders"}, "/Orders/7", "/Orders/7"},
		{Config{StripPrefix: "/orders/"}, "/orders/7", "/7"},
		{Config{StripPrefix: "/a/b"}, "/a/b/c%2Fd", "/c%2Fd"},
		{Config{StripPrefix: "/a"}, "/a/a", "/a"},
		{Config{StripPrefix: "/a"}, "/a%2Fb", "/a%2Fb"},
		{Config{Path: "/fixed"}, "/orders/7", "/fixed"},
		{Config{Path: "/"}, "/orders/7", "/"},
		{Config{Path: "/v2/{id}"}, "/orders/a%2Fb", "/v2/a%2Fb"},
		{Config{Path: "/v{v}/x-{id}"}, "/whatever", "/v2/x-a%2Fb"},
		{Config{Path: "/v2/*"}, "/orders/7", "/v2/orders/7"},
		{Config{Path: "/{v}/*"}, "/orders/", "/2/orders/"},
		{Config{Path: "/*"}, "/orders/7", "/orders/7"},
		{Config{StripPrefix: "/v1", Path: "/v2/*"}, "/v1/orders", "/v2/orders"},
		{Config{StripPrefix: "/v1", Path: "/v2/*"}, "/v1", "/v2/"},
		{Config{StripPrefix: "/v1", Path: "/v2/{id}"}, "/v1/7", "/v2/a%2Fb"},
		{Config{Path: "/admin/{dot}{dot}"}, "/x", ""},
		{Config{Path: "/admin/{dot}"}, "/x", ""},
		{Config{Path: "/admin/.{file}"}, "/x", "/admin/..x"},
		{Config{Path: "/admin/{unbound}/x"}, "/x", ""},
		{Config{Host: "orders.internal"}, "/x", "/x"},
	} {
		out, err := run(t, c.settings, c.path, id)
		switch {
		case err != nil && c.want != "":
			t.Errorf("%+v of %s: %v", c.settings, c.path, err)
		case err == nil && (out.URL.Opaque != c.want || out.URL.RawQuery != "a=%20b"):
			t.Errorf("%+v of %s: %s?%s, want %q", c.settings, c.path, out.URL.Opaque, out.URL.RawQuery, c.want)
		case err != nil && failure.From(err).Code() != 400:
			t.Errorf("%+v of %s: %v", c.settings, c.path, err)
		}
	}
}

func TestHost(t *testing.T) {
	for _, host := range []string{"orders.internal", "orders.internal:8080", "[::1]:80", "10.0.0.1"} {
		if out, err := run(t, Config{Host: host}, "/", nil); err != nil || out.Host != host {
			t.Errorf("%s: Host %q, %v", host, out.Host, err)
		}
	}
	if out, _ := run(t, Config{Path: "/x"}, "/", nil); out.Host != "client.example" {
		t.Errorf("Host %q, want the client's", out.Host)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		settings Config
		want     string
	}{
		{Config{}, "does nothing"},
		{Config{StripPrefix: "/"}, "strips nothing"},
		{Config{StripPrefix: "orders"}, "stripPrefix: The path must start with a slash"},
		{Config{StripPrefix: "/{id}"}, "a prefix is literal"},
		{Config{StripPrefix: "/a/*"}, "a prefix is literal"},
		{Config{StripPrefix: "/a/../b"}, "write /b"},
		{Config{Path: "v2"}, "path: The path must start with a slash"},
		{Config{Path: "/../x"}, "above the root"},
		{Config{Path: "/a b"}, "not allowed"},
		{Config{Path: "/%7ea"}, "write /~a"},
		{Config{Path: "/a?b=c"}, "no query"},
		{Config{Path: "/a#b"}, "no fragment"},
		{Config{Path: "/{id"}, "not closed"},
		{Config{Path: "/id}"}, "not opened"},
		{Config{Path: "/{}"}, "is no capture"},
		{Config{Path: "/{a/b}"}, "is no capture"},
		{Config{Path: "/" + strings.Repeat("a", maxPath)}, "longer than"},
		{Config{Host: "a b"}, "host: \"a b\" is no host"},
		{Config{Host: "http://x"}, "is no host"},
	} {
		if _, err := New(filter.Env{}, c.settings); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q in it", c.settings, err, c.want)
		}
	}
	_, err := New(filter.Env{}, Config{StripPrefix: "/", Path: "x", Host: " "})
	for _, want := range []string{"stripPrefix:", "path:", "host:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("of three mistakes %q is not in %v", want, err)
		}
	}
}

func TestCaptures(t *testing.T) {
	f, err := New(filter.Env{}, Config{Path: "/{a}/x/{b}"})
	if err != nil || !slices.Equal(f.(*Filter).Captures(), []string{"a", "b"}) {
		t.Errorf("%v, %v", f, err)
	}
	if typ := Type(); typ.Name != "rewrite" || !typ.Repeat || typ.Phase != filter.Transform {
		t.Errorf("%+v", typ)
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add("/v1", "/v2/{a}{b}/*", "/v1/x", ".", ".")
	f.Add("", "/{a}/{b}", "/", "%2F", "..")
	f.Fuzz(func(t *testing.T, strip, template, path, a, b string) {
		filter, err := New(filter.Env{}, Config{StripPrefix: strip, Path: template})
		if err != nil {
			return
		}
		canonical, err := exchange.CanonicalPath(path)
		if err != nil {
			return
		}
		x := &exchange.Exchange{Captures: exchange.Captures{{Name: "a", Value: a}, {Name: "b", Value: b}}, Out: &http.Request{URL: &url.URL{Opaque: canonical}}}
		if filter.(*Filter).OnRequest(context.Background(), x) != nil {
			return
		}
		if again, err := exchange.CanonicalPath(x.Out.URL.Opaque); err != nil || again != x.Out.URL.Opaque {
			t.Fatalf("%q is forwarded, and is not canonical: %q, %v", x.Out.URL.Opaque, again, err)
		}
	})
}

func BenchmarkOnRequest(b *testing.B) {
	f, err := New(filter.Env{}, Config{Path: "/v2/{id}"})
	if err != nil {
		b.Fatal(err)
	}
	x := &exchange.Exchange{Captures: exchange.Captures{{Name: "id", Value: "7"}}, Out: &http.Request{URL: &url.URL{Opaque: "/orders/7"}}}
	b.ReportAllocs()
	for b.Loop() {
		if f.(*Filter).OnRequest(context.Background(), x) != nil {
			b.Fatal("refused")
		}
	}
}

package backend

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
)

func TestRedirect(t *testing.T) {
	at := func(scheme, host, port, path, query string, captures ...exchange.Capture) *exchange.Exchange {
		return &exchange.Exchange{
			In:     &http.Request{URL: &url.URL{RawQuery: query}},
			Scheme: scheme, Host: host, Port: port, Path: path, Captures: captures,
		}
	}
	for _, test := range []struct {
		name string
		b    Redirect
		x    *exchange.Exchange
		want string
	}{
		{"the rest is kept", Redirect{Path: "/new/*", Prefix: "/old"}, at("http", "a.test", "", "/old/x/y", ""), "/new/x/y"},
		{"the query is kept", Redirect{Path: "/new/*", Prefix: "/old"}, at("http", "a.test", "", "/old/x", "b=1&b=%2F"), "/new/x?b=1&b=%2F"},
		{"there is no rest", Redirect{Path: "/new/*", Prefix: "/old"}, at("http", "a.test", "", "/old", ""), "/new"},
		{"only a slash", Redirect{Path: "/new/*", Prefix: "/old"}, at("http", "a.test", "", "/old/", ""), "/new/"},
		{"to the root", Redirect{Path: "/*", Prefix: "/old"}, at("http", "a.test", "", "/old/x", ""), "/x"},
		{"to the root without a rest", Redirect{Path: "/*", Prefix: "/old"}, at("http", "a.test", "", "/old", ""), "/"},
		{"from the root", Redirect{Path: "/new/*", Prefix: ""}, at("http", "a.test", "", "/x", ""), "/new/x"},
		{"an exact target", Redirect{Path: "/new"}, at("http", "a.test", "", "/old", "q"), "/new?q"},
		{"a capture stays encoded", Redirect{Path: "/o/{id}/show"}, at("http", "a.test", "", "/orders/a%2Fb", "", exchange.Capture{Name: "id", Value: "a%2Fb"}), "/o/a%2Fb/show"},
		{"to https", Redirect{Scheme: "https"}, at("http", "a.test", "8080", "/x", "q=1"), "https://a.test/x?q=1"},
		{"to https on a port", Redirect{Scheme: "https", Port: "8443"}, at("http", "a.test", "8080", "/x", ""), "https://a.test:8443/x"},
		{"to its own port is not shown", Redirect{Scheme: "https", Port: "443"}, at("http", "a.test", "", "/", ""), "https://a.test/"},
		{"another port", Redirect{Port: "81"}, at("http", "a.test", "8080", "/", ""), "http://a.test:81/"},
		{"another host keeps no port", Redirect{Host: "b.test"}, at("https", "a.test", "8443", "/x", ""), "https://b.test/x"},
		{"an IPv6 address", Redirect{Scheme: "https"}, at("http", "2001:db8::1", "8080", "/", ""), "https://[2001:db8::1]/"},
		{"an IPv6 address written with brackets", Redirect{Host: "[2001:db8::1]"}, at("http", "a.test", "", "/", ""), "http://[2001:db8::1]/"},
		{"all of them", Redirect{Scheme: "https", Host: "b.test", Port: "9", Path: "/n/*", Prefix: "/o"}, at("http", "a.test", "", "/o/x", "y"), "https://b.test:9/n/x?y"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.b.Status = 308
			if err := test.b.Answer(t.Context(), test.x); err != nil {
				t.Fatal(err)
			}
			if got := test.x.Response.Header.Get("Location"); got != test.want || test.x.Response.StatusCode != 308 {
				t.Errorf("%d to %q, want 308 to %q", test.x.Response.StatusCode, got, test.want)
			}
			if test.b.Forwards() {
				t.Error("it asks for a request to be forwarded")
			}
		})
	}
}

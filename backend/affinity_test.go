package backend

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/upstream"
)

// fleet is a service of n endpoints which answer with their number.
func fleet(t *testing.T, n int, balance upstream.Balance) *upstream.Service {
	t.Helper()
	spec := upstream.Spec{Name: "s", Balance: balance}
	for i := range n {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Set-Cookie", "own=1")
			fmt.Fprint(w, i)
		}))
		t.Cleanup(s.Close)
		u, _ := url.Parse(s.URL)
		spec.Endpoints = append(spec.Endpoints, upstream.EndpointSpec{URL: u, Weight: 1})
	}
	svc := upstream.New(spec, nil)
	svc.Start()
	t.Cleanup(func() { svc.Retire(nil) })
	return svc
}

// ask sends a request with a header field, and returns the answer's body and the cookie that was set beside the service's.
func ask(t *testing.T, b *Service, change func(*exchange.Exchange), name, value string) (body, cookie string) {
	t.Helper()
	in := httptest.NewRequest("GET", "/", nil)
	if value != "" {
		in.Header.Set(name, value)
	}
	x := &exchange.Exchange{In: in, Path: "/"}
	x.Out = in.Clone(t.Context())
	x.Out.URL = &url.URL{Opaque: "/"}
	if change != nil {
		change(x)
	}
	if err := b.Answer(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(x.Response.Body)
	x.Response.Body.Close()
	cookies := x.Response.Header["Set-Cookie"]
	if len(cookies) == 0 || cookies[0] != "own=1" {
		t.Errorf("the service's own cookie is gone: %q", cookies)
	}
	return string(text), strings.Join(cookies[1:], " ")
}

func TestStickyCookie(t *testing.T) {
	b := &Service{Upstream: fleet(t, 4, upstream.Balance{Policy: "sticky", Secret: "s3cret"}), Affinity: Sticky("sid")}
	first, set := ask(t, b, nil, "", "")
	pair, attributes, _ := strings.Cut(set, "; ")
	if attributes != "Path=/; HttpOnly; SameSite=Lax" || !strings.HasPrefix(pair, "sid=") {
		t.Errorf("%q", set)
	}
	for range 20 {
		if body, again := ask(t, b, nil, "Cookie", "other=x; "+pair); body != first || again != "" {
			t.Fatalf("%s after %s; set %q", body, first, again)
		}
	}
	// What nobody signed is as good as nothing.
	if _, set := ask(t, b, nil, "Cookie", "sid=AAAAAAAAAAAAAAAAAAAAAA"); set == "" {
		t.Error("a forged cookie was left alone")
	}
	if _, set := ask(t, b, func(x *exchange.Exchange) { x.TLS = true }, "", ""); !strings.HasSuffix(set, "; Secure") {
		t.Errorf("over TLS: %q", set)
	}

	at := 0
	fmt.Sscan(first, &at)
	b.Upstream.Endpoints()[at].TakeOut(upstream.Drained)
	second, set := ask(t, b, nil, "Cookie", pair)
	if second == first || set == "" {
		t.Errorf("drained: %s, %q", second, set)
	}
	b.Upstream.Endpoints()[at].PutBack(upstream.Drained)
	moved, _, _ := strings.Cut(set, ";")
	if body, again := ask(t, b, nil, "Cookie", moved); body != second || again != "" {
		t.Errorf("went back to %s from %s; set %q", body, second, again)
	}
}

func TestHashOn(t *testing.T) {
	key := new(exchange.Selector)
	if err := key.UnmarshalText([]byte("header:x-user")); err != nil {
		t.Fatal(err)
	}
	b := &Service{Upstream: fleet(t, 4, upstream.Balance{Policy: "consistentHash"}), Affinity: &Affinity{HashOn: key}}
	places := make(map[string]bool)
	for i := range 16 {
		user := fmt.Sprint("user", i)
		first, set := ask(t, b, nil, "X-User", user)
		for range 3 {
			if again, _ := ask(t, b, nil, "X-User", user); again != first {
				t.Fatalf("%s moved from %s to %s", user, first, again)
			}
		}
		if set != "" {
			t.Errorf("a cookie was set: %q", set)
		}
		places[first] = true
	}
	if len(places) < 2 {
		t.Error("all users have the same place")
	}
	without := make(map[string]bool)
	for range 40 {
		body, _ := ask(t, b, nil, "", "")
		without[body] = true
	}
	if len(without) < 3 {
		t.Error("requests without the key are not spread")
	}
}

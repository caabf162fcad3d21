package aggregate

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
)

// How long an answer of several parts may be kept. A part is its fields, separated by semicolons.
func TestCaching(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{[]string{"", ""}, ""},
		{[]string{"Cache-Control: max-age=60", "Cache-Control: max-age=30"}, "max-age=30"},
		{[]string{"Cache-Control: public, max-age=60", "Cache-Control: max-age=90, public"}, "public, max-age=60"},
		{[]string{"Cache-Control: public, max-age=60", "Cache-Control: max-age=90"}, "max-age=60"},
		{[]string{"Cache-Control: max-age=60", ""}, ""},
		{[]string{"Cache-Control: private, max-age=60", ""}, "private"},
		{[]string{"Cache-Control: private, max-age=60", "Cache-Control: public, s-maxage=5, max-age=99"}, "private, max-age=60"},
		{[]string{"Cache-Control: no-store", "Cache-Control: max-age=60"}, "no-store"},
		{[]string{"Cache-Control: no-store", ""}, "no-store"},
		{[]string{"Cache-Control: no-cache", "Cache-Control: max-age=60, must-revalidate"}, "no-cache, must-revalidate"},
		{[]string{"Cache-Control: MAX-AGE=60, s-maxage=10", "Cache-Control: max-age=20"}, "max-age=20, s-maxage=10"},
		{[]string{"Cache-Control: max-age=60", "Cache-Control: max-age=20, s-maxage=100"}, "max-age=20, s-maxage=60"},
		{[]string{"Cache-Control: s-maxage=10", "Cache-Control: max-age=20"}, "max-age=0, s-maxage=10"},
		{[]string{"Cache-Control: max-age=60; Age: 50", "Cache-Control: max-age=20"}, "max-age=10"},
		{[]string{"Cache-Control: max-age=60; Age: 90", "Cache-Control: max-age=20"}, "max-age=0"},
		{[]string{"Cache-Control: max-age=\"60\"", "Cache-Control: max-age=x"}, "max-age=0"},
		{[]string{"Date: Thu, 01 Jan 2026 00:00:00 GMT; Expires: Thu, 01 Jan 2026 00:00:40 GMT", "Cache-Control: max-age=60"}, "max-age=40"},
		{[]string{"Expires: 0", "Cache-Control: max-age=60"}, "max-age=0"},
		{[]string{"Cache-Control: max-age=60, immutable, stale-while-revalidate=9", "Cache-Control: max-age=60, immutable"}, "max-age=60"},
		{[]string{"Cache-Control: max-age=60, no-transform", "Cache-Control: max-age=60"}, "no-transform, max-age=60"},
		{[]string{"Cache-Control: max-age=60; Vary: accept-language, Accept-Encoding", "Cache-Control: max-age=60"}, "max-age=60 vary Accept-Language"},
		{[]string{"Cache-Control: max-age=60; Vary: X-Consumer-Name", "Cache-Control: max-age=60"}, "private, max-age=60"},
		{[]string{"Cache-Control: max-age=60; Vary: *", "Cache-Control: max-age=60"}, "no-store"},
		{[]string{"failed", "Cache-Control: max-age=60"}, "no-store"},
	} {
		q := &plan{forward: map[string]bool{"Accept-Language": true}}
		r := &run{a: &Aggregate{}, x: new(exchange.Exchange), calls: make([]state, len(c.parts))}
		failed := false
		for i, part := range c.parts {
			if part == "failed" {
				failed = true
				continue
			}
			r.calls[i].caching.add(header(part), q)
		}
		got := make(http.Header)
		r.cache(got, failed)
		text := got.Get("Cache-Control")
		if vary := got.Get("Vary"); vary != "" {
			text += " vary " + vary
		}
		if text != c.want {
			t.Errorf("%q: %q, want %q", c.parts, text, c.want)
		}
	}
}

// What the texts of the calls make of the client has its part whatever the services say.
func TestCachingByReferences(t *testing.T) {
	r := &run{a: &Aggregate{varies: []string{"X-Tenant"}, personal: true}, calls: make([]state, 1)}
	r.calls[0].caching.add(header("Cache-Control: public, max-age=5"), &plan{})
	got := make(http.Header)
	r.cache(got, false)
	if got.Get("Cache-Control") != "private, max-age=5" || got.Get("Vary") != "X-Tenant" {
		t.Error(got)
	}
}

func header(fields string) http.Header {
	h := make(http.Header)
	for field := range strings.SplitSeq(fields, ";") {
		if name, value, ok := strings.Cut(field, ":"); ok {
			h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	return h
}

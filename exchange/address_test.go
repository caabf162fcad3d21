package exchange

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClientAddress(t *testing.T) {
	trusted := func(a netip.Addr) bool {
		return netip.MustParsePrefix("10.0.0.0/8").Contains(a) || netip.MustParsePrefix("fd00::/8").Contains(a)
	}
	const xff, fwd = "X-Forwarded-For", "Forwarded"
	for _, c := range []struct {
		name, peer string
		header     http.Header
		want       string
	}{
		{"nothing said", "10.0.0.1", nil, "10.0.0.1"},
		{"peer is not trusted", "192.0.2.1", http.Header{xff: {"198.51.100.1"}}, "192.0.2.1"},
		{"one hop", "10.0.0.1", http.Header{xff: {"198.51.100.1"}}, "198.51.100.1"},
		{"rightmost untrusted", "10.0.0.1", http.Header{xff: {"203.0.113.9, 198.51.100.1, 10.0.0.2"}}, "198.51.100.1"},
		{"several lines", "10.0.0.1", http.Header{xff: {"203.0.113.9", "198.51.100.1", "10.0.0.2, 10.0.0.3"}}, "198.51.100.1"},
		{"all trusted", "10.0.0.1", http.Header{xff: {"10.0.0.3, 10.0.0.2"}}, "10.0.0.3"},
		{"garbage ends the walk", "10.0.0.1", http.Header{xff: {"198.51.100.1, evil, 10.0.0.2"}}, "10.0.0.2"},
		{"unknown at once", "10.0.0.1", http.Header{xff: {"198.51.100.1, unknown"}}, "10.0.0.1"},
		{"empty elements", "10.0.0.1", http.Header{xff: {"198.51.100.1, ,", " "}}, "198.51.100.1"},
		{"port", "10.0.0.1", http.Header{xff: {"198.51.100.1:4711"}}, "198.51.100.1"},
		{"brackets", "10.0.0.1", http.Header{xff: {"[2001:db8::1]"}}, "2001:db8::1"},
		{"brackets and port", "10.0.0.1", http.Header{xff: {"[2001:db8::1]:4711"}}, "2001:db8::1"},
		{"bare IPv6", "fd00::1", http.Header{xff: {"2001:db8::1"}}, "2001:db8::1"},
		{"brackets around IPv4", "10.0.0.1", http.Header{xff: {"[198.51.100.1]"}}, "10.0.0.1"},
		{"zone", "10.0.0.1", http.Header{xff: {"fe80::1%eth0"}}, "10.0.0.1"},
		{"4 in 6", "::ffff:10.0.0.1", http.Header{xff: {"::ffff:198.51.100.1, ::ffff:10.0.0.2"}}, "198.51.100.1"},
		{"Forwarded", "10.0.0.1", http.Header{fwd: {`for=203.0.113.9, For="198.51.100.1:80";proto=https, by=x;for=10.0.0.2`}}, "198.51.100.1"},
		{"Forwarded IPv6", "10.0.0.1", http.Header{fwd: {`proto=http; for="[2001:db8::1]:4711"`}}, "2001:db8::1"},
		{"Forwarded lines", "10.0.0.1", http.Header{fwd: {"for=198.51.100.1", "for=10.0.0.2"}}, "198.51.100.1"},
		{"Forwarded beside", "10.0.0.1", http.Header{fwd: {"for=203.0.113.9"}, xff: {"198.51.100.1"}}, "198.51.100.1"},
		{"Forwarded beside an empty one", "10.0.0.1", http.Header{fwd: {"for=203.0.113.9"}, xff: {""}}, "10.0.0.1"},
		{"Forwarded without for", "10.0.0.1", http.Header{fwd: {"for=198.51.100.1, proto=http"}}, "10.0.0.1"},
		{"Forwarded obfuscated", "10.0.0.1", http.Header{fwd: {"for=198.51.100.1, for=_hidden"}}, "10.0.0.1"},
		{"Forwarded twice in one", "10.0.0.1", http.Header{fwd: {"for=198.51.100.1;for=203.0.113.9"}}, "10.0.0.1"},
		{"Forwarded quoted comma", "10.0.0.1", http.Header{fwd: {`for="x,203.0.113.9"`}}, "10.0.0.1"},
		{"Forwarded open quote", "10.0.0.1", http.Header{fwd: {`for=198.51.100.1, for="10.0.0.2`}}, "10.0.0.1"},
		{"Forwarded junk after quote", "10.0.0.1", http.Header{fwd: {`for="10.0.0.2"x, for=10.0.0.3`}}, "10.0.0.1"},
		{"Forwarded no pair", "10.0.0.1", http.Header{fwd: {`198.51.100.1`}}, "10.0.0.1"},
		{"Forwarded empty", "10.0.0.1", http.Header{fwd: {``}}, "10.0.0.1"},
		{"more hops than anybody has", "10.0.0.1", http.Header{xff: {"198.51.100.1" + strings.Repeat(", 10.0.0.2", maxHops)}}, "10.0.0.2"},
	} {
		got := ClientAddress(netip.MustParseAddr(c.peer), trusted, c.header)
		if got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Add("1.2.3.4, 10.0.0.1", `for="[::1]:1";by=x`)
	f.Add("", `for=10.0.0.1, for="10.0.0.2`)
	f.Fuzz(func(t *testing.T, xff, forwarded string) {
		header := http.Header{"Forwarded": {forwarded, forwarded}}
		if xff != "" {
			header["X-Forwarded-For"] = []string{xff}
		}
		peer := netip.MustParseAddr("10.0.0.1")
		got := ClientAddress(peer, func(a netip.Addr) bool { return a.IsPrivate() }, header)
		if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Fatalf("%q %q: %s", xff, forwarded, got)
		}
	})
}

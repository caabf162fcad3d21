package exchange

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/failure"
)

func TestCanonicalHost(t *testing.T) {
	long := strings.Repeat("a.", 126) + "a" // 253 octets
	for _, c := range []struct{ hostport, host, port string }{
		{"", "", ""},
		{"api.example.com", "api.example.com", ""},
		{"API.Example.COM:8080", "api.example.com", "8080"},
		{"example.com.", "example.com", ""},
		{"example.com.:443", "example.com", "443"},
		{"example.com:", "example.com", ""},
		{"my_service", "my_service", ""},
		{"10.0.0.1:80", "10.0.0.1", "80"},
		{"[::1]", "[::1]", ""},
		{"[::1]:8443", "[::1]", "8443"},
		{"[0:0:0:0:0:0:0:1]", "[::1]", ""},
		{"[2001:DB8::A]:1", "[2001:db8::a]", "1"},
		{long, long, ""},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", ""},
	} {
		host, port, err := CanonicalHost(c.hostport)
		if err != nil || host != c.host || port != c.port {
			t.Errorf("CanonicalHost(%q) = %q, %q, %v; want %q, %q", c.hostport, host, port, err, c.host, c.port)
		}
	}
}

func TestCanonicalHostRefuses(t *testing.T) {
	for _, hostport := range []string{
		".", "..", ":80", ".a", "a..b", "a..", "user@host", "a b", "a/b", "a%41", "a,b", "é.example", "a\x00", "a:b", "a:80:90", "a:+80", "a:65536", "a:123456",
		"[::1", "[::1]x", "[::1]:x", "[10.0.0.1]", "[fe80::1%eth0]", "[]", "::1", "a[::1]", strings.Repeat("a", 254), "*", "a\\b", "a:-1",
	} {
		if host, port, err := CanonicalHost(hostport); err == nil {
			t.Errorf("CanonicalHost(%q) = %q, %q, want an error", hostport, host, port)
		} else if failure.From(err).Code() != 400 {
			t.Errorf("CanonicalHost(%q) failed with %v, want 400", hostport, err)
		}
	}
}

func TestCanonicalHostOfCanonicalDoesNotAllocate(t *testing.T) {
	for _, hostport := range []string{"api.example.com:8080", "api.example.com.", "[2001:db8::1]:443"} {
		if n := testing.AllocsPerRun(100, func() { _, _, _ = CanonicalHost(hostport) }); n != 0 {
			t.Errorf("%q: %v allocations", hostport, n)
		}
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, seed := range []string{"", "a.B.:80", "[::1]:9", "[::ffff:1.2.3.4]", "a..b", "::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hostport string) {
		host, _, err := CanonicalHost(hostport)
		if err != nil {
			return
		}
		again, port, err := CanonicalHost(host)
		if err != nil || again != host || port != "" || host != strings.ToLower(host) {
			t.Fatalf("%q became %q, and then %q, %q, %v", hostport, host, again, port, err)
		}
	})
}

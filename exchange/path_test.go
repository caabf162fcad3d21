package exchange

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/failure"
)

func TestCanonicalPath(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"/", "/"},
		{"/a/b/c", "/a/b/c"},
		{"/a/b/", "/a/b/"},
		{"//", "/"},
		{"//a///b//", "/a/b/"},
		{"/%61%2D%2e%5f%7E%39", "/a-._~9"},
		{"/%2f%3a", "/%2F%3A"},
		{"/a%2Fb/c", "/a%2Fb/c"},
		{"/%2541", "/%2541"}, // never decoded twice
		{"/%252e%252e/x", "/%252e%252e/x"},
		{"/a/./b", "/a/b"},
		{"/a/.", "/a/"},
		{"/a/..", "/"},
		{"/a/../", "/"},
		{"/a/b/../c", "/a/c"},
		{"/a/b/..", "/a/"},
		{"/a/%2e%2E/c", "/c"},
		{"/a//../b", "/b"}, // slashes first, then dots
		{"/a/%2e/b", "/a/b"},
		{"/.", "/"},
		{"/...", "/..."},
		{"/.hidden/..x/x..", "/.hidden/..x/x.."},
		{"/..;/a", "/..;/a"},
		{`/"<>^` + "`{|}[]", "/%22%3C%3E%5E%60%7B%7C%7D%5B%5D"},
		{"/%7b%5B", "/%7B%5B"},
		{"/é", "/%C3%A9"},
		{"/\xff", "/%FF"},
		{"/%0a%7f", "/%0A%7F"},
		{"/a:b@c!$&'()*+,;=", "/a:b@c!$&'()*+,;="},
	} {
		got, err := CanonicalPath(c.raw)
		if err != nil || got != c.want {
			t.Errorf("CanonicalPath(%q) = %q, %v; want %q", c.raw, got, err, c.want)
		}
	}
}

func TestCanonicalPathRefuses(t *testing.T) {
	for _, raw := range []string{
		"", "a", "*", "/..", "/../a", "/a/../..", "/a/%2e%2e/%2E%2E/b", "//..", `/a\b`, "/%5c", "/%5C..", "/%00", "/%", "/%4", "/%zz", "/%4g",
		"/a b", "/a\x00", "/a\r\n", "/\x7f", "/a?b", "/a#b", "/%2", "/a/%",
	} {
		got, err := CanonicalPath(raw)
		if err == nil {
			t.Errorf("CanonicalPath(%q) = %q, want an error", raw, got)
			continue
		}
		if f := failure.From(err); f.Code() != 400 || f.Source != failure.Client || f.Detail == "" {
			t.Errorf("CanonicalPath(%q) failed with %+v, want the client's 400", raw, f)
		}
	}
}

func TestCanonicalPathOfCanonicalDoesNotAllocate(t *testing.T) {
	const path = "/orders/%2F/42/.well-known/items/"
	if n := testing.AllocsPerRun(100, func() { _, _ = CanonicalPath(path) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCanonicalPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/../b", "/%2e%2e/", "//x//", "/%252e", "/a%2fb", "/%5c", "/é{}", "/a/./..//.%2e/c%", "/\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := CanonicalPath(raw)
		if err != nil {
			return
		}
		if got == "" || got[0] != '/' || strings.Contains(got, "//") {
			t.Fatalf("%q became %q", raw, got)
		}
		for segment := range strings.SplitSeq(got[1:], "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q became %q: a dot segment", raw, got)
			}
		}
		checkOctets(t, raw, got)
		if again, err := CanonicalPath(got); err != nil || again != got {
			t.Fatalf("%q became %q, and then %q, %v", raw, got, again, err)
		}
	})
}

// checkOctets reads got independently of how it was made: by RFC 3986 section 3.3, and section 2.3 for what must not be
// encoded.
func checkOctets(t *testing.T, raw, got string) {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	for i := 0; i < len(got); i++ {
		if got[i] != '%' {
			if !strings.Contains(unreserved+"!$&'()*+,;=:@/", got[i:i+1]) {
				t.Fatalf("%q became %q: %q may not stand in a path", raw, got, got[i])
			}
			continue
		}
		octet, ok := unescape(got[i:])
		if !ok || strings.ToUpper(got[i:i+3]) != got[i:i+3] || strings.IndexByte(unreserved, octet) >= 0 || octet == 0 || octet == '\\' {
			t.Fatalf("%q became %q: %q is not canonical", raw, got, got[i:])
		}
		i += 2
	}
}

func BenchmarkCanonicalPath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = CanonicalPath("/v1/customers/12345/orders/67890")
	}
}

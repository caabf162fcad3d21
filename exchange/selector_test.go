package exchange

import (
	"encoding"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

var (
	_ encoding.TextUnmarshaler = (*Selector)(nil)
	_ encoding.TextMarshaler   = Selector{}
)

func selectorExchange() *Exchange {
	return &Exchange{
		In: &http.Request{
			Method: "GET",
			URL:    &url.URL{RawQuery: "tenant=a%20b&tenant=c&empty=&bad=%zz&x%2by=1"},
			Header: http.Header{"X-User": {"ann"}, "X-Many": {"1", "2"}, "X-Empty": {""}, "Cookie": {`sid="s1"; other=x`, "late=y; sid=s2; =z; novalue"}},
		},
		Client:   netip.MustParseAddr("192.0.2.7"),
		Host:     "api.example.com",
		Route:    "orders",
		Captures: Captures{{"id", "a%2Fb"}},
		Identity: &Identity{Consumer: &Consumer{Name: "mobile"}, Claims: map[string]any{
			"sub": "u1", "n": float64(42), "j": json.Number("7"), "i": int64(9), "b": true, "list": []any{"x"}, "none": nil,
		}},
	}
}

func selector(t *testing.T, text string) *Selector {
	t.Helper()
	var s Selector
	if err := s.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return &s
}

func TestSelectorKey(t *testing.T) {
	for text, want := range map[string]string{
		"client.ip":                "192.0.2.7",
		"consumer":                 "mobile",
		"route":                    "orders",
		"host":                     "api.example.com",
		"header:x-user":            "ann",
		"header:x-many":            "1, 2",
		"cookie:sid":               "s1",
		"cookie:late":              "y",
		"query:tenant":             "a b",
		"claim:sub":                "u1",
		"claim:n":                  "42",
		"claim:j":                  "7",
		"claim:i":                  "9",
		"claim:b":                  "true",
		"path:id":                  "a%2Fb",
		"client.ip+consumer":       "9:192.0.2.76:mobile",
		" header:X-User + route  ": "3:ann6:orders",
		"header:x-empty":           "",
		"header:x-none":            "",
		"cookie:novalue":           "",
		"query:empty":              "",
		"query:bad":                "",
		"query:none":               "",
		"claim:list":               "",
		"claim:none":               "",
		"path:other":               "",
		"route+header:x-none":      "",
	} {
		got, ok := selector(t, text).Key(selectorExchange())
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", text, got, ok, want)
		}
	}
}

func TestSelectorOfNobody(t *testing.T) {
	x := &Exchange{In: &http.Request{}}
	for kind, named := range partKinds {
		if named {
			kind += ":x"
		}
		if key, ok := selector(t, kind).Key(x); ok {
			t.Errorf("%s: %q of an empty exchange", kind, key)
		}
	}
	if key, ok := new(Selector).Key(x); ok {
		t.Errorf("the zero selector found %q", key)
	}
}

func TestSelectorKeysAreUnambiguous(t *testing.T) {
	s := selector(t, "header:a+header:b")
	key := func(a, b string) string {
		k, _ := s.Key(&Exchange{In: &http.Request{Header: http.Header{"A": {a}, "B": {b}}}})
		return k
	}
	if key("a", "bc") == key("ab", "c") || key("1:a1", ":b") == key("1:a", "1:b") {
		t.Error("two lists of values have one key")
	}
}

func TestSelectorText(t *testing.T) {
	s := selector(t, "client.ip + header:x-user")
	if text, err := s.MarshalText(); err != nil || string(text) != "client.ip+header:X-User" || s.String() != string(text) {
		t.Errorf("MarshalText = %q, %v", text, err)
	}
	if len(s.Parts()) != 2 || s.Parts()[1] != (Part{"header", "X-User"}) {
		t.Errorf("Parts = %v", s.Parts())
	}
	if s.AddressOnly() || s.IsZero() || !selector(t, "client.ip").AddressOnly() {
		t.Error("AddressOnly or IsZero is wrong")
	}
	if zero := (Selector{}); zero.AddressOnly() || !zero.IsZero() {
		t.Error("AddressOnly or IsZero of the zero selector is wrong")
	}
}

func TestSelectorErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "empty",
		"client.ip+":                         "empty part",
		"clientip":                           `did you mean "client.ip"`,
		"headers:x":                          `did you mean "header"`,
		"Consumer":                           `did you mean "consumer"`,
		"something":                          "there are client.ip",
		"header":                             "header:NAME",
		"header:":                            "header:NAME",
		"header:a b":                         "cannot be the name of a header",
		"header:Host":                        "write host",
		"cookie:a;b":                         "cannot be the name of a cookie",
		"route:x":                            "takes no name",
		"consumer:":                          "takes no name",
		strings.Repeat("x", 1025):            "longer than",
		strings.Repeat("route+", 8) + "host": "at most 8",
	} {
		var s Selector
		err := s.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
		if !s.IsZero() {
			t.Errorf("%q: a refused text left %v", text, s)
		}
	}
}

func TestSelectorOfOnePartDoesNotAllocate(t *testing.T) {
	x := selectorExchange()
	for _, text := range []string{"consumer", "header:x-user", "cookie:sid", "query:empty", "claim:sub", "path:id", "route", "host"} {
		s := selector(t, text)
		x.In.URL.RawQuery = "a=b&empty="
		if n := testing.AllocsPerRun(100, func() { s.Key(x) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

func FuzzSelector(f *testing.F) {
	f.Add("client.ip+header:x", "a", "b")
	f.Add("cookie:sid", "sid=\"", ";;=")
	f.Fuzz(func(t *testing.T, text, cookie, query string) {
		var s Selector
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		var again Selector
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again.String() != s.String() {
			t.Fatalf("%q reads back as %q, %v", s.String(), again.String(), err)
		}
		x := &Exchange{In: &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{"Cookie": {cookie}}}}
		if key, ok := s.Key(x); ok != (key != "") {
			t.Fatalf("%q found %q, %v", text, key, ok)
		}
	})
}

package route

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
)

func build(t testing.TB, rules ...Rule[string]) *Table[string] {
	t.Helper()
	for i := range rules {
		rules[i].Value = rules[i].Name
	}
	table, mistakes := Build(rules)
	for _, m := range mistakes {
		t.Fatal(m)
	}
	return table
}

// ask makes an exchange from "METHOD host/path?query" and header fields in pairs.
func ask(t testing.TB, line string, fields ...string) *exchange.Exchange {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	target, query, _ := strings.Cut(target, "?")
	slash := strings.IndexByte(target, '/')
	x := &exchange.Exchange{}
	x.Reset()
	x.In = &http.Request{Method: method, URL: &url.URL{RawQuery: query}, Header: http.Header{}}
	for i := 0; i < len(fields); i += 2 {
		x.In.Header.Add(fields[i], fields[i+1])
	}
	x.Client = netip.MustParseAddr("192.0.2.7")
	var err error
	if x.Host, x.Port, err = exchange.CanonicalHost(target[:slash]); err != nil {
		t.Fatal(err)
	}
	if x.Path, err = exchange.CanonicalPath(target[slash:]); err != nil {
		t.Fatal(err)
	}
	return x
}

// wants checks which rule takes x; "" for none, "405" for one that fits in all but the method.
func wants(t testing.TB, table *Table[string], x *exchange.Exchange, want string) {
	t.Helper()
	got, outcome := table.Match(x)
	if outcome == MethodNotAllowed {
		got = "405"
	}
	if got != want || (outcome == NotFound) != (want == "") {
		t.Errorf("%s %s%s: %q, outcome %d; want %q", x.In.Method, x.Host, x.Path, got, outcome, want)
	}
}

func expression(t testing.TB, text string) *exchange.Expression {
	t.Helper()
	e, err := exchange.CompileExpression(text, exchange.MatchRule)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// at is a rule for a path that is called as the path.
func at(pattern string) Rule[string] {
	return Rule[string]{Name: pattern, Path: Path{Pattern: pattern}}
}

func TestPaths(t *testing.T) {
	table := build(t,
		at("/"), at("/a/{x}/c"), at("/a/b/*"), at("/a/b/d"), at("/old/*"), at("/old/exact"), at("/users/{id}"), at("/users/{id}/*"),
		at("/users/me"), at("/slash/"), at("/%7Etilde/%2f"), at("/caf\u00e9"), at("/deep/{a}/{b}/{c}"), at("/deep/x/{b}/z"), at("/deep/x/y/*"),
		Rule[string]{Name: "regex", Path: Path{Regex: `^/v\d+/`}},
		Rule[string]{Name: "tail", Path: Path{Regex: `\.php$`}},
	)
	for path, want := range map[string]string{
		"/":                 "/",
		"/a/b/c":            "/a/b/*", // literal b before {x}
		"/a/q/c":            "/a/{x}/c",
		"/a/b/d":            "/a/b/d",
		"/a/b/d/":           "/a/b/*",
		"/a/b":              "/a/b/*",
		"/a/q":              "",
		"/a//c":             "", // one slash: /a/c
		"/old":              "/old/*",
		"/old/":             "/old/*",
		"/old/x/y/z":        "/old/*",
		"/old/exact":        "/old/exact",
		"/older":            "",
		"/users/":           "", // a capture is never empty
		"/users":            "",
		"/users/7":          "/users/{id}",
		"/users/7/":         "/users/{id}/*",
		"/users/7/orders":   "/users/{id}/*",
		"/users/me":         "/users/me",
		"/users/me/x":       "/users/{id}/*",
		"/slash/":           "/slash/",
		"/slash":            "",
		"/~tilde/%2F":       "/%7Etilde/%2f",
		"/caf%c3%a9":        "/caf\u00e9",
		"/deep/x/y/z":       "/deep/x/y/*", // literal y before {b}, whatever follows
		"/deep/x/q/z":       "/deep/x/{b}/z",
		"/deep/x/q/w":       "/deep/{a}/{b}/{c}",
		"/v12/x":            "regex",
		"/x/v1/y":           "",
		"/index.php":        "tail",
		"/users/x.php":      "/users/{id}",
		"/users/a%2Fb":      "/users/{id}",
		"/a/b/../q/c":       "/a/{x}/c",
		"/USERS/me":         "",
		"/old/%2e%2e/users": "",
	} {
		wants(t, table, ask(t, "GET h"+path), want)
	}
}

func TestCaptures(t *testing.T) {
	table := build(t,
		Rule[string]{Name: "two", Path: Path{Pattern: "/u/{user}/o/{order}/*"}},
		Rule[string]{Name: "other names", Path: Path{Pattern: "/u/{u}/x/{v}"}},
		Rule[string]{Name: "regex", Path: Path{Regex: `^/v(?P<version>\d+)/(?P<opt>z)?`}},
		Rule[string]{Name: "eight", Path: Path{Pattern: "/8/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}"}},
		at("/u/plain"),
	)
	for path, want := range map[string]exchange.Captures{
		"/u/ann/o/a%2Fb/rest": {{Name: "user", Value: "ann"}, {Name: "order", Value: "a%2Fb"}},
		"/u/ann/x/1":          {{Name: "u", Value: "ann"}, {Name: "v", Value: "1"}},
		"/v42/x":              {{Name: "version", Value: "42"}, {Name: "opt", Value: ""}},
		"/v42/z":              {{Name: "version", Value: "42"}, {Name: "opt", Value: "z"}},
		"/u/plain":            {},
		"/nowhere":            {},
		"/8/1/2/3/4/5/6/7/8": {{Name: "a", Value: "1"}, {Name: "b", Value: "2"}, {Name: "c", Value: "3"}, {Name: "d", Value: "4"},
			{Name: "e", Value: "5"}, {Name: "f", Value: "6"}, {Name: "g", Value: "7"}, {Name: "h", Value: "8"}},
	} {
		x := ask(t, "GET h"+path)
		x.Captures = append(x.Captures, exchange.Capture{Name: "stale", Value: "x"})
		table.Match(x)
		if !slices.Equal(x.Captures, want) {
			t.Errorf("%s: %v, want %v", path, x.Captures, want)
		}
	}
	if got := (Path{Pattern: "/a/{b}/{c}/*"}).Captures(); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("Captures of a pattern: %q", got)
	}
	if got := (Path{Regex: `(?P<b>x)(y)(?P<c>z)`}).Captures(); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("Captures of a regular expression: %q", got)
	}
	if got := (Path{Pattern: "/{"}).Captures(); got != nil {
		t.Errorf("Captures of a bad pattern: %q", got)
	}
}

func TestHosts(t *testing.T) {
	on := func(name string, path string, hosts ...string) Rule[string] {
		return Rule[string]{Name: name, Hosts: hosts, Path: Path{Pattern: path}}
	}
	table := build(t,
		on("any", "/*"), on("any x", "/x"),
		on("net", "/*", "*.example.net"),
		on("b.net", "/b/*", "*.b.example.net"),
		on("exact", "/e", "A.b.example.NET.:8080", "other.example.com"),
		on("v6", "/*", "[::1]"),
		Rule[string]{Name: "no path", Hosts: []string{"bare.example.org"}},
	)
	for target, want := range map[string]string{
		"a.b.example.net/e":      "exact",
		"a.b.example.net:9/e":    "exact",
		"A.B.example.net./e":     "exact",
		"other.example.com/e":    "exact",
		"a.b.example.net/b/1":    "b.net", // falls back through the levels
		"a.b.example.net/x":      "net",   // a wildcard before none
		"z.b.example.net/q":      "net",
		"x.example.net/b/1":      "net",
		"b.example.net/b/1":      "net", // * is one label at least
		"example.net/x":          "any x",
		"1.2.3.4.example.net/":   "net",
		"notexample.net/":        "any",
		"other.example.com/":     "any",
		"[0::1]:80/":             "v6",
		"bare.example.org/any/y": "no path",
		"/":                      "any",
	} {
		wants(t, table, ask(t, "GET "+target), want)
	}
}

func TestConditions(t *testing.T) {
	rule := func(name string, r Rule[string]) Rule[string] {
		r.Name, r.Path.Pattern = name, "/"+name
		return r
	}
	header := func(test Test, value string) Rule[string] {
		return Rule[string]{Headers: []Condition{{Name: "x-v", Test: test, Value: value}}}
	}
	table := build(t,
		rule("exact", header(Exact, "2")), rule("present", header(Present, "")), rule("absent", header(Absent, "")), rule("prefix", header(Prefix, "ab")),
		rule("suffix", header(Suffix, "yz")), rule("regex", header(Regex, `^v\d$`)), rule("not", header(Not, "2")),
		rule("query", Rule[string]{Query: []Condition{{Name: "a b", Value: "c&d"}}}),
		rule("flag", Rule[string]{Query: []Condition{{Name: "f", Test: Present}}}),
		rule("cookie", Rule[string]{Cookies: []Condition{{Name: "beta", Value: "yes"}}}),
		rule("address", Rule[string]{ClientIPs: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("::ffff:192.0.2.0/120")}}),
		rule("elsewhere", Rule[string]{ClientIPs: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}),
		rule("expression", Rule[string]{Expression: expression(t, `request.headers["x-v"] == "1"`)}),
	)
	for _, c := range []struct {
		line   string
		fields []string
		fits   bool
	}{
		{"GET h/exact", []string{"X-V", "2"}, true},
		{"GET h/exact", []string{"X-V", "1", "X-V", "2"}, true},
		{"GET h/exact", []string{"X-V", "22"}, false},
		{"GET h/exact", nil, false},
		{"GET h/present", []string{"X-V", ""}, true},
		{"GET h/present", nil, false},
		{"GET h/absent", nil, true},
		{"GET h/absent", []string{"X-V", ""}, false},
		{"GET h/prefix", []string{"X-V", "abc"}, true},
		{"GET h/prefix", []string{"X-V", "cab"}, false},
		{"GET h/suffix", []string{"X-V", "xyz"}, true},
		{"GET h/suffix", []string{"X-V", "yzx"}, false},
		{"GET h/regex", []string{"X-V", "v7"}, true},
		{"GET h/regex", []string{"X-V", "v77"}, false},
		{"GET h/not", []string{"X-V", "3"}, true},
		{"GET h/not", nil, true},
		{"GET h/not", []string{"X-V", "3", "X-V", "2"}, false},
		{"GET h/query?x=1&a+b=c%26d", nil, true},
		{"GET h/query?a%20b=c", nil, false},
		{"GET h/query", nil, false},
		{"GET h/flag?f", nil, true},
		{"GET h/flag?F", nil, false},
		{"GET h/flag?%zz&f=%zz", nil, false},
		{"GET h/cookie", []string{"Cookie", `a=b; beta="yes"`}, true},
		{"GET h/cookie", []string{"Cookie", "beta=no", "Cookie", "beta=yes"}, true},
		{"GET h/cookie", []string{"Cookie", "xbeta=yes"}, false},
		{"GET h/address", nil, true},
		{"GET h/elsewhere", nil, false},
		{"GET h/expression", []string{"X-V", "1"}, true},
		{"GET h/expression", []string{"X-V", "2"}, false},
		{"GET h/expression", nil, false}, // a missing key
	} {
		x := ask(t, c.line, c.fields...)
		want := ""
		if c.fits {
			want = x.Path[1:]
		}
		wants(t, table, x, want)
	}
}

func TestConditionsOnARequestWithoutURL(t *testing.T) {
	table := build(t, Rule[string]{Name: "q", Query: []Condition{{Name: "a", Test: Present}}})
	x := ask(t, "GET h/")
	x.In.URL = nil
	wants(t, table, x, "")
}

func TestSpecificity(t *testing.T) {
	h := func(names ...string) (all []Condition) {
		for _, n := range names {
			all = append(all, Condition{Name: n, Test: Present})
		}
		return all
	}
	table := build(t,
		Rule[string]{Name: "first", Path: Path{Pattern: "/p"}},
		Rule[string]{Name: "second", Path: Path{Pattern: "/p"}},
		Rule[string]{Name: "one", Path: Path{Pattern: "/p"}, Headers: h("a")},
		Rule[string]{Name: "two", Path: Path{Pattern: "/p"}, Headers: h("a"), ClientIPs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}},
		Rule[string]{Name: "three", Path: Path{Pattern: "/p"}, Headers: h("a", "b"), Expression: expression(t, "true")},
		Rule[string]{Name: "post", Path: Path{Pattern: "/p"}, Methods: []string{"POST"}},
		Rule[string]{Name: "any path"},
		Rule[string]{Name: "regex", Path: Path{Regex: "^/(p|r)$"}},
		Rule[string]{Name: "high", Path: Path{Pattern: "/*"}, Headers: h("high"), Priority: 10},
		Rule[string]{Name: "low", Path: Path{Pattern: "/low"}, Priority: -1},
		Rule[string]{Name: "all low", Path: Path{Pattern: "/{x}"}, Headers: h("low")},
	)
	wants(t, table, ask(t, "GET h/p"), "first")
	wants(t, table, ask(t, "GET h/p", "a", "1"), "two")
	wants(t, table, ask(t, "GET h/p", "a", "1", "b", "1"), "three")
	wants(t, table, ask(t, "POST h/p", "a", "1", "b", "1"), "post")
	wants(t, table, ask(t, "GET h/r"), "regex")
	wants(t, table, ask(t, "GET h/other"), "any path")
	wants(t, table, ask(t, "POST h/p", "a", "1", "high", "1"), "high")
	wants(t, table, ask(t, "GET h/low"), "any path") // everything comes before a priority below 0
	wants(t, table, ask(t, "GET h/low", "low", ""), "all low")
}

func TestPriorityRebindsCaptures(t *testing.T) {
	table := build(t,
		Rule[string]{Name: "specific", Hosts: []string{"h"}, Path: Path{Pattern: "/a/{x}/{y}"}},
		Rule[string]{Name: "urgent", Path: Path{Pattern: "/{z}/*"}, Priority: 1},
	)
	x := ask(t, "GET h/a/b/c")
	wants(t, table, x, "urgent")
	if want := (exchange.Captures{{Name: "z", Value: "a"}}); !slices.Equal(x.Captures, want) {
		t.Errorf("captures are %v, want %v", x.Captures, want)
	}
}

func TestMethods(t *testing.T) {
	table := build(t,
		Rule[string]{Name: "get", Path: Path{Pattern: "/m"}, Methods: []string{"GET"}},
		Rule[string]{Name: "put", Path: Path{Pattern: "/m"}, Methods: []string{"PUT", "PURGE"}},
		Rule[string]{Name: "patch", Path: Path{Pattern: "/m"}, Methods: []string{"PATCH"}, Headers: []Condition{{Name: "a", Test: Present}}},
		Rule[string]{Name: "delete", Path: Path{Pattern: "/{x}"}, Methods: []string{"DELETE"}},
		Rule[string]{Name: "head", Path: Path{Pattern: "/h"}, Methods: []string{"HEAD"}},
		Rule[string]{Name: "post", Path: Path{Pattern: "/p"}, Methods: []string{"POST"}},
		Rule[string]{Name: "other host", Hosts: []string{"o"}, Path: Path{Pattern: "/m"}, Methods: []string{"LOCK"}},
	)
	wants(t, table, ask(t, "GET h/m"), "get")
	wants(t, table, ask(t, "HEAD h/m"), "get")
	wants(t, table, ask(t, "PURGE h/m"), "put")
	wants(t, table, ask(t, "DELETE h/m"), "delete")
	wants(t, table, ask(t, "PATCH h/m"), "405")
	wants(t, table, ask(t, "PATCH h/m", "a", "1"), "patch")
	wants(t, table, ask(t, "get h/m"), "405")
	wants(t, table, ask(t, "GET h/none/x"), "")
	wants(t, table, ask(t, "GET h/h"), "405")

	allows := func(x *exchange.Exchange, want ...string) {
		t.Helper()
		if got := table.Allowed(x); !slices.Equal(got, want) {
			t.Errorf("Allowed of %s %s is %q, want %q", x.In.Method, x.Path, got, want)
		}
	}
	allows(ask(t, "POST h/m"), "DELETE", "GET", "HEAD", "PURGE", "PUT")
	allows(ask(t, "POST h/m", "a", "1"), "DELETE", "GET", "HEAD", "PATCH", "PURGE", "PUT")
	allows(ask(t, "POST o/m"), "DELETE", "GET", "HEAD", "LOCK", "PURGE", "PUT")
	allows(ask(t, "GET h/h"), "DELETE", "HEAD")
	allows(ask(t, "GET h/none/x"))

	preflight := []string{"Origin", "https://a.example", "Access-Control-Request-Method", "POST"}
	wants(t, table, ask(t, "OPTIONS h/p", preflight...), "post")
	wants(t, table, ask(t, "OPTIONS h/p", preflight[2:]...), "405")
	wants(t, table, ask(t, "OPTIONS h/p", preflight[:2]...), "405")
	wants(t, table, ask(t, "GET h/p", preflight...), "405")
}

func TestExpressionFailed(t *testing.T) {
	table := build(t,
		Rule[string]{Name: "fails", Path: Path{Pattern: "/*"}, Expression: expression(t, `request.headers["x"] == "1"`)},
		Rule[string]{Name: "rest", Path: Path{Pattern: "/*"}},
	)
	var failed []string
	table.ExpressionFailed = func(value string, err error) {
		failed = append(failed, value+": "+err.Error())
	}
	wants(t, table, ask(t, "GET h/"), "rest")
	wants(t, table, ask(t, "GET h/", "x", "2"), "rest")
	if len(failed) != 1 || !strings.HasPrefix(failed[0], "fails: ") || !strings.Contains(failed[0], "no such key") {
		t.Errorf("told of %q", failed)
	}
	table.Allowed(ask(t, "GET h/"))
	table.Explain(ask(t, "GET h/"))
	if len(failed) != 1 {
		t.Errorf("what is not a request was counted: %q", failed)
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	table := build(t,
		Rule[string]{Name: "a", Hosts: []string{"*.example.net"}, Path: Path{Pattern: "/a/{b}/{c}/*"}, Methods: []string{"GET"},
			Headers: []Condition{{Name: "x", Test: Regex, Value: "^v"}}, Cookies: []Condition{{Name: "k", Test: Prefix, Value: "v"}}, Query: []Condition{{Name: "q", Value: "1"}}},
		Rule[string]{Name: "r", Path: Path{Regex: "^/r/"}},
	)
	table.ExpressionFailed = func(string, error) {}
	for _, line := range []string{"GET a.b.example.net/a/1/2/3?q=1", "POST a.b.example.net/a/1/2/3?q=1", "GET h/r/x", "GET h/none"} {
		x := ask(t, line, "x", "v1", "Cookie", "j=1; k=v2")
		if n := testing.AllocsPerRun(100, func() { table.Match(x) }); n != 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

func TestZeroTable(t *testing.T) {
	var table Table[string]
	wants(t, &table, ask(t, "GET h/"), "")
	if table.Allowed(ask(t, "GET h/")) != nil || table.Shadowed() != nil || len(table.Explain(ask(t, "GET h/"))) != 0 || table.Len() != 0 {
		t.Error("the zero table knows something")
	}
	full := build(t, Rule[string]{Name: "all"})
	x := ask(t, "GET h/")
	x.Path = ""
	wants(t, full, x, "")
}

func TestBuildErrors(t *testing.T) {
	long := strings.Repeat("x", 5000)
	pattern := func(p string) Rule[string] { return Rule[string]{Path: Path{Pattern: p}} }
	header := func(c Condition) Rule[string] { return Rule[string]{Headers: []Condition{c}} }
	for _, c := range []struct {
		rule           Rule[string]
		field, message string
	}{
		{pattern("orders"), "path", `write "/orders"`},
		{pattern("/a/../b"), "path", "dot segments"},
		{pattern("/a/%2e/b"), "path", "dot segments"},
		{pattern("/a/%2E%2e"), "path", "dot segments"},
		{pattern(`/a\b`), "path", "separated by slashes"},
		{pattern("/a%5Cb"), "path", "cannot stand"},
		{pattern("/a%zz"), "path", "cannot stand"},
		{pattern("/a b"), "path", "cannot stand"},
		{pattern("/a?b=c"), "path", "no query"},
		{pattern("/a#b"), "path", "no fragment"},
		{pattern("/a//b"), "path", "empty segment"},
		{pattern("/a/*/b"), "path", "only at the end"},
		{pattern("/a*"), "path", "only at the end"},
		{pattern("/a/**"), "path", "only at the end"},
		{pattern("/{a"), "path", "one whole segment"},
		{pattern("/{a}.json"), "path", "one whole segment"},
		{pattern("/x{a}"), "path", "one whole segment"},
		{pattern("/{a}{b}"), "path", "one whole segment"},
		{pattern("/a}"), "path", "one whole segment"},
		{pattern("/{}"), "path", "cannot name"},
		{pattern("/{1a}"), "path", "cannot name"},
		{pattern("/{a-b}"), "path", "cannot name"},
		{pattern("/{a}/{a}"), "path", `two captures named "a"`},
		{pattern("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"), "path", "more than 8"},
		{Rule[string]{Path: Path{Regex: "("}}, "path.regex", "missing closing"},
		{Rule[string]{Path: Path{Regex: long}}, "path.regex", "longer than"},
		{Rule[string]{Path: Path{Regex: "(?P<a>x)(?P<_b>y)(?P<a1>z)(?P<1a>q)"}}, "path.regex", "cannot name"},
		{Rule[string]{Path: Path{Regex: "x", Pattern: "/x"}}, "path.regex", "either"},
		{Rule[string]{Hosts: []string{"ok", ""}}, "hosts[1]", "not empty"},
		{Rule[string]{Hosts: []string{"*"}}, "hosts[0]", "leave hosts out"},
		{Rule[string]{Hosts: []string{"a.*.b"}}, "hosts[0]", "only at the start"},
		{Rule[string]{Hosts: []string{"*a.b"}}, "hosts[0]", "only at the start"},
		{Rule[string]{Hosts: []string{"*."}}, "hosts[0]", "no host"},
		{Rule[string]{Hosts: []string{"*.[::1]"}}, "hosts[0]", "no host"},
		{Rule[string]{Hosts: []string{"http://a"}}, "hosts[0]", "without scheme"},
		{Rule[string]{Hosts: []string{"bücher.example"}}, "hosts[0]", "xn--"},
		{Rule[string]{Methods: []string{"GET", "post"}}, "methods[1]", "write POST"},
		{Rule[string]{Methods: []string{"TRACE"}}, "methods[0]", "never routed"},
		{Rule[string]{Methods: []string{"*"}}, "methods[0]", "leave methods out"},
		{Rule[string]{Methods: []string{"A B"}}, "methods[0]", "cannot be a method"},
		{Rule[string]{Methods: []string{""}}, "methods[0]", "cannot be a method"},
		{Rule[string]{Methods: []string{long}}, "methods[0]", "cannot be a method"},
		{header(Condition{Name: "a b"}), "headers.a b", "name of a header"},
		{header(Condition{Name: "host"}), "headers.host", "hosts"},
		{header(Condition{Name: "a", Test: Regex, Value: "["}), "headers.a.regex", "missing closing"},
		{header(Condition{Name: "a", Test: Prefix}), "headers.a", "use present"},
		{header(Condition{Name: "a", Test: 99}), "headers.a", "no test"},
		{Rule[string]{Query: []Condition{{}}}, "query.", "has a name"},
		{Rule[string]{Cookies: []Condition{{Name: "a;"}}}, "cookies.a;", "name of a cookie"},
		{Rule[string]{ClientIPs: []netip.Prefix{{}}}, "clientIPs[0]", "no address prefix"},
		{Rule[string]{ClientIPs: []netip.Prefix{netip.MustParsePrefix("::ffff:0:0/90")}}, "clientIPs[0]", "IPv4 prefix"},
	} {
		table, mistakes := Build([]Rule[string]{at("/fine"), c.rule})
		if table != nil || len(mistakes) != 1 {
			t.Errorf("%s %q: %v, want one mistake", c.field, c.message, mistakes)
			continue
		}
		m := mistakes[0]
		if m.Rule != 1 || m.Field != c.field || !strings.Contains(m.Error(), c.message) || m.Unwrap() == nil {
			t.Errorf("got %v, want %s and %q", m, c.field, c.message)
		}
	}
	if _, mistakes := Build([]Rule[string]{pattern("x"), pattern("/x"), {Hosts: []string{"*"}, Methods: []string{"get"}}}); len(mistakes) != 3 {
		t.Errorf("reported %v, want all three", mistakes)
	}
}

// TestTenThousand looks up every route of a large table, and as many requests that none takes.
func TestTenThousand(t *testing.T) {
	rules, requests := manyRules(10_000)
	table, mistakes := Build(rules)
	if mistakes != nil {
		t.Fatal(mistakes[0])
	}
	if table.Len() != len(rules) || table.Shadowed() != nil {
		t.Fatalf("%d rules, shadowed: %v", table.Len(), table.Shadowed())
	}
	for i, x := range requests {
		x.Captures = make(exchange.Captures, 0, MaxCaptures)
		if got, outcome := table.Match(x); outcome != Found || got != i {
			t.Fatalf("%s %s%s: rule %d, outcome %d; want %d", x.In.Method, x.Host, x.Path, got, outcome, i)
		}
		if n := testing.AllocsPerRun(1, func() { table.Match(x) }); n != 0 {
			t.Fatalf("%s%s: %v allocations", x.Host, x.Path, n)
		}
		x.Path = "/nowhere" + x.Path
		if got, outcome := table.Match(x); outcome != NotFound {
			t.Fatalf("%s%s: rule %d, outcome %d; want none", x.Host, x.Path, got, outcome)
		}
	}
}

package route

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/exchange"
)

// The model says which rule wins as design puts it: all that fit, sorted by precedence, the first one. It shares no
// code with the table. It knows only exact header conditions, which is enough to count them.

type model struct{ rules []Rule[int] }

// fit is a rule that fits a request, with the most specific of its hosts that does.
type fit struct {
	index    int
	rule     *Rule[int]
	host     string
	captures exchange.Captures
}

func (m model) match(host, path, method string, header http.Header, client netip.Addr) (index int, outcome Outcome, captures exchange.Captures, allowed []string) {
	var fits []fit
	for i := range m.rules {
		r := &m.rules[i]
		h, ok := modelHost(r.Hosts, host)
		captures, fitsPath := modelPath(r.Path, path)
		if !ok || !fitsPath || !modelConditions(r, header, client) {
			continue
		}
		if !modelMethod(r.Methods, method) {
			outcome = MethodNotAllowed
			for _, name := range r.Methods {
				allowed = append(allowed, name)
				if name == "GET" {
					allowed = append(allowed, "HEAD")
				}
			}
			continue
		}
		fits = append(fits, fit{i, r, h, captures})
	}
	if len(fits) == 0 {
		slices.Sort(allowed)
		return -1, outcome, nil, slices.Compact(allowed)
	}
	best := slices.MinFunc(fits, modelOrder)
	return best.index, Found, best.captures, nil
}

func modelHost(hosts []string, host string) (best string, ok bool) {
	if len(hosts) == 0 {
		return "", true
	}
	for _, h := range hosts {
		if h == host {
			return h, true
		}
		if end, isWild := strings.CutPrefix(h, "*"); isWild && strings.HasSuffix(host, end) && host != end {
			if len(h) > len(best) {
				best = h
			}
			ok = true
		}
	}
	return best, ok
}

func modelPath(p Path, path string) (exchange.Captures, bool) {
	if p.Pattern == "" {
		return nil, p.Regex == "" || regexp.MustCompile(p.Regex).MatchString(path)
	}
	text, names := "^", []string{}
	for _, word := range strings.Split(p.Pattern, "/")[1:] {
		switch {
		case word == "*":
			text += "(?:/.*)?"
		case strings.HasPrefix(word, "{"):
			text += "/([^/]+)"
			names = append(names, strings.Trim(word, "{}"))
		default:
			text += "/" + regexp.QuoteMeta(word)
		}
	}
	found := regexp.MustCompile(text + "$").FindStringSubmatch(path)
	if found == nil {
		return nil, false
	}
	var captures exchange.Captures
	for i, name := range names {
		captures = append(captures, exchange.Capture{Name: name, Value: found[i+1]})
	}
	return captures, true
}

func modelMethod(methods []string, method string) bool {
	return len(methods) == 0 || slices.Contains(methods, method) || method == "HEAD" && slices.Contains(methods, "GET")
}

func modelConditions(r *Rule[int], header http.Header, client netip.Addr) bool {
	for _, c := range r.Headers {
		if !slices.Contains(header.Values(c.Name), c.Value) {
			return false
		}
	}
	return len(r.ClientIPs) == 0 || slices.ContainsFunc(r.ClientIPs, func(p netip.Prefix) bool { return p.Contains(client) })
}

func modelOrder(a, b fit) int {
	conditions := func(r *Rule[int]) int { return len(r.Headers) + min(1, len(r.ClientIPs)) }
	return cmp.Or(
		cmp.Compare(b.rule.Priority, a.rule.Priority),
		cmp.Compare(modelHostRank(a.host), modelHostRank(b.host)),
		modelPathOrder(a.rule.Path, b.rule.Path),
		cmp.Compare(min(1, len(b.rule.Methods)), min(1, len(a.rule.Methods))),
		cmp.Compare(conditions(b.rule), conditions(a.rule)),
		cmp.Compare(a.index, b.index),
	)
}

func modelHostRank(h string) int {
	switch {
	case h == "":
		return 10_000
	case h[0] == '*':
		return 9_000 - len(h)
	}
	return 0
}

// modelPathOrder compares two paths that fit one request. A path that ends there comes before one that goes on as /*.
func modelPathOrder(a, b Path) int {
	kind := func(p Path) int {
		switch {
		case p.Pattern != "":
			return 0
		case p.Regex != "":
			return 1
		}
		return 2
	}
	if c := cmp.Compare(kind(a), kind(b)); c != 0 || a.Pattern == "" {
		return c
	}
	rank := func(word string) int {
		switch {
		case word == "*":
			return 2
		case strings.HasPrefix(word, "{"):
			return 1
		}
		return 0
	}
	return slices.CompareFunc(strings.Split(a.Pattern, "/"), strings.Split(b.Pattern, "/"), func(v, w string) int {
		return cmp.Compare(rank(v), rank(w))
	})
}

// Few words, so that rules and requests meet.
var (
	drawWord   = rapid.SampledFrom([]string{"a", "b", "c", "{x}", "{y}", "a", "b"})
	drawHost   = rapid.SampledFrom([]string{"a.b.net", "b.net", "*.net", "*.b.net", "*.a.b.net", "c.b.net", "*.org"})
	drawMethod = rapid.SampledFrom([]string{"GET", "POST", "HEAD", "PURGE"})
	drawHeader = rapid.SampledFrom([]string{"X-A", "X-B"})
	drawPrefix = rapid.SampledFrom([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32")})
	drawAddr   = rapid.SampledFrom([]netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.2.2.3"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")})
)

func drawPattern(t *rapid.T) string {
	words := rapid.SliceOfN(drawWord, 0, 4).Draw(t, "words")
	seen := map[string]bool{}
	for i, w := range words {
		if seen[w] && w[0] == '{' {
			words[i] = fmt.Sprintf("{n%d}", i)
		}
		seen[w] = true
	}
	end := rapid.SampledFrom([]string{"", "", "/", "/*", "/*"}).Draw(t, "end")
	if len(words) == 0 && end == "" {
		end = "/"
	}
	return strings.Join(append([]string{""}, words...), "/") + end
}

func drawRule(t *rapid.T, index int) Rule[int] {
	r := Rule[int]{
		Name: fmt.Sprint("rule ", index), Value: index,
		Hosts:     rapid.SliceOfNDistinct(drawHost, 0, 2, rapid.ID).Draw(t, "hosts"),
		Methods:   rapid.SliceOfNDistinct(drawMethod, 0, 2, rapid.ID).Draw(t, "methods"),
		ClientIPs: rapid.SliceOfNDistinct(drawPrefix, 0, 2, rapid.ID).Draw(t, "addresses"),
		Priority:  rapid.SampledFrom([]int{0, 0, 0, 0, 0, 1, 7, -3}).Draw(t, "priority"),
	}
	if rapid.IntRange(0, 2).Draw(t, "any address") > 0 {
		r.ClientIPs = nil
	}
	switch rapid.IntRange(0, 9).Draw(t, "kind of path") {
	case 0:
		r.Path.Regex = rapid.SampledFrom([]string{"^/a", "b$", "^/a/.*c"}).Draw(t, "regex")
	case 1:
	default:
		r.Path.Pattern = drawPattern(t)
	}
	for _, name := range rapid.SliceOfNDistinct(drawHeader, 0, 2, rapid.ID).Draw(t, "headers") {
		r.Headers = append(r.Headers, Condition{Name: name, Value: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")})
	}
	return r
}

func drawRules(t *rapid.T, most int) []Rule[int] {
	rules := make([]Rule[int], rapid.IntRange(1, most).Draw(t, "rules"))
	for i := range rules {
		rules[i] = drawRule(t, i)
	}
	return rules
}

func drawRequest(t *rapid.T) *exchange.Exchange {
	x := &exchange.Exchange{}
	x.Reset()
	x.Host = rapid.SampledFrom([]string{"a.b.net", "b.net", "net", "x.net", "x.a.b.net", "c.b.net", "", "other"}).Draw(t, "host")
	path := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 5).Draw(t, "path"), "/")
	if rapid.Bool().Draw(t, "slash") && path != "/" {
		path += "/"
	}
	x.Path, x.Client = path, drawAddr.Draw(t, "client")
	x.In = &http.Request{Method: rapid.SampledFrom([]string{"GET", "POST", "HEAD", "PURGE", "PUT"}).Draw(t, "method"), URL: &url.URL{}, Header: http.Header{}}
	for _, name := range []string{"X-A", "X-B"} {
		if v := rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, name); v != "" {
			x.In.Header.Set(name, v)
		}
	}
	return x
}

func TestTableIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t, 14)
		table, mistakes := Build(rules)
		if mistakes != nil {
			t.Fatal(mistakes[0])
		}
		for range 12 {
			x := drawRequest(t)
			want, outcome, captures, allowed := model{rules}.match(x.Host, x.Path, x.In.Method, x.In.Header, x.Client)
			checkAgainst(t, table, x, want, outcome, captures, allowed)
		}
	})
}

func checkAgainst(t *rapid.T, table *Table[int], x *exchange.Exchange, want int, outcome Outcome, captures exchange.Captures, allowed []string) {
	value, got := table.Match(x)
	if got != outcome || got == Found && value != want {
		t.Fatalf("%s %s%s: rule %d, outcome %d; the model has %d, %d", x.In.Method, x.Host, x.Path, value, got, want, outcome)
	}
	if !slices.Equal(x.Captures, captures) {
		t.Fatalf("%s: captures are %v, the model has %v", x.Path, x.Captures, captures)
	}
	if got == MethodNotAllowed && !slices.Equal(table.Allowed(x), allowed) {
		t.Fatalf("%s: allowed are %v, the model has %v", x.Path, table.Allowed(x), allowed)
	}
	bound := slices.Clone(x.Captures)
	reasons := table.Explain(x)
	if won := len(reasons) > 0 && reasons[0].Won; won != (got == Found) || won && reasons[0].Rule != want || len(reasons) > 1+maxReasons {
		t.Fatalf("%s %s%s: explained as %+v, won by %d", x.In.Method, x.Host, x.Path, reasons, want)
	}
	for _, r := range reasons[min(1, len(reasons)):] {
		if r.Won || r.Text == "" {
			t.Fatalf("a second winner or an empty reason: %+v", reasons)
		}
	}
	if !slices.Equal(x.Captures, bound) {
		t.Fatalf("explaining changed the captures from %v to %v", bound, x.Captures)
	}
}

// TestShadowedNeverMatch draws many requests for tables with shadows: no rule that is reported may win, and taking it
// out may change nothing.
func TestShadowedNeverMatch(t *testing.T) {
	reported := 0
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t, 40)
		table, mistakes := Build(rules)
		if mistakes != nil {
			t.Fatal(mistakes[0])
		}
		dead := map[int]int{}
		for _, s := range table.Shadowed() {
			dead[s.Rule] = s.By
		}
		reported += len(dead)
		if len(dead) == 0 {
			return
		}
		for range 40 {
			x := drawRequest(t)
			if got, outcome := table.Match(x); outcome == Found {
				if by, ok := dead[got]; ok {
					t.Fatalf("%s %s%s is taken by rule %d %+v, reported as shadowed by %d %+v",
						x.In.Method, x.Host, x.Path, got, rules[got], by, rules[by])
				}
			}
		}
	})
	if reported == 0 {
		t.Error("no shadow was drawn: this test tests nothing")
	}
}

func FuzzMatch(f *testing.F) {
	rules := []Rule[int]{
		{Path: Path{Pattern: "/"}}, {Path: Path{Pattern: "/a/{x}/c"}}, {Path: Path{Pattern: "/a/b/*"}}, {Path: Path{Pattern: "/a/b/d"}},
		{Path: Path{Pattern: "/{x}/{y}/{z}"}, Methods: []string{"GET", "PURGE"}}, {Path: Path{Regex: "^/v[0-9]+/"}}, {Path: Path{Pattern: "/a/{y}/*"}, Priority: 1},
		{Hosts: []string{"a.b.net"}, Path: Path{Pattern: "/a/{q}"}}, {Hosts: []string{"*.net"}, Path: Path{Pattern: "/*"}, Headers: []Condition{{Name: "X-A", Value: "1"}}},
		{Hosts: []string{"*.b.net", "[::1]"}, Path: Path{Pattern: "/{q}/*"}},
	}
	for i := range rules {
		rules[i].Value = i
	}
	table, mistakes := Build(rules)
	if mistakes != nil {
		f.Fatal(mistakes[0])
	}
	f.Add("GET", "a.b.net", "/a/b/c", "1")
	f.Add("POST", "x.a.b.net:80", "/a/%2e%2e/v1/", "")
	f.Add("HEAD", "[::1]", "//a//b/", "2")
	f.Fuzz(func(t *testing.T, method, hostport, raw, value string) {
		host, _, err := exchange.CanonicalHost(hostport)
		if err != nil {
			return
		}
		path, err := exchange.CanonicalPath(raw)
		if err != nil {
			return
		}
		x := &exchange.Exchange{Host: host, Path: path, In: &http.Request{Method: method, Header: http.Header{"X-A": {value}}}}
		want, outcome, captures, allowed := model{rules}.match(host, path, method, x.In.Header, x.Client)
		got, found := table.Match(x)
		if found != outcome || found == Found && got != want || !slices.Equal(x.Captures, captures) {
			t.Fatalf("%s %s%s: rule %d, outcome %d, %v; the model has %d, %d, %v", method, host, path, got, found, x.Captures, want, outcome, captures)
		}
		if found == MethodNotAllowed && !slices.Equal(table.Allowed(x), allowed) {
			t.Fatalf("allowed are %v, the model has %v", table.Allowed(x), allowed)
		}
	})
}

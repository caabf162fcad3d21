package route

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
)

// manyRules is a mix as a large gateway has it: 200 hosts and none, literals, captures, prefixes, methods, versions by
// header. With each rule comes a request that it takes.
func manyRules(n int) ([]Rule[int], []*exchange.Exchange) {
	rules := make([]Rule[int], n)
	requests := make([]*exchange.Exchange, n)
	for i := range rules {
		host := fmt.Sprintf("api%d.example.com", i%200)
		r := Rule[int]{Name: fmt.Sprint("r", i), Value: i, Hosts: []string{host}}
		path, method, header := "", "GET", http.Header{"Accept": {"*/*"}}
		switch i / 200 % 10 {
		case 0, 1, 2:
			path = fmt.Sprintf("/v1/service%d/items", i)
			r.Path.Pattern = path
		case 3, 4:
			r.Path.Pattern = fmt.Sprintf("/v1/service%d/items/{id}", i)
			path = fmt.Sprintf("/v1/service%d/items/%d", i, i*7)
		case 5:
			r.Path.Pattern = fmt.Sprintf("/v1/service%d/{kind}/{id}/parts", i)
			path = fmt.Sprintf("/v1/service%d/wheel/%d/parts", i, i*7)
		case 6, 7:
			r.Path.Pattern = fmt.Sprintf("/static/bundle%d/*", i)
			path = fmt.Sprintf("/static/bundle%d/css/site.css", i)
		case 8:
			path, method = fmt.Sprintf("/v2/service%d/orders", i), "POST"
			r.Path.Pattern, r.Methods = path, []string{"POST"}
		case 9:
			path = fmt.Sprintf("/v2/service%d/carts", i)
			r.Path.Pattern, r.Headers = path, []Condition{{Name: "x-api-version", Value: "2"}}
			header.Set("X-Api-Version", "2")
		}
		if i%50 == 0 {
			r.Hosts = []string{fmt.Sprintf("*.w%d.example.net", i%400)}
			host = fmt.Sprintf("a.b.w%d.example.net", i%400)
		} else if i%50 == 1 {
			r.Hosts, host = nil, "elsewhere.example.org"
		}
		rules[i] = r
		requests[i] = &exchange.Exchange{Host: host, Path: path, In: &http.Request{Method: method, Header: header, URL: &url.URL{}}}
	}
	return rules, requests
}

func BenchmarkBuild10000(b *testing.B) {
	rules, _ := manyRules(10_000)
	b.ReportAllocs()
	for b.Loop() {
		t, mistakes := Build(rules)
		if mistakes != nil {
			b.Fatal(mistakes[0])
		}
		if s := t.Shadowed(); s != nil {
			b.Fatal(s)
		}
	}
}

// lined puts the requests in random order and lays them out in that order: a request that was just read is in the
// processor's cache, while the table is not.
func lined(requests []*exchange.Exchange, path func(i int) string) (lined []request) {
	ins := map[string]*http.Request{}
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(requests)) {
		x := requests[i]
		kind := x.In.Method + x.In.Header.Get("X-Api-Version")
		if ins[kind] == nil {
			ins[kind] = x.In
		}
		lined = append(lined, request{i, ins[kind], strings.Clone(x.Host), strings.Clone(path(i))})
	}
	return lined
}

type request struct {
	index      int
	in         *http.Request
	host, path string
}

func Benchmark10000Random(b *testing.B) {
	rules, requests := manyRules(10_000)
	t, mistakes := Build(rules)
	if mistakes != nil {
		b.Fatal(mistakes[0])
	}
	line := lined(requests, func(i int) string { return requests[i].Path })
	x := new(exchange.Exchange)
	x.Reset()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := &line[i]
		if i++; i == len(line) {
			i = 0
		}
		x.In, x.Host, x.Path = r.in, r.host, r.path
		if got, outcome := t.Match(x); outcome != Found || got != r.index {
			b.Fatalf("%s %s: got %d, %d, want %d", x.Host, x.Path, got, outcome, r.index)
		}
	}
}

func Benchmark10000Miss(b *testing.B) {
	rules, requests := manyRules(10_000)
	t, mistakes := Build(rules)
	if mistakes != nil {
		b.Fatal(mistakes[0])
	}
	line := lined(requests, func(i int) string {
		if i%2 == 0 {
			return "/nowhere" + requests[i].Path
		}
		return strings.Replace(requests[i].Path, "/static/bundle", "/static/none", 1) + "/nowhere"
	})
	x := new(exchange.Exchange)
	x.Reset()
	b.ReportAllocs()
	i, found := 0, 0
	for b.Loop() {
		r := &line[i]
		if i++; i == len(line) {
			i = 0
		}
		x.In, x.Host, x.Path = r.in, r.host, r.path
		if _, outcome := t.Match(x); outcome == Found {
			found++
		}
	}
	b.ReportMetric(float64(found)/float64(b.N), "found/op")
}

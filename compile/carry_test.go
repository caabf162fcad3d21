package compile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/snapshot"
)

const carried = `
filters: [{rateLimit: {limit: 100, window: 1m}}]
listeners:
  - name: public
    address: ":8443"
    tls: {certificates: [{certFile: one.crt, keyFile: one.key}]}
routes:
  - name: orders
    match: {path: /orders/*}
    filters: [{rewrite: {stripPrefix: /orders}}]
    service: orders
services:
  - name: orders
    endpoints: [{url: "http://10.0.0.1"}, {url: "https://10.0.0.2"}]
    tls: {caFile: ca.pem}
`

func mustCompile(t testing.TB, text string, before *snapshot.Snapshot, files map[string][]byte) *snapshot.Snapshot {
	t.Helper()
	s, found := compileText(t, "sluice.yaml", text, before, files)
	if s == nil {
		t.Fatal(found.Err())
	}
	return s
}

// instances are the filters of a route's pipeline by name.
func instances(s *snapshot.Snapshot, route int) map[string]filter.Filter {
	byName := make(map[string]filter.Filter)
	for _, f := range s.Routes[route].Pipeline.Placed() {
		byName[f.Name] = f.Filter
	}
	return byName
}

// TestCarryOver changes one thing after the other and says what must be the same instance still.
func TestCarryOver(t *testing.T) {
	all := []string{"top filter", "route filter", "endpoint 0", "endpoint 1", "route stats", "service series", "listener series", "tls"}
	for _, test := range []struct {
		what     string
		old, new string // replaced in the configuration
		renew    string // a file that gets other contents
		changed  []string
	}{
		{what: "nothing"},
		{what: "white space and quotes", old: "limit: 100, window: 1m", new: `"window":  "1m",  limit: 100`},
		{what: "a filter of the top", old: "limit: 100", new: "limit: 101", changed: []string{"top filter"}},
		{what: "a filter of the route", old: "stripPrefix: /orders", new: "stripPrefix: /order", changed: []string{"route filter"}},
		{what: "the name of a route", old: "name: orders\n    match", new: "name: others\n    match", changed: []string{"route filter", "route stats"}},
		{what: "the URL of an endpoint", old: "10.0.0.1", new: "10.0.0.9", changed: []string{"endpoint 0"}},
		{what: "the weight of an endpoint", old: `{url: "http://10.0.0.1"}`, new: `{url: "http://10.0.0.1", weight: 7}`},
		{what: "the protocol", old: "    tls: {caFile", new: "    protocol: http2\n    tls: {caFile", changed: []string{"endpoint 0", "endpoint 1"}},
		{what: "the service's authority", renew: "ca.pem", changed: []string{"endpoint 1"}}, // the other one is plaintext
		{what: "the name of a service", old: "service: orders\nservices:\n  - name: orders", new: "service: o\nservices:\n  - name: o",
			changed: []string{"endpoint 0", "endpoint 1", "service series"}},
		{what: "the listener's certificate", renew: "one.crt", changed: []string{"tls"}},
		{what: "the listener's versions", old: "tls: {cert", new: "tls: {minVersion: \"1.3\", cert", changed: []string{"tls"}},
		{what: "the listener's name", old: "name: public", new: "name: open", changed: []string{"route stats", "listener series", "tls"}},
		{what: "the listener's address", old: ":8443", new: ":9443"},
	} {
		t.Run(test.what, func(t *testing.T) {
			files := map[string][]byte{}
			for name, data := range certificates(t) {
				files[name] = data
			}
			before := mustCompile(t, carried, nil, files)
			switch test.renew {
			case "one.crt":
				files["one.crt"], files["one.key"] = selfSigned(t, "one.test")
			case "ca.pem":
				files["ca.pem"] = files["two.crt"]
			}
			after := strings.Replace(carried, test.old, test.new, 1)
			if test.old != "" && after == carried {
				t.Fatalf("there is no %q to replace", test.old)
			}
			next := mustCompile(t, after, before, files)
			for _, part := range all {
				same := partOf(before, part) == partOf(next, part)
				if same == slices.Contains(test.changed, part) {
					t.Errorf("%s: the same as before: %v", part, same)
				}
			}
		})
	}
}

func partOf(s *snapshot.Snapshot, part string) any {
	svc := s.Services["orders"]
	if svc == nil {
		svc = s.Services["o"]
	}
	switch part {
	case "top filter":
		return instances(s, 0)["rateLimit"]
	case "route filter":
		return instances(s, 0)["rewrite"]
	case "endpoint 0":
		return svc.Endpoints()[0].Endpoint
	case "endpoint 1":
		return svc.Endpoints()[1].Endpoint
	case "route stats":
		return s.Routes[0].Stats
	case "service series":
		return svc.Series()
	case "listener series":
		return s.Listeners[0].Series
	default:
		return s.Listeners[0].TLS
	}
}

// A filter is one instance on all routes of its level, and is listed once.
func TestOneInstanceForALevel(t *testing.T) {
	s := mustCompile(t, `
filters: [{compress: {}}]
listeners: [{name: a, address: ":1"}, {name: b, address: ":2"}]
routes:
  - {name: one, listeners: [a, b], match: {path: /1}, filters: [{rewrite: {host: x.test}}], service: s}
  - {name: two, listeners: [a], match: {path: /2}, service: s}
services: [{name: s, endpoints: [{url: "http://10.0.0.1"}]}]
`, nil, nil)
	if len(s.Routes) != 3 || len(s.Filters()) != 2 {
		t.Fatalf("%d routes and %d instances, want 3 and 2", len(s.Routes), len(s.Filters()))
	}
	for i := range s.Routes {
		if instances(s, i)["compress"] != s.Filters()[0].Filter {
			t.Errorf("route %s has an instance of its own", s.Routes[i].Name)
		}
	}
	if instances(s, 0)["rewrite"] != instances(s, 1)["rewrite"] {
		t.Error("a route on two listeners has two instances of its filter")
	}
}

// Whatever is wrong with a configuration, compile reports it and does not fail itself.
func TestTornConfigurationsAreReported(t *testing.T) {
	lines := strings.SplitAfter(strings.TrimPrefix(carried, "\n"), "\n")
	for i := range lines {
		torn := strings.Join(lines[:i], "") + strings.Join(lines[min(i+1, len(lines)):], "")
		if s, found := tryCompile(t, torn); (s == nil) != found {
			t.Errorf("without line %d: a snapshot: %v, errors: %v", i, s != nil, found)
		}
		cut := strings.Join(lines[:i+1], "")
		if s, found := tryCompile(t, cut); (s == nil) != found {
			t.Errorf("after line %d: a snapshot: %v, errors: %v", i, s != nil, found)
		}
	}
}

func tryCompile(t *testing.T, text string) (s *snapshot.Snapshot, errors bool) {
	if strings.TrimSpace(text) == "" {
		return nil, true
	}
	s, found := compileText(t, "sluice.yaml", text, nil, certificates(t))
	return s, found.HasErrors()
}

// routes10k mixes hosts, captures, prefixes and methods.
func routes10k() string {
	var b strings.Builder
	b.WriteString("listeners: [{name: a, address: \":8080\"}]\nservices: [{name: s, endpoints: [{url: \"http://10.0.0.1\"}]}]\nroutes:\n")
	for i := range 10_000 {
		host, path := fmt.Sprintf("h%d.test", i%100), ""
		switch i % 4 {
		case 0:
			path = fmt.Sprintf("/exact/%d", i)
		case 1:
			path = fmt.Sprintf("/users/{id}/things%d", i)
		case 2:
			path = fmt.Sprintf("/prefix%d/*", i)
		case 3:
			host, path = "*.wild.test", fmt.Sprintf("/w%d/{a}/{b}", i)
		}
		fmt.Fprintf(&b, "  - {name: r%d, hosts: [%q], match: {path: %q, methods: [GET, POST]}, filters: [{responseHeaders: {set: {x-route: r%d}}}], service: s}\n", i, host, path, i)
	}
	return b.String()
}

// BenchmarkTenThousandRoutes is to stay under a second, parsing included.
func BenchmarkTenThousandRoutes(b *testing.B) {
	text := routes10k()
	b.ReportAllocs()
	var before *snapshot.Snapshot
	for b.Loop() {
		before = mustCompile(b, text, nil, nil)
	}
	if len(before.Routes) != 10_000 {
		b.Fatalf("%d routes", len(before.Routes))
	}
}

package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

func discovering(discovery string) string {
	return fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
routes: [{name: all, match: {path: /*}, service: found}]
services: [{name: found, discovery: %s}]
`, discovery)
}

// origins are servers that answer with their number.
func origins(t *testing.T, n int) (urls []string) {
	for i := range n {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, i) }))
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	return urls
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func answers(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	status, body := page(t, "http://"+g.Addr("public")+"/")
	return fmt.Sprint(status, " ", body)
}

func page(t *testing.T, url string) (status int, body string) {
	t.Helper()
	status, body, err := get(url)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

func readiness(t *testing.T, g *gatewaytest.Gateway) int {
	t.Helper()
	status, _ := page(t, "http://"+g.App.AdminAddress()+"/readyz")
	return status
}

func TestReadyWhenEndpointsAreFound(t *testing.T) {
	urls := origins(t, 2)
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	g := gatewaytest.Start(t, discovering("{file: {path: "+path+"}}"))
	if got := answers(t, g); !strings.HasPrefix(got, "503 ") || readiness(t, g) != 503 {
		t.Errorf("before the first answer: %s, ready %d", got, readiness(t, g))
	}
	replace(t, path, "- "+urls[0])
	until(t, "ready", func() bool { return readiness(t, g) == 200 })
	if got := answers(t, g); got != "200 0" {
		t.Errorf("after it: %s", got)
	}
	replace(t, path, "- "+urls[1])
	until(t, "the other endpoint", func() bool { return answers(t, g) == "200 1" })

	for text, why := range map[string]string{
		"garbage": "no list of endpoints", "[]": "the answer is empty", "- http://0.0.0.0:80": "nobody can be reached",
		"- {url: a, weight: -1}": "a whole number from 0", strings.Repeat("- a:1\n", 10_001): "at most 10000",
	} {
		replace(t, path, text)
		until(t, "the failure at /services", func() bool {
			_, body := page(t, "http://"+g.App.AdminAddress()+"/services")
			return strings.Contains(body, why)
		})
		if got := answers(t, g); got != "200 1" || readiness(t, g) != 200 {
			t.Errorf("after %.20q: %s, ready %d", text, got, readiness(t, g))
		}
	}
	if log := g.Log.String(); strings.Count(log, "state=failed") != 2 { // the missing file; then what goes on failing is told once
		t.Errorf("the log is\n%s", log)
	}
	_, metrics := page(t, "http://"+g.App.AdminAddress()+"/metrics")
	for _, want := range []string{
		`sluice_discovery_total{outcome="failed",service="found"}`, `sluice_discovery_total{outcome="updated",service="found"} 2`,
		`sluice_discovery_endpoints{service="found"} 1`, `sluice_endpoint_up{endpoint="` + urls[1] + `",service="found"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%s is not among the metrics", want)
		}
	}
	if strings.Contains(metrics, urls[0]) {
		t.Error("an endpoint that is gone is among the metrics")
	}
}

// A reload that leaves the discovery alone does not ask anew; one that changes it keeps the endpoints until it answers.
func TestReloadKeepsWhatWasFound(t *testing.T) {
	urls := origins(t, 2)
	var asked atomic.Int32
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/first":
			asked.Add(1)
			fmt.Fprintf(w, "[%q]", urls[0])
		case "/second":
			fmt.Fprintf(w, "[%q]", urls[1])
		default:
			w.WriteHeader(500)
		}
	}))
	t.Cleanup(registry.Close)
	first := discovering(`{http: {url: "` + registry.URL + `/first", interval: 1h}}`)
	g := gatewaytest.Start(t, first)
	until(t, "ready", func() bool { return readiness(t, g) == 200 })

	if err := g.Reload(strings.Replace(first, "service: found", "service: found, timeout: 7s", 1)); err != nil {
		t.Fatal(err)
	}
	if got := answers(t, g); got != "200 0" || asked.Load() != 1 {
		t.Errorf("after a reload: %s, the registry was asked %d times", got, asked.Load())
	}
	if err := g.Reload(discovering(`{http: {url: "` + registry.URL + `/broken"}}`)); err != nil {
		t.Fatal(err)
	}
	until(t, "a line in the log", func() bool { return strings.Contains(g.Log.String(), "status is 500") })
	if got := answers(t, g); got != "200 0" {
		t.Errorf("a discovery that fails has no endpoints of before: %s", got)
	}
	if err := g.Reload(discovering(`{http: {url: "` + registry.URL + `/second"}}`)); err != nil {
		t.Fatal(err)
	}
	until(t, "the second registry's endpoint", func() bool { return answers(t, g) == "200 1" })
	if err := g.Reload("listeners: [{name: public, address: \"127.0.0.1:0\"}]"); err != nil {
		t.Fatal(err)
	}
	if _, metrics := page(t, "http://"+g.App.AdminAddress()+"/metrics"); strings.Contains(metrics, "found") {
		t.Error("a service that is gone is among the metrics")
	}
}

// What an operator drained stays drained over a reload, and the admin API is where it is put back.
func TestADrainedEndpointStaysDrained(t *testing.T) {
	urls := origins(t, 2)
	text := fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
routes: [{name: all, match: {path: /*}, service: two}]
services: [{name: two, endpoints: [{url: %q}, {url: %q}]}]
`, urls[0], urls[1])
	g := gatewaytest.Start(t, text)
	ask := func(method string) (int, string) {
		t.Helper()
		target := "http://" + g.App.AdminAddress() + "/services/two/endpoints/" + url.PathEscape(urls[0]) + "/drain"
		r, err := http.NewRequestWithContext(t.Context(), method, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	both := func() string {
		seen := make(map[string]bool)
		for range 4 {
			seen[answers(t, g)] = true
		}
		return fmt.Sprint(seen)
	}
	if got := both(); got != "map[200 0:true 200 1:true]" {
		t.Errorf("at first %s", got)
	}
	if status, body := ask("POST"); status != 200 || !strings.Contains(body, `"drained"`) {
		t.Errorf("drain: %d %s", status, body)
	}
	for _, next := range []string{text, strings.Replace(text, "service: two", "service: two, timeout: 7s", 1), strings.Replace(text, "name: two,", "name: two, connections: {max: 7},", 1)} {
		if err := g.Reload(next); err != nil {
			t.Fatal(err)
		}
		if got := both(); got != "map[200 1:true]" {
			t.Errorf("after a reload %s", got)
		}
	}
	if status, body := ask("DELETE"); status != 200 || strings.Contains(body, `"drained"`) {
		t.Errorf("undrain: %d %s", status, body)
	}
	if got := both(); got != "map[200 0:true 200 1:true]" {
		t.Errorf("at last %s", got)
	}
	if _, events := page(t, "http://"+g.App.AdminAddress()+"/events?kind=drain"); strings.Count(events, `"kind": "drain"`) != 2 {
		t.Errorf("events %s", events)
	}
	if log := g.Log.String(); !strings.Contains(log, "msg=event kind=drain service=two endpoint="+urls[0]+" state=drained") {
		t.Errorf("the log is\n%s", log)
	}
}

package admin

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream"
)

// running are the options over a snapshot in force, with the admin settings given.
func running(t *testing.T, settings snapshot.Admin) Options {
	t.Helper()
	var holder snapshot.Holder
	services := make(map[string]*upstream.Service)
	for _, name := range []string{"users", "orders"} {
		u, err := url.Parse("http://" + name + ".internal:8080")
		if err != nil {
			t.Fatal(err)
		}
		services[name] = upstream.New(upstream.Spec{
			Name: name, Protocol: upstream.HTTP1, Series: telemetry.NewServiceSeries(name),
			Balance:   upstream.Balance{Policy: "roundRobin"},
			Endpoints: []upstream.EndpointSpec{{URL: u, Weight: 3}},
		}, nil)
		services[name].Start()
		t.Cleanup(func() { services[name].Retire(nil) })
	}
	holder.Swap(&snapshot.Snapshot{
		Revision: "0123456789ab",
		Loaded:   time.Date(2026, 10, 3, 7, 5, 9, 0, time.UTC),
		Admin:    settings,
		Config:   []byte(`{"listeners":[]}`),
		Services: services,
		Listeners: []*snapshot.Listener{
			{Name: "public", Address: ":8443", HTTP1: true, HTTP2: true, TLS: &tls.Config{}},
			{Name: "internal", Address: "127.0.0.1:8081", HTTP1: true},
		},
	})
	return Options{Snapshots: &holder, Metrics: telemetry.NewMetrics(nil), Status: new(Status)}
}

// ask sends one request to the API; fields are "Name: value".
func ask(api http.Handler, method, target string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "127.0.0.1:9901"
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

func TestPaths(t *testing.T) {
	o := running(t, snapshot.Admin{})
	o.Status.Ready()
	api := New(o)
	o.PProf = true
	profiled := New(o)
	for _, c := range []struct {
		api             http.Handler
		method, target  string
		status          int
		kind, body, bar string // body is to be in the answer, bar is not
	}{
		{api, "GET", "/", 200, "text/plain", "/readyz?verbose", "pprof"},
		{api, "GET", "/metrics", 200, "text/plain", "sluice_config_reloads_total", ""},
		{api, "GET", "/healthz", 200, "text/plain", "ok\n", ""},
		{api, "GET", "/readyz", 200, "text/plain", "ok\n", ""},
		{api, "GET", "/readyz?verbose", 200, "application/json", `"state": "ok"`, ""},
		{api, "GET", "/config", 200, "application/json", `{"listeners":[]}`, ""},
		{api, "GET", "/services", 200, "application/json", "users.internal:8080", ""},
		{api, "HEAD", "/healthz", 200, "text/plain", "", ""},
		{api, "GET", "/debug/pprof/", 404, "", "", "goroutine"},
		{api, "GET", "/debug/pprof/cmdline", 404, "", "", "test"},
		{api, "GET", "/no/such", 404, "", "", ""},
		{api, "POST", "/services/orders/endpoints/a/drain", 404, "", "", ""},
		{profiled, "GET", "/", 200, "text/plain", "/debug/pprof/", ""},
		{profiled, "GET", "/debug/pprof/", 200, "text/html", "goroutine", ""},
		{profiled, "GET", "/debug/pprof/goroutine?debug=1", 200, "text/plain", "goroutine profile", ""},
		{profiled, "GET", "/debug/pprof/cmdline", 200, "text/plain", "test", ""},
	} {
		w := ask(c.api, c.method, c.target)
		if w.Code != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, w.Code, c.status)
		}
		if !strings.HasPrefix(w.Header().Get("Content-Type"), c.kind) || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s %s: %s %q, want %s with %q", c.method, c.target, w.Header().Get("Content-Type"), w.Body, c.kind, c.body)
		}
		if c.bar != "" && strings.Contains(w.Body.String(), c.bar) {
			t.Errorf("%s %s: %q is in the answer", c.method, c.target, c.bar)
		}
	}
}

func TestOnlyGetAndHead(t *testing.T) {
	api := New(running(t, snapshot.Admin{}))
	for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/config", "/services", "/services/orders", "/events"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			w := ask(api, method, path)
			if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, path, w.Code, w.Header().Get("Allow"))
			}
		}
	}
}

func TestEveryAnswerIsSafeInABrowser(t *testing.T) {
	api := New(running(t, snapshot.Admin{Token: "s3cret"}))
	for target, status := range map[string]int{"/": 401, "/healthz": 200, "/readyz": 503, "/none": 401} {
		for _, host := range []string{"localhost", "evil.example"} {
			w := ask(api, "GET", target, "Host: "+host)
			if host == "localhost" && w.Code != status {
				t.Errorf("%s: %d, want %d", target, w.Code, status)
			}
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s for %s: %s is %q", target, host, name, got)
				}
			}
		}
	}
}

func TestServices(t *testing.T) {
	w := ask(New(running(t, snapshot.Admin{})), "GET", "/services")
	want := `{
  "services": [
    {
      "name": "orders",
      "endpoints": [
        {
          "address": "http://orders.internal:8080",
          "weight": 3,
          "share": 1,
          "in_flight": 0,
          "up": true,
          "latency_ms": 0
        }
      ]
    },
    {
      "name": "users",
      "endpoints": [
        {
          "address": "http://users.internal:8080",
          "weight": 3,
          "share": 1,
          "in_flight": 0,
          "up": true,
          "latency_ms": 0
        }
      ]
    }
  ]
}
`
	if w.Body.String() != want {
		t.Errorf("got\n%s", w.Body)
	}
}

func TestBeforeTheFirstConfiguration(t *testing.T) {
	api := New(Options{Snapshots: new(snapshot.Holder), Metrics: telemetry.NewMetrics(nil), Status: new(Status), PProf: true})
	for target, status := range map[string]int{
		"/healthz": 200, "/readyz": 503, "/readyz?verbose": 503, "/config": 503, "/services": 503, "/services/orders": 503, "/events": 503, "/metrics": 503, "/debug/pprof/": 503,
	} {
		if w := ask(api, "GET", target); w.Code != status {
			t.Errorf("%s: %d, want %d", target, w.Code, status)
		}
	}
}

func TestReadiness(t *testing.T) {
	o := running(t, snapshot.Admin{})
	api := New(o)
	for _, c := range []struct {
		step   func()
		status int
		body   string
	}{
		{func() {}, 503, "starting\n"},
		{o.Status.Ready, 200, "ok\n"},
		{func() { o.Status.Reloaded(time.Now(), errors.New("a mistake")) }, 200, "ok\n"},
		{o.Status.Draining, 503, "draining\n"},
		{o.Status.Ready, 503, "draining\n"},
	} {
		c.step()
		if w := ask(api, "GET", "/readyz"); w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%d %q, want %d %q", w.Code, w.Body, c.status, c.body)
		}
		state := strings.TrimSpace(c.body)
		if w := ask(api, "GET", "/readyz?verbose"); w.Code != c.status || !strings.Contains(w.Body.String(), `"state": "`+state+`"`) {
			t.Errorf("verbose: %d %s, want %d and %s", w.Code, w.Body, c.status, state)
		}
	}
}

func TestReadinessReport(t *testing.T) {
	o := running(t, snapshot.Admin{})
	o.Status.Ready()
	api := New(o)
	const head = `{
  "state": "ok",
  "revision": "0123456789ab",
  "loaded": "2026-10-03T07:05:09Z",
  "last_reload": %s,
  "listeners": [
    {
      "name": "public",
      "address": ":8443",
      "protocols": [
        "http1",
        "http2"
      ],
      "tls": true
    },
    {
      "name": "internal",
      "address": "127.0.0.1:8081",
      "protocols": [
        "http1"
      ],
      "tls": false
    }
  ]
}
`
	at := time.Date(2026, 10, 3, 9, 30, 0, 0, time.FixedZone("", 3600))
	for _, c := range []struct {
		step   func()
		reload string
	}{
		{func() {}, "null"},
		{func() { o.Status.Reloaded(at, nil) }, "{\n    \"time\": \"2026-10-03T08:30:00Z\",\n    \"outcome\": \"success\"\n  }"},
		{func() { o.Status.Reloaded(at, errors.New(`sluice.yaml:3:5: unknown key "timout"`)) }, "{\n    \"time\": \"2026-10-03T08:30:00Z\"," +
			"\n    \"outcome\": \"failure\",\n    \"error\": \"sluice.yaml:3:5: unknown key \\\"timout\\\"\"\n  }"},
	} {
		c.step()
		if got, want := ask(api, "GET", "/readyz?verbose").Body.String(), fmt.Sprintf(head, c.reload); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

func TestALongReloadErrorIsCut(t *testing.T) {
	o := running(t, snapshot.Admin{})
	o.Status.Reloaded(time.Now(), errors.New(strings.Repeat("sluice.yaml:3:5: é\n", 10_000)))
	var got report
	if err := json.Unmarshal(ask(New(o), "GET", "/readyz?verbose").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	text := got.LastReload.Error
	if len(text) > maxReloadError+32 || !strings.HasSuffix(text, "é\n(more was cut off)") {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-40:])
	}
	if text := cut(strings.Repeat("x", 100), 10); text != "xxxxxxxxxx\n(more was cut off)" {
		t.Errorf("one long line became %q", text)
	}
}

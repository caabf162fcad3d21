package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream"
)

// orders are the options over a service with three endpoints and an event log.
func orders(t *testing.T, settings snapshot.Admin) (Options, *upstream.Service) {
	t.Helper()
	metrics, events := telemetry.NewMetrics(nil), telemetry.NewEvents(nil)
	metrics.SetEvents(events)
	spec := upstream.Spec{Name: "orders", Series: telemetry.NewServiceSeries("orders"), Events: events, Panic: true}
	for _, address := range []string{"http://10.0.0.1:8080", "http://[2001:db8::1]:8080", "unix:/run/orders.sock"} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		spec.Endpoints = append(spec.Endpoints, upstream.EndpointSpec{URL: u, Weight: 1, Zone: "z"})
	}
	svc := upstream.New(spec, nil)
	svc.Start()
	t.Cleanup(func() { svc.Retire(nil) })
	var holder snapshot.Holder
	holder.Swap(&snapshot.Snapshot{Admin: settings, Services: map[string]*upstream.Service{"orders": svc}})
	return Options{Snapshots: &holder, Metrics: metrics, Status: new(Status)}, svc
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 200 {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return v
}

func drainOf(address string) string {
	return "/services/orders/endpoints/" + url.PathEscape(address) + "/drain"
}

func TestDrain(t *testing.T) {
	o, svc := orders(t, snapshot.Admin{})
	api := New(o)
	for _, m := range svc.Endpoints() {
		for range 2 { // again changes nothing
			e := decode[endpoint](t, ask(api, "POST", drainOf(m.Address())))
			if e.Address != m.Address() || e.Up || !slices.Equal(e.Out, []string{"drained"}) || e.Share != 0 {
				t.Errorf("drained: %+v", e)
			}
		}
		if m.Reasons() != upstream.Drained {
			t.Errorf("%s is not drained", m.Address())
		}
	}
	if s := decode[service](t, ask(api, "GET", "/services/orders")); s.Panic {
		t.Error("what was drained by hand is used in panic")
	}
	for _, m := range svc.Endpoints() {
		if e := decode[endpoint](t, ask(api, "DELETE", drainOf(m.Address()))); !e.Up || e.Share == 0 {
			t.Errorf("undrained: %+v", e)
		}
	}
	told := decode[page](t, ask(api, "GET", "/events?kind=drain"))
	if len(told.Events) != 6 || told.Events[0].State != "drained" || told.Events[5].State != "undrained" || told.Last != 6 {
		t.Errorf("events %+v", told)
	}
	for target, status := range map[string]int{
		"/services/nobody/endpoints/" + url.PathEscape("http://10.0.0.1:8080") + "/drain": 404,
		drainOf("http://10.0.0.2:8080"): 404,
		drainOf(""):                     404,
		"/services/orders/endpoints/http://10.0.0.1:8080/drain": 404, // not encoded: it is another path, and is not followed elsewhere
		"/services/orders/endpoints//drain":                     404,
	} {
		w := ask(api, "POST", target)
		if w.Code/100 == 3 {
			w.Code = 404 // the mux offers the clean form of it, with GET
		}
		if w.Code != status {
			t.Errorf("POST %s: %d, want %d", target, w.Code, status)
		}
	}
	if w := ask(api, "GET", drainOf("http://10.0.0.1:8080")); w.Code != 405 || w.Header().Get("Allow") != "DELETE, POST" {
		t.Errorf("GET: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// A drain can be seen and lifted while discovery does not find its endpoint.
func TestADrainedEndpointGoesAway(t *testing.T) {
	o, svc := orders(t, snapshot.Admin{})
	api, address := New(o), "unix:/run/orders.sock"
	ask(api, "POST", drainOf(address))
	if err := svc.SetEndpoints(nil); err != nil {
		t.Fatal(err)
	}
	if s := decode[service](t, ask(api, "GET", "/services/orders")); !slices.Equal(s.Away, []string{address}) {
		t.Errorf("away are %q", s.Away)
	}
	for _, status := range []int{204, 404} {
		if w := ask(api, "DELETE", drainOf(address)); w.Code != status {
			t.Errorf("DELETE: %d %s, want %d", w.Code, w.Body, status)
		}
	}
	if s := decode[service](t, ask(api, "GET", "/services/orders")); len(s.Away) != 0 {
		t.Errorf("away are %q", s.Away)
	}
}

// What changes something passes the same gates as what reads.
func TestDrainPassesTheGates(t *testing.T) {
	o, svc := orders(t, snapshot.Admin{Token: "s3cret"})
	api := New(o)
	target := drainOf("http://10.0.0.1:8080")
	for _, method := range []string{"POST", "DELETE"} {
		for _, c := range []struct {
			fields []string
			status int
		}{
			{nil, 401},
			{[]string{"Authorization: Bearer wrong"}, 401},
			{[]string{"Authorization: Bearer s3cret", "Origin: https://evil.example"}, 403},
			{[]string{"Authorization: Bearer s3cret", "Origin: null"}, 403},
			{[]string{"Authorization: Bearer s3cret", "Host: evil.example"}, 403},
			{[]string{"Authorization: Bearer s3cret", "Sec-Fetch-Site: cross-site"}, 403},
			{[]string{"Authorization: Bearer s3cret", "Sec-Fetch-Site: same-site"}, 403},
		} {
			if w := ask(api, method, target, c.fields...); w.Code != c.status {
				t.Errorf("%s with %q: %d, want %d", method, c.fields, w.Code, c.status)
			}
		}
	}
	if svc.Endpoints()[0].Reasons() != 0 {
		t.Error("the endpoint is drained")
	}
	if w := ask(api, "POST", target, "Authorization: Bearer s3cret", "Sec-Fetch-Site: same-origin"); w.Code != 200 {
		t.Errorf("with the token: %d", w.Code)
	}
}

func TestAServiceShowsWhatHoldsOfIt(t *testing.T) {
	o, svc := orders(t, snapshot.Admin{})
	api := New(o)
	for _, m := range svc.Endpoints() {
		m.TakeOut(upstream.Unhealthy)
	}
	svc.Endpoints()[1].TakeOut(upstream.Ejected | upstream.BreakerOpen)
	s := decode[service](t, ask(api, "GET", "/services/orders"))
	if !s.Panic || s.Endpoints[0].Share != 0.5 || s.Endpoints[0].Zone != "z" || s.Breaker != "" || s.Discovery != nil {
		t.Errorf("%+v", s)
	}
	if e := s.Endpoints[1]; e.Share != 0 || !slices.Equal(e.Out, []string{"unhealthy", "ejected", "breaker_open"}) {
		t.Errorf("%+v", e)
	}
	if w := ask(api, "GET", "/services/nobody"); w.Code != 404 {
		t.Errorf("a service that is not there: %d", w.Code)
	}
}

func TestEvents(t *testing.T) {
	o, _ := orders(t, snapshot.Admin{})
	api := New(o)
	if w := ask(api, "GET", "/events"); w.Body.String() != "{\n  \"last\": 0,\n  \"events\": []\n}\n" {
		t.Errorf("none: %s", w.Body)
	}
	for i, kind := range []telemetry.EventKind{telemetry.BreakerEvent, telemetry.HealthEvent, telemetry.HealthEvent, telemetry.ShedEvent} {
		o.Metrics.Events().Record(telemetry.Event{Kind: kind, Service: []string{"orders", "users"}[i%2], Reason: "<&>"})
	}
	for query, want := range map[string]string{
		"":                       "1 2 3 4",
		"?after=2":               "3 4",
		"?after=4":               "",
		"?kind=health":           "2 3",
		"?service=users":         "2 4",
		"?kind=none":             "",
		"?limit=1":               "4",
		"?kind=health&limit=1":   "3",
		"?after=1&service=users": "2 4",
	} {
		var seqs []string
		for _, e := range decode[page](t, ask(api, "GET", "/events"+query)).Events {
			seqs = append(seqs, string(rune('0'+e.Seq)))
		}
		if got := strings.Join(seqs, " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for _, query := range []string{"?after=-1", "?after=x", "?limit=0", "?limit=x", "?kin=health", "?after="} {
		if w := ask(api, "GET", "/events"+query); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
}

package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// origin answers with a status that can be changed, and counts.
type origin struct {
	*httptest.Server
	status   atomic.Int32
	sick     atomic.Bool
	requests atomic.Int32
}

func newOrigin(t *testing.T, status int32) *origin {
	t.Helper()
	o := new(origin)
	o.status.Store(status)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/healthz":
			o.requests.Add(1)
			w.WriteHeader(int(o.status.Load()))
		case o.sick.Load():
			w.WriteHeader(503)
		}
	}))
	t.Cleanup(o.Close)
	return o
}

// A reload in the middle of an ejection, of an open breaker, of a failed health check: nothing of it is forgotten, though
// the file has changed around it.
func TestReloadKeepsWhatIsKnownOfServices(t *testing.T) {
	good, bad, broken, sick := newOrigin(t, 200), newOrigin(t, 500), newOrigin(t, 500), newOrigin(t, 200)
	sick.sick.Store(true)
	configuration := func(n int) string {
		return fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
admin: {address: "127.0.0.1:0"}
telemetry: {accessLog: {to: "off"}}
routes:
  - {name: ejects, match: {path: /ejects}, service: ejects, retry: off}
  - {name: breaks, match: {path: /breaks}, service: breaks, retry: off}
  - {name: checks, match: {path: /checks}, service: checks, retry: off}
  - {name: new%[1]d, match: {path: /new%[1]d}, respond: {body: new}}
services:
  - name: ejects
    endpoints: [{url: "%[2]s"}, {url: "%[3]s", weight: %[6]d}]
    outlierDetection: {consecutiveErrors: 3, ejectFor: 1h, maxEjectedPercent: 50}
  - name: breaks
    endpoints: [{url: "%[4]s", weight: %[6]d}]
    circuitBreaker: {minRequests: 4, openFor: 1h, fallback: {status: 203, body: fallback%[1]d}}
  - name: checks
    endpoints: [{url: "%[2]s"}, {url: "%[5]s", weight: %[6]d}]
    healthCheck: {interval: 100ms, unhealthyAfter: 1, healthyAfter: 1000}
`, n, good.URL, bad.URL, broken.URL, sick.URL, n+1)
	}
	r := start(t, configuration(0))
	public := "http://" + r.Address("public")
	metrics := func() string {
		_, body, err := get("http://" + r.AdminAddress() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	down := []string{
		fmt.Sprintf(`sluice_endpoint_up{endpoint="%s",service="ejects"} 0`, bad.URL),
		fmt.Sprintf(`sluice_endpoint_up{endpoint="%s",service="checks"} 0`, sick.URL),
		`sluice_breaker_state{service="breaks"} 2`,
	}
	for range 40 {
		get(public + "/ejects")
		get(public + "/breaks")
	}
	until(t, "all three are found out", func() bool {
		text := metrics()
		for _, line := range down {
			if !strings.Contains(text, line) {
				return false
			}
		}
		return true
	})
	if n := broken.requests.Load(); n != 4 {
		t.Errorf("the breaker opened after %d requests, want 4", n)
	}
	bad.status.Store(200)
	broken.status.Store(200)
	sickBefore, badBefore := sick.requests.Load(), bad.requests.Load()

	for n := range 5 {
		r.mustReload(t, configuration(n+1))
		text := metrics()
		for _, line := range down {
			if !strings.Contains(text, line) {
				t.Errorf("reload %d: the metrics lack %s", n+1, line)
			}
		}
		for range 10 {
			wantGet(t, public+"/ejects", 200, "")
			wantGet(t, public+"/checks", 200, "")
			wantGet(t, public+"/breaks", 203, fmt.Sprintf("fallback%d", n+1))
		}
	}
	if err := r.reload("listeners: nonsense"); err == nil {
		t.Error("nonsense was taken")
	}
	wantGet(t, public+"/breaks", 203, "fallback5")
	if n := bad.requests.Load() - badBefore; n != 0 {
		t.Errorf("the ejected endpoint got %d requests", n)
	}
	if n := sick.requests.Load() - sickBefore; n != 0 {
		t.Errorf("the sick endpoint got %d requests", n)
	}
	if n := broken.requests.Load(); n != 4 {
		t.Errorf("the service behind the open breaker got %d requests, want the 4 that opened it", n)
	}
}

package resilience_test

import (
	"fmt"
	"testing"
	"time"
)

// TestReloadForgetsNothing reloads while an endpoint is ejected and a breaker is open: both stay as they were.
func TestReloadForgetsNothing(t *testing.T) {
	r := newRig(t)
	pool, dead := r.startOrigins(3), r.startOrigins(1)
	text := func(more string) string {
		return fmt.Sprintf(`
routes:
  - {name: pool, match: {path: /pool}, retry: {attempts: 2, on: [5xx]}, service: pool}
  - {name: dead, match: {path: /dead}, service: dead}
%s
services:
  - {name: pool, endpoints: %s, outlierDetection: {consecutiveErrors: 3, ejectFor: 5m}}
  - {name: dead, endpoints: %s, circuitBreaker: {window: 10s, minRequests: 5, openFor: 5m}}
`, more, endpoints(pool), endpoints(dead))
	}
	reload := r.gateway(text(""))
	r.turn(pool[1], "error")
	r.turn(dead[0], "error")
	one, two := send(r.client, "/pool", 100), send(r.client, "/dead", 100)
	r.waitFor("an ejection", func() bool { return !r.up("pool", pool[1]) })
	r.waitFor("an open breaker", func() bool { return r.service("dead").Breaker == "open" })
	one.end()
	two.end()

	before := r.service("pool").Endpoints[1]
	asked, err := dead[0].requests()
	if err != nil {
		t.Fatal(err)
	}
	reload(text("  - {name: new, match: {path: /new}, respond: {status: 204}}"))
	after := r.service("pool").Endpoints[1]
	if after.Up || before.EjectedUntil == nil || after.EjectedUntil == nil || !after.EjectedUntil.Equal(*before.EjectedUntil) {
		t.Errorf("the ejection was %+v, is %+v", before, after)
	}
	if b := r.service("dead").Breaker; b != "open" {
		t.Errorf("the breaker is %s", b)
	}
	began := time.Now()
	one, two = send(r.client, "/pool", 100), send(r.client, "/dead", 100)
	time.Sleep(300 * time.Millisecond)
	one.end()
	two.end()
	if p := one.during(began, time.Now()); p.failed > 0 || p.asked == 0 {
		t.Errorf("of the pool %d of %d failed: %v", p.failed, p.asked, p.why)
	}
	if now, err := dead[0].requests(); err != nil || now != asked {
		t.Errorf("the dead service was asked %d times after the reload, %v", now-asked, err)
	}
	t.Logf("ejected until %v before and after; the open breaker let nobody through", after.EjectedUntil.Format(time.RFC3339Nano))
}

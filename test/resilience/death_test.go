package resilience_test

import (
	"fmt"
	"testing"
	"time"
)

const breakerWindow = 2 * time.Second

var twoServices = `
routes:
  - {name: victim, match: {path: /victim}, timeout: 400ms, service: victim}
  - {name: other, match: {path: /other}, service: other}
services:
  - name: victim
    endpoints: %s
    circuitBreaker: {window: ` + breakerWindow.String() + `, minRequests: 20, errorPercent: 50, openFor: 500ms, probes: 3}
  - name: other
    endpoints: %s
`

// TestAServiceThatDies hangs every endpoint of one service under load, which is worse than to refuse: its breaker opens
// within the window, the callers of another service do not notice, and when it is well again so are its callers.
func TestAServiceThatDies(t *testing.T) {
	runs, phase := 1, 600*time.Millisecond
	if proof {
		runs, phase = 5, 3*time.Second
	}
	t.Logf("%4s %10s %10s %12s %12s %6s", "run", "opened", "recovered", "other before", "other during", "ratio")
	var stretches []float64
	for run := range runs {
		if d := die(t, phase); d != nil {
			t.Logf("%4d %10s %10s %12s %12s %6.2f", run+1, round(d.opened), round(d.recovered), round(d.before), round(d.during), ratio(d.during, d.before))
			stretches = append(stretches, ratio(d.during, d.before))
		}
	}
	if len(stretches) == 0 {
		t.Fatal("no run came to its end")
	}
	t.Logf("the other service's 99th percentile: median ratio %.2f", median(stretches))
	if proof && median(stretches) > 1.5 {
		t.Error("the callers of the other service notice")
	}
}

// watch looks at the victim for a while, as waiting for its breaker does.
func (r *rig) watch(while time.Duration) {
	r.t.Helper()
	end := time.Now().Add(while)
	r.waitFor("the end", func() bool { r.service("victim"); return time.Now().After(end) })
}

type death struct{ opened, recovered, before, during time.Duration }

func die(t *testing.T, phase time.Duration) (d *death) {
	t.Run("run", func(t *testing.T) {
		r := newRig(t)
		victims, others := r.startOrigins(2), r.startOrigins(2)
		r.gateway(fmt.Sprintf(twoServices, endpoints(victims), endpoints(others)))
		victim, other := send(r.client, "/victim", 100), send(r.client, "/other", 200)
		time.Sleep(300 * time.Millisecond) // connections are made
		began := time.Now()
		r.watch(phase) // as closely as it is watched later: that costs something, too

		died := time.Now()
		for _, o := range victims {
			r.turn(o, "hang")
		}
		r.waitFor("the breaker", func() bool { return r.service("victim").Breaker == "open" })
		opened := time.Now()
		r.watch(phase)

		cured := time.Now()
		for _, o := range victims {
			r.turn(o, "ok")
		}
		r.waitFor("recovery", func() bool { return r.service("victim").Breaker == "closed" })
		recovered := time.Now()
		time.Sleep(phase / 3)
		victim.end()
		other.end()

		before, during := other.during(began, died), other.during(died, cured)
		d = &death{opened.Sub(died), recovered.Sub(cured), before.p99(), during.p99()}
		if all := other.during(began, time.Now()); all.failed > 0 || all.asked == 0 {
			t.Errorf("%d of %d callers of the other service failed: %v", all.failed, all.asked, all.why)
		}
		if dead := victim.during(opened, cured); dead.failed == 0 {
			t.Error("nobody noticed that the service is dead")
		}
		if well := victim.during(recovered, time.Now()); well.failed > 0 || well.asked == 0 {
			t.Errorf("after the recovery %d of %d failed: %v", well.failed, well.asked, well.why)
		}
		if proof && d.opened > breakerWindow {
			t.Errorf("the breaker opened after %v, its window is %v", d.opened, breakerWindow)
		}
	})
	return d
}

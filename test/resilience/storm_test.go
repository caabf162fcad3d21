package resilience_test

import (
	"fmt"
	"testing"
	"time"
)

// TestRetryStorm has half of all requests fail under a policy that retries them twice, and without the retries a second
// that a budget allows besides: the service gets at most 1.2 times what its clients ask.
func TestRetryStorm(t *testing.T) {
	during := 1500 * time.Millisecond
	if proof {
		during = 12 * time.Second // longer than the budget remembers
	}
	r := newRig(t)
	origins := r.startOrigins(1)
	r.gateway(fmt.Sprintf(`
routes:
  - name: storm
    match: {path: /storm}
    retry: {attempts: 3, on: [5xx], backoff: {base: 1ms, max: 2ms}}
    service: storm
services:
  - {name: storm, endpoints: %s, retryBudget: {percent: 20, minPerSecond: 0}}
`, endpoints(origins)))
	r.turn(origins[0], "half")
	load := send(r.client, "/storm", 200)
	began := time.Now()
	time.Sleep(during)
	load.end()
	asked := load.during(began, time.Now())
	got, err := origins[0].requests()
	if err != nil {
		t.Fatal(err)
	}
	factor := float64(got) / float64(asked.asked)
	t.Logf("clients asked %d times, the service was asked %d times: %.3f", asked.asked, got, factor)
	switch {
	case asked.failed == 0 || asked.failed == asked.asked:
		t.Errorf("%d of %d failed", asked.failed, asked.asked)
	case got <= asked.asked:
		t.Error("nothing was retried")
	case factor > 1.2:
		t.Error("the retries are a storm")
	}
}

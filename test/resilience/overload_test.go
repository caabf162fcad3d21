package resilience_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// The origin has slots, each of which takes its time over a request; more requests wait for one, first come first. It
// only sleeps, so that it is not the machine's speed that is measured.
const (
	slots       = 20
	serviceTime = 20 * time.Millisecond
	excess      = 3 // times what the origin can do
)

// TestOverload asks a service for three times what it can do. Adaptive concurrency must find out what that is, keep it as
// busy as it can be, and refuse the rest at once: goodput at least 90 % of the peak, and the 99th percentile of the
// requests admitted at most twice that of a service with nothing to do.
//
// Measured, it takes 20 s and is asserted:
//
//	SLUICE_PROOF=1 go test -v -count=1 -run TestOverload ./test/resilience
//
// Otherwise a short run sees that it works at all.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	proof := os.Getenv("SLUICE_PROOF") != ""
	settle, measured := 1500*time.Millisecond, 500*time.Millisecond
	if proof {
		settle, measured = 5*time.Second, 5*time.Second
	}
	g := gatewaytest.Start(t, fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
routes:
  - {name: free, match: {path: /free}, service: free}
  - {name: guarded, match: {path: /guarded}, service: guarded}
services:
  - {name: free, endpoints: [{url: %[1]q}]}
  - {name: guarded, endpoints: [{url: %[1]q}], concurrency: {adaptive: true}}
`, newOrigin(t).URL))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	defer client.CloseIdleConnections()

	idle := closed(client, g.URL("public", "/free"), slots/4, measured/2)
	peak := closed(client, g.URL("public", "/free"), slots, measured)
	t.Logf("with nothing to do:   %v", idle)
	t.Logf("as busy as it can be: %v", peak)
	rate := excess * float64(slots) / serviceTime.Seconds()
	open(client, g.URL("public", "/guarded"), rate, settle)
	over := open(client, g.URL("public", "/guarded"), rate, measured)
	t.Logf("asked for %d times that: %v", excess, over)
	_, metrics := g.Admin("/metrics")
	t.Logf("%s", regexp.MustCompile(`(?m)^sluice_service_(concurrency_limit|overloaded).*`).FindAllString(metrics, -1))

	goodput := over.rate() / peak.rate()
	stretch := float64(over.percentile(99)) / float64(idle.percentile(99))
	t.Logf("goodput is %.1f %% of the peak, p99 %.2f times that of the idle service", 100*goodput, stretch)
	switch {
	case over.other > 0 || idle.other+idle.refused+peak.other+peak.refused > 0:
		t.Error("there were answers that are neither 200 nor 503 with Retry-After")
	case len(over.latencies) == 0 || over.refused == 0:
		t.Errorf("%d were admitted, %d refused", len(over.latencies), over.refused)
	case proof && (goodput < 0.9 || stretch > 2):
		t.Error("that misses the promise")
	}
}

func newOrigin(t *testing.T) *httptest.Server {
	free := make(chan struct{}, slots)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		free <- struct{}{}
		time.Sleep(serviceTime)
		<-free
	}))
	t.Cleanup(s.Close)
	return s
}

// outcome is what came of a run.
type outcome struct {
	mu        sync.Mutex
	took      time.Duration
	latencies []time.Duration // of the answers 200
	refused   int
	other     int
}

func (o *outcome) rate() float64 { return float64(len(o.latencies)) / o.took.Seconds() }

func (o *outcome) percentile(p int) time.Duration {
	if len(o.latencies) == 0 {
		return 0
	}
	slices.Sort(o.latencies)
	return o.latencies[(len(o.latencies)-1)*p/100]
}

func (o *outcome) String() string {
	return fmt.Sprintf("%.0f answers a second, p50 %v, p99 %v; %d refused, %d other", o.rate(),
		o.percentile(50).Round(100*time.Microsecond), o.percentile(99).Round(100*time.Microsecond), o.refused, o.other)
}

// ask sends one request.
func (o *outcome) ask(client *http.Client, url string) {
	began := time.Now()
	res, err := client.Get(url)
	status, after := 0, ""
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		status, after = res.StatusCode, res.Header.Get("Retry-After")
	}
	took := time.Since(began)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil && status == 200:
		o.latencies = append(o.latencies, took)
	case err == nil && status == 503 && after != "":
		o.refused++
	default:
		o.other++
	}
}

// closed is so many clients, each of which asks again when it is answered.
func closed(client *http.Client, url string, clients int, d time.Duration) *outcome {
	o, end := new(outcome), time.Now().Add(d)
	began := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for time.Now().Before(end) {
				o.ask(client, url)
			}
		})
	}
	all.Wait()
	o.took = time.Since(began)
	return o
}

// open asks at a rate, whatever the answers. What is still in flight at the end counts, and so does its time.
func open(client *http.Client, url string, rate float64, d time.Duration) *outcome {
	o := new(outcome)
	began := time.Now()
	var all sync.WaitGroup
	var inFlight atomic.Int32
	for sent := 0; ; sent++ {
		due := began.Add(time.Duration(float64(sent) / rate * float64(time.Second)))
		if due.Sub(began) >= d {
			break
		}
		time.Sleep(time.Until(due))
		if inFlight.Load() >= 1000 { // the machine does not keep up: clients wait rather than fill its memory
			sent--
			time.Sleep(time.Millisecond)
			continue
		}
		inFlight.Add(1)
		all.Go(func() {
			defer inFlight.Add(-1)
			o.ask(client, url)
		})
	}
	all.Wait()
	o.took = time.Since(began)
	return o
}

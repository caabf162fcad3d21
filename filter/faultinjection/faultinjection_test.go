package faultinjection

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/telemetry/telemetrytest"
)

// rig is a filter of the route a, and the metrics it counts in.
type rig struct {
	*Filter
	metrics *telemetry.Metrics
}

func (r *rig) shows(t *testing.T, lines ...string) {
	t.Helper()
	telemetrytest.Shows(t, r.metrics, lines...)
	runtime.KeepAlive(r) // series go with the filter that counts on them
}

func build(t testing.TB, c Config) *rig {
	t.Helper()
	c.MaxActive = max(c.MaxActive, 1)
	metrics := telemetrytest.NewMetrics("a")
	f, err := New(filter.Env{Route: "a", Metrics: metrics}, c)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{f.(*Filter), metrics}
}

func asking(fields ...string) *exchange.Exchange {
	x := new(exchange.Exchange)
	x.Reset()
	x.In = &http.Request{Header: http.Header{}}
	for i := 0; i < len(fields); i += 2 {
		x.In.Header.Set(fields[i], fields[i+1])
	}
	return x
}

func TestAbort(t *testing.T) {
	for _, abort := range []Abort{{Percent: 100, Status: 418}, {Percent: 100, Connection: true}} {
		f := build(t, Config{Abort: &abort})
		err := f.OnRequest(t.Context(), asking())
		fail := failure.From(err)
		if fail == nil || fail.Kind != failure.FaultInjected || fail.BreakOff != abort.Connection {
			t.Fatalf("%+v: %v", abort, err)
		}
		if want := max(abort.Status, 418); abort.Status != 0 && fail.Code() != want {
			t.Errorf("status %d, want %d", fail.Code(), want)
		}
		f.shows(t, `sluice_faults_total{kind="abort",route="a"} 1`)
	}
}

func TestDelayIsTakenAndMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, Config{Delay: &Delay{Percent: 100, Duration: 2 * time.Second}})
		x, began := asking(), time.Now()
		if err := f.OnRequest(t.Context(), x); err != nil || time.Since(began) != 2*time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		shared := []string{"origin; error=x", "somebody else's"}
		x.Response = &http.Response{StatusCode: 200, Header: http.Header{"Proxy-Status": shared[:1]}}
		if err := f.OnResponse(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		want := []string{"origin; error=x", `sluice; details="fault injected: delayed by 2000 ms"`}
		if got := x.Response.Header["Proxy-Status"]; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if shared[1] != "somebody else's" {
			t.Error("a shared list of values was written to")
		}
		f.shows(t, `sluice_faults_total{kind="delay",route="a"} 1`)
		if f.active.Load() != 0 {
			t.Error("it is still held up")
		}
	})
}

func TestAnAnswerWithoutAFaultIsNotMarked(t *testing.T) {
	f := build(t, Config{Delay: &Delay{Percent: 0, Duration: time.Hour}})
	x := asking()
	x.Response = &http.Response{StatusCode: 200, Header: http.Header{}}
	if err := errors.Join(f.OnRequest(t.Context(), x), f.OnResponse(t.Context(), x)); err != nil || len(x.Response.Header) > 0 {
		t.Errorf("%v, %v", err, x.Response.Header)
	}
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, Config{Delay: &Delay{Percent: 100, Duration: time.Second, Jitter: time.Second}})
		least, most := time.Hour, time.Duration(0)
		for range 200 {
			began := time.Now()
			if err := f.OnRequest(t.Context(), asking()); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			least, most = min(least, took), max(most, took)
		}
		if least < time.Second || least > 1200*time.Millisecond || most > 2*time.Second || most < 1800*time.Millisecond {
			t.Errorf("from %v to %v", least, most)
		}
	})
}

func TestAClientThatGoesAwayWhileItIsDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, Config{Delay: &Delay{Percent: 100, Duration: time.Hour}, Abort: &Abort{Percent: 100, Status: 500}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.OnRequest(ctx, asking()); !errors.Is(err, context.DeadlineExceeded) || f.active.Load() != 0 {
			t.Errorf("%v", err)
		}
	})
}

func TestNoMoreThanMaxActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, Config{Delay: &Delay{Percent: 100, Duration: time.Minute}, MaxActive: 2})
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if err := f.OnRequest(t.Context(), asking()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		f.shows(t, `sluice_faults_total{kind="delay",route="a"} 2`, `sluice_faults_total{kind="skipped",route="a"} 3`)
		all.Wait()
	})
}

func TestPercent(t *testing.T) {
	f := build(t, Config{Abort: &Abort{Percent: 25, Status: 503}})
	const requests = 40_000
	aborted := 0
	for range requests {
		if f.OnRequest(t.Context(), asking()) != nil {
			aborted++
		}
	}
	if share := float64(aborted) / requests; math.Abs(share-0.25) > 0.015 { // seven standard deviations
		t.Errorf("%.3f of the requests were aborted, want 0.25", share)
	}
}

func TestWhom(t *testing.T) {
	f := build(t, Config{
		Abort: &Abort{Percent: 100, Status: 503}, When: map[string]string{"header:x-rehearse": "yes", "cookie:who": "me"},
		Expression: `request.headers["x-level"] == "9"`,
	})
	for _, c := range []struct {
		x       *exchange.Exchange
		hit     bool
		unclear int
	}{
		{asking(), false, 0},
		{asking("x-rehearse", "yes", "cookie", "who=me", "x-level", "9"), true, 0},
		{asking("x-rehearse", "yes", "cookie", "who=me", "x-level", "8"), false, 0},
		{asking("x-rehearse", "no", "cookie", "who=me", "x-level", "9"), false, 0},
		{asking("x-rehearse", "yes", "x-level", "9"), false, 0},
		{asking("x-rehearse", "yes", "cookie", "who=me"), false, 1}, // the expression fails
	} {
		err := f.OnRequest(t.Context(), c.x)
		if (err != nil) != c.hit {
			t.Errorf("%v: %v", c.x.In.Header, err)
		}
		f.shows(t, fmt.Sprintf(`sluice_faults_total{kind="expression_error",route="a"} %d`, c.unclear))
	}
}

func TestMistakes(t *testing.T) {
	for want, c := range map[string]Config{
		"nothing to inject":                  {},
		"abort: write status":                {Abort: &Abort{Percent: 1}},
		"not both":                           {Abort: &Abort{Status: 500, Connection: true}},
		`when["haeder:x"]: unknown selector`: {Abort: &Abort{Status: 500}, When: map[string]string{"haeder:x": "y"}},
		`when["header:x"]: an empty value`:   {Abort: &Abort{Status: 500}, When: map[string]string{"header:x": ""}},
		"expression:":                        {Abort: &Abort{Status: 500}, Expression: "request.hots"},
	} {
		if _, err := New(filter.Env{}, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

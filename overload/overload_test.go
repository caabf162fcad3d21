package overload

import (
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// steady is a monitor that always measures the same.
func steady(delay time.Duration, active int64) *Monitor {
	m := New(Settings{SchedulingDelay: 10 * time.Millisecond, ActiveConnections: 100}, func() int64 { return active })
	m.delay = func() time.Duration { return delay }
	return m
}

func TestPressure(t *testing.T) {
	for _, c := range []struct {
		name   string
		delay  time.Duration
		active int64
		looks  int
		want   float64
	}{
		{"nothing to do", 0, 0, 5, 0},
		{"at the threshold", 10 * time.Millisecond, 100, 5, 0},
		{"a little over", 11 * time.Millisecond, 0, 5, 0.55},
		{"far over", time.Second, 0, 2, 0.8},
		{"to the end", time.Second, 0, 50, 2},
		{"too many connections", 0, 200, 3, 0.6},
		{"the worse of the two", 15 * time.Millisecond, 300, 1, 0.3},
	} {
		m := steady(c.delay, c.active)
		for range c.looks {
			m.look()
		}
		if got := m.State(); math.Abs(got.Pressure-c.want) > 0.01 || got.SchedulingDelay != c.delay {
			t.Errorf("%s: %+v, want a pressure of %v", c.name, got, c.want)
		}
	}
	m := steady(time.Second, 0)
	m.look()
	m.delay = func() time.Duration { return 0 }
	for range 15 {
		m.look()
	}
	if p := m.State().Pressure; math.Abs(p-0.025) > 0.001 {
		t.Errorf("it fell to %v, want 0.025", p)
	}
}

// The sheddable go first, then the default, the critical never.
func TestWhoIsRefused(t *testing.T) {
	const requests = 20_000
	for _, c := range []struct {
		pressure                      uint32
		sheddable, standard, critical float64
	}{
		{0, 0, 0, 0}, {250, 0.25, 0, 0}, {1000, 1, 0, 0}, {1500, 1, 0.5, 0}, {2000, 1, 1, 0},
	} {
		m := steady(0, 0)
		m.pressure.Store(c.pressure)
		for criticality, want := range map[telemetry.Criticality]float64{
			telemetry.Sheddable: c.sheddable, telemetry.Default: c.standard, telemetry.Critical: c.critical,
		} {
			v := &Valve{Monitor: m, Criticality: criticality, Series: new(telemetry.ShedSeries), Event: new(telemetry.Events).Burst(telemetry.Event{})}
			n := 0
			for range requests {
				if err := v.Refuses(); err != nil {
					if f := failure.From(err); f.Code() != 503 || f.Header.Get("Retry-After") != "1" || f.Source != failure.Gateway {
						t.Fatalf("%v", err)
					}
					n++
				}
			}
			if share := float64(n) / requests; math.Abs(share-want) > 0.025 { // seven standard deviations
				t.Errorf("pressure %d: %.3f of the %v requests, want %.2f", c.pressure, share, criticality, want)
			}
		}
	}
	if (*Valve)(nil).Refuses() != nil {
		t.Error("no valve refuses")
	}
}

func TestStartAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := steady(time.Second, 0)
		m.Start()
		m.Start()
		time.Sleep(time.Second + time.Millisecond) // of synctest's clock
		if p := m.State().Pressure; p != 2 {
			t.Errorf("the pressure is %v", p)
		}
		m.Stop()
		m.Stop()
		if p := m.State().Pressure; p != 0 {
			t.Errorf("after the stop it is %v", p)
		}
		m.Start()
		time.Sleep(every + time.Millisecond)
		if p := m.State().Pressure; p != 0.4 {
			t.Errorf("started again it is %v", p)
		}
		m.Stop()
	})
}

func TestPercentile(t *testing.T) {
	bounds := []float64{0, 0.001, 0.01, 0.1, math.Inf(1)}
	for _, c := range []struct {
		counts []uint64
		want   time.Duration
	}{
		{[]uint64{19, 0, 0, 0}, 0}, // too few
		{[]uint64{20, 0, 0, 0}, time.Millisecond},
		{[]uint64{90, 10, 0, 0}, time.Millisecond},
		{[]uint64{89, 11, 0, 0}, 10 * time.Millisecond},
		{[]uint64{50, 0, 50, 0}, 100 * time.Millisecond},
		{[]uint64{0, 0, 0, 99}, 100 * time.Millisecond},
	} {
		if got := percentile(c.counts, bounds, 0.9); got != c.want {
			t.Errorf("%v: %v, want %v", c.counts, got, c.want)
		}
	}
}

// The runtime really has the histogram, and goroutines that are many and busy show in it.
func TestTheRuntimeTells(t *testing.T) {
	w := newWaits()
	if d := w.percentile90(); d != 0 {
		t.Errorf("the first time it is %v", d)
	}
	for range 50 {
		var all sync.WaitGroup
		for range 100 * runtime.GOMAXPROCS(0) {
			all.Go(func() {
				for range 1000 {
					runtime.Gosched()
				}
			})
		}
		all.Wait()
		if w.percentile90() > 0 {
			return
		}
	}
	t.Error("nobody ever waited")
}

func BenchmarkValve(b *testing.B) {
	v := &Valve{Monitor: steady(0, 0)}
	b.ReportAllocs()
	for b.Loop() {
		if v.Refuses() != nil {
			b.Fatal("refused")
		}
	}
}

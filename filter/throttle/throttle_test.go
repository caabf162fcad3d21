package throttle

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/memory"
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
	return buildOn(t, memory.New(0), c)
}

func buildOn(t testing.TB, l store.Limiter, c Config) *rig {
	t.Helper()
	if c.Window == 0 {
		c.Window = time.Second
	}
	c.Burst, c.Queue, c.QueueTotal = max(c.Burst, 1), max(c.Queue, 1), max(c.QueueTotal, 1)
	if c.MaxWait == 0 {
		c.MaxWait = time.Hour
	}
	metrics := telemetrytest.NewMetrics("a")
	f, err := New(filter.Env{Name: "throttle", Route: "a", Limiter: l, Metrics: metrics}, c)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{f.(*Filter), metrics}
}

func from(client string) *exchange.Exchange {
	return &exchange.Exchange{In: &http.Request{Header: http.Header{}}, Client: netip.MustParseAddr(client)}
}

func (f *rig) left(t *testing.T) {
	t.Helper()
	n := int(f.lines.waiting.Load())
	for i := range f.lines.shards {
		n += len(f.lines.shards[i].byKey)
	}
	if n != 0 {
		t.Error("somebody is still in line")
	}
	f.shows(t, `sluice_throttle_waiting{route="a"} 0`)
}

// crowd sends n requests of a client one after the other and returns when each passed, or -1 for a refusal.
func crowd(t *testing.T, f *rig, client string, n int) []time.Duration {
	began, passed := time.Now(), make([]time.Duration, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			passed[i] = -1
			if err := f.OnRequest(t.Context(), from(client)); err == nil {
				passed[i] = time.Since(began)
			} else if failure.From(err).Code() != 429 {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
	}
	all.Wait()
	return passed
}

func TestRequestsAreSpacedInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, Config{Limit: 10, Burst: 3, Queue: 100, QueueTotal: 100})
		const ms = time.Millisecond
		want := []time.Duration{0, 0, 0, 100 * ms, 200 * ms, 300 * ms, 400 * ms}
		if got := crowd(t, f, "192.0.2.1", len(want)); !slices.Equal(got, want) {
			t.Errorf("they passed at %v, want %v", got, want)
		}
		f.left(t)
		f.shows(t, `sluice_throttle_total{outcome="passed",route="a"} 3`, `sluice_throttle_total{outcome="delayed",route="a"} 4`)
	})
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, Config{Limit: 1, Queue: 100, QueueTotal: 100})
		var slow sync.WaitGroup
		for range 3 {
			slow.Go(func() {
				if err := f.OnRequest(t.Context(), from("192.0.2.1")); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if got := crowd(t, f, "192.0.2.2", 2); got[0] != 0 || got[1] != time.Second {
			t.Errorf("another caller passed at %v", got)
		}
		slow.Wait()
		f.left(t)
	})
}

func refusal(t *testing.T, f *rig, client, retryAfter string) {
	t.Helper()
	began := time.Now()
	err := f.OnRequest(t.Context(), from(client))
	if fail := failure.From(err); fail == nil || fail.Code() != 429 || fail.Header.Get("Retry-After") != retryAfter {
		t.Errorf("%v, want 429 and %s s", err, retryAfter)
	}
	if time.Since(began) != 0 {
		t.Errorf("it was refused after %v, not at once", time.Since(began))
	}
}

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		name       string
		Config     Config
		waiting    int
		client     string
		retryAfter string
	}{
		{"a full line", Config{Limit: 1, Queue: 2, QueueTotal: 9}, 2, "192.0.2.1", "3"},
		{"a wait that is too long", Config{Limit: 1, Queue: 9, QueueTotal: 9, MaxWait: 2500 * time.Millisecond}, 2, "192.0.2.1", "3"},
		{"no turn in time", Config{Limit: 1, Window: time.Minute, MaxWait: 59 * time.Second}, 0, "192.0.2.1", "60"},
		{"all lines together", Config{Limit: 1, Queue: 9, QueueTotal: 2, MaxWait: 7 * time.Second}, 2, "192.0.2.2", "7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := build(t, c.Config)
				for _, client := range []string{"192.0.2.1", "192.0.2.2"} {
					if err := f.OnRequest(t.Context(), from(client)); err != nil {
						t.Fatal(err)
					}
				}
				var all sync.WaitGroup
				for range c.waiting {
					all.Go(func() {
						if err := f.OnRequest(t.Context(), from("192.0.2.1")); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				refusal(t, f, c.client, c.retryAfter)
				all.Wait()
				f.left(t)
				f.shows(t, `sluice_throttle_total{outcome="refused",route="a"} 1`)
			})
		})
	}
}

// One in the middle of a line goes away: it is out at once, and those behind it move up.
func TestAClientThatLeavesTheLine(t *testing.T) {
	for position := range 3 {
		t.Run(strconv.Itoa(position), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := build(t, Config{Limit: 1, Queue: 9, QueueTotal: 9})
				if err := f.OnRequest(t.Context(), from("192.0.2.1")); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				ctx, leave := context.WithCancel(t.Context())
				passed := make([]time.Duration, 3)
				var all sync.WaitGroup
				for i := range passed {
					all.Go(func() {
						of := t.Context()
						if i == position {
							of = ctx
						}
						err := f.OnRequest(of, from("192.0.2.1"))
						passed[i] = time.Since(began)
						if i == position != errors.Is(err, context.Canceled) {
							t.Errorf("%d: %v", i, err)
						}
					})
					synctest.Wait()
				}
				time.Sleep(500 * time.Millisecond) // of synctest's clock
				leave()
				all.Wait()
				if passed[position] != 500*time.Millisecond {
					t.Errorf("it left after %v", passed[position])
				}
				rest := slices.Delete(passed, position, position+1)
				if want := []time.Duration{time.Second, 2 * time.Second}; !slices.Equal(rest, want) {
					t.Errorf("the others passed at %v, want %v", rest, want)
				}
				f.left(t)
				f.shows(t, `sluice_throttle_total{outcome="gone",route="a"} 1`)
			})
		})
	}
}

type away struct{ after int }

func (l *away) Take(context.Context, store.Key, store.Rate) (store.Decision, error) {
	if l.after--; l.after < 0 {
		return store.Decision{}, errors.New("away")
	}
	return store.Decision{RetryAfter: time.Second}, nil
}

func TestALimiterThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for after := range 3 {
			f := buildOn(t, &away{after}, Config{Limit: 1})
			if err := f.OnRequest(t.Context(), from("192.0.2.1")); err != nil {
				t.Error(err)
			}
			f.left(t)
		}
	})
}

// A limiter that others use too may keep the first of a line waiting for longer than anybody could foresee.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := buildOn(t, &away{1 << 30}, Config{Limit: 1, MaxWait: 3500 * time.Millisecond, Queue: 9, QueueTotal: 9})
		if got := crowd(t, f, "192.0.2.1", 3); !slices.Equal(got, []time.Duration{-1, -1, -1}) {
			t.Errorf("%v", got)
		}
		f.left(t)
	})
}

// A wide burst of callers who come and go leaves nothing behind.
func TestNothingIsLeft(t *testing.T) {
	f := build(t, Config{Limit: 1000, Burst: 5, Queue: 50, QueueTotal: 200, MaxWait: 20 * time.Millisecond})
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			for j := range 10 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+j)%3 == 0 {
					go cancel()
				}
				_ = f.OnRequest(ctx, from("192.0.2."+strconv.Itoa(i%7)))
				cancel()
			}
		})
	}
	all.Wait()
	f.left(t)
}

func TestPhase(t *testing.T) {
	if p := build(t, Config{Limit: 1}).Phase(); p != filter.Admit {
		t.Errorf("by address: phase %v", p)
	}
	var key exchange.Selector
	if err := key.UnmarshalText([]byte("consumer")); err != nil {
		t.Fatal(err)
	}
	if p := build(t, Config{Limit: 1, Key: key}).Phase(); p != filter.Limit {
		t.Errorf("by consumer: phase %v", p)
	}
}

func BenchmarkFilter(b *testing.B) {
	f := build(b, Config{Limit: 1e9, Burst: 1e9})
	x := from("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		if f.OnRequest(b.Context(), x) != nil {
			b.Fatal("refused")
		}
	}
}

package concurrencylimit

import (
	"context"
	"net/http"
	"net/netip"
	"runtime"
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
	if c.MaxWait == 0 {
		c.MaxWait = time.Second
	}
	metrics := telemetrytest.NewMetrics("a")
	f, err := New(filter.Env{Name: "concurrencyLimit", Scope: "route/a", Route: "a", Metrics: metrics}, c)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{f.(*Filter), metrics}
}

func from(client string) *exchange.Exchange {
	x := new(exchange.Exchange)
	x.Reset()
	x.In, x.Client = &http.Request{Header: http.Header{}}, netip.MustParseAddr(client)
	return x
}

// admitted asks for a place and fails the test if there is none.
func admitted(t *testing.T, f *rig, client string) *exchange.Exchange {
	t.Helper()
	x := from(client)
	if err := f.OnRequest(t.Context(), x); err != nil {
		t.Fatalf("%s is refused: %v", client, err)
	}
	return x
}

func refused(t *testing.T, f *rig, client string) *exchange.Exchange {
	t.Helper()
	x := from(client)
	err := f.OnRequest(t.Context(), x)
	if fail := failure.From(err); fail == nil || fail.Code() != 429 || fail.Header.Get("Retry-After") != "1" {
		t.Fatalf("%s is answered %v, want 429", client, err)
	}
	return x
}

func TestAtMostSoMany(t *testing.T) {
	f := build(t, Config{Limit: 2})
	a, b := admitted(t, f, "192.0.2.1"), admitted(t, f, "192.0.2.1")
	c := refused(t, f, "192.0.2.1")
	other := admitted(t, f, "192.0.2.2")
	f.OnFinish(c) // one that was refused has nothing to give back
	refused(t, f, "192.0.2.1")
	f.OnFinish(a)
	d := admitted(t, f, "192.0.2.1")
	refused(t, f, "192.0.2.1")
	for _, x := range []*exchange.Exchange{b, other, d} {
		f.OnFinish(x)
	}
	if n := f.places.keys(); n != 0 {
		t.Errorf("%d keys are remembered with nothing in flight", n)
	}
	f.shows(t, `sluice_concurrency_limit_in_flight{route="a"} 0`,
		`sluice_concurrency_limit_total{outcome="allowed",route="a"} 4`,
		`sluice_concurrency_limit_total{outcome="limited",route="a"} 3`)
}

// An exchange that another filter answered before this one's turn finishes all the same.
func TestAnExchangeThatNeverCame(t *testing.T) {
	f := build(t, Config{Limit: 1})
	a := admitted(t, f, "192.0.2.1")
	f.OnFinish(from("192.0.2.1"))
	refused(t, f, "192.0.2.1")
	f.OnFinish(a)
}

func TestTheQueueIsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, Config{Limit: 1, Queue: 3, MaxWait: time.Minute})
		first := admitted(t, f, "192.0.2.1")
		var mu sync.Mutex
		var order []int
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				x := admitted(t, f, "192.0.2.1")
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				f.OnFinish(x)
			})
			synctest.Wait()
		}
		f.shows(t, `sluice_concurrency_limit_waiting{route="a"} 3`)
		refused(t, f, "192.0.2.1") // the queue is full
		f.OnFinish(first)
		all.Wait()
		for i, got := range order {
			if got != i {
				t.Fatalf("the order is %v", order)
			}
		}
		if f.places.keys() != 0 {
			t.Error("the key is remembered")
		}
		f.shows(t, `sluice_concurrency_limit_waiting{route="a"} 0`)
	})
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, Config{Limit: 1, Queue: 5, MaxWait: 3 * time.Second})
		first := admitted(t, f, "192.0.2.1")
		began := time.Now()
		refused(t, f, "192.0.2.1")
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("waited %v", waited)
		}
		f.OnFinish(first)
		if f.places.keys() != 0 {
			t.Error("the key is remembered")
		}
	})
}

func TestAClientThatLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, Config{Limit: 1, Queue: 1, MaxWait: time.Hour})
		first := admitted(t, f, "192.0.2.1")
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { gone <- f.OnRequest(ctx, from("192.0.2.1")) }()
		synctest.Wait()
		refused(t, f, "192.0.2.1")
		leave()
		if err := <-gone; err != context.Canceled {
			t.Errorf("%v", err)
		}
		var second *exchange.Exchange // its room in the queue is free again
		go func() { second = admitted(t, f, "192.0.2.1") }()
		synctest.Wait()
		f.OnFinish(first)
		synctest.Wait()
		if second == nil {
			t.Fatal("nobody got the place")
		}
		f.OnFinish(second)
		if f.places.keys() != 0 {
			t.Error("the place of the client that left is not free")
		}
		f.shows(t, `sluice_concurrency_limit_total{outcome="gone",route="a"} 1`)
	})
}

// Whatever happens at once, places are neither lost nor made.
func TestPlacesAreKept(t *testing.T) {
	const limit = 4
	f := build(t, Config{Limit: limit, Queue: 8, MaxWait: time.Millisecond})
	var mu sync.Mutex
	inside, most := 0, 0
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%4 == 0 {
					go cancel()
				}
				x := from("192.0.2.1")
				if f.OnRequest(ctx, x) == nil {
					mu.Lock()
					inside++
					most = max(most, inside)
					mu.Unlock()
					mu.Lock()
					inside--
					mu.Unlock()
				}
				f.OnFinish(x)
				cancel()
			}
		})
	}
	all.Wait()
	if most > limit {
		t.Errorf("%d were in flight, the limit is %d", most, limit)
	}
	if f.places.keys() != 0 {
		t.Error("places are lost")
	}
	f.shows(t, `sluice_concurrency_limit_in_flight{route="a"} 0`, `sluice_concurrency_limit_waiting{route="a"} 0`)
}

func TestPhaseAndKey(t *testing.T) {
	if p := build(t, Config{Limit: 1}).Phase(); p != filter.Admit {
		t.Errorf("by address: phase %v", p)
	}
	var key exchange.Selector
	if err := key.UnmarshalText([]byte("header:x-user")); err != nil {
		t.Fatal(err)
	}
	f := build(t, Config{Limit: 1, Key: key})
	if p := f.Phase(); p != filter.Limit {
		t.Errorf("by header: phase %v", p)
	}
	ann := from("192.0.2.1")
	ann.In.Header.Set("x-user", "ann")
	if err := f.OnRequest(t.Context(), ann); err != nil {
		t.Error(err)
	}
	admitted(t, f, "192.0.2.1") // without the header: by address
	refused(t, f, "192.0.2.1")
}

func BenchmarkFilter(b *testing.B) {
	f := build(b, Config{Limit: 1e6})
	x := from("192.0.2.1")
	x.Client = netip.MustParseAddr("192.0.2.1")
	held := from("192.0.2.1")
	if err := f.OnRequest(b.Context(), held); err != nil {
		b.Fatal(err)
	}
	in, client := x.In, x.Client
	b.ReportAllocs()
	for b.Loop() {
		x.Reset()
		x.In, x.Client = in, client
		if f.OnRequest(b.Context(), x) != nil {
			b.Fatal("refused")
		}
		f.OnFinish(x)
	}
}

package concurrency

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiterBounds(t *testing.T) {
	ctx := context.Background()
	l := New(Settings{Max: 2})
	for range 2 {
		if !l.Enter(ctx, time.Time{}) {
			t.Fatal("there are two places")
		}
	}
	if l.Enter(ctx, time.Time{}) {
		t.Fatal("a third request got in")
	}
	if l.Inside() != 2 || l.Refused() != 1 || l.Limit() != 2 {
		t.Errorf("inside %d, refused %d, limit %d", l.Inside(), l.Refused(), l.Limit())
	}
	l.Leave(true)
	if !l.Enter(ctx, time.Time{}) {
		t.Error("a place given back cannot be had")
	}
}

func TestNoLimit(t *testing.T) {
	l := New(Settings{})
	for range 10_000 {
		if !l.Enter(context.Background(), time.Time{}) {
			t.Fatal("refused")
		}
	}
	if l.Limit() != 0 {
		t.Errorf("limit %d, want 0 for none", l.Limit())
	}
}

func TestLimiterQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Settings{Max: 1, Pending: 2, Wait: time.Second})
		l.Enter(t.Context(), time.Time{})
		var order []int
		var mu sync.Mutex
		for i := range 2 {
			go func() {
				if l.Enter(t.Context(), time.Time{}) {
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
				}
			}()
			synctest.Wait()
		}
		if l.Pending() != 2 {
			t.Fatalf("%d wait, want 2", l.Pending())
		}
		if l.Enter(t.Context(), time.Time{}) {
			t.Fatal("the queue is full, and a request got in")
		}
		for range 2 {
			l.Leave(true)
			synctest.Wait()
		}
		if len(order) != 2 || order[0] != 0 || order[1] != 1 {
			t.Errorf("let in: %v, want first come first", order)
		}
		if l.Pending() != 0 || l.Inside() != 1 {
			t.Errorf("%d wait and %d are inside", l.Pending(), l.Inside())
		}
	})
}

func TestLimiterWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Settings{Max: 1, Pending: 5, Wait: time.Second})
		l.Enter(t.Context(), time.Time{})
		began := time.Now()
		if l.Enter(t.Context(), time.Time{}) {
			t.Fatal("there is no place")
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("waited %v, want 1s", d)
		}
		began = time.Now()
		if l.Enter(t.Context(), began.Add(100*time.Millisecond)) || time.Since(began) != 100*time.Millisecond {
			t.Errorf("waited %v, beyond the deadline", time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if l.Enter(ctx, time.Time{}) {
			t.Error("who had gone got in")
		}
		if l.Pending() != 0 || l.Inside() != 1 {
			t.Errorf("%d wait and %d are inside", l.Pending(), l.Inside())
		}
	})
}

// No place is lost and none is given twice, whatever the interleaving.
func TestLimiterUnderContention(t *testing.T) {
	l := New(Settings{Max: 3, Pending: 50, Wait: time.Minute})
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 500 {
				if !l.Enter(context.Background(), time.Time{}) {
					t.Error("refused, though the queue has room for all")
					return
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				inside.Add(-1)
				l.Leave(true)
			}
		})
	}
	all.Wait()
	if most.Load() > 3 {
		t.Errorf("%d were inside at once", most.Load())
	}
	if l.Inside() != 0 || l.Pending() != 0 {
		t.Errorf("%d inside, %d waiting in the end", l.Inside(), l.Pending())
	}
}

func BenchmarkLimiter(b *testing.B) {
	for _, s := range []struct {
		name string
		Settings
	}{{"fixed", Settings{Max: 1000}}, {"adaptive", Settings{Adaptive: true}}} {
		b.Run(s.name, func(b *testing.B) {
			l, ctx := New(s.Settings), context.Background()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if l.Enter(ctx, time.Time{}) {
						l.Leave(true)
					}
				}
			})
		})
	}
}

package retry

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestIdempotent(t *testing.T) {
	for method, want := range map[string]bool{
		"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true,
		"POST": false, "PATCH": false, "CONNECT": false, "get": false, "": false, "PURGE": false,
	} {
		if got := Idempotent(method); got != want {
			t.Errorf("%q: %v", method, got)
		}
	}
}

func TestBackoffIsBoundedAndFullyJittered(t *testing.T) {
	const base, most = 25 * time.Millisecond, 250 * time.Millisecond
	for n, bound := range []time.Duration{1: base, 2: 2 * base, 3: 4 * base, 4: 8 * base, 5: most, 6: most, 100: most} {
		if bound == 0 {
			continue
		}
		low, high := bound, time.Duration(0)
		for range 2000 {
			d := Backoff(base, most, n)
			low, high = min(low, d), max(high, d)
		}
		if high >= bound || high < bound*9/10 || low > bound/10 {
			t.Errorf("retry %d waits %v to %v, want all of 0 to %v", n, low, high, bound)
		}
	}
	if d := Backoff(0, most, 3); d != 0 {
		t.Errorf("base 0 waits %v", d)
	}
	for range 100 {
		if d := Backoff(time.Hour, 0, 1<<20); d < 0 {
			t.Fatalf("an endless wait overflowed: %v", d)
		}
	}
}

// takes counts how many of n retries the budget allows.
func takes(b *Budget, n int) (allowed int) {
	for range n {
		if b.Take() {
			allowed++
		}
	}
	return allowed
}

func TestBudgetIsAShareOfTheRequestsAndAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(20, 3)
		if got := takes(b, 100); got != 30 {
			t.Errorf("without a request %d retries, want 3 x 10", got)
		}
		for range 500 {
			b.Request(time.Now())
		}
		if got := takes(b, 1000); got != 70 {
			t.Errorf("after 500 requests %d more, want 20 %% of them in all", got)
		}
		if got := takes(NewBudget(0, 0), 1); got != 0 {
			t.Error("an empty budget allowed a retry")
		}
	})
}

func TestBudgetSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 1)
		for range 5 {
			if takes(b, 1) != 1 {
				t.Fatal("refused within the budget")
			}
			time.Sleep(time.Second)
		}
		if got := takes(b, 100); got != 5 { // at 5 s
			t.Fatalf("%d left after five, want 5", got)
		}
		time.Sleep(5*time.Second - time.Millisecond) // the first was taken 9.999 s ago
		if takes(b, 1) != 0 {
			t.Error("more than 10 within 10 s")
		}
		time.Sleep(tick + time.Millisecond)
		if got := takes(b, 100); got != 1 {
			t.Errorf("%d came free after 10.1 s, want the first", got)
		}
		time.Sleep(time.Minute)
		if got := takes(b, 100); got != 10 {
			t.Errorf("%d after a silent minute, want 10", got)
		}
	})
}

func TestBudgetForgetsOldRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 0)
		for range 50 {
			b.Request(time.Now())
		}
		time.Sleep(window + tick)
		b.Request(time.Now())
		if got := takes(b, 100); got != 1 {
			t.Errorf("%d retries for one request", got)
		}
	})
}

// No 10 s may hold more than the budget, wherever they begin.
func TestBudgetHoldsForEveryWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(0, 2)
		var taken []time.Duration
		start := time.Now()
		for range 4000 { // 92 s
			if b.Take() {
				taken = append(taken, time.Since(start))
			}
			time.Sleep(23 * time.Millisecond)
		}
		if len(taken) < 150 {
			t.Errorf("only %d retries in 92 s at 2 a second", len(taken))
		}
		for i := range taken {
			if j := i + 20; j < len(taken) && taken[j]-taken[i] < window {
				t.Fatalf("21 retries between %v and %v", taken[i], taken[j])
			}
		}
	})
}

func TestBudgetIsExactUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that no tick passes
		b := NewBudget(10, 5)
		var allowed atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 250 {
					b.Request(time.Now())
				}
			})
		}
		all.Wait()
		for range 8 {
			all.Go(func() { allowed.Add(int64(takes(b, 200))) })
		}
		all.Wait()
		if got := allowed.Load(); got != 200 {
			t.Errorf("%d retries, want 10 %% of 2000", got)
		}
	})
}

func TestBudgetCountersSaturate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 1e6)
		slot, now := b.slot(time.Now())
		slot.Store(now<<(requestBits+retryBits) | maxRetries<<requestBits | maxRequests)
		b.Request(time.Now())
		if b.Take() {
			t.Error("a full counter took another retry")
		}
		if word := slot.Load(); word&maxRequests != maxRequests || tickOf(word) != now {
			t.Errorf("a full counter ran over: %x", word)
		}
	})
}

func BenchmarkBudgetRequest(b *testing.B) {
	budget, now := NewBudget(20, 3), time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			budget.Request(now)
		}
	})
}

func BenchmarkBudgetTake(b *testing.B) {
	budget := NewBudget(20, 1e6)
	b.ReportAllocs()
	for b.Loop() {
		budget.Take()
	}
}

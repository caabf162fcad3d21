package memory

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/store"
)

var _ store.Limiter = (*Limiter)(nil)

// clocked is a limiter whose time stands still until it is moved.
func clocked(maxKeys int) (*Limiter, *int64) {
	l, now := New(maxKeys), new(int64)
	l.clock = func() int64 { return *now }
	return l, now
}

func take(t interface{ Fatal(...any) }, l *Limiter, value string, rate store.Rate) store.Decision {
	d, err := l.Take(context.Background(), store.Key{Rule: "r", Value: value}, rate)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBurstThenSteady(t *testing.T) {
	l, now := clocked(0)
	rate := store.Rate{Limit: 10, Window: time.Second, Burst: 3}
	for i := range 3 {
		want := store.Decision{Allowed: true, Remaining: int64(2 - i), Reset: time.Duration(i+1) * 100 * time.Millisecond}
		if i == 2 {
			want.RetryAfter = 100 * time.Millisecond
		}
		if d := take(t, l, "k", rate); d != want {
			t.Errorf("request %d: %+v, want %+v", i, d, want)
		}
	}
	refused := store.Decision{RetryAfter: 100 * time.Millisecond, Reset: 300 * time.Millisecond}
	for range 5 {
		if d := take(t, l, "k", rate); d != refused {
			t.Errorf("over the limit: %+v, want %+v", d, refused)
		}
	}
	*now += int64(100*time.Millisecond) - 1
	if d := take(t, l, "k", rate); d.Allowed || d.RetryAfter != 1 {
		t.Errorf("a nanosecond early: %+v", d)
	}
	*now++
	if d := take(t, l, "k", rate); !d.Allowed {
		t.Errorf("on time: %+v", d)
	}
	if d := take(t, l, "other", rate); !d.Allowed || d.Remaining != 2 {
		t.Errorf("another key: %+v", d)
	}
	d, err := l.Take(context.Background(), store.Key{Rule: "other", Value: "k"}, rate)
	if err != nil || d.Remaining != 2 {
		t.Errorf("another rule: %+v, %v", d, err)
	}
}

func TestKeysDoNotRunTogether(t *testing.T) {
	l, _ := clocked(0)
	rate := store.Rate{Limit: 1, Window: time.Hour, Burst: 1}
	for _, k := range []store.Key{{Rule: "ab", Value: "c"}, {Rule: "a", Value: "bc"}, {Rule: "c", Value: "ab"}, {Rule: "", Value: "abc"}, {Rule: "abc", Value: ""}} {
		if d, _ := l.Take(context.Background(), k, rate); !d.Allowed {
			t.Errorf("%+v shares a counter", k)
		}
	}
}

func TestARateThatIsLowered(t *testing.T) {
	l, now := clocked(0)
	for range 1000 {
		take(t, l, "k", store.Rate{Limit: 1000, Window: time.Hour, Burst: 1000})
	}
	rate := store.Rate{Limit: 1, Window: time.Second, Burst: 1}
	if d := take(t, l, "k", rate); d.Allowed || d.RetryAfter != time.Second || d.Reset != time.Second {
		t.Errorf("right after: %+v, want to wait a second", d)
	}
	*now += int64(time.Second)
	if d := take(t, l, "k", rate); !d.Allowed {
		t.Errorf("a second later: %+v", d)
	}
}

func TestExtremes(t *testing.T) {
	for _, rate := range []store.Rate{
		{Limit: 1, Window: math.MaxInt64, Burst: math.MaxInt64},
		{Limit: math.MaxInt64, Window: 1, Burst: math.MaxInt64},
		{Limit: math.MaxInt64, Window: math.MaxInt64, Burst: 1},
		{Limit: 1e9, Window: 24 * time.Hour, Burst: 1e9},
	} {
		l, now := clocked(0)
		*now = math.MaxInt64 / 2
		if d := take(t, l, "k", rate); !d.Allowed || d.Remaining < 0 || d.RetryAfter < 0 || d.Reset <= 0 {
			t.Errorf("%+v: %+v", rate, d)
		}
	}
	for _, rate := range []store.Rate{{}, {Limit: 1, Window: time.Second}, {Limit: 1, Burst: 1}, {Limit: -1, Window: 1, Burst: 1}} {
		if _, err := New(1).Take(context.Background(), store.Key{}, rate); err == nil {
			t.Errorf("%+v was taken for a rate", rate)
		}
	}
}

// TestModel compares with the definition: a bucket as a fraction, kept for every key for ever.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now := clocked(rapid.SampledFrom([]int{8, 4096}).Draw(t, "keys"))
		limit := rapid.Int64Range(1, 50).Draw(t, "limit")
		interval := rapid.Int64Range(1, 1e6).Draw(t, "interval")
		rate := store.Rate{Limit: limit, Window: time.Duration(limit * interval), Burst: rapid.Int64Range(1, 50).Draw(t, "burst")}
		full := make(map[string]int64) // when the bucket is full again
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			*now += rapid.Int64Range(0, 3*interval).Draw(t, "pause")
			key := rapid.StringMatching("[a-h]").Draw(t, "key")
			used := max(0, full[key]-*now)
			allowed := used+interval <= interval*rate.Burst
			if allowed {
				used += interval
			}
			full[key] = *now + used
			want := store.Decision{Allowed: allowed, Remaining: rate.Burst - (used+interval-1)/interval, Reset: time.Duration(used)}
			if left := interval*rate.Burst - used; left < interval {
				want.RetryAfter = time.Duration(interval - left)
			}
			if d := take(t, l, key, rate); d != want {
				t.Fatalf("%s at %d: %+v, want %+v", key, *now, d, want)
			}
			check(t, l)
		}
	})
}

// check holds a limiter to what must be true between any two calls.
func check(t interface{ Fatalf(string, ...any) }, l *Limiter) {
	for i := range l.shards {
		s := &l.shards[i]
		n := 0
		for j := s.entries[0].next; j != 0; j = s.entries[j].next {
			if e := s.entries[j]; !e.used || s.index[e.hash] != j || s.entries[e.next].prev != j {
				t.Fatalf("entry %d of shard %d is not linked as it should be", j, i)
			}
			n++
		}
		free := 0
		for j := s.free; j != 0; j = s.entries[j].next {
			free++
		}
		if n != len(s.index) || n > s.max || n+free != len(s.entries)-1 {
			t.Fatalf("shard %d: %d linked, %d free, %d in the index, %d entries, at most %d", i, n, free, len(s.index), len(s.entries), s.max)
		}
	}
}

func TestFullOfLiveKeys(t *testing.T) {
	l, _ := clocked(16)
	rate := store.Rate{Limit: 1, Window: time.Hour, Burst: 1}
	for i := range 16 {
		take(t, l, strconv.Itoa(i), rate)
	}
	if d := take(t, l, "0", rate); d.Allowed { // and is now the most recently used
		t.Fatal("forgotten while there was room")
	}
	take(t, l, "new", rate)
	if l.Len() != 16 {
		t.Errorf("%d keys, want 16", l.Len())
	}
	if d := take(t, l, "0", rate); d.Allowed {
		t.Error("a key in use was given up before the one unused for longest")
	}
	if d := take(t, l, "1", rate); !d.Allowed {
		t.Error("the key unused for longest was not the one given up")
	}
	check(t, l)
}

func TestIdleKeysGo(t *testing.T) {
	l, now := clocked(1000)
	rate := store.Rate{Limit: 1, Window: time.Second, Burst: 1}
	for i := range 900 {
		take(t, l, strconv.Itoa(i), rate)
	}
	*now += int64(time.Hour)
	for i := range 4000 {
		take(t, l, fmt.Sprint("busy", i%64), store.Rate{Limit: 1, Window: 10 * time.Hour, Burst: 1e6})
	}
	if n := l.Len(); n != 64 {
		t.Errorf("%d keys are left, want only the 64 busy ones", n)
	}
	check(t, l)
}

func TestConcurrent(t *testing.T) {
	l, _ := clocked(2000)
	rate := store.Rate{Limit: 100, Window: time.Hour, Burst: 100}
	var allowed atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 1000 {
				if d, _ := l.Take(context.Background(), store.Key{Value: strconv.Itoa(i % 10)}, rate); d.Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	group.Wait()
	if allowed.Load() != 1000 {
		t.Errorf("%d allowed, want 10 keys × 100", allowed.Load())
	}
	check(t, l)
}

func TestTheRealClock(t *testing.T) {
	l := New(0)
	rate := store.Rate{Limit: 1, Window: time.Hour, Burst: 1}
	if first, second := take(t, l, "k", rate), take(t, l, "k", rate); !first.Allowed || second.Allowed || second.RetryAfter > time.Hour {
		t.Errorf("%+v, %+v", first, second)
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	l := New(0)
	key, rate := store.Key{Rule: "route/orders/rateLimit", Value: "192.0.2.1"}, store.Rate{Limit: 100, Window: time.Minute, Burst: 100}
	if n := testing.AllocsPerRun(1000, func() { _, _ = l.Take(context.Background(), key, rate) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 100_000} {
		b.Run(strconv.Itoa(keys), func(b *testing.B) {
			l := New(0)
			values := make([]string, keys)
			for i := range values {
				values[i] = fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)
			}
			rate := store.Rate{Limit: 1e6, Window: time.Second, Burst: 1e6}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, _ = l.Take(context.Background(), store.Key{Rule: "route/orders/rateLimit", Value: values[i%keys]}, rate)
			}
		})
	}
}

func BenchmarkTakeParallel(b *testing.B) {
	l := New(0)
	rate := store.Rate{Limit: 1e6, Window: time.Second, Burst: 1e6}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		values := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"}
		for i := 0; pb.Next(); i++ {
			_, _ = l.Take(context.Background(), store.Key{Rule: "route/orders/rateLimit", Value: values[i%5]}, rate)
		}
	})
}

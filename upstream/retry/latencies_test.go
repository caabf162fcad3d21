package retry

import (
	"sync"
	"testing"
	"time"
)

func TestQuantilesOfLatencies(t *testing.T) {
	l, now := new(Latencies), time.Unix(1_000_000, 0)
	if _, known := l.Quantile(.5, now); known {
		t.Error("nothing is known, and something was told")
	}
	now = now.Add(time.Second)
	for i := 1; i <= 1000; i++ {
		l.Observe(time.Duration(i)*time.Millisecond, now)
	}
	for _, q := range []float64{.5, .9, .95, .99, 1} {
		got, known := l.Quantile(q, now)
		want := time.Duration(q * float64(time.Second))
		if !known || got < want || got > want*9/8+time.Millisecond {
			t.Errorf("quantile %v: %v, %v, want %v or up to an eighth more", q, got, known, want)
		}
	}
	// Ten seconds later they still count, twenty later no more.
	now = now.Add(latencyPeriod)
	for range 1000 {
		l.Observe(time.Second, now)
	}
	if got, _ := l.Quantile(.25, now); got < 450*time.Millisecond || got > 600*time.Millisecond {
		t.Errorf("half of them old: %v", got)
	}
	now = now.Add(latencyPeriod)
	l.Observe(time.Second, now)
	if got, _ := l.Quantile(.01, now); got < time.Second {
		t.Errorf("the old ones still count: %v", got)
	}
	if _, known := l.Quantile(.5, now.Add(3*latencyPeriod)); known {
		t.Error("what was known long ago is still told")
	}
}

func TestLatencyBuckets(t *testing.T) {
	last := -1
	for d := time.Duration(1); d < 20*time.Minute; d = d*17/16 + 1 {
		i := latencyBucket(d)
		if i < last || i >= latencyBuckets {
			t.Fatalf("%v is in bucket %d after %d", d, i, last)
		}
		if bound := latencyBound(i); i < latencyBuckets-1 && (bound <= d || float64(bound) > float64(d)*1.13+1<<latencyUnit) {
			t.Fatalf("%v is in bucket %d, which ends at %v", d, i, bound)
		}
		last = i
	}
	if last != latencyBuckets-1 || latencyBucket(-time.Second) != 0 {
		t.Errorf("the longest is in bucket %d", last)
	}
}

func TestLatenciesOfManyAtOnce(t *testing.T) {
	l := new(Latencies)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 1000 {
				now := time.Unix(1_000_000, int64(i)*int64(latencyPeriod/100))
				l.Observe(time.Millisecond, now)
				if d, known := l.Quantile(.9, now); known && (d < time.Millisecond || d > 2*time.Millisecond) {
					t.Errorf("%v", d)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkLatencies(b *testing.B) {
	l, now := new(Latencies), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		l.Observe(time.Millisecond, now)
		l.Quantile(.95, now)
	}
}

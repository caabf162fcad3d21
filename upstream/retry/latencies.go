package retry

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Latencies tells how long answers take: what part of them came within which time, over the last ten to twenty seconds.
//
// Times are counted in buckets, eight for each power of two from 8 µs to nine minutes, so that a quantile is never more
// than an eighth too long. There are two sets of counters, of this period and of the one before. Observe is two atomic
// loads and an addition. What a quantile is read from is added up at most ten times a second, by the first that asks.
type Latencies struct {
	period atomic.Int64 // that the counters of its parity count
	counts [2][latencyBuckets]atomic.Uint32

	mu    sync.Mutex // adds up
	added atomic.Pointer[latencySums]
}

const (
	latencyBuckets = 192
	latencyUnit    = 13 // 2^13 ns, about 8 µs
	latencyPeriod  = 10 * time.Second
	latencyRenewed = 100 * time.Millisecond

	// latencyFew is how many answers are too few to know anything.
	latencyFew = 50
)

// latencySums are the numbers of answers in each bucket and all below.
type latencySums struct {
	at   time.Time
	upTo [latencyBuckets]uint64
}

// Observe counts an answer.
func (l *Latencies) Observe(d time.Duration, now time.Time) {
	l.counts[l.turn(now)&1][latencyBucket(d)].Add(1)
}

// turn is the period of now. The first in a period empties its counters, which are those of the last but one.
func (l *Latencies) turn(now time.Time) int64 {
	p := now.UnixNano() / int64(latencyPeriod)
	before := l.period.Load()
	if p <= before || !l.period.CompareAndSwap(before, p) {
		return p
	}
	l.empty(p)
	if p > before+1 {
		l.empty(p + 1)
	}
	return p
}

func (l *Latencies) empty(period int64) {
	for i := range l.counts[period&1] {
		l.counts[period&1][i].Store(0)
	}
}

// Quantile is the time within which the part q of all answers came; false while there were too few to tell.
func (l *Latencies) Quantile(q float64, now time.Time) (time.Duration, bool) {
	s := l.added.Load()
	if s == nil || now.Sub(s.at) > latencyRenewed {
		s = l.add(s, now)
	}
	all := s.upTo[latencyBuckets-1]
	if all < latencyFew {
		return 0, false
	}
	low, high := 0, latencyBuckets-1
	for low < high {
		if middle := (low + high) / 2; float64(s.upTo[middle]) >= q*float64(all) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return latencyBound(low), true
}

// add adds up. While one does, the others use the sums before.
func (l *Latencies) add(before *latencySums, now time.Time) *latencySums {
	if before == nil {
		l.mu.Lock()
	} else if !l.mu.TryLock() {
		return before
	}
	defer l.mu.Unlock()
	l.turn(now)
	s, sum := &latencySums{at: now}, uint64(0)
	for i := range s.upTo {
		sum += uint64(l.counts[0][i].Load()) + uint64(l.counts[1][i].Load())
		s.upTo[i] = sum
	}
	l.added.Store(s)
	return s
}

// latencyBucket is the bucket of a time: the three bits after the highest choose one of the eight.
func latencyBucket(d time.Duration) int {
	u := uint64(max(0, d)) >> latencyUnit
	if u < 8 {
		return int(u)
	}
	e := bits.Len64(u) - 4
	return min(8*e+int(u>>e), latencyBuckets-1)
}

// latencyBound is the end of a bucket.
func latencyBound(i int) time.Duration {
	e := max(0, i/8-1)
	return time.Duration(i-8*e+1) << e << latencyUnit
}

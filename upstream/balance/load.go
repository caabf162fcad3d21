package balance

import (
	"math"
	"sync/atomic"
	"time"
)

// Load is what is known of an endpoint's load: what it has to do and how long it takes. It outlives pickers.
type Load struct {
	InFlight atomic.Int64 // requests begun and not ended

	// average is the latency in nanoseconds as a float32, above; below, when that was learned, as a stamp. One word, so
	// that it is replaced by one compare-and-swap.
	average atomic.Uint64
}

// Memory is how fast old latencies are forgotten: after it, what was has the weight 1/e.
const Memory = 10 * time.Second

// stamp is a time in milliseconds. It comes round after 49 days, when an endpoint that had no answer since is taken for one
// that had one just now.
type stamp uint32

var epoch = time.Now()

func stampOf(t time.Time) stamp { return stamp(t.Sub(epoch) / time.Millisecond) }

// Learn takes a latency into the average. One above it is believed at once, one below it slowly: an endpoint that begins
// to fail is avoided with the first slow answer, and has to be fast for a while to be trusted again. Within one
// millisecond only the slowest counts, so that a busy endpoint's average is not fought for.
func (l *Load) Learn(latency time.Duration, now time.Time) {
	at, next := stampOf(now), float32(latency)
	for {
		old := l.average.Load()
		before, since := unpack(old)
		switch {
		case old == 0 || next >= before:
		case at == since || int32(at-since) < 0:
			return
		default:
			keep := float32(math.Exp(-float64(at-since) / float64(Memory/time.Millisecond)))
			next = before*keep + next*(1-keep)
		}
		if l.average.CompareAndSwap(old, pack(next, at)) {
			return
		}
		next = float32(latency)
	}
}

// Latency is the average; 0: nothing is known.
func (l *Load) Latency() time.Duration {
	average, _ := unpack(l.average.Load())
	return time.Duration(average)
}

func pack(average float32, at stamp) uint64 {
	return uint64(math.Float32bits(max(1, average)))<<32 | uint64(at)
}

func unpack(word uint64) (average float32, at stamp) {
	return math.Float32frombits(uint32(word >> 32)), stamp(word)
}

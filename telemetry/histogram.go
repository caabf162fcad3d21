package telemetry

import (
	"sync/atomic"
	"time"
)

// bounds are the upper ends of the histogram buckets, included: dense where a gateway's answers lie, and up to the minute
// in which timeouts and long downloads end. One fixed table for all keeps an observation at two atomic additions.
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	10 * time.Second, time.Minute,
}

// histogram counts durations. The zero value is ready. There is no separate total: it is the sum of the buckets, so a
// scrape in the middle of an observation never shows buckets that contradict it.
type histogram struct {
	micros  atomic.Uint64 // sum. Nanoseconds would wrap within a day of 100,000 busy requests at a time
	buckets [len(bounds) + 1]atomic.Uint64
}

// observe counts d; a negative one, of a clock that was set back, is zero.
func (h *histogram) observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.micros.Add(uint64(d+time.Microsecond/2) / uint64(time.Microsecond))
}

// read gives the total, the sum in seconds, and the cumulative count below each bound in seconds.
func (h *histogram) read() (total uint64, sum float64, cumulative map[float64]uint64) {
	cumulative = make(map[float64]uint64, len(bounds))
	for i, bound := range bounds {
		total += h.buckets[i].Load()
		cumulative[bound.Seconds()] = total
	}
	total += h.buckets[len(bounds)].Load()
	return total, float64(h.micros.Load()) / 1e6, cumulative
}

// empty reports whether nothing was observed yet.
func (h *histogram) empty() bool {
	for i := range h.buckets {
		if h.buckets[i].Load() != 0 {
			return false
		}
	}
	return true
}

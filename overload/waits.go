package overload

import (
	"math"
	"runtime/metrics"
	"time"
)

// minWaits is how many waits must have been seen for a percentile to mean anything: an idle gateway has few.
const minWaits = 20

// waits reads how long goroutines that could run have waited, since the last time it was asked. The runtime samples
// one in eight.
type waits struct {
	sample []metrics.Sample
	before []uint64
}

func newWaits() *waits {
	return &waits{sample: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
}

// percentile90 is 0 if the runtime has no such histogram, at the first time, and if too few waits were seen.
func (w *waits) percentile90() time.Duration {
	metrics.Read(w.sample)
	if w.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0
	}
	h := w.sample[0].Value.Float64Histogram()
	since := make([]uint64, len(h.Counts))
	for i, n := range h.Counts {
		since[i] = n
		if len(w.before) == len(h.Counts) {
			since[i] -= w.before[i]
		}
	}
	first := w.before == nil
	w.before = append(w.before[:0], h.Counts...)
	if first {
		return 0
	}
	return percentile(since, h.Buckets, 0.9)
}

// percentile is the upper bound of the bucket in which the share of the counts is reached; of the last one, which has
// none, its lower bound.
func percentile(counts []uint64, bounds []float64, share float64) time.Duration {
	total := uint64(0)
	for _, n := range counts {
		total += n
	}
	if total < minWaits {
		return 0
	}
	sum, want := uint64(0), uint64(math.Ceil(share*float64(total)))
	for i, n := range counts {
		if sum += n; sum < want {
			continue
		}
		bound := bounds[i+1]
		if math.IsInf(bound, 1) {
			bound = bounds[i]
		}
		return time.Duration(bound * float64(time.Second))
	}
	return 0
}

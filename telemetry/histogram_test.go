package telemetry

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestBoundsAscend(t *testing.T) {
	if !slices.IsSorted(bounds[:]) {
		t.Fatalf("bounds are not sorted: %v", bounds)
	}
}

func TestHistogramPutsEachDurationInItsBucket(t *testing.T) {
	for i, bound := range bounds {
		for _, c := range []struct {
			d    time.Duration
			want int
		}{{bound - 1, i}, {bound, i}, {bound + 1, i + 1}} {
			var h histogram
			h.observe(c.d)
			if n := h.buckets[c.want].Load(); n != 1 {
				t.Errorf("observe(%v): bucket %d holds %d, want 1", c.d, c.want, n)
			}
		}
	}
}

func TestHistogramRead(t *testing.T) {
	var h histogram
	if !h.empty() {
		t.Error("a new histogram is not empty")
	}
	for _, d := range []time.Duration{-time.Second, 700 * time.Microsecond, 3 * time.Millisecond, time.Hour} {
		h.observe(d)
	}
	if h.empty() {
		t.Error("a histogram with observations is empty")
	}
	total, sum, cumulative := h.read()
	if total != 4 {
		t.Errorf("total = %d, want 4", total)
	}
	if want := 3600.0037; math.Abs(sum-want) > 1e-9 {
		t.Errorf("sum = %v, want %v", sum, want)
	}
	for bound, want := range map[float64]uint64{0.0005: 1, 0.001: 2, 0.0025: 2, 0.005: 3, 60: 3} {
		if cumulative[bound] != want {
			t.Errorf("at most %v s: %d, want %d", bound, cumulative[bound], want)
		}
	}
}

// A year of 100,000 requests at a time must not wrap the sum.
func TestHistogramSumDoesNotWrapWithinAYear(t *testing.T) {
	var h histogram
	h.micros.Store(uint64(365*24*time.Hour/time.Microsecond) * 100_000)
	before, after := h.micros.Load(), uint64(0)
	h.observe(time.Hour)
	if after = h.micros.Load(); after <= before {
		t.Errorf("the sum went from %d to %d", before, after)
	}
}

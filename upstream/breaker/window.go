package breaker

import (
	"sync/atomic"
	"time"
)

// window counts attempts over a sliding window. Time is cut into tenths of it, each with its own counters in a ring.
// Counters and the tick they belong to share a word, so that one left from the last turn of the ring is replaced by the
// compare-and-swap that counts. It reaches back the window and up to a tenth more.
type window struct {
	tick int64 // nanoseconds
	ring [windowTicks]slot
}

// slot is one tick. What is slow has a word of its own, which most attempts do not touch.
type slot struct {
	counts atomic.Uint64 // tick (20 bits), failed (22), attempts (22)
	slow   atomic.Uint64 // tick (20 bits), slow (44)
}

const (
	windowParts = 10
	windowTicks = windowParts + 1

	countBits = 22
	maxCount  = 1<<countBits - 1
	tickShift = 2 * countBits
	tickMask  = 1<<20 - 1
)

// tally is what a window holds.
type tally struct{ attempts, failed, slow int }

func (t tally) percent(n int) float64 { return float64(n) * 100 / float64(t.attempts) }

func newWindow(w time.Duration) window { return window{tick: max(1, int64(w)/windowParts)} }

// at is the slot of a time and its tick. Ticks begin one turn of the ring on, so that the zero word is too old to count.
func (w *window) at(t int64) (*slot, uint64) {
	n := t/w.tick + windowTicks
	return &w.ring[n%windowTicks], uint64(n) & tickMask
}

func (w *window) count(t int64, failed, slow bool) {
	s, tick := w.at(t)
	unit := uint64(1)
	if failed {
		unit += 1 << countBits
	}
	add(&s.counts, tick, unit)
	if slow {
		add(&s.slow, tick, 1)
	}
}

// add counts in a word, which stays as it is when it is full: the shares it holds are as good as they will get.
func add(word *atomic.Uint64, tick, unit uint64) {
	for {
		old := word.Load()
		next := old
		if old>>tickShift != tick {
			next = tick << tickShift
		}
		if next&maxCount == maxCount || word.CompareAndSwap(old, next+unit) {
			return
		}
	}
}

// sum is what the window holds at a time.
func (w *window) sum(t int64) tally {
	_, now := w.at(t)
	var sum tally
	for i := range w.ring {
		s := &w.ring[i]
		if word := s.counts.Load(); recent(word, now) {
			sum.attempts += int(word & maxCount)
			sum.failed += int(word >> countBits & maxCount)
		}
		if word := s.slow.Load(); recent(word, now) {
			sum.slow += int(word & maxCount)
		}
	}
	return sum
}

func recent(word, now uint64) bool { return (now-word>>tickShift)&tickMask < windowTicks }

func (w *window) clear() {
	for i := range w.ring {
		w.ring[i].counts.Store(0)
		w.ring[i].slow.Store(0)
	}
}

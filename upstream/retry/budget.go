package retry

import (
	"sync/atomic"
	"time"
)

// Budget keeps retries from multiplying the load on a service that is failing already. Over a sliding window of 10 s the
// retries are at most percent of the requests, or perSecond x 10 where that is more: the more of the two, and not the sum,
// so that a service under load gets no more than its percentage.
//
// Time is cut into ticks of 100 ms, each with its own counter of requests and retries in a ring. Counter and tick share
// one word, so that a counter left from the last turn of the ring is replaced by the same compare-and-swap that counts.
// The window is 10 s and up to one tick, so the bound holds for any 10 s.
type Budget struct {
	percent   float64
	perSecond float64
	start     time.Time
	ring      [windowTicks]atomic.Uint64
}

const (
	tick        = 100 * time.Millisecond
	window      = 10 * time.Second
	windowTicks = int64(window/tick) + 1

	// A word is tick (24 bits, about 19 days until it comes round), retries (16) and requests (24).
	requestBits = 24
	retryBits   = 16
	maxRequests = 1<<requestBits - 1
	maxRetries  = 1<<retryBits - 1
	tickMask    = 1<<24 - 1

	// margin is how many may count in a full slot at once without running over into the retries.
	margin = 1 << 16
)

// NewBudget makes a budget that begins empty: nothing but perSecond allows the first retries.
func NewBudget(percent, perSecond float64) *Budget {
	return &Budget{percent: percent, perSecond: perSecond, start: time.Now()}
}

// Request counts a request, not its retries.
func (b *Budget) Request(now time.Time) {
	slot, at := b.slot(now)
	for {
		old := slot.Load()
		switch {
		case tickOf(old) != at:
			if slot.CompareAndSwap(old, current(old, at)+1) {
				return
			}
		case old&maxRequests > maxRequests-margin:
			return
		default:
			slot.Add(1) // the slot is this tick's for the next ten seconds
			return
		}
	}
}

// Take takes one retry out of the budget, or reports that there is none left.
func (b *Budget) Take() bool {
	slot, now := b.slot(time.Now())
	for {
		old := slot.Load()
		word := current(old, now)
		if !b.allows(now) || word>>requestBits&maxRetries == maxRetries {
			return false
		}
		if slot.CompareAndSwap(old, word+1<<requestBits) {
			return true
		}
	}
}

func (b *Budget) allows(now uint64) bool {
	requests, retries := uint64(0), uint64(0)
	for i := range b.ring {
		word := b.ring[i].Load()
		if age := (now - tickOf(word)) & tickMask; age < uint64(windowTicks) {
			requests += word & maxRequests
			retries += word >> requestBits & maxRetries
		}
	}
	return float64(retries+1) <= max(float64(requests)*b.percent/100, b.perSecond*window.Seconds())
}

// slot is the counter of now. Ticks begin one window on, so that the zero word is too old to count.
func (b *Budget) slot(now time.Time) (*atomic.Uint64, uint64) {
	n := int64(max(0, now.Sub(b.start))/tick) + windowTicks
	return &b.ring[n%windowTicks], uint64(n) & tickMask
}

// current is word if it counts the tick now, else an empty one.
func current(word, now uint64) uint64 {
	if tickOf(word) == now {
		return word
	}
	return now << (requestBits + retryBits)
}

func tickOf(word uint64) uint64 { return word >> (requestBits + retryBits) }

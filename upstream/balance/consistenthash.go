package balance

import (
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// consistentHash sends equal keys to the same candidate: the one that has the key's slot in the table. A key has more than
// one slot, in an order of its own. The next is used while the candidate of the one before takes no requests, was tried,
// or is full: no candidate has more than 1.25 times its share of all requests in flight, rounded up (Mirrokni and others,
// "Consistent Hashing with Bounded Loads"). All in flight count, those at candidates that take no more included. So a
// popular key cannot drown one endpoint, and what overflows goes to the same second place every time.
//
// A request without the key is sent to anyone, at random by weight.
type consistentHash struct {
	line
	table  []uint16
	shared *Shared
}

// slots is how many slots of a key are looked at. With half of the candidates out, one key in 65,536 finds none and goes
// to the first with room, in order from a place that the key tells.
const slots = 16

func (c *consistentHash) Pick(ask Ask) int {
	if len(c.of) == 0 {
		return -1
	}
	all := c.shared.inFlight.Add(1)
	at := c.choose(ask, all)
	if at < 0 {
		c.shared.inFlight.Add(-1)
	}
	return at
}

func (c *consistentHash) choose(ask Ask, all int64) int {
	if ask.Key == "" {
		if len(ask.Tried) == 0 {
			return c.take(int(c.of[c.draw()]))
		}
		return c.take(c.drawBut(ask.Tried, -1))
	}
	h := xxhash.Sum64String(ask.Key)
	for range slots {
		slot, _ := bits.Mul64(h, uint64(len(c.table)))
		at := int(c.table[slot])
		if !slices.Contains(ask.Tried, at) && c.admit(at, all) {
			return at
		}
		h = scramble(h)
	}
	return c.search(h, ask.Tried, all)
}

// search is for a key whose slots were all in vain.
func (c *consistentHash) search(h uint64, tried []int, all int64) int {
	from, _ := bits.Mul64(h, uint64(len(c.of)))
	spare := -1
	for i := range c.of {
		at := int(c.of[(int(from)+i)%len(c.of)])
		if slices.Contains(tried, at) {
			continue
		}
		if c.admit(at, all) {
			return at
		}
		if spare < 0 || c.inFlight(at)*c.weights[spare] < c.inFlight(spare)*c.weights[at] {
			spare = at
		}
	}
	return c.take(spare) // all but those tried are full, or were in turn while we looked
}

// admit counts a request in flight at the candidate if it takes any and has room, of all requests in flight.
func (c *consistentHash) admit(at int, all int64) bool {
	w := c.weights[at]
	if w <= 0 {
		return false
	}
	most := (5*all*w + 4*c.total() - 1) / (4 * c.total())
	in := &c.candidates[at].Load.InFlight
	for {
		n := in.Load()
		if n >= most {
			return false
		}
		if in.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

package balance

import (
	"math/bits"
	"slices"
)

// roundRobin takes turns by weight, smoothly: for weights 5, 1, 1 the order is a a b a c a a and not a a a a a b c. At
// each turn every candidate's credit grows by its weight; the richest is chosen, the first of equals, and pays the sum of
// all weights. That repeats after as many turns as the weights' sum, so the turns of one round are worked out here, the
// weights reduced by their greatest common divisor, and Pick is one atomic addition.
//
// A round that is too long for that, which only odd weights make, is not worked out. Then turn n is the candidate at
// n times the golden ratio, modulo 1, on the line of all: multiples of that number fall into the widest gap left by those
// before, so that these turns are about as smooth, and the shares as exact, without anything to remember.
type roundRobin struct {
	line
	shared   *Shared
	sequence []int32 // nil: the golden ratio
}

const (
	maxSequence = 8192    // turns, of four bytes each
	maxPlayed   = 1 << 18 // turns times candidates: some tenths of a millisecond
)

func newRoundRobin(l line, shared *Shared) *roundRobin {
	r := &roundRobin{line: l, shared: shared}
	if l.columns == nil { // all weigh the same: the turns are their order
		r.sequence = l.of
		return r
	}
	c := newCredits(l)
	if c.total <= maxSequence && c.total*int64(len(l.of)) <= maxPlayed {
		r.sequence = make([]int32, c.total)
		for i := range r.sequence {
			r.sequence[i] = l.of[c.turn()]
		}
	}
	return r
}

// Pick is the next in turn. One that was tried already loses its turn to the one after it.
func (r *roundRobin) Pick(ask Ask) int {
	if len(r.of) == 0 {
		return -1
	}
	turn := r.shared.turn.Add(1) - 1
	if len(ask.Tried) > 0 {
		return r.take(r.notTried(turn, ask.Tried))
	}
	if r.sequence == nil {
		return r.take(r.golden(turn))
	}
	return r.take(int(r.sequence[turn%uint64(len(r.sequence))]))
}

func (r *roundRobin) notTried(turn uint64, tried []int) int {
	if r.sequence == nil {
		return r.drawBut(tried, -1)
	}
	round := uint64(len(r.sequence))
	for i := range round {
		if at := int(r.sequence[(turn+i)%round]); !slices.Contains(tried, at) {
			return at
		}
	}
	return -1
}

// golden is the candidate at turn times the golden ratio.
func (r *roundRobin) golden(turn uint64) int {
	const ratio = 0x9e3779b97f4a7c15 // in units of 2^-64
	point, _ := bits.Mul64(turn*ratio, uint64(r.total()))
	return int(r.of[r.at(int64(point))])
}

// credits is the state of the turns.
type credits struct {
	weights []int64
	credit  []int64
	total   int64
}

func newCredits(l line) *credits {
	c := &credits{weights: make([]int64, len(l.of)), credit: make([]int64, len(l.of))}
	divisor := int64(0)
	for i, at := range l.of {
		c.weights[i] = l.weights[at]
		divisor = gcd(divisor, c.weights[i])
	}
	for i := range c.weights {
		c.weights[i] /= divisor
		c.total += c.weights[i]
	}
	return c
}

// turn plays one turn.
func (c *credits) turn() int {
	best := 0
	for i, w := range c.weights {
		c.credit[i] += w
		if c.credit[i] > c.credit[best] {
			best = i
		}
	}
	c.credit[best] -= c.total
	return best
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

package balance

import (
	"slices"
	"sync"
)

// maxSequence bounds the turns worked out in advance: 8192 of four bytes each.
const maxSequence = 8192

// RoundRobin takes turns by weight, smoothly: for weights 5, 1, 1 the order is a a b a c a a and not a a a a a b c. At
// each turn every candidate's credit grows by its weight; the richest is chosen, the first of equals, and pays the sum of
// all weights. That repeats after as many turns as the weights' sum, so the turns of one round are worked out here, the
// weights reduced by their greatest common divisor, and Pick is one atomic addition.
//
// A round longer than maxSequence, which only odd weights make, is played turn by turn under a lock instead.
type RoundRobin struct {
	turn     *Turn
	sequence []int32

	mu    sync.Mutex // for slow only
	slow  *credits   // nil: sequence is used
	spare []bool     // scratch of slow
}

// NewRoundRobin makes a picker that goes on at turn.
func NewRoundRobin(candidates []Candidate, turn *Turn) *RoundRobin {
	c := newCredits(candidates)
	r := &RoundRobin{turn: turn}
	switch {
	case c.total == 0:
	case c.total > maxSequence:
		r.slow, r.spare = c, make([]bool, len(c.weights))
	case c.even():
		r.sequence = c.inOrder()
	default:
		r.sequence = make([]int32, c.total)
		for i := range r.sequence {
			r.sequence[i] = int32(c.turn(nil))
		}
	}
	return r
}

// Pick is the next in turn. One that was tried already loses its turn to the one after it.
func (r *RoundRobin) Pick(tried []int) int {
	if r.slow != nil {
		return r.pickSlow(tried)
	}
	round := uint64(len(r.sequence))
	if round == 0 {
		return -1
	}
	turn := r.turn.next.Add(1) - 1
	for i := range round {
		if at := int(r.sequence[(turn+i)%round]); !slices.Contains(tried, at) {
			return at
		}
	}
	return -1
}

func (r *RoundRobin) pickSlow(tried []int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range tried {
		r.spare[i] = true
	}
	at := r.slow.turn(r.spare)
	for _, i := range tried {
		r.spare[i] = false
	}
	return at
}

// credits is the state of the turns.
type credits struct {
	weights []int64
	credit  []int64
	total   int64
}

func newCredits(candidates []Candidate) *credits {
	c := &credits{weights: make([]int64, len(candidates)), credit: make([]int64, len(candidates))}
	divisor := int64(0)
	for i := range candidates {
		c.weights[i] = max(0, int64(candidates[i].Weight))
		divisor = gcd(divisor, c.weights[i])
	}
	for i := range c.weights {
		c.weights[i] /= max(1, divisor)
		c.total += c.weights[i]
	}
	return c
}

// turn plays one turn among those not in out, which may be nil. It is -1 if there is none.
func (c *credits) turn(out []bool) int {
	best, stake := -1, int64(0)
	for i, w := range c.weights {
		if w == 0 || out != nil && out[i] {
			continue
		}
		c.credit[i] += w
		stake += w
		if best < 0 || c.credit[i] > c.credit[best] {
			best = i
		}
	}
	if best >= 0 {
		c.credit[best] -= stake
	}
	return best
}

// even reports whether all candidates that take part weigh the same. Then the turns are their order, and many endpoints
// need not be played against each other.
func (c *credits) even() bool {
	for _, w := range c.weights {
		if w > 1 {
			return false
		}
	}
	return true
}

func (c *credits) inOrder() []int32 {
	order := make([]int32, 0, c.total)
	for i, w := range c.weights {
		if w > 0 {
			order = append(order, int32(i))
		}
	}
	return order
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

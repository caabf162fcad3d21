package balance

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// The table of consistentHash is Maglev's (Eisenbud and others, NSDI 2016, section 3.4). Each candidate has an order of
// its own in which it would like the slots: a first one and a stride, both hashes of its address. In turns, each takes the
// first slot of its order that is still free, until none is. So all get equal parts, and when one goes, its slots are
// dealt out again while nearly all others keep theirs.
//
// A candidate of half the weight has every other turn. Everybody has the first, so that the lightest has one slot.
//
// The table depends on nothing but addresses and weights: not on their order, not on who takes requests, not on the
// service, the process or its start.

// sizes are the numbers of slots there are, primes. More than a hundred slots for each candidate keep the parts within a
// percent or so of each other; and because another size moves every key, there are few.
var sizes = []int{65537, 655373}

const slotsEach = 100

func newTable(candidates []Candidate) []uint16 {
	var of []int
	for i, c := range candidates {
		if c.Weight > 0 && i < free {
			of = append(of, i)
		}
	}
	if len(of) == 0 {
		return []uint16{}
	}
	size := sizes[0]
	for _, larger := range sizes {
		if size < slotsEach*len(of) {
			size = larger
		}
	}
	slices.SortFunc(of, func(a, b int) int { return cmp.Compare(candidates[a].Address, candidates[b].Address) })
	orders, weights := make([]order, len(of)), make([]int64, len(of))
	for i, at := range of {
		orders[i], weights[i] = orderOf(candidates[at].Address, size), int64(candidates[at].Weight)
	}
	table := populate(size, orders, weights)
	for slot, i := range table {
		table[slot] = uint16(of[i])
	}
	return table
}

// order is the slots in the order a candidate would like them: first, first + stride, first + 2 stride…, all modulo the
// table's size, which is a prime so that every slot comes up.
type order struct{ next, stride int }

func orderOf(address string, size int) order {
	h := xxhash.Sum64String(address)
	return order{int(h % uint64(size)), int(scramble(h)%uint64(size-1)) + 1}
}

// take is the first slot that is free.
func (o *order) take(table []uint16) int {
	for {
		slot := o.next
		if o.next += o.stride; o.next >= len(table) {
			o.next -= len(table)
		}
		if table[slot] == free {
			return slot
		}
	}
}

const free = 1<<16 - 1

// populate deals the slots out.
func populate(size int, orders []order, weights []int64) []uint16 {
	table := make([]uint16, size)
	for i := range table {
		table[i] = free
	}
	if slices.Min(weights) == slices.Max(weights) {
		for dealt := 0; dealt < size; dealt++ {
			i := dealt % len(orders)
			table[orders[i].take(table)] = uint16(i)
		}
		return table
	}
	turns := newTurns(weights)
	for range size {
		i := turns.next()
		table[orders[i].take(table)] = uint16(i)
	}
	return table
}

// turns tells whose turn it is while weights differ: the k-th of candidate i is in round 1 + (k-1) x heaviest / weight, and
// within a round they come in their order. A heap keeps the next turn of each.
type turns struct {
	heap     []turn
	weights  []int64
	heaviest int64
}

type turn struct {
	round int64
	of    int
	taken int64
}

func newTurns(weights []int64) *turns {
	t := &turns{weights: weights, heaviest: slices.Max(weights), heap: make([]turn, len(weights))}
	for i := range t.heap {
		t.heap[i].of = i // sorted, so a heap
	}
	return t
}

func (t *turns) next() int {
	top := &t.heap[0]
	of := top.of
	top.taken++
	top.round = (top.taken*t.heaviest + t.weights[of] - 1) / t.weights[of]
	t.sink()
	return of
}

func (t *turns) sink() {
	h := t.heap
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

func (a turn) before(b turn) bool { return a.round < b.round || a.round == b.round && a.of < b.of }

// scramble makes another number of a hash, as unlike it as a second hash would be (the finaliser of MurmurHash3).
func scramble(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

package route

import "hash/maphash"

// segmentIndex finds one of many nodes by its segment. Where thousands are asked for in turn each is far from the processor,
// and what a look-up costs is how often it waits: here for a slot and then for the node, which has a short segment in it. A Go
// map takes four fetches: its control word, the key, the key's bytes, and the node.
type segmentIndex struct {
	seed  maphash.Seed
	slots []slot // a power of two, at most half of them taken
}

type slot struct {
	hash uint64
	node *node // nil: the slot is free
}

// shortSegment is a segment of up to 15 bytes and its length, to be compared in two steps.
type shortSegment [16]byte

func newShortSegment(s string) (short shortSegment, fits bool) {
	last := len(short) - 1
	if len(s) > last {
		return short, false
	}
	copy(short[:], s)
	short[last] = byte(len(s))
	return short, true
}

func newSegmentIndex(nodes map[string]*node) *segmentIndex {
	size := 1
	for size < 2*len(nodes) {
		size *= 2
	}
	x := &segmentIndex{seed: maphash.MakeSeed(), slots: make([]slot, size)}
	for segment, n := range nodes {
		if short, fits := newShortSegment(segment); fits {
			n.short = short
		} else {
			n.long = segment
		}
		hash := maphash.String(x.seed, segment)
		i := hash
		for x.at(i).node != nil {
			i++
		}
		*x.at(i) = slot{hash, n}
	}
	return x
}

func (x *segmentIndex) at(i uint64) *slot { return &x.slots[i&uint64(len(x.slots)-1)] }

func (x *segmentIndex) find(segment string) *node {
	short, fits := newShortSegment(segment)
	hash := maphash.String(x.seed, segment)
	for i := hash; ; i++ {
		s := x.at(i)
		switch {
		case s.node == nil:
			return nil
		case s.hash != hash:
		case fits && s.node.short == short, !fits && s.node.long == segment:
			return s.node
		}
	}
}

package backend

import (
	"context"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/sluice-gateway/sluice/exchange"
)

// Split divides a route's requests over several services by weight.
//
// A request gets a point between 0 and 1, and the services lie side by side on that line, each as wide as its share.
// With StickyBy the point is a hash of what the selector finds, so the same caller keeps its side, in every process and
// after every restart. The first service grows from the right and the last from the left: moving weights from 95/5 to 90/10
// moves the 5 % in between and nobody else.
//
// Before all that, the sides are asked in their order whether they want the request whatever the weights.
type Split struct {
	Sides    []Side
	StickyBy *exchange.Selector // nil: each request by itself
}

// Side is one service of a split.
type Side struct {
	Service *Service
	Weight  int    // its share is Weight over the sum of all; 0 gets nothing
	When    []When // any of which is enough to get the request; none: only its share
}

func (*Split) Forwards() bool { return true }

// SendsLines implements LineSender.
func (s *Split) SendsLines() bool {
	return !slices.ContainsFunc(s.Sides, func(side Side) bool { return !side.Service.SendsLines() })
}

func (s *Split) Answer(ctx context.Context, x *exchange.Exchange) error {
	if service := s.wanted(x); service != nil {
		return service.Answer(ctx, x)
	}
	return s.pick(s.point(x)).Answer(ctx, x)
}

// wanted is the first side that wants the request, or nil.
func (s *Split) wanted(x *exchange.Exchange) *Service {
	for i := range s.Sides {
		for _, when := range s.Sides[i].When {
			if when.holds(x) {
				return s.Sides[i].Service
			}
		}
	}
	return nil
}

// point is where a request lies, in units of 2^-64. A caller without the sticky key is placed at random.
func (s *Split) point(x *exchange.Exchange) uint64 {
	if s.StickyBy != nil {
		if key, ok := s.StickyBy.Key(x); ok {
			return stablePoint(x.Route, key)
		}
	}
	return rand.Uint64()
}

func (s *Split) pick(point uint64) *Service {
	total := uint64(0)
	for _, side := range s.Sides {
		total += uint64(side.Weight)
	}
	// The line is divided into total parts; hi is the part that point lies in.
	hi, _ := bits.Mul64(point, total)
	for _, side := range s.Sides {
		if hi < uint64(side.Weight) {
			return side.Service
		}
		hi -= uint64(side.Weight)
	}
	return s.Sides[len(s.Sides)-1].Service // unreachable: hi < total
}

// stablePoint hashes with FNV-1a and mixes the result: FNV's high bits alone are poor for short keys. It depends on
// nothing but its arguments, so every process and every restart agrees.
func stablePoint(route, key string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{route, "\x00", key} {
		for i := 0; i < len(s); i++ {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

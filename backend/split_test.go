package backend

import (
	"fmt"
	"math"
	"net/http"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
)

func newSplit(weights ...int) *Split {
	s := new(Split)
	for _, w := range weights {
		s.Sides = append(s.Sides, Side{Service: new(Service), Weight: w})
	}
	return s
}

func (s *Split) sideOf(point uint64) int {
	picked := s.pick(point)
	for i, side := range s.Sides {
		if side.Service == picked {
			return i
		}
	}
	return -1
}

func TestSplitFollowsWeights(t *testing.T) {
	s := newSplit(70, 0, 25, 5)
	const callers = 100_000
	counts := make([]int, len(s.Sides))
	for i := range callers {
		counts[s.sideOf(stablePoint("checkout", fmt.Sprintf("caller-%d", i)))]++
	}
	for i, side := range s.Sides {
		share, want := float64(counts[i])/callers, float64(side.Weight)/100
		if math.Abs(share-want) > 0.005 {
			t.Errorf("side %d got %.4f of the callers, want %.2f", i, share, want)
		}
	}
	if counts[1] != 0 {
		t.Errorf("a side of weight 0 got %d callers", counts[1])
	}
}

// Moving a weight from 5 to 10 moves the 5 % in between, all in one direction, and nobody else.
func TestSplitMovesOnlyWhatItMust(t *testing.T) {
	before, after := newSplit(95, 5), newSplit(90, 10)
	const callers = 100_000
	moved := 0
	for i := range callers {
		point := stablePoint("checkout", fmt.Sprintf("caller-%d", i))
		was, is := before.sideOf(point), after.sideOf(point)
		if was == is {
			continue
		}
		moved++
		if was != 0 || is != 1 {
			t.Fatalf("caller %d moved from side %d to %d", i, was, is)
		}
	}
	if share := float64(moved) / callers; math.Abs(share-0.05) > 0.003 {
		t.Errorf("%.4f of the callers moved, want 0.05", share)
	}
}

func TestSplitEnds(t *testing.T) {
	for _, test := range []struct {
		weights []int
		point   uint64
		want    int
	}{
		{[]int{1}, 0, 0},
		{[]int{1}, math.MaxUint64, 0},
		{[]int{1, 1}, math.MaxUint64 / 2, 0},
		{[]int{1, 1}, math.MaxUint64/2 + 1, 1},
		{[]int{0, 1}, 0, 1},
		{[]int{1, 0}, math.MaxUint64, 0},
		{[]int{1_000_000, 1_000_000}, math.MaxUint64, 1},
	} {
		if got := newSplit(test.weights...).sideOf(test.point); got != test.want {
			t.Errorf("weights %v at %#x: side %d, want %d", test.weights, test.point, got, test.want)
		}
	}
}

// Where a caller lands is part of what a release may not change: every process and every version must agree.
func TestStablePointIsPinned(t *testing.T) {
	if got, want := stablePoint("checkout", "sid-1"), uint64(0x81994568379c805a); got != want {
		t.Errorf("the caller came to lie at %#x, was %#x", got, want)
	}
	if stablePoint("a", "bc") == stablePoint("ab", "c") {
		t.Error("route and key run into each other")
	}
}

func TestSplitSticksToItsKey(t *testing.T) {
	s := newSplit(50, 50)
	s.StickyBy = new(exchange.Selector)
	if err := s.StickyBy.UnmarshalText([]byte("cookie:sid")); err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{Route: "checkout", In: &http.Request{Header: http.Header{"Cookie": {"sid=alice"}}}}
	first := s.point(x)
	for range 100 {
		if s.point(x) != first {
			t.Fatal("the same caller came to lie elsewhere")
		}
	}
	x.In.Header = http.Header{}
	if a, b := s.point(x), s.point(x); a == b {
		t.Error("callers without the key all lie in one place")
	}
}

// A side that wants a request gets it whatever the weights; of two that do, the first.
func TestSplitIsOverridden(t *testing.T) {
	is := func(selector, want string) Condition {
		c := Condition{Fits: func(value string, found bool) bool { return found && value == want }}
		if err := c.Selector.UnmarshalText([]byte(selector)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	s := newSplit(1, 0, 0)
	s.Sides[1].When = []When{{is("header:x-canary", "always"), is("cookie:who", "me")}, {is("consumer", "beta")}}
	s.Sides[2].When = []When{{is("header:x-canary", "always")}}
	for _, test := range []struct {
		header http.Header
		who    *exchange.Identity
		want   int // -1: by weight
	}{
		{http.Header{}, nil, -1},
		{http.Header{"X-Canary": {"always"}, "Cookie": {"who=me"}}, nil, 1},
		{http.Header{"X-Canary": {"always"}}, nil, 2},
		{http.Header{"Cookie": {"who=me"}}, nil, -1},
		{http.Header{}, &exchange.Identity{Consumer: &exchange.Consumer{Name: "beta"}}, 1},
		{http.Header{"X-Canary": {"never"}}, &exchange.Identity{Consumer: &exchange.Consumer{Name: "gamma"}}, -1},
	} {
		got := -1
		service := s.wanted(&exchange.Exchange{In: &http.Request{Header: test.header}, Identity: test.who})
		for i, side := range s.Sides {
			if service == side.Service {
				got = i
			}
		}
		if got != test.want {
			t.Errorf("%v, %v: side %d, want %d", test.header, test.who, got, test.want)
		}
	}
}

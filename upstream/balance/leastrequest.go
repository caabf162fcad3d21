package balance

import (
	"math/rand/v2"
	"slices"
	"sort"
)

// LeastRequest draws two candidates at random, by weight, and takes the one with fewer requests in flight for its weight;
// of equals the one drawn first. Two draws come close to looking at all of them, and unlike that they do not send every
// request to the same momentary minimum. Because the draw is weighted and a tie is the first's, an idle service is used by
// weight too. (In flight plus one, the usual formula, would leave a light endpoint unused until the heavy ones are busy.)
type LeastRequest struct {
	candidates []Candidate
	upTo       []int64 // sum of the weights up to and with each candidate
}

// NewLeastRequest makes a picker. Every candidate with a weight needs its Load.
func NewLeastRequest(candidates []Candidate) *LeastRequest {
	l := &LeastRequest{candidates: slices.Clone(candidates), upTo: make([]int64, len(candidates))}
	total := int64(0)
	for i := range candidates {
		total += l.weight(i)
		l.upTo[i] = total
	}
	return l
}

// Pick draws.
func (l *LeastRequest) Pick(tried []int) int {
	if len(l.upTo) == 0 {
		return -1
	}
	left := l.upTo[len(l.upTo)-1]
	if len(tried) > 0 {
		return l.pickAmong(tried)
	}
	if left == 0 {
		return -1
	}
	first := l.at(rand.Int64N(left))
	left -= l.weight(first)
	if left == 0 {
		return first
	}
	point := rand.Int64N(left)
	if point >= l.upTo[first]-l.weight(first) {
		point += l.weight(first) // the line without first's part
	}
	return l.lighter(first, l.at(point))
}

// pickAmong is Pick for a retry, which is rare and may look at every candidate.
func (l *LeastRequest) pickAmong(tried []int) int {
	first := l.draw(tried, -1)
	if first < 0 {
		return -1
	}
	if second := l.draw(tried, first); second >= 0 {
		return l.lighter(first, second)
	}
	return first
}

// draw is a candidate at random by weight, neither in tried nor except; -1 if there is none.
func (l *LeastRequest) draw(tried []int, except int) int {
	chosen, sum := -1, int64(0)
	for i := range l.candidates {
		w := l.weight(i)
		if w == 0 || i == except || slices.Contains(tried, i) {
			continue
		}
		if sum += w; rand.Int64N(sum) < w {
			chosen = i
		}
	}
	return chosen
}

// at is the candidate whose part of the line holds point.
func (l *LeastRequest) at(point int64) int {
	return sort.Search(len(l.upTo), func(i int) bool { return l.upTo[i] > point })
}

func (l *LeastRequest) lighter(first, second int) int {
	if l.candidates[second].Load.InFlight.Load()*l.weight(first) < l.candidates[first].Load.InFlight.Load()*l.weight(second) {
		return second
	}
	return first
}

func (l *LeastRequest) weight(i int) int64 { return max(0, int64(l.candidates[i].Weight)) }

package balance

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sort"
)

// line is the candidates that may be chosen, side by side, each as wide as its weight. A point on it, drawn at random, is
// a candidate by weight.
//
// Drawing takes one random number and one look, however many they are: the line is cut into as many columns as there are
// candidates, of equal width, and filled so that a column holds parts of at most two (Walker's alias method, in Vose's
// order of filling).
type line struct {
	candidates []Candidate
	weights    []int64 // by position; 0: may not be chosen
	of         []int32 // positions that have a weight
	upTo       []int64 // sum of the weights up to and with each of them
	columns    []column
}

// column holds of[i] below the threshold and other above it.
type column struct {
	threshold uint64 // in units of 2^-64 of the column's width
	other     int32  // index into of
}

func newLine(candidates []Candidate, weights []int64) line {
	l := line{candidates: candidates, weights: weights}
	total, even := int64(0), true
	for i, w := range weights {
		if w > 0 {
			total += w
			l.of, l.upTo = append(l.of, int32(i)), append(l.upTo, total)
			even = even && w == weights[l.of[0]]
		}
	}
	if !even {
		l.columns = l.fill(total)
	}
	return l
}

func (l *line) total() int64 {
	if len(l.upTo) == 0 {
		return 0
	}
	return l.upTo[len(l.upTo)-1]
}

// fill lets each column that is not full get the rest from one that has too much.
func (l *line) fill(total int64) []column {
	columns := make([]column, len(l.of))
	parts := make([]float64, len(l.of)) // of the column's width
	var poor, rich []int32
	for i, at := range l.of {
		parts[i] = float64(l.weights[at]) / float64(total) * float64(len(l.of))
		columns[i] = column{math.MaxUint64, int32(i)}
		if parts[i] < 1 {
			poor = append(poor, int32(i))
		} else {
			rich = append(rich, int32(i))
		}
	}
	for len(poor) > 0 && len(rich) > 0 {
		p, r := poor[len(poor)-1], rich[len(rich)-1]
		poor = poor[:len(poor)-1]
		columns[p] = column{uint64(parts[p] * (1 << 63) * 2), r}
		if parts[r] -= 1 - parts[p]; parts[r] < 1 {
			rich = rich[:len(rich)-1]
			poor = append(poor, r)
		}
	}
	return columns
}

// draw is an index into of, at random by weight. There must be one.
func (l *line) draw() int {
	if l.columns == nil {
		return rand.IntN(len(l.of))
	}
	i, point := bits.Mul64(rand.Uint64(), uint64(len(l.columns)))
	if c := l.columns[i]; point >= c.threshold {
		return int(c.other)
	}
	return int(i)
}

// drawTwo is two different positions at random by weight, the second among what the first left; -1, -1 for an empty line,
// and twice the same for a line of one.
func (l *line) drawTwo() (first, second int) {
	switch len(l.of) {
	case 0:
		return -1, -1
	case 1:
		return int(l.of[0]), int(l.of[0])
	}
	i := l.draw()
	return int(l.of[i]), int(l.of[l.another(i)])
}

// another is an index other than i.
func (l *line) another(i int) int {
	switch {
	case len(l.of) == 2:
		return 1 - i
	case l.columns == nil:
		j := rand.IntN(len(l.of) - 1)
		if j >= i {
			j++
		}
		return j
	}
	for range 3 {
		if j := l.draw(); j != i {
			return j
		}
	}
	// i is most of the line: take its part out, and look where the point then lies.
	width := l.weights[l.of[i]]
	point := rand.Int64N(l.total() - width)
	if point >= l.upTo[i]-width {
		point += width
	}
	return l.at(point)
}

// at is the index whose part of the line holds point.
func (l *line) at(point int64) int {
	return sort.Search(len(l.upTo), func(i int) bool { return l.upTo[i] > point })
}

// drawAmong is drawTwo for a retry, which is rare and may look at every candidate: none of those in tried is drawn.
func (l *line) drawAmong(tried []int) (first, second int) {
	if first = l.drawBut(tried, -1); first < 0 {
		return -1, -1
	}
	if second = l.drawBut(tried, first); second < 0 {
		second = first
	}
	return first, second
}

// drawBut is a position at random by weight, neither in tried nor except; -1 if there is none.
func (l *line) drawBut(tried []int, except int) int {
	chosen, sum := -1, int64(0)
	for _, i := range l.of {
		at := int(i)
		if at == except || slices.Contains(tried, at) {
			continue
		}
		if sum += l.weights[at]; rand.Int64N(sum) < l.weights[at] {
			chosen = at
		}
	}
	return chosen
}

// take counts a request in flight at the candidate, if there is one, and is its position.
func (l *line) take(at int) int {
	if at >= 0 {
		if load := l.candidates[at].Load; load != nil {
			load.InFlight.Add(1)
		}
	}
	return at
}

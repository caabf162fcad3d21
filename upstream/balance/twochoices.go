package balance

import (
	"math"
	"time"
)

// leastRequest draws two candidates at random, by weight, and takes the one with fewer requests in flight for its weight;
// of equals the one drawn first. Two draws come close to looking at all of them, and unlike that they do not send every
// request to the same momentary minimum. Because the draw is weighted and a tie is the first's, an idle service is used by
// weight too. (In flight plus one, the usual formula, would leave a light endpoint unused until the heavy ones are busy.)
type leastRequest struct{ line }

func (l *leastRequest) Pick(ask Ask) int {
	first, second := l.two(ask)
	if first != second && l.inFlight(second)*l.weights[first] < l.inFlight(first)*l.weights[second] {
		return l.take(second)
	}
	return l.take(first)
}

// two is whom to compare.
func (l *line) two(ask Ask) (first, second int) {
	if len(ask.Tried) > 0 {
		return l.drawAmong(ask.Tried)
	}
	return l.drawTwo()
}

func (l *line) inFlight(at int) int64 { return l.candidates[at].Load.InFlight.Load() }

// peakEwma draws two candidates likewise, and takes the one that will probably have answered first: its average latency
// times the requests it has, this one included, for its weight. The average believes a slow answer at once and a fast one
// slowly (Load.Learn), so the first slow answer sends the others elsewhere. It fades while no answers come: an endpoint
// that was slow is asked again after a while, by one request at first.
type peakEwma struct{ line }

func (p *peakEwma) Pick(ask Ask) int {
	first, second := p.two(ask)
	if first != second {
		now := stampOf(ask.Now)
		if p.cost(second, now)*float64(p.weights[first]) < p.cost(first, now)*float64(p.weights[second]) {
			return p.take(second)
		}
	}
	return p.take(first)
}

// unknown is the latency of a candidate that has been asked and has not answered yet: nobody else is sent there before it
// has. One that was never asked costs nothing.
const unknown = float64(time.Hour)

// cost is that time, for a weight of one.
func (p *peakEwma) cost(at int, now stamp) float64 {
	load := p.candidates[at].Load
	inFlight := float64(load.InFlight.Load())
	word := load.average.Load()
	if word == 0 {
		return unknown * inFlight
	}
	average, since := unpack(word)
	latency := float64(average)
	if idle := int32(now - since); idle > fresh {
		latency *= math.Exp(-float64(idle) / float64(Memory/time.Millisecond))
	}
	return latency * (inFlight + 1)
}

// fresh is for how many milliseconds an average is as good as new.
const fresh = 100

package balance

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// departures is when which server is done with what it is at.
type departures []departure

type departure struct {
	at     float64
	server int
}

func (d departures) Len() int           { return len(d) }
func (d departures) Less(i, j int) bool { return d[i].at < d[j].at }
func (d departures) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *departures) Push(x any)        { *d = append(*d, x.(departure)) }
func (d *departures) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// timeInSystem simulates a hundred servers, each with a queue of its own and service times exponential of mean 1, to which
// requests come as a Poisson stream of the given load for each server and are dealt by the picker. By Little's law the
// mean time in the system is the mean number of requests in it for each that arrives in a unit of time.
func timeInSystem(policy string, load float64, arrivals int) float64 {
	const servers = 100
	random := rand.New(rand.NewPCG(7, uint64(load*1000)))
	list := candidates(slices.Repeat([]int{1}, servers)...)
	p := newPickers(policy, list)
	var busy departures
	now, area, began, inSystem := 0.0, 0.0, 0.0, 0
	pass := func(to float64) { area += float64(inSystem) * (to - now); now = to }
	next := random.ExpFloat64() / (load * servers)
	for seen := 0; seen < arrivals; {
		if len(busy) > 0 && busy[0].at < next {
			d := heap.Pop(&busy).(departure)
			pass(d.at)
			inSystem--
			p.Done(d.server)
			if list[d.server].Load.InFlight.Load() > 0 {
				heap.Push(&busy, departure{now + random.ExpFloat64(), d.server})
			}
			continue
		}
		pass(next)
		next += random.ExpFloat64() / (load * servers)
		if seen++; seen == arrivals/10 { // in its stride
			area, began = 0, now
		}
		at := p.Pick(Ask{})
		if inSystem++; list[at].Load.InFlight.Load() == 1 {
			heap.Push(&busy, departure{now + random.ExpFloat64(), at})
		}
	}
	return area / (now - began) / (load * servers)
}

// Two choices halve and halve again what one choice makes wait: the mean time in the system is the sum over i of
// load^(2^i - 2) (Mitzenmacher 1996; Vvedenskaya and others 1996), where a single random choice has 1/(1 - load).
func TestTwoChoicesWaitAsTheorySays(t *testing.T) {
	for _, c := range []struct{ load, want float64 }{{0.5, 1.2657}, {0.8, 1.9474}, {0.9, 2.6141}} {
		got := timeInSystem("leastRequest", c.load, 1_000_000)
		t.Logf("load %.1f: mean time in system %.4f, in theory %.4f", c.load, got, c.want)
		if math.Abs(got-c.want) > 0.03*c.want {
			t.Errorf("load %.1f: mean time in system %.4f, want %.4f within 3 %%", c.load, got, c.want)
		}
	}
	if got := timeInSystem("random", 0.5, 200_000); math.Abs(got-2) > 0.1 {
		t.Errorf("one random choice at load 0.5: %.4f, want 2: the simulation is wrong", got)
	}
}

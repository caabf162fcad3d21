package balance

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
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
// mean time in the system is the number of requests in it, summed up over time, for each that arrived.
func timeInSystem(policy string, load float64, arrivals int) float64 {
	const servers = 100
	random := rand.New(rand.NewPCG(7, uint64(load*1000)))
	list := candidates(slices.Repeat([]int{1}, servers)...)
	p := newPickers(policy, list)
	var busy departures
	now, area, inSystem := 0.0, 0.0, 0
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
			area = 0
		}
		at := p.Pick(Ask{})
		if inSystem++; list[at].Load.InFlight.Load() == 1 {
			heap.Push(&busy, departure{now + random.ExpFloat64(), at})
		}
	}
	return area / float64(arrivals-arrivals/10)
}

// Two choices halve and halve again what one choice makes wait: the mean time in the system is the sum over i of
// load^(2^i - 2) (Mitzenmacher 1996; Vvedenskaya and others 1996), where a single random choice has 1/(1 - load).
func TestTwoChoicesWaitAsTheorySays(t *testing.T) {
	if raced {
		t.Skip("millions of turns of one goroutine, which the race detector has nothing to say about")
	}
	for _, c := range []struct {
		load, want float64
		arrivals   int
	}{{0.5, 1.2657, 400_000}, {0.8, 1.9474, 1_000_000}, {0.9, 2.6141, 4_000_000}} {
		got := timeInSystem("leastRequest", c.load, c.arrivals)
		t.Logf("load %.1f: mean time in system %.4f, in theory %.4f", c.load, got, c.want)
		if math.Abs(got-c.want) > 0.03*c.want {
			t.Errorf("load %.1f: mean time in system %.4f, want %.4f within 3 %%", c.load, got, c.want)
		}
	}
	if got := timeInSystem("random", 0.5, 200_000); math.Abs(got-2) > 0.1 {
		t.Errorf("one random choice at load 0.5: %.4f, want 2: the simulation is wrong", got)
	}
}

// pool simulates servers with queues of their own to which requests come as a Poisson stream. A request of server i takes
// an exponential time of mean means[i]; rate is requests a second. What is counted is how long requests were in the system
// and how many of them each server had, after the first tenth.
func pool(policy string, means []time.Duration, rate float64, arrivals int) (times []time.Duration, shares []float64) {
	random := rand.New(rand.NewPCG(3, uint64(len(means))))
	list := candidates(slices.Repeat([]int{1}, len(means))...)
	p := newPickers(policy, list)
	free := make([]float64, len(means)) // when a server has done all it has, in seconds
	shares = make([]float64, len(means))
	type ending struct {
		server int
		took   time.Duration
	}
	var ends departures
	endings := map[float64]ending{}
	began, now := time.Now(), 0.0
	clock := func(at float64) time.Time { return began.Add(time.Duration(at * float64(time.Second))) }
	for seen := range arrivals {
		now += random.ExpFloat64() / rate
		for len(ends) > 0 && ends[0].at <= now {
			at := heap.Pop(&ends).(departure).at
			e := endings[at]
			delete(endings, at)
			list[e.server].Load.Learn(e.took, clock(at))
			p.Done(e.server)
		}
		at := p.Pick(Ask{Now: clock(now)})
		free[at] = max(free[at], now) + random.ExpFloat64()*means[at].Seconds()
		took := time.Duration((free[at] - now) * float64(time.Second))
		heap.Push(&ends, departure{free[at], at})
		endings[free[at]] = ending{at, took}
		if seen > arrivals/10 {
			times = append(times, took)
			shares[at]++
		}
	}
	for i := range shares {
		shares[i] /= float64(len(times))
	}
	slices.Sort(times)
	return times, shares
}

// One of five endpoints is a hundred times slower. peakEwma finds out by itself: the slowest hundredth of all requests takes
// no more than twice of what it takes where all five are well.
func TestPeakEwmaAvoidsTheSlow(t *testing.T) {
	const usual = 10 * time.Millisecond
	well := slices.Repeat([]time.Duration{usual}, 5)
	slow := slices.Clone(well)
	slow[2] = 100 * usual
	rate := 5 * 0.4 / usual.Seconds()
	times, _ := pool("peakEwma", well, rate, 100_000)
	p99 := times[len(times)*99/100]
	times, shares := pool("peakEwma", slow, rate, 100_000)
	got := times[len(times)*99/100]
	t.Logf("p99 %v with all well, %v with one 100 times slower, which got %.4f of the requests", p99, got, shares[2])
	if got > 2*p99 || shares[2] > .01 {
		t.Errorf("p99 is %v, of a healthy pool %v; the slow one got %.4f of the requests", got, p99, shares[2])
	}
	if _, shares = pool("peakEwma", well, rate, 100_000); slices.Min(shares) < .1 {
		t.Errorf("equal endpoints are not used alike: %.3f", shares)
	}
}

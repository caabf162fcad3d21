package concurrency

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// The climber is judged in a simulation: a service of so many slots, 20 ms a request, is asked three times as much as it
// can do for half a minute. What counts is the second half.
func TestClimberFindsTheKnee(t *testing.T) {
	for _, c := range []struct {
		name   string
		slots  int
		random bool // service times are exponential, not constant
		least  float64
	}{
		{"5 slots", 5, false, 0.85},
		{"20 slots", 20, false, 0.93},
		{"20 slots, random times", 20, true, 0.88},
		{"100 slots", 100, false, 0.93},
		{"100 slots, random times", 100, true, 0.90},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSimulation(c.slots, c.random)
			l := New(Settings{Adaptive: true})
			s.run(l, 3, 10*time.Second)
			s.done, s.limits, s.lowest = 0, 0, 1<<30
			s.run(l, 3, 20*time.Second)
			goodput := float64(s.done) / 10 / s.capacity()
			mean := float64(s.limits) / float64(s.done)
			t.Logf("goodput %.3f of the peak, limit %.1f in the mean, %d at least", goodput, mean, s.lowest)
			if goodput < c.least {
				t.Errorf("goodput is %.3f of the peak, want %.2f", goodput, c.least)
			}
			if mean > 1.8*float64(c.slots) {
				t.Errorf("the mean limit is %.1f, so that requests wait inside %d slots", mean, c.slots)
			}
			if !c.random && c.slots >= 20 && float64(s.lowest) < 0.6*float64(c.slots) {
				t.Errorf("the limit dipped to %d", s.lowest)
			}
		})
	}
}

// On a machine that stands still now and then goodput is not steady, and the limit must not run away.
func TestClimberOnAnUnsteadyService(t *testing.T) {
	for _, slots := range []int{20, 100} {
		for seed := range uint64(4) {
			s := newSimulation(slots, true)
			s.random, s.stall = rand.New(rand.NewPCG(seed, 2)), 1
			l := New(Settings{Adaptive: true})
			s.run(l, 3, 8*time.Second)
			s.done, s.limits, s.lost = 0, 0, 0
			s.run(l, 3, 20*time.Second)
			goodput, mean := float64(s.done)/(12-s.lost)/s.capacity(), float64(s.limits)/float64(s.done)
			if goodput < 0.85 || mean > 2*float64(slots) {
				t.Errorf("%d slots, seed %d: goodput %.3f of the peak, limit %.1f in the mean", slots, seed, goodput, mean)
			}
		}
	}
}

// A service that answers half as fast for good is not starved for what it was.
func TestClimberAcceptsASlowerService(t *testing.T) {
	s := newSimulation(50, false)
	l := New(Settings{Adaptive: true})
	s.run(l, 3, 10*time.Second)
	s.slower = 4
	s.run(l, 3, 40*time.Second)
	if n := l.Limit(); n < 35 || n > 90 {
		t.Errorf("50 slots of 80 ms, and the limit is %d", n)
	}
}

// A service that becomes slower has another knee, and so has one that recovers.
func TestClimberFollowsTheService(t *testing.T) {
	s := newSimulation(50, false)
	l := New(Settings{Adaptive: true})
	s.run(l, 3, 10*time.Second)
	s.slots = 10
	s.run(l, 6, 25*time.Second)
	if n := l.Limit(); n > 30 {
		t.Errorf("10 slots are left and the limit is %d", n)
	}
	s.grow(100)
	s.run(l, 3, 45*time.Second)
	if n := l.Limit(); n < 50 || n > 200 {
		t.Errorf("there are 100 slots and the limit is %d", n)
	}
}

func TestClimberStaysWhereNothingPresses(t *testing.T) {
	s := newSimulation(100, false)
	l := New(Settings{Adaptive: true})
	s.run(l, 0.05, 30*time.Second)
	if n := l.Limit(); n != firstLimit {
		t.Errorf("the limit went to %d, and nobody was kept out", n)
	}
}

func TestClimberKeepsToItsBound(t *testing.T) {
	s := newSimulation(100, false)
	l := New(Settings{Adaptive: true, Max: 40})
	s.highest = 0
	s.run(l, 3, 20*time.Second)
	if s.highest > 40 {
		t.Errorf("the limit went to %d over its bound of 40", s.highest)
	}
	if n := l.Limit(); n < 30 {
		t.Errorf("100 slots, and the limit is %d of 40", n)
	}
}

// A service that fails at once under too much load is not taken for a fast one.
func TestClimberCountsGoodAnswersOnly(t *testing.T) {
	c := NewClimber(0)
	now := time.Now()
	for range 20_000 { // beyond 16 inside, all that is more fails
		n := c.limit.Load()
		c.pressed()
		good := rand.Float64() < min(1, 16/float64(n))
		now = now.Add(20 * time.Millisecond / time.Duration(n))
		c.done(good, n, func() time.Time { return now })
	}
	if n := c.limit.Load(); n > 40 {
		t.Errorf("the limit went to %d where 16 are served", n)
	}
}

// simulation is a service with slots that requests queue for, and the requests.
type simulation struct {
	random  *rand.Rand
	slots   int
	vary    bool
	busy    int
	queued  int
	ends    times
	now     float64 // seconds
	start   time.Time
	done    int
	limits  int64 // summed over done
	lowest  int64
	highest int64
	stall   float64 // times a second that everything stands still, for 30 ms in the mean
	lost    float64 // seconds, by that
	next    float64
	slower  float64 // times; 0: not
}

const serviceTime = 0.020

func newSimulation(slots int, vary bool) *simulation {
	return &simulation{random: rand.New(rand.NewPCG(1, 2)), slots: slots, vary: vary, start: time.Now(), lowest: 1 << 30}
}

func (s *simulation) capacity() float64 { return float64(s.slots) / serviceTime }

func (s *simulation) serve() {
	d := serviceTime * max(1, s.slower)
	if s.vary {
		d *= s.random.ExpFloat64()
	}
	heap.Push(&s.ends, s.now+d)
}

func (s *simulation) grow(slots int) {
	for s.slots = slots; s.queued > 0 && s.busy < s.slots; s.queued-- {
		s.busy++
		s.serve()
	}
}

// run asks load times the capacity until the time given.
func (s *simulation) run(l *Limiter, load float64, until time.Duration) {
	rate := load * s.capacity()
	arrival := s.now + s.random.ExpFloat64()/rate
	for s.now < until.Seconds() {
		if s.stall > 0 && s.now >= s.next {
			d := 0.030 * s.random.ExpFloat64()
			s.next = s.now + d + s.random.ExpFloat64()/s.stall
			s.lost += d
			for i := range s.ends {
				s.ends[i] += d
			}
		}
		if len(s.ends) == 0 || arrival < s.ends[0] {
			s.now = arrival
			arrival += s.random.ExpFloat64() / rate
			s.arrive(l)
			continue
		}
		s.now = heap.Pop(&s.ends).(float64)
		s.end(l)
	}
}

func (s *simulation) arrive(l *Limiter) {
	if !l.Enter(context.Background(), time.Time{}) {
		return
	}
	if s.busy >= s.slots {
		s.queued++
		return
	}
	s.busy++
	s.serve()
}

func (s *simulation) end(l *Limiter) {
	if s.queued > 0 && s.busy <= s.slots {
		s.queued--
		s.serve()
	} else {
		s.busy--
	}
	l.now = func() time.Time { return s.start.Add(time.Duration(s.now * 1e9)) }
	l.Leave(true)
	s.done++
	limit := l.limit()
	s.limits += limit
	s.lowest, s.highest = min(s.lowest, limit), max(s.highest, limit)
}

type times []float64

func (q times) Len() int           { return len(q) }
func (q times) Less(i, j int) bool { return q[i] < q[j] }
func (q times) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *times) Push(x any)        { *q = append(*q, x.(float64)) }
func (q *times) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

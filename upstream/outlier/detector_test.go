package outlier

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rig is a detector of some endpoints, and what it told of them.
type rig struct {
	*testing.T
	*Detector
	states []*State

	telling sync.Mutex
	told    []string
}

func settings() Settings {
	return Settings{ConsecutiveErrors: 3, Interval: 10 * time.Second, EjectFor: 30 * time.Second, MaxEjectedPercent: 50}
}

func newRig(t *testing.T, endpoints int, s Settings) *rig {
	r := &rig{T: t, Detector: NewDetector(s)}
	for range endpoints {
		r.states = append(r.states, new(State))
	}
	r.Watch(r.targets())
	t.Cleanup(r.Stop)
	return r
}

func (r *rig) targets() []Target {
	targets := make([]Target, len(r.states))
	for i, s := range r.states {
		targets[i] = Target{s, func(c Change) {
			r.telling.Lock()
			defer r.telling.Unlock()
			if c.Ejected {
				r.told = append(r.told, fmt.Sprintf("%d out %v %s", i, c.For, c.Reason))
			} else {
				r.told = append(r.told, fmt.Sprintf("%d back", i))
			}
		}}
	}
	return targets
}

// attempts makes n at endpoint i, of which the first so many fail.
func (r *rig) attempts(i, n, failed int) {
	for k := range n {
		r.Observe(r.states[i], k < failed)
	}
}

// alternate makes pairs of an error and a success.
func (r *rig) alternate(i, pairs int) {
	for range pairs {
		r.attempts(i, 2, 1)
	}
}

func (r *rig) wants(told ...string) {
	r.Helper()
	synctest.Wait()
	r.telling.Lock()
	defer r.telling.Unlock()
	if !slices.Equal(r.told, told) {
		r.Errorf("told %q, want %q", r.told, told)
	}
	r.told = nil
}

func TestConsecutiveErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, settings())
		r.attempts(0, 2, 2)
		r.attempts(0, 1, 0) // a success ends the row
		r.attempts(0, 2, 2)
		r.wants()
		r.attempts(0, 1, 1)
		r.wants("0 out 30s consecutive_errors")
		r.attempts(0, 5, 5) // what was under way
		time.Sleep(30*time.Second - 1)
		r.wants()
		time.Sleep(time.Nanosecond)
		r.wants("0 back")
		r.attempts(0, 2, 2) // the record is clean
		r.wants()
	})
}

func TestEjectionLengthensAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, settings())
		for i := range 12 {
			lasts := time.Duration(min(i+1, 10)) * 30 * time.Second
			r.attempts(0, 3, 3)
			r.wants(fmt.Sprintf("0 out %v consecutive_errors", lasts))
			time.Sleep(lasts)
			r.wants("0 back")
		}
		time.Sleep(4 * 30 * time.Second) // lives four of the ten down
		r.attempts(0, 3, 3)
		r.wants("0 out 3m30s consecutive_errors")
		time.Sleep(210 * time.Second)
		r.wants("0 back")
		time.Sleep(time.Hour)
		r.attempts(0, 3, 3)
		r.wants("0 out 30s consecutive_errors")
	})
}

func TestMostOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			endpoints int
			percent   float64
			out       int
		}{
			{1, 100, 0}, // the only one stays
			{2, 50, 1},
			{2, 100, 1}, // the last one stays
			{3, 1, 1},   // one may always be out
			{10, 50, 5},
			{10, 39, 3},
			{10, 100, 9},
		} {
			s := settings()
			s.MaxEjectedPercent = c.percent
			r := newRig(t, c.endpoints, s)
			for i := range c.endpoints {
				r.attempts(i, 5, 5)
			}
			if len(r.told) != c.out {
				t.Errorf("%d endpoints, %v %%: %d are out, want %d", c.endpoints, c.percent, len(r.told), c.out)
			}
		}
	})
}

func TestErrorRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, settings())
		for i := range 3 {
			r.attempts(i, 100, 1)
		}
		r.alternate(3, 50)
		r.wants()
		time.Sleep(10 * time.Second)
		r.wants("3 out 30s error_rate")
		time.Sleep(30 * time.Second)
		r.wants("3 back")
	})
}

func TestNoOutlierWhereAllFailAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, settings())
		for i := range 4 {
			r.alternate(i, 50+i)
		}
		time.Sleep(10 * time.Second)
		r.wants()
	})
}

func TestFewAttemptsSayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, settings())
		r.attempts(0, 100, 0)
		r.attempts(1, 100, 0)
		r.alternate(2, 9)
		time.Sleep(10 * time.Second)
		r.wants()
		r.alternate(2, 9) // of another interval: they do not add up
		time.Sleep(10 * time.Second)
		r.wants()
	})
}

func TestWorse(t *testing.T) {
	for _, c := range []struct {
		own, others tally
		want        bool
	}{
		{tally{100, 50}, tally{300, 3}, true},
		{tally{100, 9}, tally{300, 0}, false},              // less than ten points
		{tally{20, 3}, tally{20, 1}, false},                // chance
		{tally{1000, 150}, tally{1000, 20}, true},          // no chance
		{tally{20, 20}, tally{19, 0}, false},               // nothing to compare with
		{tally{}, tally{}, false},                          //
		{tally{100, 100}, tally{300, 100}, true},           // another one fails, too
		{tally{100, 0}, tally{100, 100}, false},            // the better one
		{tally{1 << 31, 1 << 30}, tally{1 << 31, 0}, true}, //
	} {
		if got := c.own.worse(c.others); got != c.want {
			t.Errorf("%v against %v: %v", c.own, c.others, got)
		}
	}
}

// Another set of endpoints, and another detector, leave an ejection as it is.
func TestEjectionOutlivesTheDetector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, settings())
		r.attempts(0, 3, 3)
		r.wants("0 out 30s consecutive_errors")
		time.Sleep(10 * time.Second)

		r.states = append(r.states, new(State))
		r.Watch(r.targets())
		s := settings()
		s.ConsecutiveErrors = 7
		next := NewDetector(s)
		next.Watch(r.targets())
		defer next.Stop()
		r.Stop()
		if !r.states[0].Ejected() {
			t.Fatal("the ejection was forgotten")
		}
		time.Sleep(20*time.Second - 1)
		r.wants()
		time.Sleep(time.Nanosecond)
		r.wants("0 back")
	})
}

func TestStoppedDetectorEjectsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, settings())
		r.Stop()
		r.attempts(0, 10, 10)
		r.wants()
		r.states[1].Forgive()
	})
}

func TestForgive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, settings())
		r.attempts(0, 3, 3)
		r.Stop()
		r.states[0].Forgive()
		if r.states[0].Ejected() || !r.states[0].Until().IsZero() {
			t.Error("still ejected")
		}
	})
}

func TestObserveFromEverywhere(t *testing.T) {
	r := newRig(t, 20, settings())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 2000 {
				r.Observe(r.states[i%20], i%3 != 0)
			}
		})
	}
	all.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := 0
	for _, s := range r.states {
		if s.Ejected() {
			out++
		}
	}
	if out > 10 {
		t.Errorf("%d of 20 are out, and half may be", out)
	}
}

func BenchmarkObserve(b *testing.B) {
	d := NewDetector(settings())
	s := new(State)
	d.Watch([]Target{{s, func(Change) {}}})
	defer d.Stop()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.Observe(s, false)
		}
	})
}

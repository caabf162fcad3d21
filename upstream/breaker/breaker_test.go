package breaker

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rig is a breaker and a clock of its own.
type rig struct {
	*testing.T
	*Breaker
	now    time.Time
	states []State
}

func newRig(t *testing.T, change func(*Settings)) *rig {
	s := Settings{
		Window: 10 * time.Second, MinRequests: 4, ErrorPercent: 50, SlowPercent: 100, SlowAfter: time.Second,
		OpenFor: 5 * time.Second, Probes: 2,
	}
	if change != nil {
		change(&s)
	}
	r := &rig{T: t}
	r.Breaker = New(s, func(s State) { r.states = append(r.states, s) })
	r.now = r.Breaker.start
	return r
}

func (r *rig) pass(d time.Duration) { r.now = r.now.Add(d) }

func (r *rig) allow() Permit {
	r.Helper()
	p, _, ok := r.Allow(r.now)
	if !ok {
		r.Fatal("refused")
	}
	return p
}

func (r *rig) refused() time.Duration {
	r.Helper()
	_, retry, ok := r.Allow(r.now)
	if ok {
		r.Fatal("allowed")
	}
	return retry
}

func (r *rig) done(p Permit, o Outcome, took time.Duration) { r.Done(p, o, took, r.now) }

// attempts makes some of one outcome.
func (r *rig) attempts(n int, o Outcome) {
	r.Helper()
	for range n {
		r.done(r.allow(), o, time.Millisecond)
	}
}

func (r *rig) is(want State) {
	r.Helper()
	if got := r.State(r.now); got != want {
		r.Fatalf("the breaker is %v, want %v", got, want)
	}
}

func TestOpensByErrors(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(3, Failure)
	r.is(Closed) // fewer than MinRequests
	r.attempts(1, Failure)
	r.is(Open)
	if retry := r.refused(); retry != 5*time.Second {
		t.Errorf("retry after %v, want 5s", retry)
	}
	r.pass(2 * time.Second)
	if retry := r.refused(); retry != 3*time.Second {
		t.Errorf("retry after %v, want 3s", retry)
	}
}

func TestShareOfErrors(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(5, Success)
	r.attempts(4, Failure)
	r.is(Closed) // 4 of 9
	r.attempts(1, Failure)
	r.is(Open) // 5 of 10
}

func TestWindowSlides(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(3, Failure)
	r.pass(11 * time.Second)
	r.attempts(3, Success)
	r.attempts(1, Failure)
	r.is(Closed) // 1 of 4: the first three are gone
	r.pass(9 * time.Second)
	r.attempts(2, Failure)
	r.is(Open) // 3 of 6
}

func TestOpensBySlowness(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.SlowPercent = 50 })
	r.attempts(2, Success)
	r.done(r.allow(), Success, time.Second)
	r.is(Closed)
	r.done(r.allow(), Nothing, 2*time.Second) // the client gave up, later than SlowAfter
	r.is(Open)
}

func TestNothingIsSlow(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.SlowAfter = 0 })
	for range 10 {
		r.done(r.allow(), Success, time.Hour)
	}
	r.is(Closed)
}

func TestWhoSaysNothingDoesNotCount(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(3, Failure)
	r.attempts(50, Nothing)
	r.is(Closed)
}

func TestHalfOpenCloses(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(4, Failure)
	r.pass(5 * time.Second)
	r.is(HalfOpen)
	first, second := r.allow(), r.allow()
	if retry := r.refused(); retry != time.Second {
		t.Errorf("retry after %v, want 1s", retry)
	}
	r.done(first, Success, 0)
	r.refused() // no more than Probes, though one is back
	r.done(second, Success, 0)
	r.is(Closed)
	r.attempts(3, Failure)
	r.is(Closed) // the window began empty
	if want := []State{Open, HalfOpen, Closed}; !slices.Equal(r.states, want) {
		t.Errorf("told of %v, want %v", r.states, want)
	}
}

func TestAnyFailureReopens(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(4, Failure)
	r.pass(5 * time.Second)
	first, second := r.allow(), r.allow()
	r.done(first, Failure, 0)
	r.is(Open)
	r.done(second, Success, 0) // of the turn before
	r.is(Open)
	if retry := r.refused(); retry != 5*time.Second {
		t.Errorf("retry after %v, want 5s", retry)
	}
}

// An attempt that a probe made on the way counts, too.
func TestAttemptOfAProbeReopens(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(4, Failure)
	r.pass(5 * time.Second)
	r.allow()
	r.done(r.Attempt(), Success, 0)
	r.is(HalfOpen)
	r.done(r.Attempt(), Failure, 0)
	r.is(Open)
}

func TestSlowProbesReopen(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(4, Failure)
	r.pass(5 * time.Second)
	first, second := r.allow(), r.allow()
	r.done(first, Success, time.Second)
	r.done(second, Success, time.Second)
	r.is(Open)
}

func TestCancelledProbeGivesItsPlace(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(4, Failure)
	r.pass(5 * time.Second)
	first, second := r.allow(), r.allow()
	r.done(first, Nothing, 0)
	third := r.allow()
	r.refused()
	r.done(second, Success, 0)
	r.done(third, Success, 0)
	r.is(Closed)
}

func TestEndlessProbesDoNotWedge(t *testing.T) {
	r := newRig(t, nil)
	r.attempts(4, Failure)
	r.pass(5 * time.Second)
	first, second := r.allow(), r.allow()
	r.pass(5*time.Second - 1)
	r.refused()
	r.pass(1)
	third := r.allow()
	r.done(first, Success, 5*time.Second-1) // slow, and yet it counts
	r.done(third, Success, 0)
	r.is(Closed)
	r.done(second, Failure, time.Hour)
	r.is(Closed)
}

// What began before the breaker opened says nothing of what it is now.
func TestLateOutcomes(t *testing.T) {
	r := newRig(t, nil)
	late := []Permit{r.allow(), r.allow(), r.allow(), r.allow(), r.allow()}
	r.attempts(4, Failure)
	r.pass(5 * time.Second)
	first, second := r.allow(), r.allow()
	r.done(late[0], Failure, 0)
	r.is(HalfOpen)
	r.done(first, Success, 0)
	r.done(second, Success, 0)
	for _, p := range late[1:] {
		r.done(p, Failure, 0)
	}
	r.is(Closed)
}

// However many ask at once, Probes are admitted.
func TestHalfOpenAdmitsExactly(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.Probes = 7 })
	r.attempts(4, Failure)
	r.pass(5 * time.Second)
	var admitted atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 100 {
				if _, _, ok := r.Allow(r.now); ok {
					admitted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := admitted.Load(); n != 7 {
		t.Errorf("%d were admitted, want 7", n)
	}
}

// A full counter must not run over into the next.
func TestCounterStopsWhenFull(t *testing.T) {
	var word atomic.Uint64
	word.Store(5<<tickShift | maxCount)
	add(&word, 5, 1)
	if got := word.Load(); got != 5<<tickShift|maxCount {
		t.Errorf("the word became %x", got)
	}
	add(&word, 6, 1)
	if got := word.Load(); got != 6<<tickShift|1 {
		t.Errorf("the word of the next tick is %x", got)
	}
}

func BenchmarkClosed(b *testing.B) {
	br := New(Settings{Window: 10 * time.Second, MinRequests: 20, ErrorPercent: 50, SlowPercent: 100,
		SlowAfter: 5 * time.Second, OpenFor: 5 * time.Second, Probes: 3}, nil)
	now := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if p, _, ok := br.Allow(now); ok {
				br.Done(p, Success, time.Millisecond, now)
			}
		}
	})
}

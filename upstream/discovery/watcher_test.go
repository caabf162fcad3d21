package discovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is a source that answers what it is told to, one answer a Find, and then waits for ever.
type script struct {
	mu     sync.Mutex
	steps  []func() (Answer, error)
	asked  []time.Time
	closed bool
}

func (s *script) String() string { return "script" }

func (s *script) Close() error { s.closed = true; return nil }

func (s *script) Find(ctx context.Context) (Answer, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	if len(s.steps) == 0 {
		s.mu.Unlock()
		<-ctx.Done()
		return Answer{}, ctx.Err()
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	s.mu.Unlock()
	return step()
}

func finds(urls ...string) func() (Answer, error) {
	return func() (Answer, error) { return Answer{Endpoints: at(urls...), After: time.Second}, nil }
}

func unchanged() (Answer, error) { return Answer{Unchanged: true, After: time.Second}, nil }

func fails() (Answer, error) { return Answer{}, errors.New("nobody is there") }

// watched is a watcher over a script with everything it said.
type watched struct {
	*Watcher
	source   *script
	applied  [][]Endpoint
	outcomes []Outcome
}

// watch runs the steps to their end and stops.
func watch(t *testing.T, allowEmpty bool, steps ...func() (Answer, error)) *watched {
	t.Helper()
	w := &watched{source: &script{steps: steps}}
	w.Watcher = New(Options{
		Source: w.source, AllowEmpty: allowEmpty,
		Apply: func(set []Endpoint) { w.applied = append(w.applied, set) },
		Told:  func(o Outcome) { w.outcomes = append(w.outcomes, o) },
	})
	w.Start()
	for range len(steps) {
		time.Sleep(backoffMax + time.Second)
	}
	w.Stop()
	if !w.source.closed {
		t.Error("the source was not closed")
	}
	return w
}

// told is the outcomes in short.
func (w *watched) told() string {
	var list []string
	for _, o := range w.outcomes {
		switch {
		case o.Err != nil:
			list = append(list, fmt.Sprintf("failed first=%v", o.First))
		default:
			list = append(list, fmt.Sprintf("+%d-%d changed=%v recovered=%v first=%v", o.Added, o.Removed, o.Changed, o.Recovered, o.First))
		}
	}
	return strings.Join(list, "; ")
}

func TestOnlyAnotherSetIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, false, finds("http://a:1", "http://b:1"), finds("http://b:1", "http://a:1"), unchanged, finds("http://b:1", "http://c:1", "http://d:1"))
		if len(w.applied) != 2 || len(w.applied[1]) != 3 {
			t.Errorf("applied %v", w.applied)
		}
		if want := "+2-0 changed=true recovered=false first=true; +0-0 changed=false recovered=false first=false; " +
			"+0-0 changed=false recovered=false first=false; +2-1 changed=true recovered=false first=false"; w.told() != want {
			t.Errorf("told %s\nwant %s", w.told(), want)
		}
	})
}

func TestAFailureKeepsTheLastGoodSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := watch(t, false, finds("http://a:1"), fails, fails, func() (Answer, error) { return Answer{Endpoints: at("garbage")}, nil })
		if len(w.applied) != 1 || len(w.Set()) != 1 {
			t.Errorf("applied %v, set %v", w.applied, w.Set())
		}
		s := w.State()
		if s.Failures != 3 || !strings.Contains(s.LastError, `"garbage"`) || !s.LastGood.Equal(began) || s.FailedAt.IsZero() || s.Endpoints != 1 {
			t.Errorf("state %+v", s)
		}
		if want := "failed first=true; failed first=false; failed first=false"; !strings.HasSuffix(w.told(), want) {
			t.Errorf("told %s", w.told())
		}
	})
}

func TestRecoveryIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, false, fails, finds("http://a:1"), fails, unchanged)
		if want := "failed first=true; +1-0 changed=true recovered=true first=true; failed first=true; " +
			"+0-0 changed=false recovered=true first=false"; w.told() != want {
			t.Errorf("told %s", w.told())
		}
		if s := w.State(); s.Failures != 0 || s.LastError != "" {
			t.Errorf("state %+v", s)
		}
	})
}

func TestAnEmptyAnswerIsAFailureUnlessAllowed(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := watch(t, allowed, finds("http://a:1"), finds())
			if got := len(w.Set()) == 0; got != allowed {
				t.Errorf("allowed %v: the set is %v", allowed, w.Set())
			}
			if !allowed && !strings.Contains(w.State().LastError, "empty") {
				t.Errorf("state %+v", w.State())
			}
		})
	}
}

func TestAnEmptyFirstAnswerIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, true, finds())
		if len(w.applied) != 1 || w.State().LastGood.IsZero() {
			t.Errorf("applied %v", w.applied)
		}
	})
}

// "Not modified" confirms the answer that was given last, not the set in force.
func TestUnchangedGarbageStaysGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, false, finds("http://a:1"), finds(), unchanged)
		if w.State().Failures != 2 || len(w.Set()) != 1 {
			t.Errorf("state %+v, set %v", w.State(), w.Set())
		}
		w = watch(t, false, unchanged)
		if w.State().Failures != 1 || len(w.applied) != 0 {
			t.Errorf("state %+v", w.State())
		}
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, false, func() (Answer, error) { panic("index out of range") }, finds("http://a:1"))
		if len(w.applied) != 1 || w.outcomes[0].Err == nil {
			t.Errorf("told %s", w.told())
		}
	})
}

func TestFoundIsClosedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(Options{Source: &script{steps: []func() (Answer, error){fails, finds("http://a:1"), finds("http://b:1")}}})
		w.Start()
		defer w.Stop()
		select {
		case <-w.Found():
			t.Error("found before there was an answer")
		default:
		}
		<-w.Found()
		if len(w.Set()) != 1 {
			t.Errorf("the set is %v", w.Set())
		}
		time.Sleep(time.Minute)
		<-w.Found()
	})
}

// A source that fails is asked less and less often, down to twice a minute, and never in a fixed rhythm.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []func() (Answer, error)
		for range 12 {
			steps = append(steps, fails)
		}
		w := watch(t, false, steps...)
		most := backoffBase
		for i := 1; i < len(w.source.asked); i++ {
			pause := w.source.asked[i].Sub(w.source.asked[i-1])
			if pause < most/2 || pause > most {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, most/2, most)
			}
			most = min(2*most, backoffMax)
		}
	})
}

// A source that waits by itself is not kept waiting for the end of a pause, whatever it said.
func TestASourceThatWaitsNeedsNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := func() (Answer, error) { return Answer{Waits: true}, errors.New("no such file") }
		empty := func() (Answer, error) { return Answer{Waits: true}, nil }
		w := watch(t, false, failed, failed, failed, empty, empty, failed)
		for i := 1; i < len(w.source.asked); i++ {
			if d := w.source.asked[i].Sub(w.source.asked[i-1]); d != pace {
				t.Errorf("question %d came after %v, want %v", i, d, pace)
			}
		}
	})
}

// A source that says "at once" again and again is not asked in a tight loop.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atOnce := func() (Answer, error) { return Answer{Endpoints: at("http://a:1")}, nil }
		w := watch(t, false, atOnce, atOnce, atOnce)
		for i := 1; i < len(w.source.asked); i++ {
			if d := w.source.asked[i].Sub(w.source.asked[i-1]); d < pace {
				t.Errorf("asked again after %v", d)
			}
		}
	})
}

func TestTheNextQuestionWaitsAsAskedAndALittleMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func() (Answer, error) { return Answer{Endpoints: at("http://a:1"), After: 20 * time.Second}, nil }
		w := watch(t, false, slow, slow, slow, slow)
		for i := 1; i < len(w.source.asked); i++ {
			if d := w.source.asked[i].Sub(w.source.asked[i-1]); d < 20*time.Second || d > 21*time.Second {
				t.Errorf("asked again after %v, want 20s to 21s", d)
			}
		}
	})
}

func TestStopEndsAQuestionAndAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, steps := range [][]func() (Answer, error){nil, {fails}, {finds("http://a:1")}} {
			w := New(Options{Source: &script{steps: steps}})
			w.Start()
			synctest.Wait()
			w.Stop()
		}
		New(Options{Source: &script{}}).Stop() // never started
	})
}

func TestALongErrorIsShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, false, func() (Answer, error) { return Answer{}, errors.New(strings.Repeat("x", 100_000)) })
		if n := len(w.State().LastError); n > 510 {
			t.Errorf("%d bytes are kept", n)
		}
	})
}

package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errSick = errors.New("sick")

func settings() Settings {
	return Settings{Interval: 10 * time.Second, Timeout: time.Second, HealthyAfter: 2, UnhealthyAfter: 3}
}

func TestState(t *testing.T) {
	for _, c := range []struct {
		name     string
		require  bool
		outcomes string // + a success, - a failure
		states   string // after each: u up, d down, w waiting
	}{
		{"fails", false, "+--+---", "uuuuuud"},
		{"comes back", false, "---+-++", "uuddddu"},
		{"new and sick", false, "---", "uud"},
		{"new and well", false, "+", "u"},
		{"waits", true, "----+---++", "wwwwuuuddu"},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings := settings()
			settings.RequireHealthy = c.require
			var s State
			states := ""
			for _, outcome := range c.outcomes {
				before := s.Up(&settings)
				var err error
				if outcome == '-' {
					err = errSick
				}
				if changed := s.record(&settings, err, time.Now()); changed != (before != s.Up(&settings)) {
					t.Errorf("after %s: changed is %v", states, changed)
				}
				switch {
				case s.Waiting(&settings):
					states += "w"
				case s.Up(&settings):
					states += "u"
				default:
					states += "d"
				}
			}
			if states != c.states {
				t.Errorf("%s gives %s, want %s", c.outcomes, states, c.states)
			}
		})
	}
}

func TestTrust(t *testing.T) {
	settings := settings()
	settings.RequireHealthy = true
	var s State
	s.Trust(&settings)
	if !s.Up(&settings) || s.Waiting(&settings) {
		t.Error("a trusted endpoint waits")
	}
	for range 3 {
		s.record(&settings, errSick, time.Now())
	}
	s.Trust(&settings)
	if s.Up(&settings) {
		t.Error("trust made a sick endpoint well")
	}
}

// patient is an endpoint that is as well as it is told to be.
type patient struct {
	State
	sick   atomic.Bool
	mu     sync.Mutex
	checks []time.Duration // when, since start
	told   []string
	start  time.Time
}

func (p *patient) target() Target {
	return Target{State: &p.State, Probe: p.probe, Changed: func(c Change) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told = append(p.told, fmt.Sprint(c.Up, c.Err))
	}}
}

func (p *patient) probe(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checks = append(p.checks, time.Since(p.start))
	if p.sick.Load() {
		return errSick
	}
	return nil
}

func (p *patient) times() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.checks)
}

func (p *patient) wants(t *testing.T, told ...string) {
	t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.told, told) {
		t.Errorf("told %q, want %q", p.told, told)
	}
	p.told = nil
}

func TestChecksBeginAtOnceAndGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(settings())
		defer c.Stop()
		p := &patient{start: time.Now()}
		c.Watch([]Target{p.target()})
		synctest.Wait()
		if n := len(p.times()); n != 1 {
			t.Fatalf("%d checks, want one at once", n)
		}
		time.Sleep(10*time.Second + 1)
		if n := len(p.times()); n < 2 {
			t.Errorf("the second check has not come within the interval")
		}
		time.Sleep(10 * time.Minute)
		checks := p.times()
		for i := 2; i < len(checks); i++ {
			if d := checks[i] - checks[i-1]; d < 9*time.Second || d > 11*time.Second {
				t.Errorf("check %d came %v after the one before", i, d)
			}
		}
	})
}

func TestChangesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(settings())
		defer c.Stop()
		p := &patient{start: time.Now()}
		c.Watch([]Target{p.target()})
		p.wants(t)
		p.sick.Store(true)
		time.Sleep(45 * time.Second)
		p.wants(t, "false sick")
		p.sick.Store(false)
		time.Sleep(35 * time.Second)
		p.wants(t, "true <nil>")
		if at, err := p.Last(); err != nil || at.IsZero() {
			t.Errorf("the last check: %v at %v", err, at)
		}
	})
}

// Ten thousand endpoints are checked in time, no more than maxRunning at once, and not all at the same moment.
func TestManyEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const endpoints = 10_000
		c := NewChecker(settings())
		var running, most, checks atomic.Int64
		var mu sync.Mutex
		perSecond := make(map[int]int)
		start := time.Now()
		targets := make([]Target, endpoints)
		for i := range targets {
			targets[i] = Target{State: new(State), Changed: func(Change) {}, Probe: func(context.Context) error {
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				checks.Add(1)
				mu.Lock()
				perSecond[int(time.Since(start).Seconds())]++
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
				running.Add(-1)
				return nil
			}}
		}
		c.Watch(targets)
		time.Sleep(41 * time.Second)
		c.Stop()
		time.Sleep(time.Second)
		if most.Load() > maxRunning {
			t.Errorf("%d checks ran at once", most.Load())
		}
		if n := checks.Load(); n < 4*endpoints {
			t.Errorf("%d checks in four intervals", n)
		}
		mu.Lock()
		defer mu.Unlock()
		for second := 15; second < 40; second++ {
			if n := perSecond[second]; n > endpoints/5 {
				t.Errorf("%d of %d checks came in second %d", n, endpoints, second)
			}
		}
	})
}

// A round of silent endpoints takes its time; nobody is forgotten.
func TestSilentEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(settings())
		var down atomic.Int64
		targets := make([]Target, 1000)
		for i := range targets {
			targets[i] = Target{State: new(State), Changed: func(c Change) {
				if !c.Up && errors.Is(c.Err, context.DeadlineExceeded) {
					down.Add(1)
				}
			}, Probe: func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}}
		}
		c.Watch(targets)
		time.Sleep(40 * time.Second)
		c.Stop()
		synctest.Wait()
		if n := down.Load(); n != 1000 {
			t.Errorf("%d of 1000 silent endpoints are down", n)
		}
	})
}

func TestAnotherSetKeepsTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(settings())
		defer c.Stop()
		stays, goes, comes := &patient{start: time.Now()}, &patient{start: time.Now()}, &patient{start: time.Now()}
		c.Watch([]Target{stays.target(), goes.target()})
		time.Sleep(time.Minute)
		before := len(stays.times())
		c.Watch([]Target{stays.target(), comes.target()})
		synctest.Wait()
		gone := len(goes.times())
		if n := len(stays.times()); n != before {
			t.Error("the one that stays was checked out of turn")
		}
		if len(comes.times()) != 1 {
			t.Error("the new one was not checked at once")
		}
		time.Sleep(time.Minute)
		if n := len(goes.times()); n != gone {
			t.Error("the one that is gone is checked on")
		}
		if n := len(stays.times()); n <= before {
			t.Error("the one that stays is not checked any more")
		}
	})
}

func TestStopEndsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(settings())
		var told atomic.Int64
		state := new(State)
		c.Watch([]Target{{State: state, Changed: func(Change) { told.Add(1) }, Probe: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}})
		synctest.Wait()
		began := time.Now()
		c.Stop()
		synctest.Wait()
		if d := time.Since(began); d != 0 {
			t.Errorf("a check went on for %v", d)
		}
		if at, _ := state.Last(); !at.IsZero() {
			t.Error("a check that was broken off counts")
		}
		c.Watch([]Target{{State: state}}) // nothing is begun any more
		synctest.Wait()
	})
}

func TestStatuses(t *testing.T) {
	s := Statuses{{200, 299}, {404, 404}}
	for code, want := range map[int]bool{199: false, 200: true, 299: true, 300: false, 404: true, 405: false} {
		if s.Has(code) != want {
			t.Errorf("%d: %v", code, !want)
		}
	}
}

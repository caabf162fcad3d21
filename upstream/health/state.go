package health

import (
	"sync"
	"time"
)

// State is what checks have told of one endpoint. It lives as long as the endpoint does, across reloads and changes of
// settings. The zero State is of one that was never checked.
type State struct {
	mu      sync.Mutex
	verdict verdict
	against int       // checks in a row that speak against the verdict
	last    error     // of the last check; nil: it succeeded
	checked time.Time // when that was; zero: never
}

type verdict uint8

const (
	fresh verdict = iota // no success yet, and not enough failures
	up
	down
)

// Up reports whether the endpoint counts as healthy.
func (s *State) Up(settings *Settings) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up(settings)
}

func (s *State) up(settings *Settings) bool {
	return s.verdict == up || s.verdict == fresh && !settings.RequireHealthy
}

// Waiting reports whether the endpoint has yet to succeed once before it joins.
func (s *State) Waiting(settings *Settings) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return settings.RequireHealthy && s.verdict == fresh
}

// Trust makes a new endpoint that would have to wait count as up: it has served already when checks are first asked of it.
func (s *State) Trust(settings *Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verdict == fresh && settings.RequireHealthy {
		s.verdict = up
	}
}

// Last is when the last check was, and what it said; the zero time if there was none.
func (s *State) Last() (at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked, s.last
}

// record takes the outcome of a check. It reports whether that changed what the endpoint counts as.
func (s *State) record(settings *Settings, err error, now time.Time) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.checked = err, now
	before := s.up(settings)
	switch {
	case s.verdict == fresh && err == nil:
		s.verdict, s.against = up, 0
	case s.verdict == fresh && settings.RequireHealthy: // it waits
	case (s.verdict == down) == (err != nil):
		s.against = 0
	default:
		s.against++
		s.turn(settings)
	}
	return s.up(settings) != before
}

// turn turns the verdict if enough speaks against it.
func (s *State) turn(settings *Settings) {
	switch {
	case s.verdict == down && s.against >= settings.HealthyAfter:
		s.verdict, s.against = up, 0
	case s.verdict != down && s.against >= settings.UnhealthyAfter:
		s.verdict, s.against = down, 0
	}
}

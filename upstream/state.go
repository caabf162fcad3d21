package upstream

import (
	"time"

	"github.com/sluice-gateway/sluice/telemetry"
)

// What people may ask about a service and its endpoints.

// LastCheck is when the endpoint's health was last checked and what was wrong then; the zero time if it never was, and
// empty if nothing was.
func (e *Endpoint) LastCheck() (at time.Time, wrong string) {
	at, err := e.health.Last()
	if err != nil {
		wrong = ailment(err, 0)
	}
	return at, wrong
}

// EjectedUntil is when the endpoint's ejection ends; the zero time if it is not ejected.
func (e *Endpoint) EjectedUntil() time.Time { return e.outlier.Until() }

// Breaker is the state of the endpoint's own circuit breaker; false if it has none.
func (e *Endpoint) Breaker() (telemetry.BreakerState, bool) {
	b := e.breaker.Load()
	if b == nil {
		return telemetry.BreakerClosed, false
	}
	return shown(b.State(time.Now())), true
}

// Breaker is the state of the service's circuit breaker; false if it has none.
func (s *Service) Breaker() (telemetry.BreakerState, bool) {
	if s.breaking == nil {
		return telemetry.BreakerClosed, false
	}
	return shown(s.breaking.breaker.State(time.Now())), true
}

// Concurrency is how many requests are in the service, may be, and wait; false if it has no limit of its own.
func (s *Service) Concurrency() (now telemetry.Concurrency, pending int, ok bool) {
	if s.limiting == nil {
		return telemetry.Concurrency{}, 0, false
	}
	l := s.limiting.limiter
	return telemetry.Concurrency{InFlight: l.Inside(), Limit: l.Limit()}, l.Pending(), true
}

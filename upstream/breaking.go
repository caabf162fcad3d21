package upstream

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/breaker"
)

// breaking is the circuit breaker of a service: a Gate that asks it for leave, a Watcher that tells it what came of each
// attempt, and a Task because somebody must be told when it moves.
type breaking struct {
	breaker *breaker.Breaker
	service atomic.Pointer[Service] // in force; nil: none yet
}

// newBreaking makes the breaker of a service, or takes it over from prev; nil: there is none.
func (s *Service) newBreaking(prev *Service) *breaking {
	spec := s.spec.Breaker
	switch {
	case spec == nil || spec.PerEndpoint:
		return nil
	case prev != nil && prev.breaking != nil && *prev.spec.Breaker == *spec:
		return prev.breaking
	}
	b := new(breaking)
	b.breaker = breaker.New(spec.Settings, b.moved)
	return b
}

func (b *breaking) Admit(context.Context, *Call, time.Time) (Ticket, error) {
	if b.breaker.Closed() {
		return Ticket(b.breaker.Attempt()), nil
	}
	p, retry, ok := b.breaker.Allow(time.Now())
	if ok {
		return Ticket(p), nil
	}
	if s := b.service.Load(); s != nil {
		s.spec.Series.BreakerRefused()
	}
	return 0, brokenOff(retry)
}

// Again is for whoever wants to try once more what has just opened the breaker, and for a probe, which is sent once.
func (b *breaking) Again() bool { return b.breaker.Closed() }

// Answered judges the probes. Of other calls the attempts have been counted, one by one.
func (b *breaking) Answered(t Ticket, o Outcome) {
	if p := breaker.Permit(t); p.Probe() {
		b.breaker.Done(p, verdict(o), o.Latency, o.At)
	}
}

func (b *breaking) Leave(Ticket, Outcome) {}

func (b *breaking) Begin(*Endpoint) (Ticket, bool) { return Ticket(b.breaker.Attempt()), true }

func (b *breaking) End(_ *Endpoint, t Ticket, o Outcome) {
	b.breaker.Done(breaker.Permit(t), verdict(o), o.Latency, o.At)
}

func (b *breaking) Start(s *Service) {
	b.service.Store(s)
	s.spec.Series.SetBreaker(func() telemetry.BreakerState { return shown(b.breaker.State(time.Now())) })
}

func (b *breaking) Members([]Member) {}

func (b *breaking) Stop(next *Service) {
	if s := b.service.Load(); s != nil && (next == nil || next.breaking == nil) {
		s.spec.Series.SetBreaker(nil)
	}
}

// moved is called by the breaker, under its lock.
func (b *breaking) moved(to breaker.State) {
	if s := b.service.Load(); s != nil {
		s.breakerMoved("", to)
	}
}

// breakerMoved tells of a breaker: the service's if endpoint is empty.
func (s *Service) breakerMoved(endpoint string, to breaker.State) {
	s.spec.Series.BreakerMoved(shown(to))
	s.event(telemetry.Event{Kind: telemetry.BreakerEvent, Endpoint: endpoint, State: shown(to).String()})
}

// shown is a breaker's state as telemetry calls it.
func shown(s breaker.State) telemetry.BreakerState { return telemetry.BreakerState(s) }

// verdict is an outcome as a breaker sees it.
func verdict(o Outcome) breaker.Outcome {
	switch {
	case o.Silent(): // also where no attempt was made, so that there is no time either
		return breaker.Nothing
	case o.Failed():
		return breaker.Failure
	default:
		return breaker.Success
	}
}

var errBreakerOpen = errors.New("the circuit breaker is open")

// brokenOff is the failure of a call that an open breaker kept from the service.
func brokenOff(retry time.Duration) *failure.Error {
	seconds := max(1, int((retry+time.Second-1)/time.Second))
	return &failure.Error{
		Source: failure.Upstream, Kind: failure.DestinationUnavailable, RetrySafe: true,
		Detail: "The service is failing and is given time to recover.",
		Header: http.Header{"Retry-After": {strconv.Itoa(seconds)}}, Err: errBreakerOpen,
	}
}

// endpointBreaking gives every endpoint a breaker of its own: a Watcher that sends attempts elsewhere while it is open, and
// the Task that keeps the reason BreakerOpen.
type endpointBreaking struct {
	settings breaker.Settings

	mu      sync.Mutex
	service *Service // in force
	members []Member
	stopped bool
}

// newEndpointBreaking makes the breakers of a service's endpoints, or takes them over from prev; nil: there are none.
func (s *Service) newEndpointBreaking(prev *Service) *endpointBreaking {
	spec := s.spec.Breaker
	switch {
	case spec == nil || !spec.PerEndpoint:
		return nil
	case prev != nil && prev.endpointBreaking != nil && *prev.spec.Breaker == *spec:
		return prev.endpointBreaking
	}
	return &endpointBreaking{settings: spec.Settings}
}

func (w *endpointBreaking) Begin(e *Endpoint) (Ticket, bool) {
	b := e.breaker.Load()
	if b == nil {
		return 0, true
	}
	if b.Closed() {
		return Ticket(b.Attempt()), true
	}
	p, _, ok := b.Allow(time.Now())
	return Ticket(p), ok
}

func (w *endpointBreaking) End(e *Endpoint, t Ticket, o Outcome) {
	if b := e.breaker.Load(); b != nil {
		b.Done(breaker.Permit(t), verdict(o), o.Latency, o.At)
	}
}

func (w *endpointBreaking) Start(s *Service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.service = s
}

// Members gives those a breaker that have none of these settings.
func (w *endpointBreaking) Members(members []Member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = members
	for _, m := range members {
		e := m.Endpoint
		if b := e.breaker.Load(); b == nil || *b.Settings() != w.settings {
			e.breaker.Store(breaker.New(w.settings, func(to breaker.State) { w.moved(e, to) }))
			e.PutBack(BreakerOpen)
		}
	}
}

func (w *endpointBreaking) Stop(next *Service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if next != nil && next.endpointBreaking != nil {
		return
	}
	for _, m := range w.members {
		m.Endpoint.breaker.Store(nil)
		m.Endpoint.PutBack(BreakerOpen)
	}
}

// moved keeps an endpoint out of the choice while its breaker is open. After that it may be chosen, and Begin admits the
// probes.
func (w *endpointBreaking) moved(e *Endpoint, to breaker.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	if to == breaker.Open {
		e.TakeOut(BreakerOpen)
		time.AfterFunc(w.settings.OpenFor, func() { e.PutBack(BreakerOpen) })
	}
	w.service.breakerMoved(e.address, to)
}

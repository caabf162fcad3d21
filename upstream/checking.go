package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/health"
)

// checking is the Task of active health checks: it has every member checked and keeps the reasons Unhealthy and Waiting
// as its health says.
type checking struct {
	checker *health.Checker

	mu      sync.Mutex
	service *Service // in force
	members []Member
	probes  map[*Endpoint]health.Probe // each has its own connections
	stopped bool
}

// newChecking makes the task of a service's health checks, or takes it over from prev; nil: there are none.
func (s *Service) newChecking(prev *Service) *checking {
	settings := s.spec.HealthCheck
	switch {
	case settings == nil:
		return nil
	case prev != nil && prev.checking != nil && *prev.spec.HealthCheck == *settings:
		return prev.checking
	}
	return &checking{checker: health.NewChecker(*settings), probes: make(map[*Endpoint]health.Probe)}
}

func (c *checking) Start(s *Service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.service = s
}

func (c *checking) Members(members []Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	probes := make(map[*Endpoint]health.Probe, len(members))
	targets := make([]health.Target, len(members))
	for i, m := range members {
		e := m.Endpoint
		if probes[e] = c.probes[e]; probes[e] == nil {
			probes[e] = c.counted(health.NewProbe(c.checker.Settings(), e.options, e.scheme, e.host))
		}
		if e.Reasons()&Waiting == 0 { // it has served before anybody wanted it checked first
			e.health.Trust(c.checker.Settings())
		}
		c.apply(e)
		targets[i] = health.Target{State: &e.health, Probe: probes[e], Changed: func(h health.Change) { c.changed(e, h) }}
	}
	c.members, c.probes = members, probes
	c.checker.Watch(targets)
}

// Stop ends the checks. What they found holds until those of next find something else.
func (c *checking) Stop(next *Service) {
	c.checker.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if next != nil && next.checking != nil {
		return
	}
	for _, m := range c.members {
		m.Endpoint.PutBack(Unhealthy | Waiting)
	}
}

// counted is a probe whose outcomes the metrics show.
func (c *checking) counted(p health.Probe) health.Probe {
	return func(ctx context.Context) error {
		err := p(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.stopped {
			c.service.spec.Series.HealthCheck(err == nil)
		}
		return err
	}
}

func (c *checking) changed(e *Endpoint, change health.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.apply(e)
	c.service.spec.Series.Health(change.Up)
	event := telemetry.Event{Kind: telemetry.HealthEvent, Endpoint: e.address, State: "healthy"}
	if !change.Up {
		event.State, event.Reason = "unhealthy", ailment(change.Err, c.checker.Settings().Timeout)
	}
	c.service.event(event)
}

// apply makes an endpoint's reasons what its health says.
func (c *checking) apply(e *Endpoint) {
	settings := c.checker.Settings()
	switch {
	case e.health.Waiting(settings):
		e.TakeOut(Waiting)
		e.PutBack(Unhealthy)
	case e.health.Up(settings):
		e.PutBack(Unhealthy | Waiting)
	default:
		e.TakeOut(Unhealthy)
		e.PutBack(Waiting)
	}
}

// ailment is why a check failed, in words that hold nothing of what the endpoint sent.
func ailment(err error, timeout time.Duration) string {
	f := failure.From(err)
	switch f.Kind {
	case failure.ProxyInternalError: // the check's own words
		return err.Error()
	case failure.ClientGone, failure.HTTPResponseTimeout, failure.ConnectionTimeout:
		if timeout == 0 {
			return "no answer in time"
		}
		return "no answer within " + timeout.String()
	}
	return string(f.Kind)
}

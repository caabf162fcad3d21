package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/concurrency"
)

// limiting is the bulkhead of a service: a Gate that a call passes if there is a place for it in the service, and the Task
// that has the metrics show it.
type limiting struct {
	limiter *concurrency.Limiter
	service atomic.Pointer[force] // nil: none yet
}

// force is the service in force, and how refusals are told of.
type force struct {
	*Service
	shed *telemetry.Burst
}

// newLimiting makes the bulkhead of a service, or takes it over from prev with all that are inside; nil: there is none.
func (s *Service) newLimiting(prev *Service) *limiting {
	settings := s.spec.Concurrency
	switch {
	case settings == nil:
		return nil
	case prev != nil && prev.limiting != nil && *prev.spec.Concurrency == *settings:
		return prev.limiting
	}
	return &limiting{limiter: concurrency.New(*settings)}
}

func (g *limiting) Admit(ctx context.Context, _ *Call, by time.Time) (Ticket, error) {
	if g.limiter.Enter(ctx, by) {
		return 0, nil
	}
	if f := g.service.Load(); f != nil && ctx.Err() == nil {
		f.spec.Series.Overloaded(g.full())
		f.shed.Inc()
	}
	return 0, errBusy
}

// full names what was full.
func (g *limiting) full() telemetry.Bulkhead {
	switch s := g.limiter.Settings(); {
	case s.Pending > 0:
		return telemetry.PendingFull
	case s.Adaptive:
		return telemetry.AdaptiveFull
	default:
		return telemetry.InFlightFull
	}
}

func (g *limiting) Again() bool { return true }

func (g *limiting) Answered(Ticket, Outcome) {}

func (g *limiting) Leave(_ Ticket, o Outcome) { g.limiter.Leave(!o.Silent() && !o.Failed()) }

func (g *limiting) Start(s *Service) {
	shed := s.spec.Events.Burst(telemetry.Event{
		Kind: telemetry.ShedEvent, Service: s.spec.Name, Reason: "as many requests as may be in the service are",
	})
	g.service.Store(&force{s, shed})
	s.spec.Series.SetConcurrency(func() telemetry.Concurrency {
		return telemetry.Concurrency{InFlight: g.limiter.Inside(), Limit: g.limiter.Limit()}
	})
}

func (g *limiting) Members([]Member) {}

func (g *limiting) Stop(next *Service) {
	if f := g.service.Load(); f != nil && (next == nil || next.limiting == nil) {
		f.spec.Series.SetConcurrency(nil)
	}
}

// errBusy is the failure of a call for which there was no place.
var errBusy = &failure.Error{
	Source: failure.Upstream, Kind: failure.ConnectionLimitReached, RetrySafe: true,
	Detail: "The service has as many requests as it may have.", Header: http.Header{"Retry-After": {"1"}},
	Err: errors.New("the service's concurrency limit is reached"),
}

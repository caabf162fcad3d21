package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// resilience is what keeps a failing service from taking its callers along, counted: health, ejection, breaker, hedges,
// bulkheads. A counter is shown from its first count on; a gauge while somebody says what it is.
type resilience struct {
	checks      [len(checkOutcomes)]Counter
	healthTo    [len(healthStates)]Counter
	ejections   [len(ejectionReasons)]Counter
	readmitted  Counter
	breakerTo   [len(breakerStates)]Counter
	refusals    Counter
	fallbacks   [len(fallbacks)]Counter
	hedges      [len(hedgeOutcomes)]Counter
	overload    [len(bulkheads)]Counter
	breaker     atomic.Pointer[func() BreakerState]
	concurrency atomic.Pointer[func() Concurrency]
	found       [len(discoveryOutcomes)]Counter
	discovery   atomic.Pointer[func() Discovery]
}

var (
	checkOutcomes     = [...]string{"success", "failure"}
	healthStates      = [...]string{"healthy", "unhealthy"}
	ejectionReasons   = [...]string{"consecutive_errors", "error_rate"}
	breakerStates     = [...]string{"closed", "half_open", "open"}
	fallbacks         = [...]string{"answer", "service", "last_good"}
	hedgeOutcomes     = [...]string{"sent", "won", "suppressed"}
	discoveryOutcomes = [...]string{"updated", "unchanged", "failed"}
	bulkheads         = [...]string{"in_flight", "pending", "adaptive"}
)

// HealthCheck counts one active check.
func (s *ServiceSeries) HealthCheck(ok bool) { s.checks[index(!ok)].Inc() }

// Health counts an endpoint that active checks moved to healthy, or to unhealthy.
func (s *ServiceSeries) Health(healthy bool) { s.healthTo[index(!healthy)].Inc() }

func index(second bool) int {
	if second {
		return 1
	}
	return 0
}

// EjectionReason is why outlier detection put an endpoint aside.
type EjectionReason uint8

const (
	EjectedForErrors EjectionReason = iota // so many errors one after another
	EjectedForRate                         // its error rate stands out against the others'
)

func (r EjectionReason) String() string { return nameOf(ejectionReasons[:], int(r)) }

// Ejected counts an endpoint that was put aside.
func (s *ServiceSeries) Ejected(why EjectionReason) { bump(s.ejections[:], int(why)) }

// Readmitted counts an endpoint whose ejection is over.
func (s *ServiceSeries) Readmitted() { s.readmitted.Inc() }

// BreakerState is the state of a circuit breaker; its number is the value of the metric.
type BreakerState uint8

const (
	BreakerClosed BreakerState = iota
	BreakerHalfOpen
	BreakerOpen
)

func (b BreakerState) String() string { return nameOf(breakerStates[:], int(b)) }

// BreakerMoved counts a breaker's transition, of the service's or of one of its endpoints'.
func (s *ServiceSeries) BreakerMoved(to BreakerState) { bump(s.breakerTo[:], int(to)) }

// BreakerRefused counts a request that an open breaker did not let through.
func (s *ServiceSeries) BreakerRefused() { s.refusals.Inc() }

// SetBreaker says where to ask for the state of the service's breaker at each scrape; nil: it has none.
func (s *ServiceSeries) SetBreaker(state func() BreakerState) { set(&s.breaker, state) }

// Fallback is what answered in place of a service whose breaker is open.
type Fallback uint8

const (
	FallbackAnswer   Fallback = iota // status and body of the configuration
	FallbackService                  // another service
	FallbackLastGood                 // the last good answer
)

// FellBack counts an answer given in place of the service's.
func (s *ServiceSeries) FellBack(to Fallback) { bump(s.fallbacks[:], int(to)) }

// HedgeSent counts a second attempt that did not wait for the first to end.
func (s *ServiceSeries) HedgeSent() { s.hedges[0].Inc() }

// HedgeWon counts one that was answered first.
func (s *ServiceSeries) HedgeWon() { s.hedges[1].Inc() }

// HedgeSuppressed counts one that was due and that the retry budget did not allow.
func (s *ServiceSeries) HedgeSuppressed() { s.hedges[2].Inc() }

// Bulkhead is a cap of a service.
type Bulkhead uint8

const (
	InFlightFull Bulkhead = iota // requests in flight
	PendingFull                  // requests waiting
	AdaptiveFull                 // the adaptive concurrency limit
)

func (b Bulkhead) String() string { return nameOf(bulkheads[:], int(b)) }

// Overloaded counts a request that a cap of the service refused.
func (s *ServiceSeries) Overloaded(by Bulkhead) { bump(s.overload[:], int(by)) }

// Concurrency is how many requests a service has, and may have at once; a limit of 0 is none.
type Concurrency struct{ InFlight, Limit int }

// SetConcurrency says where to ask for the service's concurrency at each scrape; nil: nowhere.
func (s *ServiceSeries) SetConcurrency(now func() Concurrency) { set(&s.concurrency, now) }

// Discovered counts an answer of the service's discovery, and whether it changed the endpoints.
func (s *ServiceSeries) Discovered(changed bool) { s.found[index(!changed)].Inc() }

// DiscoveryFailed counts a discovery that gave no answer, or none that can be used.
func (s *ServiceSeries) DiscoveryFailed() { s.found[2].Inc() }

// Discovery is how the discovery of a service is doing.
type Discovery struct {
	Endpoints int       // in force
	LastGood  time.Time // zero: never
}

// SetDiscovery says where to ask for the state of the service's discovery at each scrape; nil: it has none.
func (s *ServiceSeries) SetDiscovery(now func() Discovery) { set(&s.discovery, now) }

// DiscoveryNow is that state; nil: nobody says it.
func (s *ServiceSeries) DiscoveryNow() *Discovery {
	now := s.discovery.Load()
	if now == nil {
		return nil
	}
	d := (*now)()
	return &d
}

func set[F any](p *atomic.Pointer[func() F], f func() F) {
	if f == nil {
		p.Store(nil)
		return
	}
	p.Store(&f)
}

// bump ignores what is not in the table: a caller that is wrong must not take a request along.
func bump(counters []Counter, i int) {
	if i < len(counters) {
		counters[i].Inc()
	}
}

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return other
}

func (out scrape) resilience(s *ServiceSeries) {
	out.table(healthChecks, s.checks[:], checkOutcomes[:], s.service)
	out.table(healthTransitions, s.healthTo[:], healthStates[:], s.service)
	out.table(ejections, s.ejections[:], ejectionReasons[:], s.service)
	out.table(breakerTransitions, s.breakerTo[:], breakerStates[:], s.service)
	out.table(breakerFallbacks, s.fallbacks[:], fallbacks[:], s.service)
	out.table(hedges, s.hedges[:], hedgeOutcomes[:], s.service)
	out.table(overloaded, s.overload[:], bulkheads[:], s.service)
	if s.readmitted.Load() > 0 {
		out.counter(readmissions, &s.readmitted, s.service)
	}
	if s.refusals.Load() > 0 {
		out.counter(breakerRefused, &s.refusals, s.service)
	}
	if state := s.breaker.Load(); state != nil {
		out.gauge(breakerState, float64((*state)()), s.service)
	}
	out.table(discoveryTotal, s.found[:], discoveryOutcomes[:], s.service)
	if d := s.DiscoveryNow(); d != nil {
		out.gauge(discoveryEndpoints, float64(d.Endpoints), s.service)
		if !d.LastGood.IsZero() {
			out.gauge(discoveryLastGood, float64(d.LastGood.UnixMilli())/1000, s.service)
		}
	}
	if now := s.concurrency.Load(); now != nil {
		c := (*now)()
		out.gauge(serviceInFlight, float64(c.InFlight), s.service)
		if c.Limit > 0 {
			out.gauge(serviceLimit, float64(c.Limit), s.service)
		}
	}
}

// table shows the counters that count something.
func (out scrape) table(desc *prometheus.Desc, counters []Counter, names []string, service string) {
	for i := range counters {
		if counters[i].Load() > 0 {
			out.counter(desc, &counters[i], service, names[i])
		}
	}
}

package telemetry

// The series of what is done to the traffic of a route before and beside its service. Each is asked for by the route's
// name (empty: above routes) when the part that counts is built, is the same one to all who ask while any of them keeps
// it, and is seen while the route is live. Nil metrics give a series that nobody sees.

// ThrottleSeries counts the decisions of the throttles of one route.
type ThrottleSeries struct {
	passed, delayed, refused, gone Counter
	waiting                        Gauge
}

// Passed counts a request that went on at once.
func (s *ThrottleSeries) Passed() { s.passed.Inc() }

// Delayed counts a request that went on after a wait.
func (s *ThrottleSeries) Delayed() { s.delayed.Inc() }

// Refused counts a request that the queue had no room for, or that waited as long as it may.
func (s *ThrottleSeries) Refused() { s.refused.Inc() }

// Gone counts a request whose client left while it waited.
func (s *ThrottleSeries) Gone() { s.gone.Inc() }

// Waiting adds to those that wait now; n may be negative.
func (s *ThrottleSeries) Waiting(n int64) { s.waiting.Add(n) }

// Throttle gives the series of a route's throttles.
func (m *Metrics) Throttle(route string) *ThrottleSeries {
	if m == nil {
		return new(ThrottleSeries)
	}
	return m.throttles.series(route)
}

// ConcurrencySeries counts the decisions of the concurrency limits of one route.
type ConcurrencySeries struct {
	allowed, limited, gone Counter
	inFlight, waiting      Gauge
}

// Allowed counts a request that was let in.
func (s *ConcurrencySeries) Allowed() { s.allowed.Inc() }

// Limited counts a request that was refused.
func (s *ConcurrencySeries) Limited() { s.limited.Inc() }

// Gone counts a request whose client left while it waited for a place.
func (s *ConcurrencySeries) Gone() { s.gone.Inc() }

// InFlight adds to those that hold a place now; n may be negative.
func (s *ConcurrencySeries) InFlight(n int64) { s.inFlight.Add(n) }

// Waiting adds to those that wait for a place now; n may be negative.
func (s *ConcurrencySeries) Waiting(n int64) { s.waiting.Add(n) }

// ConcurrencyLimit gives the series of a route's concurrency limits.
func (m *Metrics) ConcurrencyLimit(route string) *ConcurrencySeries {
	if m == nil {
		return new(ConcurrencySeries)
	}
	return m.concurrency.series(route)
}

// FaultSeries counts the faults injected on one route.
type FaultSeries struct{ delays, aborts, skipped, unclear Counter }

// Delayed counts a request that was made to wait.
func (s *FaultSeries) Delayed() { s.delays.Inc() }

// Aborted counts a request that was failed.
func (s *FaultSeries) Aborted() { s.aborts.Inc() }

// Skipped counts a request that was not made to wait because too many were.
func (s *FaultSeries) Skipped() { s.skipped.Inc() }

// ExpressionFailed counts a request that was spared because the expression that chooses failed.
func (s *FaultSeries) ExpressionFailed() { s.unclear.Inc() }

// Fault gives the series of a route's injected faults.
func (m *Metrics) Fault(route string) *FaultSeries {
	if m == nil {
		return new(FaultSeries)
	}
	return m.faults.series(route)
}

// MirrorSeries counts the copies of one route's requests. Every copy that was due ends as exactly one of the five.
type MirrorSeries struct {
	answered, failed, full, tooLarge, incomplete Counter
	inFlight                                     Gauge
}

// Answered counts a copy that the mirror answered, with whatever status; the answer was thrown away.
func (s *MirrorSeries) Answered() { s.answered.Inc() }

// Failed counts a copy that got no answer.
func (s *MirrorSeries) Failed() { s.failed.Inc() }

// Full counts a copy that was dropped because too many were in flight.
func (s *MirrorSeries) Full() { s.full.Inc() }

// TooLarge counts a copy that was dropped because the request's body is larger than a copy may be.
func (s *MirrorSeries) TooLarge() { s.tooLarge.Inc() }

// Incomplete counts a copy that was dropped because the request's own body broke off.
func (s *MirrorSeries) Incomplete() { s.incomplete.Inc() }

// InFlight adds to the copies in flight, and returns how many there are then; n may be negative.
func (s *MirrorSeries) InFlight(n int64) int64 { return s.inFlight.Add(n) }

// Mirror gives the series of a route's mirror.
func (m *Metrics) Mirror(route string) *MirrorSeries {
	if m == nil {
		return new(MirrorSeries)
	}
	return m.mirrors.series(route)
}

// Criticality is how much a route's requests matter while the gateway is overloaded.
type Criticality uint8

const (
	Default Criticality = iota
	Critical
	Sheddable
)

var criticalities = [...]string{"default", "critical", "sheddable"}

func (c Criticality) String() string {
	if int(c) < len(criticalities) {
		return criticalities[c]
	}
	return other
}

// ShedSeries counts the requests of one route that were refused because the gateway itself is overloaded.
type ShedSeries struct{ byCriticality [len(criticalities)]Counter }

// Shed counts a request that was refused.
func (s *ShedSeries) Shed(c Criticality) {
	if int(c) < len(s.byCriticality) {
		s.byCriticality[c].Inc()
	}
}

// Shed gives the series of what is shed of a route.
func (m *Metrics) Shed(route string) *ShedSeries {
	if m == nil {
		return new(ShedSeries)
	}
	return m.sheds.series(route)
}

// traffic shows all of the above.
func (out scrape) traffic(m *Metrics, routes []*RouteSeries) {
	m.throttles.each(routes, func(route string, s *ThrottleSeries) {
		out.counter(throttleTotal, &s.passed, route, "passed")
		out.counter(throttleTotal, &s.delayed, route, "delayed")
		out.counter(throttleTotal, &s.refused, route, "refused")
		out.counter(throttleTotal, &s.gone, route, "gone")
		out.gauge(throttleWaiting, float64(s.waiting.Load()), route)
	})
	m.concurrency.each(routes, func(route string, s *ConcurrencySeries) {
		out.counter(concurrencyTotal, &s.allowed, route, "allowed")
		out.counter(concurrencyTotal, &s.limited, route, "limited")
		out.counter(concurrencyTotal, &s.gone, route, "gone")
		out.gauge(concurrencyInFlight, float64(s.inFlight.Load()), route)
		out.gauge(concurrencyWaiting, float64(s.waiting.Load()), route)
	})
	m.faults.each(routes, func(route string, s *FaultSeries) {
		out.counter(faultsTotal, &s.delays, route, "delay")
		out.counter(faultsTotal, &s.aborts, route, "abort")
		out.counter(faultsTotal, &s.skipped, route, "skipped")
		out.counter(faultsTotal, &s.unclear, route, "expression_error")
	})
	m.mirrors.each(routes, func(route string, s *MirrorSeries) {
		out.counter(mirrorTotal, &s.answered, route, "answered")
		out.counter(mirrorTotal, &s.failed, route, "failed")
		out.counter(mirrorTotal, &s.full, route, "dropped_full")
		out.counter(mirrorTotal, &s.tooLarge, route, "dropped_body")
		out.counter(mirrorTotal, &s.incomplete, route, "dropped_incomplete")
		out.gauge(mirrorInFlight, float64(s.inFlight.Load()), route)
	})
	m.sheds.each(routes, func(route string, s *ShedSeries) {
		for c := range s.byCriticality {
			out.counter(shedTotal, &s.byCriticality[c], route, criticalities[c])
		}
	})
}

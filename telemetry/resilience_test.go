package telemetry

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// resilient counts everything once that a service counts beside its attempts.
func resilient(s *ServiceSeries) {
	s.HealthCheck(true)
	s.HealthCheck(false)
	s.Health(true)
	s.Health(false)
	s.Ejected(EjectedForErrors)
	s.Ejected(EjectedForRate)
	s.Readmitted()
	s.BreakerMoved(BreakerOpen)
	s.BreakerMoved(BreakerHalfOpen)
	s.BreakerMoved(BreakerClosed)
	s.BreakerRefused()
	s.SetBreaker(func() BreakerState { return BreakerOpen })
	s.FellBack(FallbackAnswer)
	s.FellBack(FallbackService)
	s.FellBack(FallbackLastGood)
	s.HedgeSent()
	s.HedgeWon()
	s.HedgeSuppressed()
	s.Overloaded(InFlightFull)
	s.Overloaded(PendingFull)
	s.Overloaded(AdaptiveFull)
	s.SetConcurrency(func() Concurrency { return Concurrency{InFlight: 3, Limit: 12} })
	s.Discovered(true)
	s.Discovered(false)
	s.DiscoveryFailed()
	s.SetDiscovery(func() Discovery { return Discovery{Endpoints: 5, LastGood: time.UnixMilli(1500)} })
}

// without leaves out the series that every service shows.
func without(list []string, parts ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(s, part) })
	})
}

var process = []string{"sluice_accesslog", "sluice_config", "sluice_panics", "sluice_upstream"}

func TestEveryStateAndTransitionOfAServiceIsShown(t *testing.T) {
	s := NewServiceSeries("orders")
	m := NewMetrics(func() Live { return Live{Services: []*ServiceSeries{s}} })
	if got := without(series(gather(t, m)), process...); len(got) > 0 {
		t.Errorf("a service that has none of it shows %s", got)
	}
	resilient(s)
	got := without(series(gather(t, m)), process...)
	want := []string{
		`sluice_breaker_fallbacks_total{by=answer,service=orders} 1`,
		`sluice_breaker_fallbacks_total{by=last_good,service=orders} 1`,
		`sluice_breaker_fallbacks_total{by=service,service=orders} 1`,
		`sluice_breaker_refused_total{service=orders} 1`,
		`sluice_breaker_state{service=orders} 2`,
		`sluice_breaker_transitions_total{service=orders,to=closed} 1`,
		`sluice_breaker_transitions_total{service=orders,to=half_open} 1`,
		`sluice_breaker_transitions_total{service=orders,to=open} 1`,
		`sluice_discovery_endpoints{service=orders} 5`,
		`sluice_discovery_last_success_timestamp_seconds{service=orders} 1.5`,
		`sluice_discovery_total{outcome=failed,service=orders} 1`,
		`sluice_discovery_total{outcome=unchanged,service=orders} 1`,
		`sluice_discovery_total{outcome=updated,service=orders} 1`,
		`sluice_endpoint_ejections_total{reason=consecutive_errors,service=orders} 1`,
		`sluice_endpoint_ejections_total{reason=error_rate,service=orders} 1`,
		`sluice_endpoint_readmissions_total{service=orders} 1`,
		`sluice_health_checks_total{outcome=failure,service=orders} 1`,
		`sluice_health_checks_total{outcome=success,service=orders} 1`,
		`sluice_health_transitions_total{service=orders,to=healthy} 1`,
		`sluice_health_transitions_total{service=orders,to=unhealthy} 1`,
		`sluice_hedges_total{outcome=sent,service=orders} 1`,
		`sluice_hedges_total{outcome=suppressed,service=orders} 1`,
		`sluice_hedges_total{outcome=won,service=orders} 1`,
		`sluice_service_concurrency_limit{service=orders} 12`,
		`sluice_service_in_flight{service=orders} 3`,
		`sluice_service_overloaded_total{reason=adaptive,service=orders} 1`,
		`sluice_service_overloaded_total{reason=in_flight,service=orders} 1`,
		`sluice_service_overloaded_total{reason=pending,service=orders} 1`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("series are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s.SetBreaker(nil)
	s.SetConcurrency(nil)
	s.SetDiscovery(nil)
	families := gather(t, m)
	for _, gone := range []string{"sluice_breaker_state", "sluice_service_in_flight", "sluice_discovery_endpoints"} {
		if families[gone] != nil {
			t.Errorf("%s is shown after it is gone", gone)
		}
	}
}

func TestWhatIsNotInATableIsIgnored(t *testing.T) {
	s := NewServiceSeries("orders")
	s.Ejected(200)
	s.BreakerMoved(200)
	s.Overloaded(200)
	s.FellBack(200)
	new(ShedSeries).Shed(200)
	if got := EjectionReason(200).String() + BreakerState(200).String() + Criticality(200).String(); got != "otherotherother" {
		t.Errorf("they are called %s", got)
	}
}

func TestWhatIsDoneToTheTrafficOfARouteIsShown(t *testing.T) {
	live := Live{Routes: []*RouteSeries{NewRouteSeries("public", "orders"), NewRouteSeries("internal", "orders")}}
	m := NewMetrics(func() Live { return live })
	throttle, limit, fault, mirror, shed := m.Throttle("orders"), m.ConcurrencyLimit(""), m.Fault("orders"), m.Mirror("orders"), m.Shed("orders")
	other := m.Throttle("not in force")
	for _, inc := range []func(){
		throttle.Passed, throttle.Delayed, throttle.Refused, limit.Allowed, limit.Limited, fault.Delayed, fault.Aborted,
		mirror.Answered, mirror.Failed, mirror.Full, mirror.TooLarge, mirror.Incomplete, other.Passed,
		throttle.Gone, limit.Gone, fault.Skipped, fault.ExpressionFailed,
		func() { throttle.Waiting(3) }, func() { limit.Waiting(4) }, func() { limit.InFlight(5) }, func() { mirror.InFlight(6) },
		func() { shed.Shed(Critical) }, func() { shed.Shed(Default) }, func() { shed.Shed(Sheddable) },
	} {
		inc()
	}
	got := without(series(gather(t, m)), process...)
	want := []string{
		`sluice_concurrency_limit_in_flight{route=} 5`,
		`sluice_concurrency_limit_total{outcome=allowed,route=} 1`,
		`sluice_concurrency_limit_total{outcome=gone,route=} 1`,
		`sluice_concurrency_limit_total{outcome=limited,route=} 1`,
		`sluice_concurrency_limit_waiting{route=} 4`,
		`sluice_faults_total{kind=abort,route=orders} 1`,
		`sluice_faults_total{kind=delay,route=orders} 1`,
		`sluice_faults_total{kind=expression_error,route=orders} 1`,
		`sluice_faults_total{kind=skipped,route=orders} 1`,
		`sluice_mirror_in_flight{route=orders} 6`,
		`sluice_mirror_total{outcome=answered,route=orders} 1`,
		`sluice_mirror_total{outcome=dropped_body,route=orders} 1`,
		`sluice_mirror_total{outcome=dropped_full,route=orders} 1`,
		`sluice_mirror_total{outcome=dropped_incomplete,route=orders} 1`,
		`sluice_mirror_total{outcome=failed,route=orders} 1`,
		`sluice_shed_total{criticality=critical,route=orders} 1`,
		`sluice_shed_total{criticality=default,route=orders} 1`,
		`sluice_shed_total{criticality=sheddable,route=orders} 1`,
		`sluice_throttle_total{outcome=delayed,route=orders} 1`,
		`sluice_throttle_total{outcome=gone,route=orders} 1`,
		`sluice_throttle_total{outcome=passed,route=orders} 1`,
		`sluice_throttle_total{outcome=refused,route=orders} 1`,
		`sluice_throttle_waiting{route=orders} 3`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("series are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if m.Throttle("orders") != throttle || m.Throttle("users") == throttle {
		t.Error("a route's series is not its own")
	}
	var none *Metrics
	if none.Throttle("") == nil || none.ConcurrencyLimit("") == nil || none.Fault("") == nil || none.Mirror("") == nil || none.Shed("") == nil {
		t.Error("nil metrics give no series")
	}
	runtime.KeepAlive([]any{throttle, limit, fault, mirror, shed, other})
}

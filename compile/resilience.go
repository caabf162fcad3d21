package compile

import (
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/upstream"
	"github.com/sluice-gateway/sluice/upstream/breaker"
	"github.com/sluice-gateway/sluice/upstream/concurrency"
	"github.com/sluice-gateway/sluice/upstream/health"
	"github.com/sluice-gateway/sluice/upstream/outlier"
)

// resilience is what keeps a failing service from taking its callers along.
func (k *compiler) resilience(at string, c *config.Service, spec *upstream.Spec) {
	spec.HealthCheck = healthCheck(c)
	if o := c.OutlierDetection; o != nil {
		spec.OutlierDetection = &outlier.Settings{
			ConsecutiveErrors: o.ConsecutiveErrors, Interval: o.Interval, EjectFor: o.EjectFor,
			MaxEjectedPercent: o.MaxEjectedPercent,
		}
	}
	if b := c.CircuitBreaker; b != nil {
		spec.Breaker = &upstream.Breaker{PerEndpoint: b.Per == "endpoint", Settings: breaker.Settings{
			Window: b.Window, MinRequests: b.MinRequests, ErrorPercent: b.ErrorPercent,
			SlowPercent: b.SlowPercent, SlowAfter: b.SlowAfter, OpenFor: b.OpenFor, Probes: b.Probes,
		}}
		spec.Fallback = k.fallback(at+".circuitBreaker.fallback", b.Fallback)
	}
	if l := c.Concurrency; l != nil && (l.Max > 0 || l.Adaptive) {
		spec.Concurrency = &concurrency.Settings{Max: l.Max, Adaptive: l.Adaptive, Pending: l.Pending, Wait: l.Wait}
	}
}

func healthCheck(c *config.Service) *health.Settings {
	h := c.HealthCheck
	if h == nil {
		return nil
	}
	s := &health.Settings{
		Type: health.Type(h.Type), Path: h.Path, Host: h.Host, Service: h.Service,
		Interval: h.Interval, Timeout: h.Timeout,
		HealthyAfter: h.HealthyAfter, UnhealthyAfter: h.UnhealthyAfter, RequireHealthy: h.RequireHealthy,
	}
	if s.Host == "" {
		s.Host = c.Host
	}
	for i, r := range h.Expect[:min(len(h.Expect), health.MaxStatuses)] {
		s.Expect[i] = health.StatusRange{From: r.From, To: r.To}
	}
	return s
}

// fallback compiles the fixed answer as that of a route's respond.
func (k *compiler) fallback(at string, c *config.Fallback) *upstream.Fallback {
	if c == nil {
		return nil
	}
	f := &upstream.Fallback{LastGood: c.LastGood, Service: c.Service}
	if c.Status == 0 && c.Body == "" && len(c.Headers) == 0 {
		return f
	}
	fixed := &config.Respond{Status: c.Status, Body: c.Body, Headers: c.Headers}
	if fixed.Status == 0 {
		fixed.Status = 503
	}
	answer := k.respond(at, fixed)
	f.Status, f.Header, f.Body = answer.Status, answer.Header, answer.Body
	return f
}

// bindFallbacks leads each service to the one it falls back to; config has made sure that it exists and does not lead back.
func (k *compiler) bindFallbacks() {
	for _, c := range k.config.Services {
		if b := c.CircuitBreaker; b != nil && b.Fallback != nil && b.Fallback.Service != "" {
			k.built[c.Name].FallBackTo(k.built[b.Fallback.Service])
		}
	}
}

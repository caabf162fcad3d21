package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// Outcomes of an attempt beside the kinds of failure.
const (
	Success   failure.Kind = ""           // the head of an answer arrived, and it is no 5xx; shown as "success"
	Status5xx failure.Kind = "status_5xx" // an answer arrived and says that the service failed
	Lost      failure.Kind = "lost"       // given up because a hedge, or what it hedged, was answered first
)

// outcomes are the kinds an attempt can end with, each with its own counter. Another kind is counted as "other".
var outcomes = [...]failure.Kind{
	Success, Status5xx, Lost,
	failure.DNSTimeout, failure.DNSError, failure.DestinationNotFound, failure.DestinationUnavailable,
	failure.ConnectionRefused, failure.ConnectionTerminated, failure.ConnectionTimeout, failure.ConnectionLimitReached,
	failure.TLSProtocolError, failure.TLSCertificateError, failure.HTTPRequestError, failure.HTTPRequestDenied,
	failure.HTTPResponseIncomplete, failure.HTTPResponseHeaderSize, failure.HTTPResponseBodySize,
	failure.HTTPResponseCoding, failure.HTTPResponseTimeout, failure.HTTPUpgradeFailed,
	failure.HTTPProtocolError, failure.ProxyInternalError, failure.ProxyConfiguration, failure.ProxyLoopDetected,
	failure.ClientGone, failure.ClientStalled, failure.FaultInjected,
}

// ServiceSeries counts the attempts of one service. It lives as long as a service of its name does, across reloads.
type ServiceSeries struct {
	service    string
	duration   histogram
	outcomes   [len(outcomes) + 1]Counter // the last is "other"
	suppressed Counter
	endpoints  atomic.Pointer[func() []EndpointUp]
	resilience
}

// EndpointUp says of one endpoint whether it is considered able to answer.
type EndpointUp struct {
	Endpoint string // its address as configured
	Up       bool
	Out      []string // why it is not: unhealthy, waiting, ejected, breaker_open, drained
}

// NewServiceSeries makes the series of a service.
func NewServiceSeries(service string) *ServiceSeries { return &ServiceSeries{service: service} }

// Attempt counts one attempt: Success, Status5xx or the kind of failure, and the time to the answer's head or to the
// failure.
func (s *ServiceSeries) Attempt(outcome failure.Kind, d time.Duration) {
	s.duration.observe(d)
	i := 0
	for i < len(outcomes) && outcomes[i] != outcome {
		i++
	}
	s.outcomes[i].Inc()
}

// RetrySuppressed counts a retry that the policy allowed and the budget did not.
func (s *ServiceSeries) RetrySuppressed() { s.suppressed.Inc() }

// SetEndpoints says where to ask at each scrape; nil: nowhere. The service calls it when it starts, so that an endpoint
// is shown exactly as long as it is in force.
func (s *ServiceSeries) SetEndpoints(up func() []EndpointUp) {
	if up == nil {
		s.endpoints.Store(nil)
		return
	}
	s.endpoints.Store(&up)
}

// EndpointsUp asks the service for its endpoints; none before it has started.
func (s *ServiceSeries) EndpointsUp() []EndpointUp {
	if up := s.endpoints.Load(); up != nil {
		return (*up)()
	}
	return nil
}

// outcomeLabel is the label of the i-th counter of outcomes.
func outcomeLabel(i int) string {
	switch {
	case i == len(outcomes):
		return other
	case outcomes[i] == Success:
		return "success"
	default:
		return string(outcomes[i])
	}
}

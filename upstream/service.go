package upstream

import (
	"crypto/tls"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/balance"
	"github.com/sluice-gateway/sluice/upstream/retry"
)

// Service is a named group of interchangeable endpoints: one microservice. It is never changed after New; a reload makes
// another, which takes over what it can.
type Service struct {
	spec    Spec
	members []Member
	takers  int // members with a weight
	picker  balance.Picker
	budget  *retry.Budget
}

// New makes the service of a specification: inert, without goroutine or socket. From prev, the service of that name in
// the snapshot before, or nil, it takes over every endpoint of equal name, URL, TLS key, protocol and connection
// settings, the retry budget if its settings are equal, and the balancer's turn if nothing of it has changed.
func New(spec Spec, prev *Service) *Service {
	if spec.Protocol == "" {
		spec.Protocol = HTTP1
	}
	if spec.TLS == nil {
		spec.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if spec.Series == nil {
		spec.Series = telemetry.NewServiceSeries(spec.Name)
	}
	s := &Service{spec: spec, members: make([]Member, 0, len(spec.Endpoints))}
	before := prev.byKey()
	for _, e := range spec.Endpoints {
		endpoint := before[keyOf(&spec, e.URL)]
		if endpoint == nil {
			endpoint = newEndpoint(&spec, e.URL)
		}
		s.members = append(s.members, Member{endpoint, e.Weight})
		if e.Weight > 0 {
			s.takers++
		}
	}
	s.picker = s.newPicker(prev)
	s.budget = s.newBudget(prev)
	return s
}

// byKey finds the endpoints of a service. It is empty for none.
func (s *Service) byKey() map[endpointKey]*Endpoint {
	if s == nil {
		return nil
	}
	byKey := make(map[endpointKey]*Endpoint, len(s.members))
	for _, m := range s.members {
		byKey[m.key] = m.Endpoint
	}
	return byKey
}

func (s *Service) newPicker(prev *Service) balance.Picker {
	if prev != nil && prev.spec.Balance == s.spec.Balance && slices.Equal(prev.members, s.members) {
		return prev.picker
	}
	candidates := make([]balance.Candidate, len(s.members))
	for i, m := range s.members {
		candidates[i] = balance.Candidate{Weight: m.weight, InFlight: &m.Endpoint.inFlight}
	}
	if p := balance.New(s.spec.Balance.Policy, candidates); p != nil {
		return p
	}
	return balance.NewRoundRobin(candidates) // compile refuses policies that do not exist
}

func (s *Service) newBudget(prev *Service) *retry.Budget {
	if prev != nil && prev.spec.RetryBudget == s.spec.RetryBudget {
		return prev.budget
	}
	return retry.NewBudget(s.spec.RetryBudget.Percent, s.spec.RetryBudget.MinPerSecond)
}

// Start puts the service in force: from now on the metrics show its endpoints.
func (s *Service) Start() { s.spec.Series.SetEndpoints(s.endpointsUp) }

func (s *Service) endpointsUp() []telemetry.EndpointUp {
	up := make([]telemetry.EndpointUp, len(s.members))
	for i, m := range s.members {
		up[i] = telemetry.EndpointUp{Endpoint: m.address, Up: true} // until somebody checks their health
	}
	return up
}

// Retire takes the service out of force. Endpoints that keep, the service that follows, has taken over are left alone;
// of the others, and of all if keep is nil, idle connections are closed now and busy ones when their answer has ended.
// Requests that still hold the service may go on using it.
func (s *Service) Retire(keep *Service) {
	if keep == nil || keep.spec.Series != s.spec.Series {
		s.spec.Series.SetEndpoints(nil)
	}
	kept := keep.byKey()
	for _, m := range s.members {
		if kept[m.key] != m.Endpoint {
			m.transport.CloseIdle()
		}
	}
}

// Name is the service's name.
func (s *Service) Name() string { return s.spec.Name }

// Series is where the service's attempts are counted. The service that follows is given the same.
func (s *Service) Series() *telemetry.ServiceSeries { return s.spec.Series }

// Endpoints are the members in the order of the configuration.
func (s *Service) Endpoints() []Member { return slices.Clone(s.members) }

// MayUpgrade reports whether a request may ask the service to switch to the protocol that token names (RFC 9110 section
// 7.8). Over HTTP/2 none may, and h2c never: it would carry requests that nobody looks at.
func (s *Service) MayUpgrade(token string) bool {
	if s.spec.Protocol.overHTTP2() || strings.EqualFold(token, "h2c") {
		return false
	}
	if s.spec.Upgrades == nil {
		return strings.EqualFold(token, "websocket")
	}
	return slices.ContainsFunc(s.spec.Upgrades, func(may string) bool { return strings.EqualFold(may, token) })
}

func (p Protocol) overHTTP2() bool { return p == HTTP2 || p == GRPC }

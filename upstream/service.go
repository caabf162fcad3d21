package upstream

import (
	"crypto/tls"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/lastgood"
	"github.com/sluice-gateway/sluice/upstream/retry"
)

// Service is a named group of interchangeable endpoints: one microservice. But for its membership, which discovery may
// replace, it is never changed after New; a reload makes another, which takes over what it can.
type Service struct {
	spec       Spec
	lineage    *lineage
	membership atomic.Pointer[membership] // never nil
	budget     *retry.Budget
	gates      []Gate
	mayWait    bool // at a gate
	watchers   []Watcher
	tasks      []Task

	// What stands behind those; nil: there is none.
	checking         *checking
	ejecting         *ejecting
	breaking         *breaking
	endpointBreaking *endpointBreaking
	limiting         *limiting
	lastGood         *lastgood.Cache
	other            *Service // to fall back to

	mu      sync.Mutex // changes membership and inForce
	inForce bool       // between Start and Retire
}

// New makes the service of a specification: inert, without goroutine or socket. From prev, the service of that name in
// the snapshot before, or nil, it takes over every endpoint of equal name, URL, TLS key, protocol and connection
// settings, the retry budget if its settings are equal, and the balancer's turn. While the settings of discovery are
// equal it begins with what was discovered last; see first.
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
	if h := spec.HealthCheck; h != nil && h.RequireHealthy {
		spec.Initially |= Waiting
	}
	s := &Service{spec: spec}
	var before *membership
	if prev != nil && prev.spec.Name == spec.Name {
		s.lineage, before = prev.lineage, prev.membership.Load()
	} else {
		s.lineage = new(lineage)
	}
	s.membership.Store(newMembership(&s.spec, s.first(before), s.lineage, before))
	s.budget = s.newBudget(prev)
	if prev != nil && prev.spec.Name != spec.Name {
		prev = nil
	}
	s.gates, s.watchers, s.tasks = s.newGates(prev), s.newWatchers(prev), s.newTasks(prev)
	s.lastGood = s.newLastGood(prev)
	return s
}

func (s *Service) newBudget(prev *Service) *retry.Budget {
	if prev != nil && prev.spec.RetryBudget == s.spec.RetryBudget {
		return prev.budget
	}
	return retry.NewBudget(s.spec.RetryBudget.Percent, s.spec.RetryBudget.MinPerSecond)
}

// Start puts the service in force: from now on the metrics show its endpoints, and its tasks are at work.
func (s *Service) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inForce = true
	s.spec.Series.SetEndpoints(s.endpointsUp)
	if d := s.lineage.discovered.Load(); d != nil && d.key == s.spec.DiscoveryKey {
		s.setEndpoints(d.endpoints) // found since New
	}
	for _, t := range s.tasks {
		t.Start(s)
		t.Members(s.Endpoints())
	}
}

func (s *Service) endpointsUp() []telemetry.EndpointUp {
	members := s.membership.Load().members
	up := make([]telemetry.EndpointUp, len(members))
	for i, m := range members {
		reasons := m.Reasons()
		up[i] = telemetry.EndpointUp{Endpoint: m.address, Up: reasons == 0, Out: reasons.Names()}
	}
	return up
}

// Retire takes the service out of force. Endpoints and tasks that keep, the service that follows, has taken over are left
// alone; of the other endpoints, and of all if keep is nil, idle connections are closed now and busy ones when their
// answer has ended. Requests that still hold the service may go on using it.
func (s *Service) Retire(keep *Service) {
	if keep == nil || keep.spec.Series != s.spec.Series {
		s.spec.Series.SetEndpoints(nil)
	}
	s.mu.Lock()
	s.inForce = false
	s.mu.Unlock()
	var next *membership
	for _, t := range s.tasks {
		if keep == nil || !slices.Contains(keep.tasks, t) {
			t.Stop(keep)
		}
	}
	if keep != nil {
		next = keep.membership.Load()
	}
	s.membership.Load().retire(next)
}

// Name is the service's name.
func (s *Service) Name() string { return s.spec.Name }

// Series is where the service's attempts are counted. The service that follows is given the same.
func (s *Service) Series() *telemetry.ServiceSeries { return s.spec.Series }

// Endpoints are the members now, in the order of the configuration or as they were discovered.
func (s *Service) Endpoints() []Member { return slices.Clone(s.membership.Load().members) }

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

// SpeaksHTTP2 reports whether calls of gRPC may reach the service.
func (s *Service) SpeaksHTTP2() bool { return s.spec.Protocol.overHTTP2() }

func (p Protocol) overHTTP2() bool { return p == HTTP2 || p == GRPC }

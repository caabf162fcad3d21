package upstream

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/balance"
)

// maxEndpoints bounds the endpoints of a service.
const maxEndpoints = 10_000

// Member is an endpoint as one service has it. The weight is the service's: after a reload the same endpoint may carry
// another one, while requests still run that were dealt by the old.
type Member struct {
	*Endpoint
	weight int
	zone   string
}

// Weight is the endpoint's share of requests, relative to the other members; 0 drains it.
func (m Member) Weight() int { return m.weight }

// Zone is where the endpoint is, as configured or discovered; empty: unknown.
func (m Member) Zone() string { return m.zone }

// membership is a set of endpoints and how to choose among them. The set never changes; another set is another
// membership, and a loop keeps the one it began with. The choice does change, with the reasons why endpoints take no
// requests: it is worked out for one version of them, and made anew by the first request that sees another.
type membership struct {
	members   []Member
	balancing balancing
	set       *balance.Set
	lineage   *lineage
	service   string
	events    *telemetry.Events

	mu     sync.Mutex // makes choices
	chosen atomic.Pointer[choice]
}

// balancing is everything beside the members that a choice depends on.
type balancing struct {
	balance   Balance
	panic     bool
	slowStart time.Duration
	zone      string
}

func (s *Spec) balancing() balancing { return balancing{s.Balance, s.Panic, s.SlowStart, s.Zone} }

// newMembership makes the set of these endpoints, each once. Endpoints of equal key are taken over from prev; if nothing
// of it would be another, prev itself is.
func newMembership(spec *Spec, endpoints []EndpointSpec, l *lineage, prev *membership) *membership {
	m := &membership{members: make([]Member, 0, len(endpoints)), balancing: spec.balancing(), lineage: l}
	m.service, m.events = spec.Name, spec.Events
	before, drained, seen := prev.byKey(), prev.drained(l), make(map[endpointKey]bool, len(endpoints))
	for _, e := range endpoints {
		key := keyOf(spec, e.URL)
		if seen[key] {
			continue
		}
		seen[key] = true
		endpoint := before[key]
		if endpoint == nil {
			endpoint = newEndpoint(spec, e.URL, l)
			if len(before) > 0 { // else nobody is there to be spared at the expense of
				endpoint.joined.Store(time.Now().UnixNano())
			}
			if drained[endpoint.address] {
				endpoint.TakeOut(Drained)
			}
		}
		m.members = append(m.members, Member{endpoint, e.Weight, e.Zone})
	}
	if prev != nil && prev.balancing == m.balancing && slices.Equal(prev.members, m.members) {
		return prev
	}
	m.set = m.newSet(spec)
	return m
}

func (m *membership) newSet(spec *Spec) *balance.Set {
	candidates := make([]balance.Candidate, len(m.members))
	for i, member := range m.members {
		candidates[i] = balance.Candidate{Address: member.address, Weight: member.weight, Load: &member.Endpoint.load}
	}
	o := balance.Options{Policy: spec.Balance.Policy, Service: spec.Name, Secret: spec.Balance.Secret}
	if set := balance.NewSet(o, candidates, &m.lineage.balance); set != nil {
		return set
	}
	return balance.NewSet(balance.Options{}, candidates, &m.lineage.balance) // compile refuses policies that do not exist
}

// byKey finds the endpoints of a membership. It is empty for none.
func (m *membership) byKey() map[endpointKey]*Endpoint {
	if m == nil {
		return nil
	}
	byKey := make(map[endpointKey]*Endpoint, len(m.members))
	for _, member := range m.members {
		byKey[member.key] = member.Endpoint
	}
	return byKey
}

// drained are the addresses that an operator drained: those remembered, and of those there are all. That holds of an
// address however it is spoken to.
func (m *membership) drained(l *lineage) map[string]bool {
	drained := make(map[string]bool)
	for _, address := range l.drains.list() {
		drained[address] = true
	}
	if m == nil {
		return drained
	}
	for _, member := range m.members {
		if member.Reasons()&Drained != 0 {
			drained[member.address] = true
		}
	}
	return drained
}

// SetEndpoints puts another set of endpoints in force: discovery found it. Endpoints that stay keep their connections and
// what is known of them; those that are gone finish what they have. Of an address listed twice the first counts. An
// empty set is one: requests get a 503 at once. It does nothing before Start and after Retire.
func (s *Service) SetEndpoints(endpoints []EndpointSpec) error {
	if len(endpoints) > maxEndpoints {
		return fmt.Errorf("%d endpoints are more than the %d that a service may have", len(endpoints), maxEndpoints)
	}
	for _, e := range endpoints {
		if err := e.check(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inForce {
		return nil
	}
	s.lineage.discovered.Store(&discovered{s.spec.DiscoveryKey, slices.Clone(endpoints)})
	s.setEndpoints(endpoints)
	return nil
}

// check refuses what no endpoint can be.
func (e *EndpointSpec) check() error {
	switch {
	case e.URL == nil:
		return errors.New("an endpoint has no URL")
	case e.URL.Scheme == "unix" && socketPath(e.URL) != "", (e.URL.Scheme == "http" || e.URL.Scheme == "https") && e.URL.Hostname() != "":
		return nil
	}
	return fmt.Errorf("%s is neither http://host:port, https://host:port nor unix:/path", e.URL.Redacted())
}

// setEndpoints is SetEndpoints with the lock held.
func (s *Service) setEndpoints(endpoints []EndpointSpec) {
	before := s.membership.Load()
	next := newMembership(&s.spec, endpoints, s.lineage, before)
	if next == before {
		return
	}
	s.membership.Store(next)
	for _, t := range s.tasks {
		t.Members(slices.Clone(next.members))
	}
	before.retire(next)
	s.event(telemetry.Event{Kind: telemetry.DiscoveryEvent, State: "updated", Reason: changed(before, next)})
	s.tellReturns(before, next)
}

// tellReturns tells of those that came and take no requests, because they were drained when they went.
func (s *Service) tellReturns(before, next *membership) {
	had := before.byKey()
	for _, m := range next.members {
		if had[m.key] == nil && m.Reasons()&Drained != 0 {
			s.tellDrain(m.address, true, "by hand, before it went")
		}
	}
}

// retire lets go of the endpoints that next has not taken over: idle connections are closed now and busy ones when their
// answer has ended.
func (m *membership) retire(next *membership) {
	kept := next.byKey()
	for _, member := range m.members {
		if kept[member.key] != member.Endpoint {
			member.transport.CloseIdle()
		}
	}
}

// changed tells people how many came and went.
func changed(before, next *membership) string {
	had, has := before.byKey(), next.byKey()
	came, went := 0, 0
	for key := range has {
		if had[key] == nil {
			came++
		}
	}
	for key := range had {
		if has[key] == nil {
			went++
		}
	}
	return fmt.Sprintf("%d endpoints now: %d came, %d went", len(next.members), came, went)
}

package upstream

import (
	"slices"
	"time"
)

// Seen is a service as people are shown it: all at one time, which Endpoints, Breaker and the rest one after the other
// are not.
type Seen struct {
	Members []SeenMember
	Panic   bool     // nobody is healthy, and all are used
	Away    []string // addresses that were drained and are not there now; they will be drained when they come back
}

// SeenMember is an endpoint and the part of new requests that it is meant to get: from 0 to 1, by the weights in force,
// with health, slow start and zones taken into account. What a key or the load decides comes on top.
type SeenMember struct {
	Member
	Share float64
}

// Seen looks at the service.
func (s *Service) Seen() Seen {
	m := s.membership.Load()
	weights, near, _, panicking := m.weights(time.Now())
	if near != nil {
		weights = near
	}
	var all int64
	for _, w := range weights {
		all += w
	}
	seen := Seen{Members: make([]SeenMember, len(m.members)), Panic: panicking}
	for i, member := range m.members {
		seen.Members[i] = SeenMember{Member: member}
		if weights[i] > 0 {
			seen.Members[i].Share = float64(weights[i]) / float64(all)
		}
	}
	seen.Away = m.away(s.lineage.drains.list())
	return seen
}

// away are those of the addresses that nobody has here.
func (m *membership) away(addresses []string) []string {
	if len(addresses) == 0 {
		return nil
	}
	here := make(map[string]bool, len(m.members))
	for _, member := range m.members {
		here[member.address] = true
	}
	return slices.DeleteFunc(addresses, func(address string) bool { return here[address] })
}

package upstream

import (
	"time"

	"github.com/sluice-gateway/sluice/telemetry"
)

// Seen is a service as people are shown it: all at one time, which Endpoints, Breaker and the rest one after the other
// are not.
type Seen struct {
	Members []SeenMember
	Panic   bool // nobody is healthy, and all are used
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
	return seen
}

// Drain takes the endpoint of an address out for new requests, or with drain false puts it back, and reports whether
// there is one. What it has in flight it finishes. It stays drained while the process lives and the service has the
// endpoint: a reload does not bring it back.
func (s *Service) Drain(address string, drain bool) (found bool) {
	for _, m := range s.Endpoints() {
		if m.address != address {
			continue
		}
		found = true
		event := telemetry.Event{Kind: telemetry.DrainEvent, Endpoint: address, State: "drained", Reason: "by hand"}
		change := m.TakeOut
		if !drain {
			event.State, change = "undrained", m.PutBack
		}
		if change(Drained) {
			s.event(event)
		}
	}
	return found
}

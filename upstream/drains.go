package upstream

import (
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/telemetry"
)

// drains are the addresses of a service that operators drained, whether it has them now or not: what discovery drops and
// brings back is still under repair until somebody says that it is not. The latest stands last.
type drains struct {
	mu        sync.Mutex
	addresses []string
}

// maxDrains bounds what is remembered; beyond it the oldest is forgotten. An endpoint that is there stays drained even so.
const maxDrains = 1024

// set notes that an address was drained, or put back, and reports whether it had been drained.
func (d *drains) set(address string, drain bool) (was bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at := slices.Index(d.addresses, address); at >= 0 {
		d.addresses, was = slices.Delete(d.addresses, at, at+1), true
	}
	if drain {
		d.addresses = append(d.addresses, address)
		d.addresses = slices.Delete(d.addresses, 0, max(0, len(d.addresses)-maxDrains))
	}
	return was
}

func (d *drains) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.addresses)
}

// Drain takes the endpoint of an address out for new requests, or with drain false puts it back, and reports whether there
// is one, or was when it was drained. What it has in flight it finishes. It stays drained while the process lives and the
// service is configured, whatever reloads and discovery do with it.
func (s *Service) Drain(address string, drain bool) (found bool) {
	s.mu.Lock() // or a set might come into force that was made before
	defer s.mu.Unlock()
	changed := false
	for _, m := range s.membership.Load().members {
		if m.address != address {
			continue
		}
		found = true
		change := m.TakeOut
		if !drain {
			change = m.PutBack
		}
		changed = change(Drained) || changed
	}
	was := (found || !drain) && s.lineage.drains.set(address, drain)
	if changed || was && !found {
		s.tellDrain(address, drain, "by hand")
	}
	return found || was
}

func (s *Service) tellDrain(address string, drain bool, why string) {
	event := telemetry.Event{Kind: telemetry.DrainEvent, Endpoint: address, State: "drained", Reason: why}
	if !drain {
		event.State = "undrained"
	}
	s.event(event)
}

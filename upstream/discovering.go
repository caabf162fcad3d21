package upstream

import (
	"net/url"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// Discovery is how the endpoints of a service are found.
type Discovery struct {
	Source     discovery.Source // inert
	AllowEmpty bool             // an empty answer is one, and not a failure
}

// DiscoveryState is what is known of a service's discovery.
type DiscoveryState = discovery.State

// discovering is the task that keeps a service's endpoints what its discovery finds. A service that follows with equal
// settings takes it over: it goes on asking as if nothing had been, for the new service.
type discovering struct {
	key     string
	watcher *discovery.Watcher
	resync  sync.WaitGroup

	mu      sync.Mutex // held while a set is put in force; never while waiting for the watcher
	service *Service   // in force; nil before the first Start
	set     []EndpointSpec
	found   bool // set is one
}

// newDiscovering takes the task over from prev or makes one; none if the service has its endpoints from its settings.
func (s *Service) newDiscovering(prev *Service) []Task {
	want := s.spec.Discovery
	if want == nil {
		return nil
	}
	if d := prev.discovering(); d != nil && d.key == s.spec.DiscoveryKey {
		return []Task{d}
	}
	d := &discovering{key: s.spec.DiscoveryKey}
	d.watcher = discovery.New(discovery.Options{
		Source: want.Source, AllowEmpty: want.AllowEmpty, Apply: d.apply, Told: d.told,
	})
	return []Task{d}
}

// discovering is the service's task, or nil.
func (s *Service) discovering() *discovering {
	if s == nil {
		return nil
	}
	for _, t := range s.tasks {
		if d, ok := t.(*discovering); ok {
			return d
		}
	}
	return nil
}

// Start implements Task.
func (d *discovering) Start(s *Service) {
	s.spec.Series.SetDiscovery(d.shown)
	d.mu.Lock()
	first := d.service == nil
	d.service = s
	d.mu.Unlock()
	if first {
		d.watcher.Start()
		return
	}
	// What was found since s looked, and before it was in force here, went to the service before.
	d.resync.Go(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.put()
	})
}

// Members implements Task.
func (d *discovering) Members([]Member) {}

// Stop implements Task.
func (d *discovering) Stop(next *Service) {
	d.watcher.Stop()
	d.resync.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.service != nil && next.discovering() == nil {
		d.service.spec.Series.SetDiscovery(nil)
	}
}

// apply puts a set in force.
func (d *discovering) apply(set []discovery.Endpoint) {
	specs := make([]EndpointSpec, 0, len(set))
	for _, e := range set {
		if u, err := url.Parse(e.URL); err == nil { // it was written by discovery.Sanitize
			specs = append(specs, EndpointSpec{URL: u, Weight: e.Weight, Zone: e.Zone})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set, d.found = specs, true
	d.put()
}

// put gives the set to the service in force. mu is held. The number is bounded by discovery, below what a service bears.
func (d *discovering) put() {
	if d.found {
		_ = d.service.SetEndpoints(d.set)
	}
}

// told counts an answer, and tells of the first failure of a row and of its end. That another set is in force is told by
// the service.
func (d *discovering) told(o discovery.Outcome) {
	d.mu.Lock()
	s := d.service
	d.mu.Unlock()
	if o.Err != nil {
		s.spec.Series.DiscoveryFailed()
		if o.First {
			s.event(telemetry.Event{Kind: telemetry.DiscoveryEvent, State: "failed", Reason: o.State.Source + ": " + o.State.LastError})
		}
		return
	}
	s.spec.Series.Discovered(o.Changed)
	if o.Recovered {
		s.event(telemetry.Event{Kind: telemetry.DiscoveryEvent, State: "recovered", Reason: o.State.Source})
	}
}

func (d *discovering) shown() telemetry.Discovery {
	state := d.watcher.State()
	return telemetry.Discovery{Endpoints: state.Endpoints, LastGood: state.LastGood}
}

// Discovery is the state of the service's discovery; nil if its endpoints are those of its settings.
func (s *Service) Discovery() *DiscoveryState {
	d := s.discovering()
	if d == nil {
		return nil
	}
	state := d.watcher.State()
	return &state
}

// Discovered is closed when the discovery has given its first usable answer; nil if there is none to wait for.
func (s *Service) Discovered() <-chan struct{} {
	d := s.discovering()
	if d == nil {
		return nil
	}
	return d.watcher.Found()
}

// first are the endpoints that a service begins with: those of its settings, or those found last with the same discovery.
// Another discovery begins with the endpoints of before, whoever named them, until it has an answer of its own.
func (s *Service) first(before *membership) []EndpointSpec {
	found := s.lineage.discovered.Load()
	switch {
	case found != nil && found.key == s.spec.DiscoveryKey:
		return found.endpoints
	case s.spec.DiscoveryKey == "" || len(s.spec.Endpoints) > 0:
		return s.spec.Endpoints
	default:
		return before.specs()
	}
}

// specs are the endpoints as a configuration would say them.
func (m *membership) specs() []EndpointSpec {
	if m == nil {
		return nil
	}
	specs := make([]EndpointSpec, 0, len(m.members))
	for _, member := range m.members {
		if u, err := url.Parse(member.key.url); err == nil {
			specs = append(specs, EndpointSpec{URL: u, Weight: member.weight, Zone: member.zone})
		}
	}
	return slices.Clip(specs)
}

package upstream

import (
	"sync"

	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/outlier"
)

// ejecting is the Watcher and Task of outlier detection: it counts what came of each attempt and keeps the reason Ejected.
type ejecting struct {
	detector *outlier.Detector

	mu      sync.Mutex
	service *Service // in force
	members []Member
	stopped bool
}

// newEjecting makes the outlier detection of a service, or takes it over from prev; nil: there is none.
func (s *Service) newEjecting(prev *Service) *ejecting {
	settings := s.spec.OutlierDetection
	switch {
	case settings == nil:
		return nil
	case prev != nil && prev.ejecting != nil && *prev.spec.OutlierDetection == *settings:
		return prev.ejecting
	}
	return &ejecting{detector: outlier.NewDetector(*settings)}
}

func (w *ejecting) Begin(*Endpoint) (Ticket, bool) { return 0, true }

func (w *ejecting) End(e *Endpoint, _ Ticket, o Outcome) {
	if !o.Silent() {
		w.detector.Observe(&e.outlier, o.Failed())
	}
}

func (w *ejecting) Start(s *Service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.service = s
}

func (w *ejecting) Members(members []Member) {
	targets := make([]outlier.Target, len(members))
	for i, m := range members {
		e := m.Endpoint
		targets[i] = outlier.Target{State: &e.outlier, Changed: func(c outlier.Change) { w.changed(e, c) }}
	}
	w.mu.Lock()
	w.members = members
	w.mu.Unlock()
	w.detector.Watch(targets)
}

// Stop ends the detection. Ejections go on under that of next.
func (w *ejecting) Stop(next *Service) {
	w.detector.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if next != nil && next.ejecting != nil {
		return
	}
	for _, m := range w.members {
		m.Endpoint.outlier.Forgive()
		m.Endpoint.PutBack(Ejected)
	}
}

func (w *ejecting) changed(e *Endpoint, c outlier.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	series := w.service.spec.Series
	event := telemetry.Event{Kind: telemetry.EjectionEvent, Endpoint: e.address}
	if !c.Ejected {
		e.PutBack(Ejected)
		series.Readmitted()
		event.State = "readmitted"
		w.service.event(event)
		return
	}
	e.TakeOut(Ejected)
	why, words := telemetry.EjectedForErrors, "errors in a row"
	if c.Reason == outlier.ErrorRate {
		why, words = telemetry.EjectedForRate, "more errors than the others"
	}
	series.Ejected(why)
	event.State, event.Reason = "ejected", words+", for "+c.For.String()
	w.service.event(event)
}

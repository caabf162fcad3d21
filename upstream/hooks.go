package upstream

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
)

// What stands around the attempt loop plugs into it in four places. A service without them pays one comparison each.
//
//	Gate     before a call: circuit breaker of the service, bulkhead, adaptive concurrency
//	Watcher  around an attempt: outlier detection, circuit breaker of an endpoint
//	Task     while the service is in force: health checks, discovery, timers
//	Events   what changed by itself: Service.event
//
// They are made in gates, watchers and tasks below, from the specification and from those of the service before.

// Gate stands before the loop.
type Gate interface {
	// Admit lets a call pass, or says with a *failure.Error why not. It may keep the call waiting, no longer than ctx and no
	// later than by, when the answer must have begun; zero is no limit. Whoever was admitted is told to Leave.
	Admit(ctx context.Context, call *Call, by time.Time) (Ticket, error)
	// Again reports whether a call that was admitted may be tried once more: a retry, a hedge.
	Again() bool
	// Answered is called once for each call admitted, when Do returns: with the head of the answer or without. It is told
	// what came of the last attempt; the latency is the call's, from its admission to the head of the answer. A call that
	// made no attempt ends with ClientGone.
	Answered(t Ticket, o Outcome)
	// Leave is called once for each call admitted, after Answered and with the same outcome, when the answer has ended.
	Leave(t Ticket, o Outcome)
}

// Ticket is what a gate or watcher wants to be told in the end: whether this was a probe, of which period it was.
type Ticket uint64

// maxGates and maxWatchers are how many a service can have. The tickets lie in the loop and in the attempt.
const (
	maxGates    = 4
	maxWatchers = 3
)

// watched are the tickets of an attempt.
type watched [maxWatchers]Ticket

// Watcher sees every attempt.
type Watcher interface {
	// Begin is asked before an attempt at e. False sends the attempt elsewhere, as if e had been tried.
	Begin(e *Endpoint) (Ticket, bool)
	// End is told what came of it, once for each attempt begun, when the head of the answer has arrived or will not.
	End(e *Endpoint, t Ticket, o Outcome)
}

// Outcome is what came of an attempt.
type Outcome struct {
	Kind    failure.Kind // telemetry.Success, telemetry.Status5xx, or the kind of failure
	Status  int          // 0: no answer
	Latency time.Duration
	At      time.Time // when it was known; zero: no attempt was made
}

// Silent reports whether the outcome says nothing about the endpoint: the client left, the attempt lost against another,
// or it never came to the endpoint.
func (o Outcome) Silent() bool {
	switch o.Kind {
	case telemetry.Lost, failure.ClientGone, failure.ClientStalled, failure.ConnectionLimitReached, failure.HTTPUpgradeFailed,
		failure.HTTPRequestError, failure.HTTPRequestDenied, failure.ProxyInternalError:
		return true
	}
	return false
}

// Failed reports whether the outcome is an error of the endpoint: no connection, a reset, no answer in time, a 5xx.
func (o Outcome) Failed() bool { return o.Kind != telemetry.Success && !o.Silent() }

// Task works beside the requests while a service is in force. After a reload the service that follows may have the same
// Task, if the settings are equal: it goes on as if nothing had been.
type Task interface {
	// Start puts the task on duty for s, which it may not have been made for. It is called again, with the service that
	// follows, when a reload took the task over. Goroutines begin here, not before.
	Start(s *Service)
	// Members tells which members are in force: once after each Start and after each change. Calls of Start and Members do
	// not overlap, and neither may call SetEndpoints itself: a goroutine does.
	Members(members []Member)
	// Stop ends the task: its goroutines, and the Reasons it has set, unless next, which may be nil, has a task of its own
	// that looks after them.
	Stop(next *Service)
}

// gates are made here, the first to be asked first; prev is the service before, or nil. What has equal settings in prev is
// taken over from it.
func (s *Service) newGates(prev *Service) []Gate {
	var gates []Gate
	if s.breaking = s.newBreaking(prev); s.breaking != nil {
		gates = append(gates, s.breaking)
	}
	if s.limiting = s.newLimiting(prev); s.limiting != nil {
		gates = append(gates, s.limiting)
		s.mayWait = s.spec.Concurrency.Pending > 0
	}
	return gates
}

// watchers are made here, after the gates.
func (s *Service) newWatchers(prev *Service) []Watcher {
	var watchers []Watcher
	if s.breaking != nil {
		watchers = append(watchers, s.breaking)
	}
	if s.endpointBreaking = s.newEndpointBreaking(prev); s.endpointBreaking != nil {
		watchers = append(watchers, s.endpointBreaking)
	}
	if s.ejecting = s.newEjecting(prev); s.ejecting != nil {
		watchers = append(watchers, s.ejecting)
	}
	return watchers
}

// tasks are made here, after gates and watchers.
func (s *Service) newTasks(prev *Service) []Task {
	var tasks []Task
	if s.checking = s.newChecking(prev); s.checking != nil {
		tasks = append(tasks, s.checking)
	}
	if s.breaking != nil {
		tasks = append(tasks, s.breaking)
	}
	if s.endpointBreaking != nil {
		tasks = append(tasks, s.endpointBreaking)
	}
	if s.ejecting != nil {
		tasks = append(tasks, s.ejecting)
	}
	if s.limiting != nil {
		tasks = append(tasks, s.limiting)
	}
	return append(tasks, s.newDiscovering(prev)...)
}

// event records what happened to the service or to one of its endpoints.
func (s *Service) event(e telemetry.Event) {
	e.Service = s.spec.Name
	s.spec.Events.Record(e)
}

// admit asks the gates.
func (l *loop) admit(ctx context.Context) error {
	for i, g := range l.service.gates {
		t, err := g.Admit(ctx, &l.call, l.deadline)
		if err != nil {
			return err
		}
		l.tickets[i] = t
		l.admitted++
	}
	if l.service.mayWait {
		l.start = time.Now() // waiting is not the service's time
	}
	return nil
}

// answered tells the gates what came of the call.
func (l *loop) answered() {
	for i, g := range l.service.gates[:l.admitted] {
		g.Answered(l.tickets[i], l.outcome)
	}
}

// passOut lets the call leave the gates it was admitted by.
func (l *loop) passOut() {
	for i, g := range l.service.gates[:l.admitted] {
		g.Leave(l.tickets[i], l.outcome)
	}
}

// mayGoOn reports whether no gate has anything against another attempt.
func (l *loop) mayGoOn() bool {
	for _, g := range l.service.gates {
		if !g.Again() {
			return false
		}
	}
	return true
}

// beginsAt reports whether no watcher has anything against an attempt at the member picked. If one has, or panics, those
// that agreed before are told that nothing came of it, and the pick is undone.
func (l *loop) beginsAt(at int) (tickets watched, ok bool) {
	e, watchers, agreed := l.members.members[at].Endpoint, l.service.watchers, 0
	defer func() {
		if agreed == len(watchers) {
			return
		}
		l.members.done(at)
		for i, w := range watchers[:agreed] {
			w.End(e, tickets[i], Outcome{Kind: failure.ClientGone})
		}
	}()
	for i, w := range watchers {
		if tickets[i], ok = w.Begin(e); !ok {
			return tickets, false
		}
		agreed++
	}
	return tickets, true
}

package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Event is one thing that happened to a service, an endpoint or a route and that somebody may ask about later.
type Event struct {
	Seq      uint64    `json:"seq"` // counts up from 1; a gap is what the ring no longer holds
	Time     time.Time `json:"time"`
	Kind     EventKind `json:"kind"`
	Service  string    `json:"service,omitempty"`
	Endpoint string    `json:"endpoint,omitempty"` // its address
	Route    string    `json:"route,omitempty"`
	State    string    `json:"state,omitempty"`  // the state entered, if it is a transition
	Reason   string    `json:"reason,omitempty"` // in words; never holds a secret, nor what a client sent
	Count    int64     `json:"count,omitempty"`  // of alike things told at once; absent: one
}

// EventKind says what an event is about.
type EventKind string

const (
	HealthEvent    EventKind = "health"    // active checks moved an endpoint: state healthy or unhealthy
	EjectionEvent  EventKind = "ejection"  // outlier detection: state ejected or readmitted
	BreakerEvent   EventKind = "breaker"   // state closed, half_open or open
	PanicEvent     EventKind = "panic"     // no endpoint is healthy: state entered (all are used), or left
	ShedEvent      EventKind = "shed"      // requests were refused under overload
	DiscoveryEvent EventKind = "discovery" // state updated, failed or recovered
	DrainEvent     EventKind = "drain"     // by hand: state drained or undrained
)

var eventKinds = [...]EventKind{
	HealthEvent, EjectionEvent, BreakerEvent, PanicEvent, ShedEvent, DiscoveryEvent, DrainEvent,
}

const (
	eventsKept   = 1024 // in the ring; an older one makes room
	eventsBurst  = 100  // log lines at once
	eventsPerSec = 20   // log lines in the long run; more are counted in the next line
)

// Events is the event log: a ring of what happened last, each thing also a line in the gateway's own log as long as that
// is not too many. Make it with NewEvents; nil events keep nothing.
//
// It is for transitions, of which there are few. What may happen with every request is gathered first: see Burst.
type Events struct {
	log *slog.Logger

	mu       sync.Mutex
	ring     []Event // in order of Seq up to eventsKept, then round and round
	last     uint64  // the newest Seq
	tokens   float64 // log lines allowed now
	filled   time.Time
	unlogged int64

	byKind [len(eventKinds)]Counter
}

// NewEvents makes an empty event log. log may be nil: no lines.
func NewEvents(log *slog.Logger) *Events {
	return &Events{log: log, tokens: eventsBurst}
}

// Record keeps an event. Seq is set, and Time if it is zero.
func (e *Events) Record(event Event) {
	if e == nil {
		return
	}
	if event.Time.IsZero() {
		event.Time = time.Now()
	}
	event.Time = event.Time.UTC()
	if i := slices.Index(eventKinds[:], event.Kind); i >= 0 {
		e.byKind[i].Inc()
	}
	if unlogged, ok := e.keep(event); ok && e.log != nil {
		e.log.LogAttrs(context.Background(), event.level(), "event", event.attrs(unlogged)...)
	}
}

// keep puts event into the ring, and says whether the log may have a line of it and how many it did not get before.
func (e *Events) keep(event Event) (unlogged int64, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	event.Seq = e.last
	if len(e.ring) < eventsKept {
		e.ring = append(e.ring, event)
	} else {
		e.ring[(e.last-1)%eventsKept] = event
	}
	if since := event.Time.Sub(e.filled); since > 0 {
		e.tokens = min(eventsBurst, e.tokens+since.Seconds()*eventsPerSec)
		e.filled = event.Time
	}
	if e.tokens < 1 {
		e.unlogged++
		return 0, false
	}
	e.tokens--
	unlogged, e.unlogged = e.unlogged, 0
	return unlogged, true
}

// Since gives the events kept whose Seq is greater than after, oldest first, and the newest Seq there is.
func (e *Events) Since(after uint64) (events []Event, last uint64) {
	if e == nil {
		return nil, 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	oldest := e.last - uint64(len(e.ring)) // the Seq before the first kept
	for seq := max(after, oldest) + 1; seq <= e.last; seq++ {
		events = append(events, e.ring[(seq-1)%eventsKept])
	}
	return events, e.last
}

// level is Warn for what is worse than before.
func (e *Event) level() slog.Level {
	switch e.State {
	case "unhealthy", "ejected", "open", "entered", "failed":
		return slog.LevelWarn
	}
	if e.Kind == ShedEvent {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func (e *Event) attrs(unlogged int64) []slog.Attr {
	attrs := []slog.Attr{slog.String("kind", string(e.Kind))}
	for _, a := range []struct{ key, value string }{
		{"service", e.Service}, {"endpoint", e.Endpoint}, {"route", e.Route}, {"state", e.State}, {"reason", e.Reason},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if e.Count > 1 {
		attrs = append(attrs, slog.Int64("count", e.Count))
	}
	if unlogged > 0 {
		attrs = append(attrs, slog.Int64("events_not_logged", unlogged))
	}
	return attrs
}

// Burst makes one event a second of what may happen with every request. Its owner calls Inc each time; the first tells
// at once, the next are counted and told with the first that comes after a second. What came last may so stay untold
// until there is more of it: a counter beside it knows them all. A Burst is not copied.
type Burst struct {
	events *Events
	event  Event
	count  atomic.Int64
	next   atomic.Int64 // Unix nanoseconds: not before
}

// Burst makes a burst of which event is told, with its count. It gives a usable one even of nil events.
func (e *Events) Burst(event Event) *Burst { return &Burst{events: e, event: event} }

// Inc counts one. It takes no lock, except once a second.
func (b *Burst) Inc() {
	b.count.Add(1)
	now := time.Now()
	next := b.next.Load()
	if now.UnixNano() < next || !b.next.CompareAndSwap(next, now.Add(time.Second).UnixNano()) {
		return
	}
	event := b.event
	event.Time, event.Count = now, b.count.Swap(0)
	b.events.Record(event)
}

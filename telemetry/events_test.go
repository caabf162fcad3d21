package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestEventsAreKeptInOrder(t *testing.T) {
	e := NewEvents(nil)
	e.Record(Event{Kind: HealthEvent, Service: "orders", Endpoint: "http://a:1", State: "unhealthy", Reason: "3 checks failed"})
	e.Record(Event{Kind: BreakerEvent, Service: "orders", State: "open"})
	events, last := e.Since(0)
	if last != 2 || len(events) != 2 || events[0].Seq != 1 || events[1].Seq != 2 || events[0].Time.IsZero() || events[0].Endpoint != "http://a:1" {
		t.Errorf("events %+v, last %d", events, last)
	}
	if events, _ := e.Since(1); len(events) != 1 || events[0].Kind != BreakerEvent {
		t.Errorf("after the first: %+v", events)
	}
	for _, after := range []uint64{2, 3, 1 << 63} {
		if events, _ := e.Since(after); len(events) != 0 {
			t.Errorf("after %d: %+v", after, events)
		}
	}
}

func TestTheRingForgetsTheOldest(t *testing.T) {
	e := NewEvents(nil)
	for range eventsKept + 300 {
		e.Record(Event{Kind: ShedEvent})
	}
	events, last := e.Since(0)
	if len(events) != eventsKept || events[0].Seq != 301 || last != eventsKept+300 {
		t.Fatalf("%d events from %d to %d", len(events), events[0].Seq, last)
	}
	for i, event := range events {
		if event.Seq != uint64(301+i) {
			t.Fatalf("the %dth is number %d", i, event.Seq)
		}
	}
}

func TestNilEventsKeepNothing(t *testing.T) {
	var e *Events
	e.Record(Event{Kind: ShedEvent})
	e.Burst(Event{Kind: ShedEvent}).Inc()
	if events, last := e.Since(0); events != nil || last != 0 {
		t.Errorf("%v, %d", events, last)
	}
}

func TestLogLinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		e := NewEvents(slog.New(slog.NewTextHandler(&out, nil)))
		lines := func() int { return strings.Count(out.String(), "\n") }
		for range 1000 {
			e.Record(Event{Kind: EjectionEvent, Service: "orders", Endpoint: "http://a:1", State: "ejected", Reason: "5 errors in a row"})
		}
		if lines() != eventsBurst {
			t.Errorf("%d lines of 1000 events, want %d", lines(), eventsBurst)
		}
		if line, _, _ := strings.Cut(out.String(), "\n"); !strings.Contains(line,
			`level=WARN msg=event kind=ejection service=orders endpoint=http://a:1 state=ejected reason="5 errors in a row"`) {
			t.Errorf("the line is %s", line)
		}
		time.Sleep(time.Second)
		out.Reset()
		for range 1000 {
			e.Record(Event{Kind: EjectionEvent, State: "readmitted"})
		}
		if lines() != eventsPerSec || !strings.Contains(out.String(), "level=INFO") || !strings.Contains(out.String(), "events_not_logged=900") {
			t.Errorf("after a second %d lines:\n%s", lines(), out.String())
		}
		if events, _ := e.Since(0); len(events) != eventsKept {
			t.Errorf("the ring holds %d", len(events))
		}
	})
}

func TestABurstIsToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEvents(nil)
		b := e.Burst(Event{Kind: ShedEvent, Route: "orders", Reason: "overloaded"})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 1000 {
					b.Inc()
				}
			})
		}
		all.Wait()
		if events, _ := e.Since(0); len(events) != 1 || events[0].Count < 1 || events[0].Route != "orders" {
			t.Fatalf("%+v", events)
		}
		time.Sleep(time.Second)
		b.Inc()
		events, _ := e.Since(0)
		if len(events) != 2 || events[0].Count+events[1].Count != 4001 {
			t.Errorf("%+v, want all 4001 told", events)
		}
	})
}

func TestEventsAreCounted(t *testing.T) {
	m, e := NewMetrics(nil), NewEvents(nil)
	m.SetEvents(e)
	if m.Events() != e || (*Metrics)(nil).Events() != nil {
		t.Error("the metrics do not give the event log")
	}
	e.Record(Event{Kind: DiscoveryEvent, State: "failed"})
	e.Record(Event{Kind: "no such kind"})
	page := strings.Join(series(gather(t, m)), "\n")
	for _, want := range []string{"sluice_events_total{kind=discovery} 1", "sluice_events_total{kind=health} 0"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not in\n%s", want, page)
		}
	}
}

func BenchmarkBurst(b *testing.B) {
	burst := NewEvents(nil).Burst(Event{Kind: ShedEvent})
	b.ReportAllocs()
	for b.Loop() {
		burst.Inc()
	}
}

package upstream

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/telemetry"
)

func shares(s *Service) (list []float64) {
	for _, m := range s.Seen().Members {
		list = append(list, m.Share)
	}
	return list
}

func TestSharesAreWhatRequestsGet(t *testing.T) {
	sp := spec(t, "http://a", "http://b", "http://c")
	sp.Endpoints[0].Weight, sp.Endpoints[2].Weight = 3, 0
	sp.Panic = true
	s := start(t, sp, nil)
	if got := shares(s); got[0] != 0.75 || got[1] != 0.25 || got[2] != 0 || s.Seen().Panic {
		t.Errorf("shares %v", got)
	}
	s.Endpoints()[0].TakeOut(Ejected)
	if got := shares(s); got[0] != 0 || got[1] != 1 {
		t.Errorf("one ejected: shares %v", got)
	}
	s.Endpoints()[1].TakeOut(Unhealthy)
	if got := shares(s); got[0] != 0.75 || got[1] != 0.25 || !s.Seen().Panic {
		t.Errorf("in panic: shares %v", got)
	}
	s.Drain("http://b", true)
	if got := shares(s); got[0] != 1 || got[1] != 0 {
		t.Errorf("one drained: shares %v", got)
	}
}

func TestASlowStartShows(t *testing.T) {
	sp := spec(t, "http://a", "http://b")
	sp.SlowStart = time.Hour
	s := start(t, sp, nil)
	b := s.Endpoints()[1]
	b.TakeOut(Unhealthy)
	b.PutBack(Unhealthy)
	if got := shares(s); got[1] == 0 || got[1] > 0.1 {
		t.Errorf("shares %v", got)
	}
}

func TestDrainByHand(t *testing.T) {
	events := telemetry.NewEvents(nil)
	sp := spec(t, "http://a", "http://b")
	sp.Events = events
	first := New(sp, nil)
	first.Start()
	for address, there := range map[string]bool{"http://a": true, "http://c": false} {
		for range 2 { // the second time it changes nothing
			if first.Drain(address, true) != there {
				t.Errorf("%s: Drain does not tell who is there", address)
			}
		}
	}
	sp.RetryBudget.Percent = 50
	second := start(t, sp, first)
	first.Retire(second)
	if got := asked(second, 4); got != "bbbb" {
		t.Errorf("after a reload: %s", got)
	}
	if !second.Drain("http://a", false) {
		t.Error("the endpoint is not there")
	}
	if got := told(events); got != "orders drain drained: by hand\norders drain undrained: by hand" {
		t.Errorf("told\n%s", got)
	}
}

func TestPanicIsTold(t *testing.T) {
	events := telemetry.NewEvents(nil)
	sp := spec(t, "http://a", "http://b")
	sp.Events, sp.Panic = events, true
	s := start(t, sp, nil)
	asked(s, 3)
	for _, m := range s.Endpoints() {
		m.TakeOut(Unhealthy)
	}
	asked(s, 3)
	s.Endpoints()[0].PutBack(Unhealthy)
	asked(s, 3)
	want := "orders panic entered: no endpoint is healthy, so all are used\norders panic left: an endpoint is healthy again"
	if got := told(events); got != want {
		t.Errorf("told\n%s", got)
	}
}

package upstream

import (
	"fmt"
	"testing"

	"github.com/sluice-gateway/sluice/telemetry"
)

// What an operator drained is drained when discovery brings it back, until somebody lifts that.
func TestADrainOutlivesDiscovery(t *testing.T) {
	events := telemetry.NewEvents(nil)
	sp := spec(t, "http://a", "http://b")
	sp.DiscoveryKey, sp.Events = "dns", events
	s := start(t, sp, nil)
	set := func(urls ...string) {
		t.Helper()
		if err := s.SetEndpoints(endpointsOf(t, urls...)); err != nil {
			t.Fatal(err)
		}
	}
	s.Drain("http://a", true)
	set("http://b")
	if got := s.Seen().Away; fmt.Sprint(got) != "[http://a]" {
		t.Errorf("away are %v", got)
	}
	reloaded := sp
	reloaded.RetryBudget.Percent = 50
	New(reloaded, s) // and something else was wrong with the configuration
	set("http://a", "http://b")
	if got := asked(s, 4); got != "bbbb" {
		t.Errorf("it came back and %s were asked", got)
	}
	set()
	set("http://b", "http://a")
	if got := asked(s, 4); got != "bbbb" || len(s.Seen().Away) != 0 {
		t.Errorf("after an empty set %s were asked, away are %v", got, s.Seen().Away)
	}

	set("http://b")
	if !s.Drain("http://a", false) || s.Drain("http://a", false) || s.Drain("http://a", true) {
		t.Error("Drain does not tell who is there, or was when it was drained")
	}
	set("http://a", "http://b")
	if got := s.Endpoints()[0].Reasons(); got != 0 {
		t.Errorf("its drain was lifted while it was away, and it is %s", got)
	}

	s.Drain("http://a", true)
	next := start(t, reloaded, s)
	s.Retire(next)
	s = next
	set("http://b")
	set("http://a", "http://b")
	s.Drain("http://a", false)
	set("http://b")
	set("http://a", "http://b")
	if got := s.Endpoints()[0].Reasons(); got != 0 {
		t.Errorf("it was put back, and is %s when it comes again", got)
	}
	list, _ := events.Since(0)
	var drains string
	for _, e := range list {
		if e.Kind == telemetry.DrainEvent {
			drains += fmt.Sprintf("%s %s, ", e.State, e.Reason)
		}
	}
	const hand, back = "drained by hand, ", "drained by hand, before it went, "
	if want := hand + back + back + "undrained by hand, " + hand + back + "undrained by hand, "; drains != want {
		t.Errorf("told %s\nwant %s", drains, want)
	}
}

func TestDrainsAreBounded(t *testing.T) {
	d := new(drains)
	for i := range maxDrains + 2 {
		d.set(fmt.Sprint(i), true)
		d.set("0", true) // which makes it the latest
	}
	list := d.list()
	if len(list) != maxDrains || list[0] != "3" || list[len(list)-1] != "0" {
		t.Errorf("%d, from %s to %s", len(list), list[0], list[len(list)-1])
	}
	if !d.set("0", false) || d.set("0", false) || len(d.list()) != maxDrains-1 {
		t.Error("one that was put back is remembered")
	}
}

package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// registry is a source that gives what it is told to, each time it is told.
type registry struct {
	answers chan []string // nil: a failure
	asked   atomic.Int32
}

func newRegistry() *registry { return &registry{answers: make(chan []string)} }

func (r *registry) String() string { return "registry" }

func (r *registry) Find(ctx context.Context) (discovery.Answer, error) {
	r.asked.Add(1)
	select {
	case hosts := <-r.answers:
		if hosts == nil {
			return discovery.Answer{}, errors.New("nobody is there")
		}
		var found []discovery.Endpoint
		for _, host := range hosts {
			found = append(found, discovery.Endpoint{URL: "http://" + host + ":80", Weight: 1, Zone: "z"})
		}
		return discovery.Answer{Endpoints: found}, nil
	case <-ctx.Done():
		return discovery.Answer{}, ctx.Err()
	}
}

// says gives an answer and waits until it is in force.
func (r *registry) says(hosts ...string) {
	r.answers <- hosts
	synctest.Wait()
}

func (r *registry) fails() {
	r.answers <- nil
	synctest.Wait()
}

func finding(t *testing.T, key string, r *registry, events *telemetry.Events) Spec {
	s := spec(t)
	s.DiscoveryKey, s.Discovery, s.Events = key, &Discovery{Source: r}, events
	return s
}

func wantAddresses(t *testing.T, s *Service, want string) {
	t.Helper()
	if got := strings.NewReplacer("http://", "", ":80", "").Replace(addresses(s)); got != want {
		t.Errorf("the endpoints are %q, want %q", got, want)
	}
}

func told(events *telemetry.Events) string {
	list, _ := events.Since(0)
	var told []string
	for _, e := range list {
		told = append(told, fmt.Sprintf("%s %s %s: %s", e.Service, e.Kind, e.State, e.Reason))
	}
	return strings.Join(told, "\n")
}

func TestDiscoveryPutsEndpointsInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, events := newRegistry(), telemetry.NewEvents(nil)
		s := start(t, finding(t, "dns", r, events), nil)
		wantAddresses(t, s, "")
		select {
		case <-s.Discovered():
			t.Error("discovered before there was an answer")
		default:
		}
		_, err := s.Do(t.Context(), &Call{Request: out(http.MethodGet, nil, 0)})
		if f := failure.From(err); f.Kind != failure.DestinationUnavailable || f.Header.Get("Retry-After") == "" {
			t.Errorf("before the first answer: %v", err)
		}
		r.says("a", "b")
		<-s.Discovered()
		wantAddresses(t, s, "a b")
		if m := s.Endpoints()[0]; m.Zone() != "z" || m.Weight() != 1 {
			t.Errorf("zone %s, weight %d", m.Zone(), m.Weight())
		}
		r.fails()
		wantAddresses(t, s, "a b")
		if d := s.Discovery(); d.Failures != 1 || d.LastError != "nobody is there" || d.Endpoints != 2 || d.LastGood.IsZero() {
			t.Errorf("state %+v", d)
		}
		r.fails()
		r.says("b", "c")
		wantAddresses(t, s, "b c")
		if got, want := told(events), "orders discovery updated: 2 endpoints now: 2 came, 0 went\n"+
			"orders discovery failed: registry: nobody is there\n"+
			"orders discovery updated: 2 endpoints now: 1 came, 1 went\n"+
			"orders discovery recovered: registry"; got != want {
			t.Errorf("told\n%s\nwant\n%s", got, want)
		}
		s.Retire(nil)
		asked := r.asked.Load()
		time.Sleep(time.Hour)
		if r.asked.Load() != asked {
			t.Error("a retired service still asks")
		}
	})
}

// A reload that leaves discovery as it was neither asks anew nor forgets what was found.
func TestDiscoveryGoesOnAfterAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		first := New(finding(t, "dns", r, nil), nil)
		first.Start()
		r.says("a", "b")
		a := first.Endpoints()[0].Endpoint

		again := finding(t, "dns", newRegistry(), nil)
		again.RetryBudget.Percent = 50
		again.Series = first.Series()
		second := New(again, first)
		wantAddresses(t, second, "a b")
		select {
		case <-second.Discovered():
		default:
			t.Error("what was found is forgotten")
		}
		r.says("a", "b", "c") // between New and Start
		second.Start()
		first.Retire(second)
		synctest.Wait()
		wantAddresses(t, second, "a b c")
		if second.Endpoints()[0].Endpoint != a {
			t.Error("an endpoint that stayed is another")
		}
		r.says("a")
		wantAddresses(t, second, "a")
		if second.Discovery() == nil || first.Series().DiscoveryNow() == nil {
			t.Error("the state is not shown")
		}
		second.Retire(nil)
		if first.Series().DiscoveryNow() != nil {
			t.Error("the state of a service that is gone is shown")
		}
	})
}

// The endpoints of before, listed or found, serve until another discovery has its first answer.
func TestAnotherDiscoveryBeginsWithTheEndpointsOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listed := New(spec(t, "http://old:80"), nil)
		listed.Start()
		r := newRegistry()
		second := New(finding(t, "dns", r, nil), listed)
		second.Start()
		listed.Retire(second)
		wantAddresses(t, second, "old")
		r.fails()
		wantAddresses(t, second, "old")
		r.says("new")
		wantAddresses(t, second, "new")

		other := newRegistry()
		third := New(finding(t, "consul", other, nil), second)
		third.Start()
		second.Retire(third)
		wantAddresses(t, third, "new")
		other.says("newer")
		wantAddresses(t, third, "newer")

		fourth := New(spec(t, "http://old:80"), third)
		fourth.Start()
		third.Retire(fourth)
		wantAddresses(t, fourth, "old")
		if fourth.Discovery() != nil || fourth.Discovered() != nil {
			t.Error("a service whose endpoints are listed has a discovery")
		}
		fourth.Retire(nil)
	})
}

// late is a Task that has something happen after its service has looked for what was found, and before discovery knows it.
type late func()

func (f *late) Start(*Service)   { (*f)() }
func (f *late) Members([]Member) {}
func (f *late) Stop(*Service)    {}

func TestNoSetIsLostInAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		first := New(finding(t, "dns", r, nil), nil)
		first.Start()
		r.says("a")
		second := New(finding(t, "dns", newRegistry(), nil), first)
		between := late(func() { r.says("a", "b") })
		second.tasks = append([]Task{&between}, second.tasks...)
		second.Start()
		first.Retire(second)
		synctest.Wait()
		wantAddresses(t, second, "a b")
		second.Retire(nil)
	})
}

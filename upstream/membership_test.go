package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/balance"
)

func endpointsOf(t *testing.T, urls ...string) []EndpointSpec { return spec(t, urls...).Endpoints }

// asked is whom n requests were sent to, each endpoint by its letter; - is nobody.
func asked(s *Service, n int) string {
	var b strings.Builder
	for range n {
		m := s.membership.Load()
		at := m.pick(balance.Ask{Now: time.Now()})
		if at < 0 {
			b.WriteByte('-')
			continue
		}
		b.WriteString(m.members[at].host[:1])
	}
	return b.String()
}

func TestReasonsTakeAnEndpointOut(t *testing.T) {
	s := spec(t, "http://a", "http://b", "http://c")
	s.Endpoints[2].Weight = 0
	for _, c := range []struct {
		a, b  Reason
		panic bool
		want  string
	}{
		{0, 0, true, "abab"},
		{Unhealthy, 0, true, "bbbb"},
		{Drained, 0, true, "bbbb"},
		{Unhealthy | Drained, Ejected, true, "bbbb"}, // the drained one is not used in panic either
		{Unhealthy, Ejected, true, "abab"},
		{Waiting, Waiting, true, "abab"},
		{Unhealthy, Ejected, false, "----"},
		{Drained, Drained, true, "----"},
		{BreakerOpen, Unhealthy, true, "bbbb"},
		{BreakerOpen, BreakerOpen, true, "----"},
	} {
		s.Panic = c.panic
		svc := New(s, nil)
		asked(svc, 2) // a choice was made before
		for i, r := range []Reason{c.a, c.b} {
			if r != 0 && !svc.Endpoints()[i].TakeOut(r) {
				t.Errorf("%v was set already", r)
			}
		}
		if got := asked(svc, 4); got != c.want {
			t.Errorf("a %q, b %q, panic %v: %s, want %s", c.a, c.b, c.panic, got, c.want)
		}
		svc.Endpoints()[0].PutBack(c.a)
		svc.Endpoints()[1].PutBack(c.b)
		if got := asked(svc, 4); strings.Count(got, "a") != 2 || strings.Count(got, "b") != 2 {
			t.Errorf("after %q and %q were put back: %s", c.a, c.b, got)
		}
	}
}

func TestEachReasonHasItsOwner(t *testing.T) {
	svc := New(spec(t, "http://a"), nil)
	e := svc.Endpoints()[0]
	if !e.TakeOut(Unhealthy) || e.TakeOut(Unhealthy) || !e.TakeOut(Drained) {
		t.Error("TakeOut does not tell what is new")
	}
	if got := e.Reasons().String(); got != "unhealthy+drained" {
		t.Error(got)
	}
	if !e.PutBack(Unhealthy) || e.PutBack(Unhealthy) || e.Reasons() != Drained || asked(svc, 1) != "-" {
		t.Error("one reason withdrawn withdrew another")
	}
}

func TestRoundRobinGoesOnWhenTheSetChanges(t *testing.T) {
	svc := start(t, spec(t, "http://a", "http://b", "http://c", "http://d"), nil)
	got := asked(svc, 2)
	svc.Endpoints()[3].TakeOut(Ejected)
	got += asked(svc, 3)
	svc.Endpoints()[3].PutBack(Ejected)
	got += asked(svc, 1)
	if err := svc.SetEndpoints(endpointsOf(t, "http://a", "http://b", "http://c", "http://d", "http://e")); err != nil {
		t.Fatal(err)
	}
	got += asked(svc, 2)
	if strings.Contains(got, "aa") || strings.Count(got, "a") > 3 {
		t.Errorf("%s: the first was asked whenever something changed", got)
	}
}

func TestSetEndpoints(t *testing.T) {
	events := telemetry.NewEvents(nil)
	s := spec(t, "http://a", "http://b")
	s.DiscoveryKey, s.Events = "dns", events
	first := New(s, nil)
	if err := first.SetEndpoints(endpointsOf(t, "http://x")); err != nil || addresses(first) != "http://a http://b" {
		t.Errorf("before Start: %v, %s", err, addresses(first))
	}
	first.Start()
	b := first.Endpoints()[1].Endpoint
	b.TakeOut(Drained)
	if err := first.SetEndpoints(endpointsOf(t, "http://c", "http://b", "http://c")); err != nil || addresses(first) != "http://c http://b" {
		t.Errorf("%v, %s", err, addresses(first))
	}
	if first.Endpoints()[1].Endpoint != b || b.Reasons() != Drained {
		t.Error("the endpoint that stayed is another")
	}
	if got := first.Series().EndpointsUp(); fmt.Sprint(got) != "[{http://c true []} {http://b false [drained]}]" {
		t.Error(got)
	}
	first.SetEndpoints(endpointsOf(t, "http://c", "http://b"))
	if got, _ := events.Since(0); len(got) != 1 || got[0].Service != "orders" || got[0].Reason != "2 endpoints now: 1 came, 1 went" {
		t.Errorf("%+v", got)
	}

	second := New(s, first)
	if addresses(second) != "http://c http://b" || second.Endpoints()[1].Endpoint != b {
		t.Errorf("after a reload: %s", addresses(second))
	}
	first.SetEndpoints(endpointsOf(t, "http://d", "http://b"))
	second.Start()
	first.Retire(second)
	if addresses(second) != "http://d http://b" {
		t.Errorf("what was discovered between New and Start is lost: %s", addresses(second))
	}
	first.SetEndpoints(nil)
	if addresses(second) != "http://d http://b" {
		t.Error("a retired service set the endpoints")
	}

	s.DiscoveryKey = "file"
	if third := New(s, second); addresses(third) != "http://a http://b" {
		t.Errorf("another discovery began with %s", addresses(third))
	}
	if err := second.SetEndpoints(make([]EndpointSpec, maxEndpoints+1)); err == nil {
		t.Error("there is no bound")
	}
	for _, bad := range []*url.URL{nil, {}, {Scheme: "ftp", Host: "h"}, {Scheme: "http"}, {Scheme: "unix"}, {Scheme: "http", Host: ":80"}} {
		if err := second.SetEndpoints([]EndpointSpec{{URL: bad, Weight: 1}}); err == nil || addresses(second) != "http://d http://b" {
			t.Errorf("%v was taken for an endpoint", bad)
		}
	}
	if err := second.SetEndpoints(nil); err != nil || asked(second, 2) != "--" {
		t.Errorf("an empty set: %v, %s", err, asked(second, 2))
	}
	second.Retire(nil)
}

func addresses(s *Service) string {
	var list []string
	for _, m := range s.Endpoints() {
		list = append(list, m.Address())
	}
	return strings.Join(list, " ")
}

func TestADrainOutlivesOtherConnections(t *testing.T) {
	s := spec(t, "http://a", "http://b")
	first := New(s, nil)
	first.Endpoints()[0].TakeOut(Drained | Unhealthy)
	s.Connections.Max++
	if got := New(s, first).Endpoints()[0]; got.Endpoint == first.Endpoints()[0].Endpoint || got.Reasons() != Drained {
		t.Errorf("%q", got.Reasons())
	}
}

func TestARequestInFlightOutlivesItsSet(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) { close(arrived); <-answer; hello(w, r) })
	other := serve(t, hello)
	svc := start(t, spec(t, slow.URL), nil)
	e := svc.Endpoints()[0]
	got := make(chan string, 1)
	go func() {
		res, err := svc.Do(context.Background(), get())
		if err != nil {
			got <- err.Error()
			return
		}
		got <- read(t, res)
	}()
	<-arrived
	u, _ := url.Parse(other.URL)
	if err := svc.SetEndpoints([]EndpointSpec{{URL: u, Weight: 1}}); err != nil {
		t.Fatal(err)
	}
	if text := read(t, mustDo(t, svc, get())); text != "hello" {
		t.Errorf("the new set: %q", text)
	}
	close(answer)
	if text := <-got; text != "hello" || e.InFlight() != 0 {
		t.Errorf("the old set: %q, %d in flight", text, e.InFlight())
	}
}

func TestManyChangesAtOnce(t *testing.T) {
	a, b := serve(t, hello), serve(t, hello)
	svc := start(t, spec(t, a.URL, b.URL), nil)
	both, one := endpointsOf(t, a.URL, b.URL), endpointsOf(t, a.URL)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				if text := read(t, mustDo(t, svc, get())); text != "hello" {
					t.Errorf("%q", text)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 200 {
			svc.SetEndpoints([][]EndpointSpec{both, one}[i%2])
			e := svc.Endpoints()[0]
			e.TakeOut(Unhealthy)
			e.PutBack(Unhealthy)
		}
	})
	all.Wait()
}

// doorman is a Gate, a Watcher and a Task that writes down what it sees.
type doorman struct {
	refuse error
	never  string // the host it lets nobody to
	closed bool

	mu   sync.Mutex
	seen []string
}

func (d *doorman) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, fmt.Sprintf(format, args...))
}

func (d *doorman) Admit(context.Context, *Call, time.Time) (Ticket, error) {
	d.note("admit")
	return 7, d.refuse
}
func (d *doorman) Again() bool               { return !d.closed }
func (d *doorman) Leave(t Ticket, o Outcome) { d.note("leave %d %s %d", t, o.Kind, o.Status) }
func (d *doorman) Answered(t Ticket, o Outcome) {
	d.note("answered %d %s %d", t, o.Kind, o.Status)
}
func (d *doorman) Begin(e *Endpoint) (Ticket, bool) { d.note("begin"); return 3, e.host != d.never }
func (d *doorman) End(e *Endpoint, t Ticket, o Outcome) {
	d.note("end %d %s %d", t, o.Kind, o.Status)
}
func (d *doorman) Start(*Service)     { d.note("start") }
func (d *doorman) Members(m []Member) { d.note("%d members", len(m)) }
func (d *doorman) Stop(*Service)      { d.note("stop") }

func (d *doorman) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := strings.Join(d.seen, ", ")
	d.seen = nil
	return s
}

func TestHooks(t *testing.T) {
	s := newScript(t, resetStep, "200", "503", resetStep)
	d := &doorman{never: strings.TrimPrefix(refusing(t), "http://")}
	svc := New(spec(t, s.url, "http://"+d.never), nil)
	svc.gates, svc.watchers = []Gate{d}, []Watcher{d}
	defer svc.Retire(nil)
	call := func() *Call { return &Call{Request: out("GET", nil, 0), Policy: policy(2)} }

	read(t, mustDo(t, svc, call()))
	got := d.String()
	got = strings.ReplaceAll(strings.ReplaceAll(got, "begin, begin", "begin"), "begin, begin", "begin") // some were sent elsewhere
	if got != "admit, begin, end 3 connection_terminated 0, begin, end 3  200, answered 7  200, leave 7  200" {
		t.Error(got)
	}
	res := mustDo(t, svc, call())
	if got := d.String(); !strings.HasSuffix(got, "end 3 status_5xx 503, answered 7 status_5xx 503") {
		t.Errorf("%s: the call left before its answer had ended", got)
	}
	res.Body.Close()
	if got := d.String(); got != "leave 7 status_5xx 503" {
		t.Error(got)
	}
	d.closed = true
	if _, err := svc.Do(t.Context(), call()); failure.From(err).Kind != failure.ConnectionTerminated || strings.Count(d.String(), "end") != 1 {
		t.Errorf("tried again though the gate was against it: %v", err)
	}
	d.refuse = &failure.Error{Kind: failure.DestinationUnavailable}
	if _, err := svc.Do(t.Context(), call()); !errors.Is(err, d.refuse) || d.String() != "admit" {
		t.Errorf("refused: %v", err)
	}

	d.refuse = nil
	lonely := New(spec(t, "http://"+d.never), nil)
	lonely.gates, lonely.watchers = []Gate{d}, []Watcher{d}
	if _, err := lonely.Do(t.Context(), call()); err != errNoEndpoint {
		t.Error(err)
	}
	if got, want := d.String(), fmt.Sprintf("admit, begin, begin, answered 7 %[1]s 0, leave 7 %[1]s 0", failure.ClientGone); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTasksFollowTheService(t *testing.T) {
	d := new(doorman)
	s := spec(t, "http://a")
	first := New(s, nil)
	first.tasks = []Task{d}
	first.Start()
	first.SetEndpoints(endpointsOf(t, "http://a", "http://b"))
	second := New(s, first)
	second.tasks = slices.Clone(first.tasks)
	second.Start()
	first.Retire(second)
	second.Retire(nil)
	if got := d.String(); got != "start, 1 members, 2 members, start, 2 members, stop" {
		t.Error(got)
	}
}

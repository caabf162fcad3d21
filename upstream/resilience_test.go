package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/breaker"
	"github.com/sluice-gateway/sluice/upstream/concurrency"
	"github.com/sluice-gateway/sluice/upstream/health"
	"github.com/sluice-gateway/sluice/upstream/outlier"
)

// patient is an endpoint that is as well as it is told to be.
type patient struct {
	url      string
	status   atomic.Int32 // of its answers to requests
	sick     atomic.Bool  // what it says of itself
	requests atomic.Int32
	checks   atomic.Int32
}

func newPatient(t *testing.T) *patient {
	p := new(patient)
	p.status.Store(200)
	p.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			p.checks.Add(1)
			if p.sick.Load() {
				w.WriteHeader(503)
			}
			return
		}
		p.requests.Add(1)
		w.WriteHeader(int(p.status.Load()))
		fmt.Fprintf(w, "from http://%v", r.Context().Value(http.LocalAddrContextKey))
	}).URL
	return p
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it has not come to that", what)
		}
	}
}

func has(r Reason, e *Endpoint) func() bool { return func() bool { return e.Reasons()&r != 0 } }
func not(r Reason, e *Endpoint) func() bool { return func() bool { return e.Reasons()&r == 0 } }
func nothing(r Reason, s *Service) func() bool {
	return func() bool {
		return !slices.ContainsFunc(s.Endpoints(), func(m Member) bool { return m.Reasons()&r != 0 })
	}
}

// asks sends n requests and returns what the answers were.
func asks(t *testing.T, s *Service, n int) (statuses []int) {
	t.Helper()
	for range n {
		res, err := s.Do(t.Context(), get())
		if err != nil {
			statuses = append(statuses, failure.From(err).Code())
			continue
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		statuses = append(statuses, res.StatusCode)
	}
	return statuses
}

func all(statuses []int, want int) bool {
	return !slices.ContainsFunc(statuses, func(s int) bool { return s != want })
}

func states(events *telemetry.Events, kind telemetry.EventKind) string {
	list, _ := events.Since(0)
	var words []string
	for _, e := range list {
		if e.Kind == kind {
			words = append(words, e.State)
		}
	}
	return strings.Join(words, " ")
}

func checks() *health.Settings {
	return &health.Settings{
		Type: health.HTTP, Path: "/healthz", Expect: health.Statuses{{From: 200, To: 299}},
		Interval: 5 * time.Millisecond, Timeout: patience, HealthyAfter: 2, UnhealthyAfter: 2,
	}
}

func TestSickEndpointGetsNoRequests(t *testing.T) {
	a, b := newPatient(t), newPatient(t)
	s := spec(t, a.url, b.url)
	s.HealthCheck, s.Events = checks(), telemetry.NewEvents(nil)
	svc := start(t, s, nil)
	until(t, "checks begin without a request", func() bool { return a.checks.Load() > 0 && b.checks.Load() > 0 })

	a.sick.Store(true)
	until(t, "the sick one is taken out", has(Unhealthy, svc.Endpoints()[0].Endpoint))
	before := a.requests.Load()
	if got := asks(t, svc, 10); !all(got, 200) || a.requests.Load() != before {
		t.Errorf("%v, and the sick one got %d", got, a.requests.Load()-before)
	}
	if at, wrong := svc.Endpoints()[0].LastCheck(); at.IsZero() || wrong != "it answered 503" {
		t.Errorf("the last check: %v %q", at, wrong)
	}

	// Another service takes over what is known, before it has checked anything.
	s.Endpoints[0].Weight = 7
	next := New(s, svc)
	if next.checking != svc.checking || next.Endpoints()[0].Reasons() != Unhealthy {
		t.Error("a reload forgot what the checks had found")
	}
	next.Start()
	svc.Retire(next)
	defer next.Retire(nil)

	a.sick.Store(false)
	until(t, "it comes back", not(Unhealthy, next.Endpoints()[0].Endpoint))
	asks(t, next, 20)
	if a.requests.Load() == before {
		t.Error("it is well again and gets nothing")
	}
	if got := states(s.Events, telemetry.HealthEvent); got != "unhealthy healthy" {
		t.Errorf("the event log says %q", got)
	}
}

func TestChecksThatEndTakeTheirReasonsAlong(t *testing.T) {
	a, b := newPatient(t), newPatient(t)
	a.sick.Store(true)
	s := spec(t, a.url, b.url)
	s.HealthCheck = checks()
	svc := start(t, s, nil)
	until(t, "the sick one is taken out", has(Unhealthy, svc.Endpoints()[0].Endpoint))

	// Other settings: what was found holds, and is found again.
	other := *s.HealthCheck
	other.UnhealthyAfter = 50
	s.HealthCheck = &other
	second := New(s, svc)
	second.Start()
	svc.Retire(second)
	if second.Endpoints()[0].Reasons() != Unhealthy {
		t.Error("other settings of the check forgot what it had found")
	}

	s.HealthCheck = nil
	third := New(s, second)
	third.Start()
	second.Retire(third)
	defer third.Retire(nil)
	if third.Endpoints()[0].Reasons() != 0 {
		t.Error("without checks nobody can say that it is sick")
	}
	n := a.checks.Load()
	until(t, "requests arrive", func() bool { asks(t, third, 2); return a.requests.Load() > 3 })
	if a.checks.Load() > n+1 { // one may have been on its way
		t.Error("it is checked on")
	}
}

func TestNewEndpointWaitsForItsFirstSuccess(t *testing.T) {
	a, b := newPatient(t), newPatient(t)
	s := spec(t, a.url)
	s.HealthCheck = checks()
	svc := start(t, s, nil)
	s.HealthCheck = checks()
	s.HealthCheck.RequireHealthy = true
	s.Endpoints = endpointsOf(t, a.url, b.url)
	b.sick.Store(true)
	next := New(s, svc)
	next.Start()
	svc.Retire(next)
	defer next.Retire(nil)
	if r := next.Endpoints()[0].Reasons(); r != 0 {
		t.Errorf("one that served before is %v", r)
	}
	until(t, "the new one was checked", func() bool { return b.checks.Load() > 5 })
	if r := next.Endpoints()[1].Reasons(); r != Waiting {
		t.Errorf("the new one is %v", r)
	}
	if got := asks(t, next, 6); !all(got, 200) || b.requests.Load() != 0 {
		t.Errorf("%v, and the new one got %d", got, b.requests.Load())
	}
	b.sick.Store(false)
	until(t, "it joins", not(Waiting, next.Endpoints()[1].Endpoint))
}

func outliers() *outlier.Settings {
	return &outlier.Settings{ConsecutiveErrors: 3, Interval: time.Hour, EjectFor: time.Hour, MaxEjectedPercent: 50}
}

func TestEjectionSurvivesReloads(t *testing.T) {
	a, b := newPatient(t), newPatient(t)
	a.status.Store(500)
	s := spec(t, a.url, b.url)
	s.OutlierDetection, s.Events = outliers(), telemetry.NewEvents(nil)
	svc := start(t, s, nil)
	asks(t, svc, 6)
	if got := a.requests.Load(); got != 3 || svc.Endpoints()[0].Reasons() != Ejected {
		t.Fatalf("after %d errors in a row the endpoint is %q", got, svc.Endpoints()[0].Reasons())
	}
	if got := asks(t, svc, 8); !all(got, 200) {
		t.Errorf("%v with the bad one ejected", got)
	}
	if svc.Endpoints()[0].EjectedUntil().Before(time.Now().Add(50 * time.Minute)) {
		t.Error("nobody knows until when")
	}

	same := New(s, svc)
	other := s
	other.OutlierDetection = outliers()
	other.OutlierDetection.ConsecutiveErrors = 100
	same.Start()
	svc.Retire(same)
	if same.ejecting != svc.ejecting || same.Endpoints()[0].Reasons() != Ejected {
		t.Error("a reload forgot the ejection")
	}
	changed := New(other, same)
	changed.Start()
	same.Retire(changed)
	if changed.Endpoints()[0].Reasons() != Ejected {
		t.Error("other settings forgot the ejection")
	}
	other.OutlierDetection = nil
	without := New(other, changed)
	without.Start()
	changed.Retire(without)
	defer without.Retire(nil)
	if without.Endpoints()[0].Reasons() != 0 {
		t.Error("nobody looks for outliers, and one is ejected")
	}
	if got := states(s.Events, telemetry.EjectionEvent); got != "ejected" {
		t.Errorf("the event log says %q", got)
	}
}

// A client that leaves, and an endpoint that has no room, are nobody's error.
func TestWhatIsNoErrorEjectsNobody(t *testing.T) {
	hold := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}).URL
	s := spec(t, url, newPatient(t).url)
	s.OutlierDetection = outliers()
	s.Endpoints[1].Weight = 0
	svc := start(t, s, nil)
	defer close(hold)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		svc.Do(ctx, get())
		cancel()
	}
	if r := svc.Endpoints()[0].Reasons(); r != 0 {
		t.Errorf("clients left, and the endpoint is %v", r)
	}
}

func breakerSpec() *Breaker {
	return &Breaker{Settings: breaker.Settings{
		Window: 10 * time.Second, MinRequests: 4, ErrorPercent: 50, SlowPercent: 100, OpenFor: time.Hour, Probes: 2,
	}}
}

func TestBreakerOpensAndSurvivesReloads(t *testing.T) {
	a := newPatient(t)
	a.status.Store(500)
	s := spec(t, a.url)
	s.Breaker, s.Events = breakerSpec(), telemetry.NewEvents(nil)
	svc := start(t, s, nil)
	asks(t, svc, 4)
	_, err := svc.Do(t.Context(), get())
	f := failure.From(err)
	if !errors.Is(err, errBreakerOpen) || f.Code() != 503 || f.Header.Get("Retry-After") != "3600" {
		t.Fatalf("after four errors: %v %v", err, f.Header)
	}
	if n := a.requests.Load(); n != 4 {
		t.Errorf("the service was asked %d times", n)
	}
	if state, ok := svc.Breaker(); !ok || state != telemetry.BreakerOpen {
		t.Errorf("it is shown %v, %v", state, ok)
	}

	a.status.Store(200)
	same := New(s, svc)
	same.Start()
	svc.Retire(same)
	if got := asks(t, same, 3); !all(got, 503) {
		t.Errorf("a reload forgot that the breaker is open: %v", got)
	}
	other := s
	other.Breaker = breakerSpec()
	other.Breaker.Probes = 3
	changed := New(other, same)
	changed.Start()
	same.Retire(changed)
	defer changed.Retire(nil)
	if got := asks(t, changed, 3); !all(got, 200) {
		t.Errorf("other settings make another breaker: %v", got)
	}
	if got := states(s.Events, telemetry.BreakerEvent); got != "open" {
		t.Errorf("the event log says %q", got)
	}
}

// opened is a service whose breaker has just opened and will soon be half-open.
func opened(t *testing.T, s Spec, a *patient) *Service {
	t.Helper()
	if s.Breaker == nil {
		s.Breaker = breakerSpec()
	}
	s.Breaker.OpenFor = 20 * time.Millisecond
	svc := start(t, s, nil)
	a.status.Store(500)
	asks(t, svc, 4)
	a.status.Store(200)
	a.requests.Store(0)
	return svc
}

func halfOpen(s *Service) func() bool {
	return func() bool { state, _ := s.Breaker(); return state == telemetry.BreakerHalfOpen }
}

func TestHalfOpenBreakerCloses(t *testing.T) {
	a := newPatient(t)
	svc := opened(t, spec(t, a.url), a)
	until(t, "it is half-open", halfOpen(svc))
	if got := asks(t, svc, 10); !all(got, 200) {
		t.Errorf("after two probes all go through: %v", got)
	}
	if state, _ := svc.Breaker(); state != telemetry.BreakerClosed {
		t.Errorf("it is %v", state)
	}
}

func TestHalfOpenBreakerAdmitsProbesOnly(t *testing.T) {
	release := make(chan struct{})
	a := newPatient(t)
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if a.status.Load() == 500 {
			w.WriteHeader(500)
			return
		}
		a.requests.Add(1)
		<-release
	})
	svc := opened(t, spec(t, slow.URL), a)
	until(t, "it is half-open", halfOpen(svc))
	var admitted, refused atomic.Int32
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if res, err := svc.Do(t.Context(), get()); err == nil {
				res.Body.Close()
				admitted.Add(1)
			} else if errors.Is(err, errBreakerOpen) {
				refused.Add(1)
			}
		})
	}
	until(t, "all but the probes are refused", func() bool { return refused.Load() == 18 })
	close(release)
	calls.Wait()
	if admitted.Load() != 2 || a.requests.Load() != 2 {
		t.Errorf("%d were admitted, the service saw %d", admitted.Load(), a.requests.Load())
	}
}

func TestFailedProbeReopens(t *testing.T) {
	a := newPatient(t)
	s := spec(t, a.url)
	svc := opened(t, s, a)
	a.status.Store(503)
	until(t, "it is half-open", halfOpen(svc))
	call := get()
	call.Policy = policy(3, onStatus(500, 599))
	if res, err := svc.Do(t.Context(), call); err != nil || res.StatusCode != 503 {
		t.Errorf("the probe's answer is its own: %v %v", res, err)
	} else {
		res.Body.Close()
	}
	if n := a.requests.Load(); n != 1 {
		t.Errorf("a probe that failed was sent %d times", n)
	}
	if state, _ := svc.Breaker(); state != telemetry.BreakerOpen {
		t.Errorf("it is %v", state)
	}
}

func TestCancelledProbesDoNotWedge(t *testing.T) {
	a := newPatient(t)
	silent := atomic.Bool{}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if silent.Load() {
			<-r.Context().Done()
		}
		w.WriteHeader(int(a.status.Load()))
	}).URL
	svc := opened(t, spec(t, url), a)
	silent.Store(true)
	until(t, "it is half-open", halfOpen(svc))
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := svc.Do(ctx, get()); errors.Is(err, errBreakerOpen) {
			t.Error("clients that left keep the place of a probe")
		}
		cancel()
	}
	silent.Store(false)
	if got := asks(t, svc, 5); !all(got, 200) {
		t.Errorf("%v after the cancelled probes", got)
	}
}

// A probe is judged by the head of its answer: a stream may go on for hours.
func TestStreamingProbe(t *testing.T) {
	a := newPatient(t)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(a.status.Load()))
		if a.status.Load() == 200 {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}).URL
	svc := opened(t, spec(t, url), a)
	until(t, "it is half-open", halfOpen(svc))
	for range 3 {
		res := mustDo(t, svc, get())
		defer res.Body.Close()
	}
	if state, _ := svc.Breaker(); state != telemetry.BreakerClosed {
		t.Errorf("two streams have begun, and it is %v", state)
	}
}

func TestEndpointBreaker(t *testing.T) {
	a, b := newPatient(t), newPatient(t)
	a.status.Store(500)
	s := spec(t, a.url, b.url)
	s.Breaker = breakerSpec()
	s.Breaker.PerEndpoint, s.Breaker.OpenFor = true, 20*time.Millisecond
	svc := start(t, s, nil)
	bad := svc.Endpoints()[0].Endpoint
	until(t, "its breaker opens", func() bool { asks(t, svc, 1); return has(BreakerOpen, bad)() })
	if n := a.requests.Load(); n != 4 {
		t.Errorf("it opened after %d", n)
	}
	if got := asks(t, svc, 4); !all(got, 200) {
		t.Errorf("%v while the bad one's breaker is open", got)
	}
	until(t, "it is tried again, and fails again", func() bool { asks(t, svc, 1); return a.requests.Load() == 5 && has(BreakerOpen, bad)() })
	a.status.Store(200)
	closed := func() bool {
		asks(t, svc, 1)
		state, ok := bad.Breaker()
		return ok && state == telemetry.BreakerClosed && bad.Reasons() == 0
	}
	until(t, "it closes", closed)
	if _, ok := svc.Breaker(); ok {
		t.Error("the service has a breaker, too")
	}

	s.Breaker = nil
	next := New(s, svc)
	next.Start()
	svc.Retire(next)
	defer next.Retire(nil)
	if _, ok := bad.Breaker(); ok || !nothing(BreakerOpen, next)() {
		t.Error("breakers are gone, and yet they are there")
	}
}

func TestAllEndpointBreakersOpen(t *testing.T) {
	a := newPatient(t)
	a.status.Store(500)
	s := spec(t, a.url)
	s.Panic = true
	s.Breaker, s.Fallback = breakerSpec(), &Fallback{Status: 200, Body: "instead"}
	s.Breaker.PerEndpoint = true
	svc := start(t, s, nil)
	asks(t, svc, 4)
	if res := mustDo(t, svc, get()); res.StatusCode != 200 || read(t, res) != "instead" {
		t.Errorf("%d", res.StatusCode)
	}
	if n := a.requests.Load(); n != 4 {
		t.Errorf("the endpoint was asked %d times", n)
	}
}

func TestFallbackAnswer(t *testing.T) {
	a := newPatient(t)
	s := spec(t, a.url)
	s.Breaker = breakerSpec()
	s.Fallback = &Fallback{Status: 503, Body: `{"busy":true}`, Header: http.Header{"Content-Type": {"application/json"}}}
	svc := start(t, s, nil)
	a.status.Store(500)
	if got := asks(t, svc, 4); !all(got, 500) {
		t.Errorf("the service's own answers are passed on: %v", got)
	}
	for range 2 {
		res := mustDo(t, svc, get())
		if res.StatusCode != 503 || res.Header.Get("Retry-After") != "3600" || res.Header.Get("Content-Type") != "application/json" ||
			read(t, res) != `{"busy":true}` {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	}
	if len(s.Fallback.Header) != 1 {
		t.Error("the configuration was changed")
	}
}

func TestFallbackService(t *testing.T) {
	a, b := newPatient(t), newPatient(t)
	other := spec(t, b.url)
	other.Name = "second"
	second := start(t, other, nil)
	s := spec(t, a.url)
	s.Breaker, s.Fallback = breakerSpec(), &Fallback{Service: "second"}
	svc := start(t, s, nil)
	svc.FallBackTo(second)
	a.status.Store(500)
	asks(t, svc, 4)
	call := &Call{Request: out("POST", strings.NewReader("hi"), 2)}
	if res := mustDo(t, svc, call); read(t, res) != "from "+b.url || len(call.Attempts) != 1 {
		t.Errorf("%v", call.Attempts)
	}
}

// A service that keeps last good answers needs the headers whole, however many fallbacks lie between it and the caller, and
// keeps nothing of a call that leaves some out.
func TestTakesLines(t *testing.T) {
	spec := func(name string, f Fallback) Spec { return Spec{Name: name, Fallback: &f} }
	plain, kept := New(spec("plain", Fallback{Status: 200}), nil), New(spec("kept", Fallback{LastGood: time.Hour}), nil)
	near, far := New(spec("near", Fallback{Service: "kept"}), nil), New(spec("far", Fallback{Service: "near"}), nil)
	near.FallBackTo(kept)
	far.FallBackTo(near)
	for s, want := range map[*Service]bool{plain: true, kept: false, near: false, far: false} {
		if got := s.TakesLines(); got != want {
			t.Errorf("%s takes lines: %v, want %v", s.Name(), got, want)
		}
	}
	whole := Call{Request: &http.Request{Method: "GET", URL: &url.URL{Opaque: "/"}, Header: http.Header{}}, Anonymous: true}
	reads, lines := whole, whole
	reads.Reads, lines.Lines = []string{}, []byte("X-Forwarded-Host: a\r\n")
	for i, c := range []*Call{&whole, &reads, &lines} {
		if key := kept.lastGoodKey(c); (key != "") != (i == 0) {
			t.Errorf("call %d is kept under %q", i, key)
		}
	}
}

func TestFallbackLastGood(t *testing.T) {
	a := newPatient(t)
	s := spec(t, a.url)
	s.Breaker, s.Fallback = breakerSpec(), &Fallback{LastGood: time.Hour, Status: 200, Body: "instead"}
	svc := start(t, s, nil)
	anonymous := func(path string) *Call {
		call := get()
		call.Request.URL.Opaque, call.Anonymous = path, true
		return call
	}
	read(t, mustDo(t, svc, anonymous("/a")))
	known := anonymous("/b")
	known.Anonymous = false
	read(t, mustDo(t, svc, known))
	a.status.Store(500)
	asks(t, svc, 4)

	next := New(s, svc) // it has the answers, too
	next.Start()
	svc.Retire(next)
	defer next.Retire(nil)
	res := mustDo(t, next, anonymous("/a"))
	if body := read(t, res); body != "from "+a.url || res.Header.Get("Age") == "" {
		t.Errorf("%q %v", body, res.Header)
	}
	known = anonymous("/a")
	known.Anonymous = false
	for what, call := range map[string]*Call{
		"what a consumer got": anonymous("/b"), "what nobody asked for": anonymous("/c"), "to a consumer": known,
	} {
		if body := read(t, mustDo(t, next, call)); body != "instead" {
			t.Errorf("%s is given again: %q", what, body)
		}
	}
}

func TestConcurrencyCap(t *testing.T) {
	a := newPatient(t)
	s := spec(t, a.url)
	s.Concurrency, s.Events = &concurrency.Settings{Max: 1}, telemetry.NewEvents(nil)
	svc := start(t, s, nil)
	res := mustDo(t, svc, get())
	_, err := svc.Do(t.Context(), get())
	if f := failure.From(err); !errors.Is(err, errBusy) || f.Code() != 503 || f.Header.Get("Retry-After") != "1" {
		t.Errorf("over the cap: %v", err)
	}
	next := New(s, svc)
	next.Start()
	svc.Retire(next)
	defer next.Retire(nil)
	if _, err := next.Do(t.Context(), get()); !errors.Is(err, errBusy) {
		t.Error("a reload forgot who is inside")
	}
	res.Body.Close()
	if got := asks(t, next, 3); !all(got, 200) {
		t.Errorf("after the answer has ended: %v", got)
	}
	if now, _, ok := next.Concurrency(); !ok || now.InFlight != 0 || now.Limit != 1 {
		t.Errorf("shown: %v %v", now, ok)
	}
	list, _ := s.Events.Since(0)
	if len(list) == 0 || list[0].Kind != telemetry.ShedEvent {
		t.Errorf("the event log has %v", list)
	}
}

func TestConcurrencyQueueEndsWithTheTimeout(t *testing.T) {
	a := newPatient(t)
	s := spec(t, a.url)
	s.Concurrency = &concurrency.Settings{Max: 1, Pending: 1, Wait: patience}
	svc := start(t, s, nil)
	res := mustDo(t, svc, get())
	call := get()
	call.Policy = &Policy{Timeout: 10 * time.Millisecond, Retry: RetryPolicy{Attempts: 1}}
	if _, err := svc.Do(t.Context(), call); !errors.Is(err, errBusy) {
		t.Errorf("%v", err)
	}
	answered := make(chan error)
	go func() {
		res, err := svc.Do(t.Context(), get())
		if err == nil {
			res.Body.Close()
		}
		answered <- err
	}()
	until(t, "it waits", func() bool { _, pending, _ := svc.Concurrency(); return pending == 1 })
	res.Body.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/upstream/concurrency"
	"github.com/sluice-gateway/sluice/upstream/transport"
)

// acting is a transport that does what it is told to.
type acting func(ctx context.Context, trip *transport.Trip) (*http.Response, error)

func (f acting) RoundTrip(ctx context.Context, trip *transport.Trip) (*http.Response, error) {
	return f(ctx, trip)
}
func (acting) CloseIdle() {}

// acts is a service of one endpoint for each of them.
func acts(t *testing.T, change func(*Spec), list ...acting) *Service {
	t.Helper()
	var urls []string
	for i := range list {
		urls = append(urls, fmt.Sprintf("http://%c", 'a'+i))
	}
	s := spec(t, urls...)
	if change != nil {
		change(&s)
	}
	svc := start(t, s, nil)
	for i, f := range list {
		svc.Endpoints()[i].transport = f
	}
	return svc
}

// heard is an answer's body that tells of its end, as those of the transports do.
type heard struct {
	trip *transport.Trip
	once sync.Once
	boom bool
}

func (h *heard) Read([]byte) (int, error) { return 0, io.EOF }
func (h *heard) Close() error {
	if h.boom {
		panic("boom")
	}
	h.once.Do(h.trip.Observer.AnswerEnded)
	return nil
}

func answers(status int) acting {
	return func(_ context.Context, trip *transport.Trip) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: &heard{trip: trip}}, nil
	}
}

// answersAtOnce has ended before it is returned, as an answer without a body has.
func answersAtOnce(_ context.Context, trip *transport.Trip) (*http.Response, error) {
	trip.Observer.AnswerEnded()
	return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}, nil
}

func panics(context.Context, *transport.Trip) (*http.Response, error) { panic("boom") }

func reads(_ context.Context, trip *transport.Trip) (*http.Response, error) {
	_, err := io.ReadAll(trip.Body)
	return nil, err
}

func hangs(ctx context.Context, _ *transport.Trip) (*http.Response, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// ledger is a Gate and a Watcher that counts what was taken and given back, and panics when it is told to.
type ledger struct {
	admitted, answered, left, begun, agreed, ended atomic.Int32
	panicBegin, panicEnd                           int32 // at the n-th; 0: never
}

func (l *ledger) Admit(context.Context, *Call, time.Time) (Ticket, error) {
	return Ticket(l.admitted.Add(1)), nil
}
func (l *ledger) Again() bool              { return true }
func (l *ledger) Answered(Ticket, Outcome) { l.answered.Add(1) }
func (l *ledger) Leave(Ticket, Outcome)    { l.left.Add(1) }
func (l *ledger) Begin(*Endpoint) (Ticket, bool) {
	if l.begun.Add(1) == l.panicBegin {
		panic("boom")
	}
	l.agreed.Add(1)
	return 0, true
}
func (l *ledger) End(*Endpoint, Ticket, Outcome) {
	if l.ended.Add(1) == l.panicEnd {
		panic("boom")
	}
}

func (l *ledger) check(t *testing.T) {
	t.Helper()
	if n := l.admitted.Load(); l.answered.Load() != n || l.left.Load() != n {
		t.Errorf("a gate admitted %d, %d were answered and %d left", n, l.answered.Load(), l.left.Load())
	}
	if l.agreed.Load() != l.ended.Load() {
		t.Errorf("a watcher saw %d attempts begin and %d end", l.agreed.Load(), l.ended.Load())
	}
}

// boom is a request body whose reader panics.
type boom struct{}

func (boom) Read([]byte) (int, error) { panic("boom") }

// Whatever panics while a call is on its way, everything it holds is given back, once, and the panic goes on.
func TestAPanicLetsGoOfEverything(t *testing.T) {
	retried := policy(2, onStatus(503, 503))
	for _, c := range []struct {
		name   string
		first  acting
		other  acting // nil: there is one endpoint
		change func(*ledger)
		policy *Policy
		body   io.Reader
		passes bool // the answer is another's, and nobody hears of the panic
	}{
		{name: "the transport", first: panics},
		{name: "the transport, asked again", first: answers(503), other: panics, policy: retried},
		{name: "the body's reader", first: reads, body: boom{}},
		{name: "an answer given up", policy: retried, first: func(_ context.Context, trip *transport.Trip) (*http.Response, error) {
			return &http.Response{StatusCode: 503, Header: http.Header{}, Body: &heard{trip: trip, boom: true}}, nil
		}},
		{name: "a watcher before", first: answers(200), change: func(l *ledger) { l.panicBegin = 1 }},
		{name: "a watcher before the retry", first: answers(503), policy: retried, change: func(l *ledger) { l.panicBegin = 2 }},
		{name: "a watcher after", first: answers(200), change: func(l *ledger) { l.panicEnd = 1 }},
		{name: "a watcher after an answer that has ended", first: answersAtOnce, change: func(l *ledger) { l.panicEnd = 1 }},
		{name: "a watcher after a failure", first: reads, body: &failing{io.ErrUnexpectedEOF}, change: func(l *ledger) { l.panicEnd = 1 }},
		{name: "what is hedged", first: panics, policy: hedged(1, never)},
		{name: "a hedge", first: hangs, other: panics, policy: hedged(1, soon)},
		{name: "a watcher before a hedge", first: hangs, other: answers(200), policy: hedged(1, soon), change: func(l *ledger) { l.panicBegin = 2 }},
		{name: "a watcher after a hedge", first: hangs, other: answers(200), policy: hedged(1, soon), change: func(l *ledger) { l.panicEnd = 1 }},
		{name: "a watcher after the loser", first: hangs, other: answers(200), policy: hedged(1, soon), change: func(l *ledger) { l.panicEnd = 2 }},
		{name: "the body's reader, before a hedge", first: answers(200), body: boom{}, policy: hedged(1, soon)},
		{name: "the loser", other: answers(200), policy: hedged(1, soon), passes: true, first: func(ctx context.Context, _ *transport.Trip) (*http.Response, error) {
			<-ctx.Done()
			panic("boom")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := []acting{c.first}
			if c.other != nil {
				list = append(list, c.other)
			}
			svc := acts(t, func(s *Spec) { s.Concurrency = &concurrency.Settings{Max: 1} }, list...)
			around, wrong := []*ledger{{}, {}, {}}, new(ledger)
			if c.change != nil {
				c.change(wrong)
			}
			around[1] = wrong
			for _, l := range around {
				svc.gates, svc.watchers = append(svc.gates, l), append(svc.watchers, l)
			}
			call := &Call{Request: out("GET", nil, 0), Policy: c.policy}
			if c.body != nil {
				call.Request = out("PUT", c.body, 4)
			}
			res, p := tryDo(svc, call)
			if (p == "boom") == c.passes {
				t.Fatalf("it panicked with %v", p)
			}
			if res != nil {
				res.Body.Close()
			}
			for _, l := range around {
				l.check(t)
			}
			for _, e := range svc.Endpoints() {
				if n := e.InFlight(); n != 0 {
					t.Errorf("%d are in flight at %s for ever", n, e.Address())
				}
				e.transport = answers(200)
			}
			if n := svc.limiting.limiter.Inside(); n != 0 {
				t.Errorf("%d are in the service for ever", n)
			}
			read(t, mustDo(t, svc, get()))
		})
	}
}

// tryDo is Do, and what it panicked with.
func tryDo(svc *Service, call *Call) (res *http.Response, panicked any) {
	defer func() { panicked = recover() }()
	res, _ = svc.Do(context.Background(), call)
	return res, nil
}

// The probe of an endpoint's breaker that ends in a panic has said nothing, and gives its place to another at once.
func TestAPanicGivesTheProbesPlaceBack(t *testing.T) {
	svc := acts(t, func(s *Spec) {
		s.Breaker = breakerSpec()
		s.Breaker.PerEndpoint, s.Breaker.Probes = true, 1
		s.Breaker.OpenFor, s.Breaker.SlowAfter = 20*time.Millisecond, time.Hour // which is how long a probe is waited for
	}, answers(500))
	asks(t, svc, 4)
	e := svc.Endpoints()[0]
	until(t, "its breaker is half-open", not(BreakerOpen, e.Endpoint))
	e.transport = acting(panics)
	if _, p := tryDo(svc, get()); p != "boom" {
		t.Fatalf("it panicked with %v", p)
	}
	e.transport = answers(200)
	if got := asks(t, svc, 2); !all(got, 200) {
		t.Errorf("%v after the probe that panicked", got)
	}
}

// What a transport that panicked was given may still be in use: it is never another call's.
func TestALoopThatPanickedIsNotUsedAgain(t *testing.T) {
	var had *attempt
	svc := acts(t, nil, func(_ context.Context, trip *transport.Trip) (*http.Response, error) {
		had = trip.Observer.(*attempt)
		panic(errors.New("boom"))
	})
	tryDo(svc, &Call{Request: out("PUT", boom{}, 4)})
	if had.loop == nil || !had.over || !had.loop.panicked {
		t.Error("the loop was put back")
	}
	had.AnswerEnded() // as a transport might that has not noticed
	if n := svc.Endpoints()[0].InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

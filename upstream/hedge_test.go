package upstream

//lint:file-ignore SA1019 h2c is the shortest way to a service that speaks both

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/balance"
)

func hedged(attempts int, after time.Duration, change ...func(*RetryPolicy)) *Policy {
	p := policy(attempts, change...)
	p.Hedge = &HedgePolicy{After: after}
	return p
}

// outcomes are the attempts of a call in words.
func outcomes(call *Call) string {
	var words []string
	for _, a := range call.Attempts {
		if a.Failure != "" {
			words = append(words, string(a.Failure))
		} else {
			words = append(words, fmt.Sprint(a.Status))
		}
	}
	return strings.Join(words, " ")
}

const soon, never = 20 * time.Millisecond, time.Hour

func TestHedgeMatrix(t *testing.T) {
	for _, c := range []struct {
		name         string
		first, other []string
		policy       *Policy
		method, body string
		want, told   string
	}{
		{"the first is silent", []string{silentStep}, []string{"200"}, hedged(1, soon), "GET", "", "200", "200 lost"},
		{"the first is soon enough", []string{"200"}, []string{"200"}, hedged(1, never), "GET", "", "200", "200"},
		{"a body that is kept", []string{silentStep}, []string{"200"}, hedged(1, soon), "PUT", "body", "200", "200 lost"},
		{"a body that is not", []string{"200"}, []string{"200"}, hedged(1, soon, func(p *RetryPolicy) { p.BodyBytes = 3 }), "PUT", "body", "200", "200"},
		{"POST", []string{silentStep}, []string{"200"}, hedged(1, soon, onTimeout), "POST", "", "http_response_timeout", "http_response_timeout"},
		{"POST that is named", []string{silentStep}, []string{"200"}, hedged(1, soon, methods("POST")), "POST", "body", "200", "200 lost"},
		{"the hedge fails, the first answers", []string{"slow"}, []string{resetStep}, hedged(1, soon), "GET", "", "200", "connection_terminated 200"},
		{"the hedge has a status that is retried", []string{"slow"}, []string{"503"}, hedged(2, soon, onStatus(503, 503)), "GET", "", "200", "503 200"},
		{"the first fails at once, and is retried", []string{resetStep}, []string{"200"}, hedged(2, never), "GET", "", "200", "connection_terminated 200"},
		{"and is not", []string{resetStep}, []string{"200"}, hedged(1, never), "GET", "", "connection_terminated", "connection_terminated"},
		{"both fail", []string{"late reset"}, []string{resetStep}, hedged(1, soon), "GET", "", "connection_terminated", "connection_terminated connection_terminated"},
		{"an answer that is not retried counts", []string{silentStep}, []string{"404"}, hedged(2, soon, onStatus(503, 503)), "GET", "", "404", "404 lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, other := newScript(t, c.first...), newScript(t, c.other...)
			svc := start(t, spec(t, first.url, other.url), nil)
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			call := &Call{Request: out(c.method, body, int64(len(c.body))), Policy: c.policy}
			res, err := svc.Do(t.Context(), call)
			if got := outcome(res, err); got != c.want || outcomes(call) != c.told {
				t.Errorf("%s after %s, want %s after %s", got, outcomes(call), c.want, c.told)
			}
			if res != nil {
				read(t, res)
			}
			for i, e := range svc.Endpoints() {
				if n := e.InFlight(); n != 0 {
					t.Errorf("%d in flight at endpoint %d", n, i)
				}
			}
			if c.body != "" && len(call.Attempts) == 2 {
				if got := other.requests()[0]; got != c.method+" 2 "+c.body {
					t.Errorf("the hedge sent %q", got)
				}
				eventually(t, "the first had its body", func() bool { return len(first.requests()) == 1 })
				if got := first.requests()[0]; got != c.method+"  "+c.body {
					t.Errorf("the first sent %q", got)
				}
			}
		})
	}
}

// The loser is cancelled: its service sees that, at once.
func TestTheLoserIsCancelled(t *testing.T) {
	gone := make(chan error, 1)
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done(); gone <- r.Context().Err() })
	fast := serve(t, hello)
	svc := start(t, spec(t, slow.URL, fast.URL), nil)
	read(t, mustDo(t, svc, &Call{Request: out("GET", nil, 0), Policy: hedged(1, soon)}))
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the loser still works")
	}
}

func TestHedgesAreWithinTheBudget(t *testing.T) {
	slow, fast := newScript(t, "slow"), newScript(t, "200")
	s := spec(t, slow.url, fast.url)
	s.RetryBudget = RetryBudget{}
	svc := start(t, s, nil)
	call := &Call{Request: out("GET", nil, 0), Policy: hedged(1, soon)}
	read(t, mustDo(t, svc, call))
	if outcomes(call) != "200" || len(fast.requests()) != 0 {
		t.Errorf("hedged without a budget: %s", outcomes(call))
	}
}

func TestAHedgeGoesElsewhereOrNowhere(t *testing.T) {
	slow := newScript(t, "slow")
	svc := start(t, spec(t, slow.url), nil)
	call := &Call{Request: out("GET", nil, 0), Policy: hedged(3, soon)}
	read(t, mustDo(t, svc, call))
	if n := len(slow.requests()); n != 1 {
		t.Errorf("one endpoint was asked %d times", n)
	}

	other := newScript(t, "200")
	svc = start(t, spec(t, slow.url, other.url), nil)
	svc.Endpoints()[1].TakeOut(Ejected)
	call = &Call{Request: out("GET", nil, 0), Policy: hedged(3, soon)}
	read(t, mustDo(t, svc, call))
	if len(other.requests()) != 0 {
		t.Error("an ejected endpoint got a hedge")
	}
}

func TestAClientThatGoesAwayEndsTheRace(t *testing.T) {
	a, b := newScript(t, silentStep), newScript(t, silentStep)
	svc := start(t, spec(t, a.url, b.url), nil)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() {
		_, err := svc.Do(ctx, &Call{Request: out("GET", nil, 0), Policy: hedged(1, soon)})
		over <- err
	}()
	eventually(t, "both are asked", func() bool { return len(a.requests())+len(b.requests()) == 2 })
	cancel()
	if err := <-over; failure.From(err).Kind != failure.ClientGone {
		t.Error(err)
	}
	if svc.Endpoints()[0].InFlight()+svc.Endpoints()[1].InFlight() != 0 {
		t.Error("something is left in flight")
	}
}

func TestHedgeAtAQuantile(t *testing.T) {
	var slow atomic.Bool
	arrived := func(w http.ResponseWriter, r *http.Request) {
		if slow.CompareAndSwap(true, false) {
			<-r.Context().Done()
			return
		}
		hello(w, r)
	}
	svc := start(t, spec(t, serve(t, arrived).URL, serve(t, arrived).URL), nil)
	p := policy(1)
	p.Hedge = &HedgePolicy{Quantile: .95}
	for range 60 {
		call := &Call{Request: out("GET", nil, 0), Policy: p}
		read(t, mustDo(t, svc, call))
	}
	eventually(t, "the quantile is known", func() bool {
		_, known := svc.lineage.latencies.Quantile(.95, time.Now())
		return known
	})
	slow.Store(true)
	call := &Call{Request: out("GET", nil, 0), Policy: p}
	read(t, mustDo(t, svc, call)) // or it hangs
	if outcomes(call) != "200 lost" {
		t.Error(outcomes(call))
	}
}

// Hedges beside one another, over either protocol: each caller gets the answer to its own question, and a connection that
// a loser was given up on carries nothing more.
func TestHedgesDoNotMixAnswers(t *testing.T) {
	for _, protocol := range []Protocol{HTTP1, HTTP2} {
		echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if len(body)%3 == 0 { // after the hedge, most likely
				select {
				case <-r.Context().Done():
				case <-time.After(3 * time.Millisecond):
				}
			}
			w.Write(body)
		})
		plain := h2c.NewHandler(echo, &http2.Server{})
		s := spec(t, serve(t, plain.ServeHTTP).URL, serve(t, plain.ServeHTTP).URL)
		s.Protocol, s.RetryBudget.MinPerSecond = protocol, 1e6
		svc := start(t, s, nil)
		var all sync.WaitGroup
		for caller := range 8 {
			all.Go(func() {
				for i := range 60 {
					text := strings.Repeat("x", i) + fmt.Sprint(caller)
					call := &Call{Request: out("PUT", strings.NewReader(text), int64(len(text))), Policy: hedged(1, time.Millisecond)}
					res, err := svc.Do(context.Background(), call)
					if err != nil {
						t.Errorf("%s: %v", protocol, err)
						return
					}
					got, err := io.ReadAll(res.Body)
					res.Body.Close()
					if string(got) != text || err != nil {
						t.Errorf("%s: asked %q and got %q, %v", protocol, text, got, err)
					}
				}
			})
		}
		all.Wait()
	}
}

func TestABodyThatBreaksOffIsNotHedgedForEver(t *testing.T) {
	s := newScript(t, "200")
	svc := start(t, spec(t, s.url, newScript(t, "200").url), nil)
	broken := errors.New("the client broke off")
	body := io.MultiReader(strings.NewReader("12"), &failing{broken})
	_, err := svc.Do(t.Context(), &Call{Request: out("PUT", body, 5), Policy: hedged(2, soon)})
	if err == nil {
		t.Error("half a body was sent as a whole")
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// What one hedge costs and does, as the metrics tell it.
func TestHedgesAreCounted(t *testing.T) {
	first, other := newScript(t, silentStep, "slow"), newScript(t, "200")
	s := spec(t, first.url, other.url)
	svc := start(t, s, nil)
	read(t, mustDo(t, svc, &Call{Request: out("GET", nil, 0), Policy: hedged(1, soon)}))
	svc.lineage.balance = balance.Shared{}
	s.RetryBudget = RetryBudget{}
	none := start(t, s, svc)
	read(t, mustDo(t, none, &Call{Request: out("GET", nil, 0), Policy: hedged(1, soon)}))
	metrics := telemetry.NewMetrics(func() telemetry.Live { return telemetry.Live{Services: []*telemetry.ServiceSeries{s.Series}} })
	page := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	text := page.Body.String()
	for _, want := range []string{`outcome="sent"`, `outcome="won"`, `outcome="suppressed"`} {
		if !strings.Contains(text, `sluice_hedges_total{`+want+`,service="orders"} 1`) {
			t.Errorf("%s is not counted once:\n%s", want, text)
		}
	}
}

// A client whose service falls back to another keeps its token: it comes back.
func TestAFallbackKeepsTheToken(t *testing.T) {
	other := spec(t, newScript(t, "200").url)
	other.Balance.Policy = "sticky"
	s := spec(t, "http://127.0.0.1:9")
	s.Balance.Policy, s.Fallback = "sticky", &Fallback{Service: "other"}
	svc := start(t, s, nil)
	svc.FallBackTo(start(t, other, nil))
	svc.Endpoints()[0].TakeOut(BreakerOpen)
	call := get()
	call.HashKey = svc.membership.Load().set.Token(0)
	read(t, mustDo(t, svc, call))
	if call.Token != "" || len(call.Attempts) != 1 {
		t.Errorf("token %q, %+v", call.Token, call.Attempts)
	}
}

// A body that was collected for a hedge is whole for the service that is asked instead.
func TestAFallbackGetsTheBodyThatWasCollected(t *testing.T) {
	got := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got <- fmt.Sprint(string(body), err)
	}))
	t.Cleanup(other.Close)
	s := spec(t, "http://127.0.0.1:9")
	s.Fallback = &Fallback{Service: "other"}
	svc := start(t, s, nil)
	svc.FallBackTo(start(t, spec(t, other.URL), nil))
	svc.Endpoints()[0].TakeOut(BreakerOpen)
	call := &Call{Request: out("PUT", strings.NewReader("hello"), 5), Policy: hedged(1, soon)}
	read(t, mustDo(t, svc, call))
	if body := <-got; body != "hello<nil>" {
		t.Errorf("it got %q", body)
	}
}

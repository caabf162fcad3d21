package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
	"github.com/sluice-gateway/sluice/upstream/balance"
	"github.com/sluice-gateway/sluice/upstream/retry"
)

// script is an endpoint that does with its n-th request, counted over all its connections, what the n-th step says; the
// last step goes on.
type script struct {
	url string

	mu    sync.Mutex
	steps []string
	seen  []string // the requests: method, X-Attempt and body
}

// Steps other than the status of an answer.
const (
	resetStep   = "reset"   // closes without an answer
	silentStep  = "silent"  // never answers
	partialStep = "partial" // breaks off within the body
)

func newScript(t *testing.T, steps ...string) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{url: "http://" + l.Addr().String(), steps: steps}
	server := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return s
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch step := s.next(r, body); step {
	case resetStep:
		panic(http.ErrAbortHandler)
	case silentStep:
		<-r.Context().Done()
	case "slow":
		select {
		case <-r.Context().Done():
		case <-time.After(25 * soon):
		}
		io.WriteString(w, "slow")
	case "late reset":
		select {
		case <-r.Context().Done():
		case <-time.After(25 * soon):
		}
		panic(http.ErrAbortHandler)
	case partialStep:
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "12345")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	default:
		var status int
		fmt.Sscan(step, &status)
		w.WriteHeader(status)
		io.WriteString(w, step)
	}
}

func (s *script) next(r *http.Request, body []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, strings.TrimSpace(fmt.Sprint(r.Method, " ", r.Header.Get("X-Attempt"), " ", string(body))))
	step := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	return step
}

func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// refusing is the URL of an endpoint where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	return "http://" + freeport.For(t)
}

func policy(attempts int, change ...func(*RetryPolicy)) *Policy {
	p := &Policy{Timeout: patience, Retry: RetryPolicy{Attempts: attempts, ConnectFailure: true, Reset: true, BodyBytes: 64 << 10}}
	for _, c := range change {
		c(&p.Retry)
	}
	return p
}

func onTimeout(p *RetryPolicy) { p.Timeout, p.PerAttempt = true, 50*time.Millisecond }
func onStatus(from, to int) func(*RetryPolicy) {
	return func(p *RetryPolicy) { p.Statuses = append(p.Statuses, StatusRange{from, to}) }
}
func methods(m ...string) func(*RetryPolicy) { return func(p *RetryPolicy) { p.Methods = m } }

func outcome(res *http.Response, err error) string {
	if err != nil {
		return string(failure.From(err).Kind)
	}
	return fmt.Sprint(res.StatusCode)
}

func TestRetryMatrix(t *testing.T) {
	for _, c := range []struct {
		name   string
		steps  []string
		policy *Policy
		method string
		body   string
		want   string // status or kind of failure
		tries  int
	}{
		{"reset, then well", []string{resetStep, "200"}, policy(2), "GET", "", "200", 2},
		{"reset twice", []string{resetStep, resetStep, "200"}, policy(2), "GET", "", "connection_terminated", 2},
		{"reset twice, three attempts", []string{resetStep, resetStep, "200"}, policy(3), "GET", "", "200", 3},
		{"retry off", []string{resetStep, "200"}, policy(1), "GET", "", "connection_terminated", 1},
		{"no policy", []string{resetStep, "200"}, nil, "GET", "", "connection_terminated", 1},
		{"reset not named", []string{resetStep, "200"}, policy(2, func(p *RetryPolicy) { p.Reset = false }), "GET", "", "connection_terminated", 1},
		{"POST", []string{resetStep, "200"}, policy(2), "POST", "body", "connection_terminated", 1},
		{"PATCH", []string{resetStep, "200"}, policy(2), "PATCH", "", "connection_terminated", 1},
		{"POST that is named", []string{resetStep, "200"}, policy(2, methods("POST")), "POST", "body", "200", 2},
		{"PUT", []string{resetStep, "200"}, policy(2), "PUT", "body", "200", 2},
		{"DELETE", []string{resetStep, "200"}, policy(2), "DELETE", "", "200", 2},
		{"503 not named", []string{"503", "200"}, policy(2), "GET", "", "503", 1},
		{"503 named", []string{"503", "200"}, policy(2, onStatus(503, 503)), "GET", "", "200", 2},
		{"5xx named", []string{"599", "200"}, policy(2, onStatus(500, 599)), "GET", "", "200", 2},
		{"429 is no 5xx", []string{"429", "200"}, policy(2, onStatus(500, 599)), "GET", "", "429", 1},
		{"503 to the end", []string{"503"}, policy(3, onStatus(503, 503)), "GET", "", "503", 3},
		{"503 to a POST", []string{"503", "200"}, policy(2, onStatus(503, 503)), "POST", "body", "503", 1},
		{"timeout named", []string{silentStep, "200"}, policy(2, onTimeout), "GET", "", "200", 2},
		{"timeout not named", []string{silentStep, "200"}, policy(2, onTimeout, func(p *RetryPolicy) { p.Timeout = false }), "GET", "", "http_response_timeout", 1},
		{"timeout of a POST", []string{silentStep, "200"}, policy(2, onTimeout), "POST", "body", "http_response_timeout", 1},
		{"breaks off in the body", []string{partialStep, "200"}, policy(2), "GET", "", "200", 1},
		{"a body too long", []string{resetStep, "200"}, policy(2, func(p *RetryPolicy) { p.BodyBytes = 3 }), "PUT", "body", "connection_terminated", 1},
		{"a body that just fits", []string{resetStep, "200"}, policy(2, func(p *RetryPolicy) { p.BodyBytes = 4 }), "PUT", "body", "200", 2},
		{"backoff", []string{resetStep, "200"}, policy(2, func(p *RetryPolicy) { p.BackoffBase, p.BackoffMax = 2, 3 }), "GET", "", "200", 2},
	} {
		for _, length := range []string{"known", "unknown"} {
			t.Run(c.name+"/"+length, func(t *testing.T) {
				s := newScript(t, c.steps...)
				svc := start(t, spec(t, s.url), nil)
				call := &Call{Request: out(c.method, strings.NewReader(c.body), int64(len(c.body))), Policy: c.policy}
				if length == "unknown" && c.body != "" {
					call.Request.ContentLength = -1
				}
				res, err := svc.Do(t.Context(), call)
				if got := outcome(res, err); got != c.want {
					t.Errorf("%s (%v), want %s", got, err, c.want)
				}
				if res != nil {
					res.Body.Close()
				}
				if seen := s.requests(); len(seen) != c.tries || len(call.Attempts) != c.tries {
					t.Errorf("tries %q, attempts %+v; want %d", seen, call.Attempts, c.tries)
				}
				for i, r := range s.requests() {
					number := ""
					if i > 0 {
						number = fmt.Sprint(i + 1)
					}
					if want := strings.TrimSpace(c.method + " " + number + " " + c.body); r != want {
						t.Errorf("attempt %d sent %q, want %q", i+1, r, want)
					}
				}
				if n := svc.Endpoints()[0].InFlight(); n != 0 {
					t.Errorf("%d in flight after all", n)
				}
			})
		}
	}
}

// What was never sent may be repeated whatever its method.
func TestNothingSentIsAlwaysSafe(t *testing.T) {
	s := newScript(t, "200")
	svc := start(t, spec(t, refusing(t), s.url), nil)
	for _, method := range []string{"POST", "GET"} {
		svc.lineage.balance = balance.Shared{} // begins with the one that refuses
		call := &Call{Request: out(method, strings.NewReader("body"), -1), Policy: policy(2)}
		res := mustDo(t, svc, call)
		read(t, res)
		if len(call.Attempts) != 2 || call.Attempts[0].Failure != failure.ConnectionRefused || call.Attempts[1].Status != 200 {
			t.Errorf("%s: %+v", method, call.Attempts)
		}
	}
	if got := fmt.Sprint(s.requests()); got != "[POST 2 body GET 2 body]" {
		t.Error(got)
	}
	svc.lineage.balance = balance.Shared{}
	_, err := svc.Do(t.Context(), &Call{Request: out("GET", nil, 0), Policy: policy(2, func(p *RetryPolicy) { p.ConnectFailure = false })})
	if outcome(nil, err) != "connection_refused" {
		t.Error(err)
	}
}

func TestARetryAsksAnotherEndpointUntilAllAreTried(t *testing.T) {
	a, b := newScript(t, resetStep), newScript(t, resetStep)
	svc := start(t, spec(t, a.url, b.url), nil)
	call := &Call{Request: out("GET", nil, 0), Policy: policy(5)}
	if _, err := svc.Do(t.Context(), call); err == nil {
		t.Fatal("an answer came from nowhere")
	}
	order := ""
	for _, attempt := range call.Attempts {
		order += map[string]string{a.url: "a", b.url: "b"}[attempt.Endpoint]
	}
	if len(order) != 5 || order[0] == order[1] || order[2] == order[3] {
		t.Errorf("asked %s", order)
	}
}

func TestTheBudgetStopsRetries(t *testing.T) {
	s := newScript(t, "503")
	sp := spec(t, s.url)
	sp.RetryBudget = RetryBudget{MinPerSecond: 0.2} // two in 10 s
	svc := start(t, sp, nil)
	for range 4 {
		res := mustDo(t, svc, &Call{Request: out("GET", nil, 0), Policy: policy(2, onStatus(503, 503))})
		if text := read(t, res); text != "503" {
			t.Errorf("the answer that was not bettered is %q", text)
		}
	}
	if n := len(s.requests()); n != 6 {
		t.Errorf("%d requests, want four and two retries", n)
	}
}

func TestNoEndpoint(t *testing.T) {
	drained := spec(t, "http://a.test:1")
	drained.Endpoints[0].Weight = 0
	for _, s := range []Spec{drained, spec(t)} {
		_, err := start(t, s, nil).Do(t.Context(), &Call{Request: out("GET", nil, 0), Policy: policy(3)})
		f := failure.From(err)
		if f.Kind != failure.DestinationUnavailable || f.Code() != 503 || f.Header.Get("Retry-After") == "" {
			t.Errorf("%v", err)
		}
	}
}

func TestWeightZeroTakesNothing(t *testing.T) {
	a, b := newScript(t, "200"), newScript(t, "200")
	for _, balance := range []string{"roundRobin", "leastRequest"} {
		s := spec(t, a.url, b.url)
		s.Balance.Policy = balance
		s.Endpoints[0].Weight = 0
		svc := start(t, s, nil)
		for range 10 {
			read(t, mustDo(t, svc, get()))
		}
	}
	if len(a.requests()) != 0 || len(b.requests()) != 20 {
		t.Errorf("%d and %d", len(a.requests()), len(b.requests()))
	}
}

func TestTimeouts(t *testing.T) {
	s := newScript(t, silentStep)
	svc := start(t, spec(t, s.url), nil)
	for name, call := range map[string]*Call{
		"of the route":                {Policy: &Policy{Timeout: 30 * time.Millisecond}},
		"of the client":               {Policy: &Policy{Timeout: time.Hour}, Timeout: 30 * time.Millisecond},
		"only his":                    {Timeout: 30 * time.Millisecond},
		"over several":                {Policy: &Policy{Timeout: 80 * time.Millisecond, Retry: policy(100, onTimeout, func(p *RetryPolicy) { p.PerAttempt = 20 * time.Millisecond }).Retry}},
		"of the client, already over": {Timeout: 1},
	} {
		call.Request = out("GET", nil, 0)
		_, err := svc.Do(t.Context(), call)
		f := failure.From(err)
		if f.Code() != 504 || f.Source != failure.Upstream {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The timeout is until the answer begins: what streams after that is not cut.
func TestStreamsAreNotCut(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-release
		io.WriteString(w, "late")
	})
	svc := start(t, spec(t, s.URL), nil)
	const timeout = 100 * time.Millisecond
	began := time.Now()
	res := mustDo(t, svc, &Call{Request: out("GET", nil, 0), Policy: &Policy{Timeout: timeout, Retry: RetryPolicy{Attempts: 1, PerAttempt: timeout}}})
	eventually(t, "the timeout passes", func() bool { return time.Since(began) > 2*timeout })
	close(release)
	if text := read(t, res); text != "late" {
		t.Errorf("%q", text)
	}
}

func TestABrokenAnswerIsAReadError(t *testing.T) {
	svc := start(t, spec(t, newScript(t, partialStep).url), nil)
	res := mustDo(t, svc, get())
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if f := failure.From(err); string(text) != "12345" || f.Kind != failure.HTTPResponseIncomplete || f.Source != failure.Upstream {
		t.Errorf("%q, %v", text, err)
	}
	if n := svc.Endpoints()[0].InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func wantGone(t *testing.T, err error) {
	t.Helper()
	if f := failure.From(err); f.Kind != failure.ClientGone || f.Source != failure.Client {
		t.Errorf("%v, want client_gone", err)
	}
}

func TestAClientThatLeavesCancelsTheRequest(t *testing.T) {
	for _, protocol := range []Protocol{HTTP1, HTTP2} {
		arrived, cancelled := make(chan struct{}), make(chan struct{})
		s := serve2(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/streams" {
				w.(http.Flusher).Flush()
			} else {
				arrived <- struct{}{}
			}
			<-r.Context().Done()
			cancelled <- struct{}{}
		})
		sp := spec(t, s)
		sp.Protocol = protocol
		svc := start(t, sp, nil)

		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		call := &Call{Request: out("GET", nil, 0), Policy: policy(3, onStatus(500, 599))}
		_, err := svc.Do(ctx, call)
		wantGone(t, err)
		<-cancelled
		if len(call.Attempts) != 1 || call.Attempts[0].Failure != failure.ClientGone {
			t.Errorf("%+v", call.Attempts)
		}

		ctx, cancel = context.WithCancel(t.Context())
		call = get()
		call.Request.URL.Opaque = "/streams"
		res, err := svc.Do(ctx, call)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		_, err = io.ReadAll(res.Body)
		wantGone(t, err)
		res.Body.Close()
		<-cancelled

		// Closing the body before its end is leaving, too.
		call = get()
		call.Request.URL.Opaque = "/streams"
		mustDo(t, svc, call).Body.Close()
		<-cancelled
		if n := svc.Endpoints()[0].InFlight(); n != 0 {
			t.Errorf("%d in flight", n)
		}
	}
}

func TestAClientThatLeavesDuringTheBackoff(t *testing.T) {
	s := newScript(t, resetStep)
	svc := start(t, spec(t, s.url), nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "the first attempt is over", func() bool { return len(s.requests()) == 1 && svc.Endpoints()[0].InFlight() == 0 })
		cancel()
	}()
	_, err := svc.Do(ctx, &Call{Request: out("GET", nil, 0), Policy: &Policy{Retry: policy(2, func(p *RetryPolicy) { p.BackoffBase = 1 << 62 }).Retry}})
	wantGone(t, err)
}

func TestTheCauseOfTheContextIsTheReason(t *testing.T) {
	svc := start(t, spec(t, newScript(t, "200").url), nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	stalled := &failure.Error{Source: failure.Client, Kind: failure.ClientStalled}
	cancel(stalled)
	if _, err := svc.Do(ctx, get()); !errors.Is(err, error(stalled)) {
		t.Errorf("%v", err)
	}
}

func TestNoWaitBeyondTheDeadline(t *testing.T) {
	s := newScript(t, "503")
	svc := start(t, spec(t, s.url), nil)
	p := policy(2, onStatus(503, 503), func(p *RetryPolicy) { p.BackoffBase = 1 << 62 })
	res := mustDo(t, svc, &Call{Request: out("GET", nil, 0), Policy: p})
	if text := read(t, res); text != "503" {
		t.Errorf("%q", text)
	}
}

func TestHostAndTarget(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, " ", r.RequestURI) })
	own := strings.TrimPrefix(s.URL, "http://")
	for _, c := range []struct{ spec, request, opaque, want string }{
		{"", "shop.test", "/a%2Fb", "shop.test /a%2Fb"},
		{"orders.test", "shop.test", "/a", "orders.test /a"},
		{"", "", "/a", own + " /a"},
		{"", "shop.test", "//evil.test/a", "shop.test /evil.test/a"},
	} {
		sp := spec(t, s.URL)
		sp.Host = c.spec
		svc := start(t, sp, nil)
		call := get()
		call.Request.Host, call.Request.URL.Opaque = c.request, c.opaque
		if text := read(t, mustDo(t, svc, call)); text != c.want {
			t.Errorf("%q, want %q", text, c.want)
		}
		if call.Request.URL.Host != "" || call.Request.URL.Opaque != c.opaque {
			t.Errorf("the call's URL was changed: %+v", call.Request.URL)
		}
	}
}

func TestAttemptsAreTold(t *testing.T) {
	s := newScript(t, "500", "200")
	svc := start(t, spec(t, s.url), nil)
	call := get()
	for range 2 {
		res := mustDo(t, svc, call)
		read(t, res)
	}
	first, second := call.Attempts[0], call.Attempts[1]
	if first.Endpoint != s.url || first.Status != 500 || first.Reused || first.Duration <= 0 || first.Failure != "" {
		t.Errorf("%+v", first)
	}
	if second.Status != 200 || !second.Reused {
		t.Errorf("%+v", second)
	}
}

func TestInFlightLastsAsLongAsTheAnswer(t *testing.T) {
	svc := start(t, spec(t, newScript(t, "200").url), nil)
	res := mustDo(t, svc, get())
	if n := svc.Endpoints()[0].InFlight(); n != 1 {
		t.Errorf("%d in flight while the answer is unread", n)
	}
	read(t, res)
	res.Body.Close()
	if n := svc.Endpoints()[0].InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestWebSocketTunnel(t *testing.T) {
	var upgrades atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if upgrades.Add(1) == 1 {
			panic(http.ErrAbortHandler) // the first: reset after it was sent
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(c, bufio.NewReader(rw))
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	svc := start(t, spec(t, "http://"+l.Addr().String()), nil)

	ask := func() *Call {
		call := &Call{Request: out("GET", nil, 0), Policy: policy(3)}
		call.Request.Header["Connection"] = []string{"Upgrade"}
		call.Request.Header["Upgrade"] = []string{"websocket"}
		return call
	}
	call := ask()
	if _, err := svc.Do(t.Context(), call); outcome(nil, err) != "connection_terminated" || len(call.Attempts) != 1 {
		t.Errorf("an upgrade that was sent was repeated: %v %+v", err, call.Attempts)
	}

	res := mustDo(t, svc, ask())
	tunnel, ok := res.Body.(io.ReadWriteCloser)
	if res.StatusCode != 101 || !ok {
		t.Fatalf("%d %T", res.StatusCode, res.Body)
	}
	buf := make([]byte, 4)
	for _, word := range []string{"ping", "pong"} {
		io.WriteString(tunnel, word)
		if _, err := io.ReadFull(tunnel, buf); err != nil || string(buf) != word {
			t.Fatalf("%q %v", buf, err)
		}
	}
	if n := svc.Endpoints()[0].InFlight(); n != 1 {
		t.Errorf("%d in flight during the tunnel", n)
	}
	tunnel.Close()
	if n := svc.Endpoints()[0].InFlight(); n != 0 {
		t.Errorf("%d in flight after it", n)
	}
}

func TestInformationalAnswersPass(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "x")
		w.WriteHeader(http.StatusEarlyHints)
		hello(w, nil)
	})
	got := ""
	call := get()
	call.Inform = func(status int, h http.Header) { got += fmt.Sprint(status, h.Get("Link")) }
	read(t, mustDo(t, start(t, spec(t, s.URL), nil), call))
	if got != "103x" {
		t.Errorf("%q", got)
	}
}

// A service is not asked twice, nor blamed, for a body that the client broke.
func TestABrokenRequestBodyIsTheClients(t *testing.T) {
	for _, protocol := range []Protocol{HTTP1, HTTP2} {
		sp := spec(t, newServer(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }))
		sp.Protocol = protocol
		svc := start(t, sp, nil)
		broken := failure.Request(http.StatusBadRequest, "The body is malformed.")
		body := io.MultiReader(strings.NewReader("text"), iotest.ErrReader(broken))
		call := &Call{Request: out("PUT", body, -1), Policy: policy(3)}
		_, err := svc.Do(t.Context(), call)
		if !errors.Is(err, error(broken)) || len(call.Attempts) != 1 {
			t.Errorf("%s: %v after %d attempts", protocol, err, len(call.Attempts))
		}
	}
}

func TestAFullEndpointIsPassedOver(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	busy := serve(t, func(http.ResponseWriter, *http.Request) { inside <- struct{}{}; <-release })
	sp := spec(t, busy.URL)
	sp.Connections.Max, sp.Connections.Pending = 1, 1
	svc := start(t, sp, nil)
	var all sync.WaitGroup
	refused := make(chan error, 3)
	for range 3 { // one is served, one waits, and for one there is no room
		all.Go(func() {
			alone := &Call{Request: out("GET", nil, 0), Policy: policy(3)}
			res, err := svc.Do(t.Context(), alone)
			if err != nil {
				refused <- err
				if len(alone.Attempts) != 1 {
					t.Errorf("asked %d times for room that only others can free", len(alone.Attempts))
				}
				return
			}
			res.Body.Close()
		})
	}
	<-inside
	f := failure.From(<-refused)
	if f.Kind != failure.ConnectionLimitReached || f.Code() != 503 || f.Header.Get("Retry-After") == "" {
		t.Error(f)
	}

	other := newScript(t, "200")
	wider := sp
	wider.Endpoints = append(sp.Endpoints, specOf(t, other.url)...)
	both := start(t, wider, svc)
	both.lineage.balance = balance.Shared{} // begins with the full one
	call := &Call{Request: out("POST", strings.NewReader("body"), 4), Policy: policy(3)}
	read(t, mustDo(t, both, call))
	if len(call.Attempts) != 2 {
		t.Errorf("%+v", call.Attempts)
	}
	close(release)
	go func() { <-inside }()
	all.Wait()
}

// A client that stalls in its body must hold nobody up once the service has said its word, or nothing more.
func TestAStalledClientHoldsNothingUp(t *testing.T) {
	for _, protocol := range []Protocol{HTTP1, HTTP2} {
		for _, c := range []struct {
			name, want string
			serve      http.HandlerFunc
		}{
			{"an early answer", "413", func(w http.ResponseWriter, _ *http.Request) {
				http.NewResponseController(w).EnableFullDuplex()
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}},
			{"broken off", "connection_terminated", func(w http.ResponseWriter, _ *http.Request) {
				if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
					c.Close()
					return
				}
				panic(http.ErrAbortHandler) // resets the stream
			}},
		} {
			sp := spec(t, newServer(t, c.serve))
			sp.Protocol = protocol
			svc := start(t, sp, nil)
			body, client := io.Pipe()
			call := &Call{Request: out("PUT", nil, -1), Policy: policy(2, func(p *RetryPolicy) { p.Reset = false })}
			call.Request.Body = body
			res, err := svc.Do(t.Context(), call)
			if got := outcome(res, err); got != c.want {
				t.Errorf("%s, %s: %s (%v), want %s", protocol, c.name, got, err, c.want)
			}
			if res != nil {
				res.Body.Close()
			}
			if n := svc.Endpoints()[0].InFlight(); n != 0 {
				t.Errorf("%s, %s: %d in flight", protocol, c.name, n)
			}
			client.Close()
		}
	}
}

// A loop is used again by other calls, and the first of them must not see anything of the second.
func TestCallsAtOnceDoNotMix(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(r.Header["X-Attempt"]) == 0 && strings.HasSuffix(string(body), "7") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintf(w, "%s %s", r.RequestURI, body)
	})
	svc := start(t, spec(t, s.URL), nil)
	svc.budget = retry.NewBudget(100, 100)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 100 {
				text := fmt.Sprint(worker, "-", i)
				call := &Call{Request: out("PUT", strings.NewReader(text), int64(len(text))), Policy: policy(2, onStatus(503, 503))}
				call.Request.URL.Opaque = "/" + text
				res, err := svc.Do(t.Context(), call)
				if err != nil {
					t.Error(err)
					return
				}
				if got := read(t, res); got != "/"+text+" "+text {
					t.Errorf("%q, want %q", got, text)
				}
				if res.Request != call.Request {
					t.Error("the answer does not know the request it is for")
				}
			}
		})
	}
	all.Wait()
	if n := svc.Endpoints()[0].InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

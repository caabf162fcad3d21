package proxy_test

//lint:file-ignore SA1019 h2c is the shortest way to a service that speaks both

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// closing is a body that knows whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestPanicIsA500AndTheProcessLives(t *testing.T) {
	boom := func(context.Context, *exchange.Exchange) error { panic("boom: 10.0.0.9") }
	for name, h := range map[string]*hook{"in OnRequest": {request: boom}, "in OnResponse": {response: boom}} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, hooked, h)
			finished := 0
			h.finish = func(*exchange.Exchange) { finished++ }
			w := e.do(t, request("/"))
			if w.status != 500 || w.aborted || !strings.Contains(w.body, "proxy_internal_error") || strings.Contains(w.body, "boom") {
				t.Errorf("%d, aborted %v: %s", w.status, w.aborted, w.body)
			}
			if w.header.Get("X-Request-Id") == "" || w.header.Get("Date") == "" {
				t.Errorf("the answer lacks what every answer carries:\n%s", head(w.header))
			}
			if log := e.log.String(); !strings.Contains(log, "boom: 10.0.0.9") || !strings.Contains(log, "route=all") || !strings.Contains(log, "life_test.go") {
				t.Errorf("the log does not say what, on which route and where:\n%s", log)
			}
			if got := e.counted(t, "sluice_panics_total"); got != "1" {
				t.Errorf("%q panics are counted", got)
			}
			if got := e.counted(t, `sluice_requests_total{code="500",listener="public",route="all",service=""}`); got != "1" {
				t.Errorf("%q requests of 500 are counted", got)
			}
			if finished != 1 {
				t.Errorf("the filters were told %d times that it is over", finished)
			}
			h.request, h.response = nil, nil
			if w := e.do(t, request("/")); w.status != 200 {
				t.Errorf("the next request got %d", w.status)
			}
		})
	}
}

// Once the head may be on its way, there is nothing to do but break off: a second answer would be taken for the body.
func TestPanicAfterTheHeadAborts(t *testing.T) {
	body := &closing{Reader: strings.NewReader("x")}
	e := newEngine(t, hooked, &hook{request: func(_ context.Context, x *exchange.Exchange) error {
		x.Response = &http.Response{StatusCode: 200, Header: http.Header{}, Body: body}
		return nil
	}})
	w := e.serve(t.Context(), request("/"), &written{panics: true})
	if w.status != 200 || !w.aborted || !body.closed {
		t.Errorf("status %d, aborted %v, body closed %v", w.status, w.aborted, body.closed)
	}
	if got := e.counted(t, "sluice_panics_total"); got != "1" {
		t.Errorf("%q panics are counted", got)
	}
}

// A filter that panics when it is told of the end hurts neither the answer nor the next request.
func TestPanicInFinish(t *testing.T) {
	h := &hook{finish: func(*exchange.Exchange) { panic("at the end") }}
	e := newEngine(t, hooked, h)
	for range 2 {
		if w := e.do(t, request("/")); w.status != 200 || w.body != "fine" {
			t.Errorf("%d %q", w.status, w.body)
		}
	}
	if !strings.Contains(e.log.String(), "at the end") {
		t.Errorf("the log is silent about it:\n%s", &e.log)
	}
}

// The failure of a response filter takes the answer's place, and the answer's body is closed.
func TestResponseFilterThatFails(t *testing.T) {
	body := &closing{Reader: strings.NewReader("the first answer")}
	h := &hook{
		request: func(_ context.Context, x *exchange.Exchange) error {
			x.Response = &http.Response{StatusCode: 200, Header: http.Header{"X-Old": {"1"}}, Body: body}
			return nil
		},
		response: func(context.Context, *exchange.Exchange) error {
			return &failure.Error{Kind: failure.HTTPProtocolError, Detail: "Not to be told."}
		},
	}
	// compress and responseHeaders stand before hook, and so see what became of its failure.
	text := strings.Replace(hooked, "[{hook: {}}]", "[{responseHeaders: {set: {x-before: seen}}}, {hook: {}}]", 1)
	w := newEngine(t, text, h).do(t, request("/"))
	if w.status != 502 || !strings.Contains(w.body, "http_protocol_error") || w.header.Get("X-Old") != "" {
		t.Errorf("%d %s\n%s", w.status, w.body, head(w.header))
	}
	if w.header.Get("X-Before") != "seen" {
		t.Errorf("the filter before did not see it:\n%s", head(w.header))
	}
	if !body.closed {
		t.Error("the first answer's body is still open")
	}
}

// A client that left gets nothing, and the log says 499.
func TestClientThatLeft(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	e := newEngine(t, hooked, &hook{request: func(ctx context.Context, _ *exchange.Exchange) error {
		leave()
		return &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionTerminated, Err: ctx.Err()}
	}})
	w := e.serve(ctx, request("/"), new(written))
	if w.status != 0 || !w.aborted {
		t.Errorf("it was answered %d, aborted %v", w.status, w.aborted)
	}
	if got := e.counted(t, `sluice_requests_total{code="499",listener="public",route="all",service=""}`); got != "1" {
		t.Errorf("%q requests of 499 are counted", got)
	}
}

// Whatever breaks while the answer is written, the client is not to take it for whole.
func TestAnswerThatBreaksOffIsAborted(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		kind failure.Kind
	}{
		{"the upstream", &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete}, failure.HTTPResponseIncomplete},
		{"the client", &failure.Error{Source: failure.Client, Kind: failure.ClientGone}, failure.ClientGone},
		{"something unknown", errors.New("?"), failure.ProxyInternalError},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen *failure.Error
			e := newEngine(t, hooked, &hook{finish: func(x *exchange.Exchange) { seen = x.Failure }})
			w := e.serve(t.Context(), request("/"), &written{fail: test.err})
			if !w.aborted || seen == nil || seen.Kind != test.kind {
				t.Errorf("aborted %v, failure %v", w.aborted, seen)
			}
		})
	}
}

func TestNothingMatches(t *testing.T) {
	e := newEngine(t, `
listeners: [{name: public, address: ":0", filters: [{responseHeaders: {set: {x-seen: "yes"}}}]}]
routes: [{name: r, match: {path: /known, methods: [GET, PUT]}, respond: {status: 200}}]
admin: off
`, nil)
	missing := e.do(t, request("/nowhere"))
	if missing.status != 404 || missing.header.Get("X-Seen") != "yes" || !strings.Contains(missing.body, "destination_not_found") {
		t.Errorf("%d %s\n%s", missing.status, missing.body, head(missing.header))
	}
	in := request("/known")
	in.Method = "DELETE"
	if w := e.do(t, in); w.status != 405 || w.header.Get("Allow") != "GET, HEAD, PUT" {
		t.Errorf("%d, Allow %q", w.status, w.header.Get("Allow"))
	}
	for _, method := range []string{"CONNECT", "TRACE"} {
		in.Method = method
		if w := e.do(t, in); w.status != 405 || w.header.Get("Allow") == "" {
			t.Errorf("%s: %d\n%s", method, w.status, head(w.header))
		}
	}
	star := request("/")
	star.Method, star.RequestURI = "OPTIONS", "*"
	if w := e.do(t, star); w.status != 204 {
		t.Errorf("OPTIONS *: %d", w.status)
	}
	if got := e.counted(t, `sluice_requests_total{code="404",listener="public",route="",service=""}`); got != "1" {
		t.Errorf("%q requests without a route are counted", got)
	}
}

// Nobody is to answer on a listener that was forgotten.
func TestForgottenListenerAborts(t *testing.T) {
	e := newEngine(t, strings.Replace(hooked, "name: public", "name: other", 1), &hook{})
	if w := e.do(t, request("/")); w.status != 0 || !w.aborted {
		t.Errorf("%d, aborted %v", w.status, w.aborted)
	}
}

// limited is an engine before a service that keeps what it is sent, with a limit of 8 bytes.
func limited(t *testing.T, h http.HandlerFunc) *engine {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return newEngine(t, `
listeners: [{name: public, address: ":0", limits: {bodyBytes: 8}}]
routes: [{name: all, match: {path: /*}, service: s}]
services: [{name: s, endpoints: [{url: "`+s.URL+`"}]}]
admin: off
`, nil)
}

func TestBodyLimit(t *testing.T) {
	for _, test := range []struct {
		name     string
		body     string
		declared int64
		status   int
		reached  bool // the service was asked at all
	}{
		{"declared, at the limit", "12345678", 8, 200, true},
		{"declared, over it", "123456789", 9, 413, false},
		{"streamed, at the limit", "12345678", -1, 200, true},
		{"streamed, over it", "123456789", -1, 413, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := make(chan string, 1)
			e := limited(t, func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				asked <- string(body)
			})
			in := request("/")
			in.Method, in.ContentLength, in.Body = "POST", test.declared, io.NopCloser(strings.NewReader(test.body))
			w := e.do(t, in)
			if w.status != test.status {
				t.Errorf("status %d, want %d: %s", w.status, test.status, w.body)
			}
			if !test.reached {
				if len(asked) > 0 {
					t.Error("the service was asked")
				}
				return
			}
			if got := <-asked; test.status == 200 && got != test.body {
				t.Errorf("the service got %q", got)
			}
			if got := e.counted(t, `sluice_upstream_attempts_total{outcome="success",service="s"}`); test.status == 200 && got != "1" {
				t.Errorf("%q attempts succeeded", got)
			}
		})
	}
}

// A stream of gRPC has no limit where there is somebody to take it; to say that one is a stream is not enough.
func TestBodyLimitOfStreams(t *testing.T) {
	for _, test := range []struct {
		protocol, media string
		want            bool // the service got it all
	}{
		{"http2", "application/grpc", true}, {"http2", "application/connect+json", true}, {"http2", "application/json", false},
		{"http1", "application/grpc", false}, {"http1", "application/connect+json", false},
	} {
		t.Run(test.protocol+" "+test.media, func(t *testing.T) {
			asked := make(chan error, 1)
			s := httptest.NewServer(h2c.NewHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				asked <- err
			}), new(http2.Server)))
			t.Cleanup(s.Close)
			e := newEngine(t, `
listeners: [{name: public, address: ":0", limits: {bodyBytes: 8}}]
routes: [{name: all, match: {path: /*}, service: s}]
services: [{name: s, protocol: `+test.protocol+`, endpoints: [{url: "`+s.URL+`"}]}]
admin: off
`, nil)
			in := request("/")
			in.Header["Content-Type"] = []string{test.media}
			in.Method, in.ContentLength, in.Body = "POST", -1, io.NopCloser(strings.NewReader("123456789"))
			e.do(t, in)
			if err := <-asked; (err == nil) != test.want {
				t.Error(err)
			}
		})
	}
}

// torn is a body whose sender leaves, or that the engine finds malformed.
type torn struct{ err error }

func (b torn) Read([]byte) (int, error) { return 0, b.err }
func (b torn) Close() error             { return nil }

// What the client's body did wrong is not the service's fault.
func TestBodyThatBreaks(t *testing.T) {
	for _, test := range []struct {
		name   string
		err    error
		status int // 0: aborted
	}{
		{"malformed", failure.Request(400, "The chunk is broken."), 400},
		{"stalled", &failure.Error{Source: failure.Client, Kind: failure.ClientStalled}, 408},
		{"gone", io.ErrUnexpectedEOF, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := limited(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
			in := request("/")
			in.Method, in.ContentLength, in.Body = "POST", -1, torn{test.err}
			w := e.do(t, in)
			if w.status != test.status || w.aborted != (test.status == 0) {
				t.Errorf("status %d, aborted %v: %s", w.status, w.aborted, w.body)
			}
		})
	}
}

// ends gives its trailers when it ends, as engines do.
type ends struct {
	io.Reader
	trailer http.Header
	late    http.Header
}

func (b *ends) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		for name, values := range b.late {
			b.trailer[name] = values
		}
	}
	return n, err
}

func (b *ends) Close() error { return nil }

// Trailers are fields like others: what the client may not say in the head it may not say at the end.
func TestRequestTrailersAreFiltered(t *testing.T) {
	got := make(chan http.Header, 1)
	e := limited(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		got <- r.Trailer
	})
	in := request("/")
	in.Method, in.ContentLength = "POST", -1
	in.Trailer = http.Header{"X-Sum": nil, "X-Consumer-Name": nil, "X_forwarded_for": nil, "X-Forwarded-For": nil}
	in.Body = &ends{strings.NewReader("body"), in.Trailer, http.Header{
		"X-Sum": {"9"}, "X-Consumer-Name": {"root"}, "X_forwarded_for": {"6.6.6.6"}, "X-Forwarded-For": {"6.6.6.6"}, "X-Unannounced": {"1"},
	}}
	if w := e.do(t, in); w.status != 200 {
		t.Fatalf("%d %s", w.status, w.body)
	}
	if trailer := <-got; len(trailer) != 1 || trailer.Get("X-Sum") != "9" {
		t.Errorf("the service got the trailers %v, want X-Sum alone", trailer)
	}
}

func TestInformationalAnswersPass(t *testing.T) {
	e := limited(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	})
	if w := e.do(t, request("/")); w.status != 200 || len(w.informed) != 1 || w.informed[0] != 103 {
		t.Errorf("%d after %v, want 200 after 103", w.status, w.informed)
	}
}

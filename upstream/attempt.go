package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/transport"
)

// Do sends a request to the service and returns its answer as soon as the head has arrived, or a *failure.Error. The
// answer's Body is never nil and must be closed; that of a 101 is an io.ReadWriteCloser. Until then ctx governs the
// exchange: when it ends, the request to the service is given up.
//
// It is a loop: choose an endpoint that was not tried yet (all tried: start over), send, judge what came back by the
// policy, and if that says so and the budget bears it, wait a little and go round again.
//
// Every attempt but the first carries X-Attempt, with its number.
func (s *Service) Do(ctx context.Context, call *Call) (*http.Response, error) {
	l := s.begin(ctx, call)
	for {
		a, err := l.choose()
		if err != nil {
			return nil, l.over(err)
		}
		res, err := a.send(ctx)
		if ctx.Err() != nil {
			return nil, l.over(a.abandon(res, err))
		}
		wait, again := l.judge(a, res, err)
		if !again {
			return l.deliver(a, res, err)
		}
		a.discard(res)
		if err := l.sleep(wait); err != nil {
			return nil, l.over(err)
		}
	}
}

// loop is one call on its way round.
type loop struct {
	service  *Service
	ctx      context.Context
	call     *Call
	policy   *Policy
	deadline time.Time // until when the answer must have begun; zero: none
	body     *requestBody
	upgrade  bool

	number int   // of the attempt, from 1
	tried  []int // members asked since the last start over
	first  [4]int
}

func (s *Service) begin(ctx context.Context, call *Call) *loop {
	l := &loop{service: s, ctx: ctx, call: call, policy: call.Policy, upgrade: len(call.Request.Header["Upgrade"]) > 0}
	if l.policy == nil {
		l.policy = &once
	}
	l.tried = l.first[:0]
	if limit := shorter(l.policy.Timeout, call.Timeout); limit > 0 {
		l.deadline = time.Now().Add(limit)
	}
	if r := call.Request; r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		l.body = newRequestBody(r.Body, l.keeps())
	}
	s.budget.Request()
	return l
}

// once is the policy of a call that has none.
var once = Policy{Retry: RetryPolicy{Attempts: 1}}

// shorter is the shorter of two timeouts, of which 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// keeps is how much of the request's body is worth keeping. Over HTTP/1.1, a request that may not be repeated once sent
// is repeated only if nothing was, and then hardly any of it was read. HTTP/2 can refuse a request that was sent whole.
func (l *loop) keeps() int64 {
	retry := &l.policy.Retry
	if retry.Attempts < 2 || l.upgrade || l.call.Request.ContentLength > retry.BodyBytes {
		return 0
	}
	if !l.service.spec.Protocol.overHTTP2() && !l.harmless() {
		return 0
	}
	return retry.BodyBytes
}

// choose begins an attempt at the next endpoint.
func (l *loop) choose() (*attempt, error) {
	at := l.service.picker.Pick(l.tried)
	if at < 0 && len(l.tried) > 0 {
		l.tried = l.tried[:0]
		at = l.service.picker.Pick(nil)
	}
	if at < 0 {
		return nil, errNoEndpoint
	}
	l.tried = append(l.tried, at)
	l.number++
	endpoint := l.service.members[at].Endpoint
	endpoint.inFlight.Add(1)
	a := &attempt{loop: l, endpoint: endpoint, number: l.number, start: time.Now()}
	if l.body != nil {
		a.body = l.body.reader()
	}
	return a, nil
}

var errNoEndpoint = &failure.Error{
	Source: failure.Upstream, Kind: failure.DestinationUnavailable, RetrySafe: true,
	Detail: "The service has no endpoint that takes requests.", Header: http.Header{"Retry-After": {"1"}},
}

// deliver hands the last attempt's outcome over.
func (l *loop) deliver(a *attempt, res *http.Response, err error) (*http.Response, error) {
	if err != nil {
		a.end()
		return nil, l.over(err)
	}
	l.body.forget()
	a.attach(res)
	return res, nil
}

// over ends a call that gets no answer.
func (l *loop) over(err error) error {
	l.body.finish()
	if l.ctx.Err() != nil {
		return clientGone(l.ctx, err)
	}
	return err
}

func (l *loop) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

// clientGone is the failure of a call whose own context has ended: whatever else broke, broke because of it. A deadline
// of that context is the caller's, and no service is to blame for it either.
func clientGone(ctx context.Context, err error) *failure.Error {
	if f, ok := errors.AsType[*failure.Error](context.Cause(ctx)); ok {
		return f
	}
	return &failure.Error{Source: failure.Client, Kind: failure.ClientGone, Err: err}
}

// attempt is one try at one endpoint.
type attempt struct {
	loop     *loop
	endpoint *Endpoint
	number   int
	start    time.Time
	body     *bodyReader // nil: the request has none
	trip     transport.Trip
	cancel   context.CancelCauseFunc
	timer    *time.Timer // ends the attempt if the answer does not begin; nil: nothing does
}

// errTooLong ends an attempt whose answer has not begun in time.
var errTooLong = context.DeadlineExceeded

// send sends the request and waits for the head of the answer.
func (a *attempt) send(ctx context.Context) (*http.Response, error) {
	ctx, a.cancel = context.WithCancelCause(ctx)
	if limit, ok := a.limit(); ok {
		a.timer = time.AfterFunc(limit, func() { a.cancel(errTooLong) })
	}
	a.trip = transport.Trip{Request: a.request(), Inform: a.loop.call.Inform}
	res, err := a.endpoint.transport.RoundTrip(ctx, &a.trip)
	if err == nil && a.timer != nil && !a.timer.Stop() {
		// The head came together with the timeout, which has ended the connection already.
		res.Body.Close()
		res, err = nil, errLate
	}
	a.record(res, err)
	return res, err
}

var errLate = &failure.Error{
	Source: failure.Upstream, Kind: failure.HTTPResponseTimeout, Detail: "The service did not answer in time.", Err: errTooLong,
}

// limit is the time that the attempt has until its answer begins.
func (a *attempt) limit() (limit time.Duration, ok bool) {
	limit = a.loop.policy.Retry.PerAttempt
	if deadline := a.loop.deadline; !deadline.IsZero() {
		// Never 0, which would be no limit: what is over ends at once.
		limit = shorter(limit, max(1, deadline.Sub(a.start)))
	}
	return limit, limit > 0
}

// request is the one this attempt sends. The first may use the call's own header, since nobody else does yet; a later one
// must not touch what a transport may still be writing.
func (a *attempt) request() *http.Request {
	call := a.loop.call
	r := *call.Request
	r.URL = a.url(call.Request.URL)
	r.Host = a.host(call.Request.Host)
	r.Body = http.NoBody
	if a.body != nil {
		r.Body = a.body
	}
	if a.number > 1 {
		r.Header = r.Header.Clone()
		r.Header["X-Attempt"] = []string{strconv.Itoa(a.number)}
	}
	return &r
}

// url puts the endpoint's scheme and authority to the path. A path of two leading slashes would read as an authority.
func (a *attempt) url(from *url.URL) *url.URL {
	to := *from
	to.Scheme, to.Host = a.endpoint.scheme, a.endpoint.host
	if strings.HasPrefix(to.Opaque, "//") {
		to.Opaque = "/" + strings.TrimLeft(to.Opaque, "/")
	}
	return &to
}

func (a *attempt) host(asked string) string {
	switch {
	case a.loop.service.spec.Host != "":
		return a.loop.service.spec.Host
	case asked != "":
		return asked
	default:
		return a.endpoint.host
	}
}

// record tells of the attempt. Connections that turned out to be closed are told of too: each was a try that failed.
func (a *attempt) record(res *http.Response, err error) {
	d := time.Since(a.start)
	call, series := a.loop.call, a.loop.service.spec.Series
	for range a.trip.Stale {
		series.Attempt(failure.ConnectionTerminated, 0)
	}
	t := telemetry.Attempt{Endpoint: a.endpoint.address, Duration: d, Reused: a.trip.Reused}
	outcome := telemetry.Success
	switch {
	case a.loop.ctx.Err() != nil:
		t.Failure = failure.ClientGone
		outcome = t.Failure
	case err != nil:
		t.Failure = failure.From(err).Kind
		outcome = t.Failure
	default:
		t.Status = res.StatusCode
		if res.StatusCode >= 500 {
			outcome = telemetry.Status5xx
		}
	}
	call.Attempts = append(call.Attempts, t)
	series.Attempt(outcome, d)
}

// attach ties the end of the attempt to the end of the answer's body.
func (a *attempt) attach(res *http.Response) {
	b := &answerBody{ReadCloser: res.Body, end: a.finish, fail: a.broken}
	if w, ok := res.Body.(io.Writer); ok {
		res.Body = &tunnelBody{b, w}
		return
	}
	res.Body = b
}

// broken is the failure of an answer that was passed on and broke off.
func (a *attempt) broken(err error) error {
	if a.loop.ctx.Err() != nil {
		return clientGone(a.loop.ctx, err)
	}
	return err
}

// finish ends the attempt and with it the call.
func (a *attempt) finish() {
	a.end()
	a.loop.body.finish()
}

// abandon ends an attempt whose caller is gone.
func (a *attempt) abandon(res *http.Response, err error) error {
	if res != nil {
		res.Body.Close()
	}
	a.end()
	return err
}

// discard ends an attempt whose outcome is not wanted. A short answer is read to its end, for the connection's sake.
func (a *attempt) discard(res *http.Response) {
	if res != nil {
		if res.ContentLength >= 0 && res.ContentLength <= maxDiscard {
			a.timer = time.AfterFunc(discardTime, func() { a.cancel(errTooLong) })
			_, _ = io.Copy(io.Discard, res.Body)
		}
		res.Body.Close()
	}
	a.end()
}

const (
	maxDiscard  = 4 << 10
	discardTime = 20 * time.Millisecond
)

// end lets go of what the attempt holds.
func (a *attempt) end() {
	if a.timer != nil {
		a.timer.Stop()
	}
	a.cancel(context.Canceled)
	if a.body != nil {
		a.body.finish()
	}
	a.endpoint.inFlight.Add(-1)
}

package upstream

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/http1"
	"github.com/sluice-gateway/sluice/upstream/balance"
	"github.com/sluice-gateway/sluice/upstream/transport"
)

// ask is Do without a fallback.
//
// It is a loop: choose an endpoint that was not tried yet (all tried: start over), send, judge what came back by the
// policy, and if that says so and the budget bears it, wait a little and go round again.
//
// Every attempt but the first carries X-Attempt, with its number.
func (s *Service) ask(ctx context.Context, call *Call) (*http.Response, error) {
	l := s.begin(ctx, call)
	defer l.leave(call)
	if err := l.admit(ctx); err != nil {
		return nil, l.over(err)
	}
	s.budget.Request(l.start)
	if after, hedged := l.hedgeAfter(); hedged {
		res, err := l.race(ctx, after)
		l.hand = nil // not before the loser has ended
		return res, err
	}
	for {
		a, err := l.choose(false)
		if err != nil {
			return nil, l.over(err)
		}
		l.hand = a
		res, err := a.send(ctx)
		if ctx.Err() != nil {
			a.discard(res)
			return nil, l.over(err)
		}
		wait, again := l.judge(a, res, err)
		if !again {
			res, err := l.deliver(a, res, err)
			l.hand = nil
			return res, err
		}
		a.discard(res)
		if err := l.sleep(wait); err != nil {
			return nil, l.over(err)
		}
	}
}

// loop is one call on its way round, and all the memory that takes: its first attempt and the reader of
// the request's body. It is in use until Do has returned and the answer has ended.
//
// Whatever panics in between, the call lets go of what it holds: Do's goroutine has at most one attempt in hand, race has
// those that run, and choose one that nobody has agreed to yet.
type loop struct {
	service  *Service
	members  *membership
	ctx      context.Context
	call     Call
	policy   *Policy
	start    time.Time
	deadline time.Time    // until when the answer must have begun; zero: none
	body     *requestBody // nil: the request has none
	upgrade  bool
	racing   bool         // attempts may run beside each other
	users    atomic.Int32 // Do, and each answer that has not ended
	hand     *attempt     // its outcome is Do's to deal with; set while Do returns: there was a panic
	panicked bool         // so that nobody knows who may still use the loop

	number int   // of the attempt, from 1
	tried  []int // members asked since the last start over
	stays  bool  // the first of them is the one that the client's token names

	admitted int // gates passed
	tickets  [maxGates]Ticket
	outcome  Outcome // of the last attempt

	few    [4]int
	first  attempt
	memory requestBody
}

var loops = sync.Pool{New: func() any { return new(loop) }}

// begin makes the memory of a call ready for it.
// Out of line: decision 014.
//
//go:noinline
func (s *Service) begin(ctx context.Context, call *Call) *loop {
	l := loops.Get().(*loop)
	*l = loop{} // now, and not when it was let go: then it had lain since the request was sent, and was cold
	l.service, l.members = s, s.membership.Load()
	l.ctx, l.call, l.policy, l.start = ctx, *call, call.Policy, http1.Now()
	l.outcome.Kind = failure.ClientGone
	l.users.Store(1)
	l.upgrade = len(call.Request.Header["Upgrade"]) > 0
	if l.policy == nil {
		l.policy = &once
	}
	l.tried = l.few[:0]
	if limit := shorter(l.policy.Timeout, call.Timeout); limit > 0 {
		l.deadline = l.start.Add(limit)
	}
	if r := call.Request; r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		l.memory.source, l.memory.limit, l.memory.untilAnswer = r.Body, l.keeps(), !l.mayBetter()
		l.body = &l.memory
	}
	return l
}

// leave is Do's last step, after a panic too: it tells the caller of the attempts.
func (l *loop) leave(call *Call) {
	if l.hand != nil {
		l.panicked = true
		l.outcome = unknown()
		defer l.hand.abandon()
	}
	call.Attempts, call.Token = l.call.Attempts, l.call.Token
	l.answered()
	l.release()
}

// release is called by each user once. The last makes the loop another call's, unless a transport may still be busy with
// what it was given: HTTP/2 ends its side of a stream when it gets round to it, and after a panic anybody may.
func (l *loop) release() {
	if l.users.Add(-1) > 0 {
		return
	}
	l.body.finish()
	l.passOut()
	if l.panicked || l.service.spec.Protocol.overHTTP2() {
		return
	}
	if l.body != nil {
		l.memory = requestBody{} // what it keeps may be large
	}
	loops.Put(l)
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

// keeps is how much of the request's body is worth keeping. A request that may not be repeated once sent is repeated only
// if nothing was. Over HTTP/1.1 nothing of its body was read then, unless that is short: such a body is collected before
// a connection is looked for. HTTP/2 can refuse a request that was sent whole.
func (l *loop) keeps() int64 {
	retry := &l.policy.Retry
	if retry.Attempts < 2 && l.policy.Hedge == nil || l.upgrade || l.call.Request.ContentLength > retry.BodyBytes {
		return 0
	}
	if length := l.call.Request.ContentLength; length > http1.CollectBytes || length < 0 {
		if !l.service.spec.Protocol.overHTTP2() && !l.harmless() {
			return 0
		}
	}
	return retry.BodyBytes
}

// choose begins an attempt at the next endpoint: one not tried yet, or, if all were and it need not be elsewhere, any.
// Out of line: decision 014.
//
//go:noinline
func (l *loop) choose(elsewhere bool) (*attempt, error) {
	now := l.start
	if l.number > 0 {
		now = http1.Now()
	}
	for range 2 {
		for {
			at := l.members.pick(balance.Ask{Key: l.call.HashKey, Now: now, Tried: l.tried})
			if at < 0 {
				break
			}
			if len(l.tried) == 0 && l.number == 0 {
				l.stays = l.call.HashKey != "" && l.call.HashKey == l.members.set.Token(at)
			}
			l.tried = append(l.tried, at)
			if tickets, ok := l.beginsAt(at); ok {
				l.number++
				a := l.attempt(at, now)
				a.watched = tickets
				return a, nil
			}
		}
		if elsewhere {
			break
		}
		l.tried = l.tried[:0]
	}
	return nil, errNoEndpoint
}

// attempt begins one. A transport may still be busy with what an earlier one gave it, so only the first has its place in
// the loop.
func (l *loop) attempt(at int, now time.Time) *attempt {
	a := &l.first
	if l.number > 1 {
		a = new(attempt)
	}
	a.loop, a.endpoint, a.member, a.number, a.start = l, l.members.members[at].Endpoint, at, l.number, now
	if l.body != nil {
		a.reader.body = l.body
		a.body = &a.reader
	}
	l.users.Add(1)
	return a
}

var errNoEndpoint = &failure.Error{
	Source: failure.Upstream, Kind: failure.DestinationUnavailable, RetrySafe: true,
	Detail: "The service has no endpoint that takes requests.", Header: http.Header{"Retry-After": {"1"}},
}

// deliver hands the last attempt's outcome over.
// Out of line: decision 014.
//
//go:noinline
func (l *loop) deliver(a *attempt, res *http.Response, err error) (*http.Response, error) {
	if err != nil {
		a.discard(nil)
		return nil, l.over(err)
	}
	l.body.forget()
	if !l.stays { // else one retry elsewhere does not move the client
		l.call.Token = l.members.set.Token(a.member)
	}
	res.Request = l.call.Request
	return res, nil
}

// over ends a call that gets no answer.
func (l *loop) over(err error) error {
	if l.ctx.Err() != nil {
		return transport.ClientGone(l.ctx, err)
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

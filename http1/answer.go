package http1

// An answer from an endpoint: the response as parsed, its body, and what becomes of the connection when that ends.

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/sluice-gateway/sluice/failure"
)

type answer struct {
	response
	body     body
	ctx      context.Context
	d        *dialed
	sender   *sender
	observer Observer
	reusable bool
	passes   bool // some of its fields are in passed
	passed   passed
	next     *answer // in Scope.kept
}

var answers = sync.Pool{New: func() any { return new(answer) }}

// keep registers a to be taken back when the request of the scope is done.
func (s *Scope) keep(a *answer) {
	for {
		a.next = s.kept.Load()
		if s.kept.CompareAndSwap(a.next, a) {
			return
		}
	}
}

// takeBack ends what a handler left open, and makes the memory of the request's answers free for others.
func (s *Scope) takeBack() {
	if s.kept.Load() == nil {
		return
	}
	for a := s.kept.Swap(nil); a != nil; {
		next := a.next
		a.body.Close()
		if a.d == nil { // else somebody still reads: not ours to reuse
			a.ctx, a.sender, a.observer, a.next, a.http = nil, nil, nil, nil, http.Response{}
			answers.Put(a)
		}
		a = next
	}
}

// parse takes a head whose fields are read, all (nil) or only some.
func (a *answer) parse(b []byte, method string, l *Limits, reads []string) *fault {
	var bad *fault
	if a.passes = false; reads != nil {
		a.passed.reset(reads)
		a.passes, bad = a.parsePassing(b, method, l, &a.passed)
	}
	if !a.passes {
		bad = a.response.parse(b, method, l)
	}
	return bad
}

// begin decides the body after the head was parsed (RFC 9112 section 6.3), and with it whether the connection can be
// used again. An answer with bytes behind its end is refused: one request was sent, so either these bytes or the answer
// itself belong to something else, and nobody can tell which.
// Out of line: decision 014.
//
//go:noinline
func (a *answer) begin(method string, t *Transport) *fault {
	m, res := &a.framing, &a.http
	a.reusable = !res.Close
	in := &a.d.in
	switch {
	case bodyless(method, res.StatusCode):
		if len(in.data) > 0 {
			return faultSurplus
		}
		if res.StatusCode == http.StatusNoContent && (m.length > 0 || m.codings > 0) {
			a.reusable = false // whatever follows is not an answer
		}
		a.body.init(in, a, byLength, 0)
	case m.codings > 0:
		a.body.init(in, a, byChunks, 0)
		a.body.trailer = &res.Trailer
	case m.length >= 0:
		if int64(len(in.data)) > m.length {
			return faultSurplus
		}
		a.body.init(in, a, byLength, m.length)
	default:
		a.reusable, res.Close = false, true
		a.body.init(in, a, byClose, 0)
	}
	a.body.limits = t.limits()
	a.body.wait = t.StallTimeout
	if streams(res.Header) || a.passes && a.passed.streams {
		a.body.wait = t.StreamIdleTimeout
	}
	res.Body = &a.body
	if a.passes {
		a.body.passed = &a.passed
	}
	if a.body.coding == byLength && a.body.left == 0 {
		if !a.passes {
			res.Body = http.NoBody
		}
		a.body.finish(io.EOF)
	}
	return nil
}

var faultSurplus = malformed("Bytes follow the end of the answer.")

func (a *answer) beforeRead() error { return nil }

// bodyEnded gives the connection back, or up. Up, if anything is left that nobody asked for.
func (a *answer) bodyEnded(clean bool) {
	d := a.d
	a.d = nil
	keep := clean && a.reusable && len(d.in.data) == 0 && !d.in.sock.severed.Load()
	if a.sender != nil {
		keep = a.sender.stop() && keep
	}
	if !d.guard.lift(&d.in.sock) || !keep {
		d.close()
	} else {
		d.pool.put(d)
	}
	if a.observer != nil {
		a.observer.AnswerEnded()
	}
}

func (a *answer) bodyClosed(waiting bool) {
	if waiting {
		a.d.in.sock.sever()
		return
	}
	for { // what is in hand already may be all there was
		q, err := a.body.next(false)
		if err != nil {
			return
		}
		if len(q) == 0 {
			break
		}
		a.body.Discard(len(q))
	}
	a.body.finish(errBodyClosed)
}

func (a *answer) bodyError(err error) error {
	if err == errBodyClosed {
		return err
	}
	f := explain(a.ctx, &a.d.in.sock, err)
	if f.Kind == failure.ConnectionTerminated {
		f.Kind = failure.HTTPResponseIncomplete
	}
	if f.Detail == "" && f.Source == failure.Upstream {
		f.Detail = "The service broke its answer off."
	}
	return f
}

// explain puts an error of a connection to an endpoint into words.
func explain(ctx context.Context, s *socket, err error) *failure.Error {
	f := &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionTerminated, Err: err}
	var bad *fault
	switch {
	case s.severed.Load() && ctx.Err() != nil:
		return cancelled(ctx)
	case errors.As(err, &bad) && bad.tooBig:
		f.Kind = failure.HTTPResponseHeaderSize
	case bad != nil:
		f.Kind = failure.HTTPProtocolError
	case errors.Is(err, os.ErrDeadlineExceeded):
		f.Kind = failure.HTTPResponseTimeout
	}
	return f
}

// cancelled is the failure of a request whose context has ended: the one that the context ended with, if it is one.
func cancelled(ctx context.Context) *failure.Error {
	if f, ok := errors.AsType[*failure.Error](context.Cause(ctx)); ok {
		own := *f
		return &own
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseTimeout, Err: context.Cause(ctx)}
	}
	return &failure.Error{Source: failure.Client, Kind: failure.ClientGone, Err: context.Cause(ctx)}
}

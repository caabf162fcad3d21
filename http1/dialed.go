package http1

// One request and its answer on one connection to an endpoint.

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

type dialed struct {
	in    inbound
	pool  *Transport
	guard guard
	since moment // idle since about then; 0: since the pool was last looked over
	used  bool   // answered at least one request before
	late  bool   // the request had to wait for it, so its time may be up
}

func (d *dialed) close() {
	d.in.release()
	d.in.sock.close()
	d.pool.closed()
}

// errSilent is a connection that ended before any byte of the answer.
var errSilent = errors.New("http1: the connection ended before an answer began")

// roundTrip sends o and returns the answer once its head has come.
func (d *dialed) roundTrip(ctx context.Context, s *Scope, o *outgoing) (*answer, error) {
	if !d.guard.set(ctx, s, &d.in.sock) {
		o.free()
		d.guard.lift(&d.in.sock)
		d.close()
		f := cancelled(ctx)
		f.RetrySafe = true
		return nil, f
	}
	sender, err := d.send(o)
	o.free()
	if err != nil {
		return nil, d.failed(ctx, sender, silence(err))
	}
	a := answers.Get().(*answer) // only now: one more thing to find cold after the wait
	a.ctx, a.d, a.sender, a.observer = ctx, d, sender, nil
	if err := d.converse(a, o); err != nil {
		return nil, d.failed(ctx, sender, err)
	}
	a.http.Request = o.request
	o.sent()
	a.observer = o.call.Observer
	if a.http.StatusCode == http.StatusSwitchingProtocols {
		a.tunnel()
		return a, nil
	}
	if bad := a.begin(o.request.Method, d.pool); bad != nil {
		return nil, d.failed(ctx, sender, bad)
	}
	if s != nil {
		s.keep(a)
	}
	return a, nil
}

// failed ends the connection of an attempt that got no answer.
func (d *dialed) failed(ctx context.Context, s *sender, err error) error {
	if s != nil {
		theirs := s.broke.Load() // before stop, which breaks the body itself
		s.stop()
		<-s.done
		if theirs {
			err = failure.From(s.bodyErr)
		}
	}
	d.guard.lift(&d.in.sock)
	defer d.close()
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f
	}
	if err == errStale {
		return err
	}
	f := explain(ctx, &d.in.sock, err)
	f.RetrySafe = s == nil && d.in.sock.sent == 0 && f.Kind == failure.ConnectionTerminated
	return f
}

// converse parses heads until the final one.
// Out of line: decision 014.
//
//go:noinline
func (d *dialed) converse(a *answer, o *outgoing) error {
	for interim := 0; ; interim++ {
		if err := d.head(a, o.request.Method, o.call); err != nil {
			return incomplete(err, interim)
		}
		code := a.http.StatusCode
		switch {
		case code == http.StatusSwitchingProtocols:
			return o.mayJoin(a.http.Header)
		case code >= 200:
			return nil
		case interim >= maxInterim:
			return faultStatusLine
		case code != http.StatusContinue && o.call.Inform != nil:
			o.call.Inform(code, a.http.Header)
		}
	}
}

// silence marks the ends that mean: not one byte of an answer.
func silence(err error) error {
	if err == io.EOF {
		return errSilent
	}
	return err
}

// send sends the request as far as the caller's goroutine does it, and waits for the first bytes of the answer. What goes on
// sending, if anything does, is the sender.
func (d *dialed) send(o *outgoing) (*sender, error) {
	wait := time.Duration(0)
	if d.late || o.stream != nil {
		var ok bool
		if wait, ok = o.call.allowance(); !ok {
			return nil, &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseTimeout, RetrySafe: true}
		}
	}
	if o.stream != nil {
		return d.sendStream(o, wait)
	}
	blk, n, err := d.in.sock.exchange(o.lend(), o.head, o.tail, d.used, momentOf(o.call.AnswerBy), d.pool.StallTimeout)
	if n > 0 {
		d.in.accept(blk, n)
	}
	return nil, err
}

// sendStream is send for a body that a sender carries.
// Out of line: decision 014.
//
//go:noinline
func (d *dialed) sendStream(o *outgoing, wait time.Duration) (*sender, error) {
	s, t := &d.in.sock, d.pool
	if d.used && !s.quiet() {
		return nil, errStale
	}
	if err := s.write(o.head, nil, t.StallTimeout); err != nil {
		return nil, err
	}
	o.free()
	sender := newSender(s, o, t.StallTimeout)
	go sender.run()
	return sender, d.awaitBegun(sender, wait)
}

// awaitBegun waits for the answer to a request that is still being sent. The allowance counts from the end of sending.
func (d *dialed) awaitBegun(s *sender, allowance time.Duration) error {
	wait := allowance
	for {
		blk, n, err := d.in.sock.fill(wait)
		if n > 0 {
			d.in.accept(blk, n)
			return nil
		}
		if !isTimeout(err) || d.in.sock.severed.Load() {
			return err
		}
		wait = allowance
		if s.finished.Load() {
			if wait = time.Duration(moment(s.at.Load()) + moment(allowance) - now()); wait <= 0 {
				return err
			}
		}
	}
}

// head waits for a whole head and parses it.
func (d *dialed) head(a *answer, method string, call *Call) error {
	l := d.pool.limits()
	for {
		end, bad := d.in.headEnd()
		if bad == nil && end < 0 && len(d.in.data) > l.headerBytes()+maxStatusLine {
			bad = faultHeadTooBig
		}
		if bad != nil {
			return bad
		}
		if end >= 0 {
			bad := a.parse(d.in.data[:end], method, l, call.Reads)
			d.in.consume(end)
			return orNil(bad)
		}
		wait, ok := call.allowance()
		if !ok {
			wait = time.Nanosecond
		}
		if err := d.in.more(shorter(wait, d.pool.StallTimeout)); err != nil {
			return incomplete(err, len(d.in.data))
		}
	}
}

const maxStatusLine = 4 << 10 // how much of an unfinished head may be its status line

// incomplete is the error of an answer that broke off when something of it had come.
func incomplete(err error, had int) error {
	if _, bad := err.(*fault); bad || had == 0 || isTimeout(err) {
		return err
	}
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Err: err}
}

// shorter is the shorter of two limits of which 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

package http1

// A Transport is one endpoint's pool and the way requests take through it.
//
// The pool is a stack: the connection used last is used next, so that a burst's surplus grows old and is closed. A
// connection enters it only from the exact end of an answer, and is looked at once more before it is used: closed
// meanwhile, or holding bytes that nobody asked for, it is dropped and nothing was sent. What that cannot see, an
// endpoint that closes in the same instant, is answered by a second try on a fresh connection, if the request may be
// repeated at all.

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// Transport sends requests to one endpoint. Its fields are set before first use. For the numbers 0 means no limit.
type Transport struct {
	Dial func(ctx context.Context) (net.Conn, error) // a connection ready for HTTP, TLS handshake included

	MaxConns int // open connections, those being dialed included
	MaxIdle  int // of them, waiting for a request
	Pending  int // requests waiting for a connection; over it a 503

	IdleTimeout       time.Duration // how long a connection waits in the pool
	StallTimeout      time.Duration // no byte moved where one is owed
	StreamIdleTimeout time.Duration // the same in tunnels and streamed answers
	HeaderBytes       int           // of an answer's field lines; 0: 64 KiB
	HeaderCount       int           // fields of an answer; 0: 256

	settled sync.Once
	heads   Limits // of answers

	mu      sync.Mutex
	idle    []*dialed
	open    int
	waiting []*waiter
	retired bool
	sweep   *time.Timer // runs while idle is not empty
	swept   moment      // when it last ran, or was started
}

// waiter is a request in want of a connection. It is given one, or nil: leave to dial.
type waiter struct {
	got chan *dialed // of capacity 1
}

// Call is what belongs to one attempt and not to the request. It is the caller's again when RoundTrip returns.
type Call struct {
	// Host and Body stand in for the request's own, unless they are empty and nil: it need not be copied to change them.
	Host string
	Body io.ReadCloser
	// Lines are field lines to send beside those of the request's header, each ended by CR LF.
	Lines []byte
	// Reads names, canonically, the fields of the answer that are read or may be changed; nil: all. Others may be missing
	// from its Header: they go to the client with its Body, if that is what Writer.Write is given.
	Reads []string
	// Inform is called with each 1xx answer but 100 and 101, on the caller's goroutine. It may be nil.
	Inform func(status int, h http.Header)
	// AnswerBy is when the answer's head must have come, the wait for a connection and its dialing included. The time in
	// which a streamed body is being sent is not counted. Zero: no limit but the context's.
	AnswerBy time.Time
	// Observer, if not nil, is told once when the answer that RoundTrip returned, or is about to return, has ended: its
	// body was read to the end, broke off or was closed, and nothing of the request is in use any more.
	Observer Observer

	Reused bool // set by RoundTrip: the connection had answered a request before
}

// Observer is told of the end of an answer, on the goroutine that read or closed it.
type Observer interface{ AnswerEnded() }

// allowance is the time left until AnswerBy; false if it has passed.
func (c *Call) allowance() (time.Duration, bool) {
	if c.AnswerBy.IsZero() {
		return 0, true
	}
	left := time.Until(c.AnswerBy)
	return left, left > 0
}

func (t *Transport) limits() *Limits {
	t.settled.Do(func() {
		t.heads = Limits{HeaderBytes: t.HeaderBytes, HeaderCount: t.HeaderCount}
		if t.heads.HeaderBytes == 0 {
			t.heads.HeaderBytes = 64 << 10
		}
		if t.heads.HeaderCount == 0 {
			t.heads.HeaderCount = 256
		}
	})
	return &t.heads
}

// RoundTrip sends r and returns the answer when its head has come. Errors are *failure.Error. The target written is
// r.URL.Opaque with the query, if Opaque is set, else r.URL.RequestURI(); Host is call.Host, or r.Host. r.ContentLength of -1 means
// chunked; r is not changed, and its Body not closed. Framing and connection fields in r.Header are ignored, except that
// "Connection: upgrade" with Upgrade asks for what it says, and so does Te, whose one meaning here is that trailers are
// welcome (RFC 9110 section 10.1.4); Expect is dropped, since the client's was answered by us.
//
// The response's Body must be closed or read to its end. Its memory, like the request's, is valid until the handler of
// the client's request returns, if ctx is that request's context or derived from it without a cancellation of its own, and
// until Scope.End, if it is a Scope.
// After a 101 the Body is an io.ReadWriteCloser.
func (t *Transport) RoundTrip(ctx context.Context, r *http.Request, call *Call) (*http.Response, error) {
	var o outgoing
	if err := o.take(r, call); err != nil {
		return nil, err
	}
	s := scopeOf(ctx)
	take := t.take
	for {
		if err := o.compose(); err != nil {
			return nil, err
		}
		d, err := take(ctx, &o)
		if err != nil {
			o.free()
			return nil, err
		}
		used := d.used
		call.Reused = used
		a, err := d.roundTrip(ctx, s, &o)
		if err == nil {
			return &a.http, nil
		}
		if err == errStale {
			continue
		}
		if !used || !mayRepeat(&o, err) {
			return nil, err
		}
		take = t.fresh
	}
}

// mayRepeat reports whether a request that failed on a kept connection is to be tried on a fresh one: the endpoint has
// most likely closed it before the request came, and if not, repeating does no harm.
func mayRepeat(o *outgoing, err error) bool {
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Kind != failure.ConnectionTerminated {
		return false
	}
	return o.repeatable() || f.RetrySafe && o.stream == nil
}

// take returns an idle connection, or a new one, or waits for either.
func (t *Transport) take(ctx context.Context, o *outgoing) (*dialed, error) {
	t.mu.Lock()
	if n := len(t.idle); n > 0 {
		d := t.idle[n-1]
		t.idle[n-1] = nil
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		return d, nil
	}
	return t.acquire(ctx, o)
}

// fresh is take without the idle connections.
func (t *Transport) fresh(ctx context.Context, o *outgoing) (*dialed, error) {
	t.mu.Lock()
	return t.acquire(ctx, o)
}

// acquire dials if one more connection may be open, else waits, in either case no longer than until the answer to o must
// have come. It is called with t.mu held.
func (t *Transport) acquire(ctx context.Context, o *outgoing) (*dialed, error) {
	outer := ctx
	if by := o.call.AnswerBy; !by.IsZero() {
		limited, cancel := context.WithDeadline(ctx, by)
		defer cancel()
		ctx = limited
	}
	if t.MaxConns <= 0 || t.open < t.MaxConns {
		t.open++
		t.mu.Unlock()
		o.park()
		return t.dial(ctx)
	}
	if t.Pending > 0 && len(t.waiting) >= t.Pending {
		t.mu.Unlock()
		return nil, &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionLimitReached, RetrySafe: true}
	}
	w := &waiter{got: make(chan *dialed, 1)}
	t.waiting = append(t.waiting, w)
	t.mu.Unlock()
	o.park()
	select {
	case d := <-w.got:
		return t.granted(ctx, d)
	case <-ctx.Done():
		t.withdraw(w)
		return nil, neverGranted(outer, ctx)
	}
}

// neverGranted is the failure of a request that waited in vain.
func neverGranted(outer, limited context.Context) error {
	f := &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionLimitReached, Err: context.Cause(limited)}
	if outer.Err() != nil {
		f = cancelled(outer)
	}
	f.RetrySafe = true
	return f
}

func (t *Transport) granted(ctx context.Context, d *dialed) (*dialed, error) {
	if d == nil {
		return t.dial(ctx)
	}
	return d, nil
}

// withdraw takes w out of the queue; what it was given at the same moment goes on to the next.
func (t *Transport) withdraw(w *waiter) {
	t.mu.Lock()
	for i, other := range t.waiting {
		if other == w {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			t.mu.Unlock()
			return
		}
	}
	t.mu.Unlock()
	if d := <-w.got; d != nil {
		t.put(d)
	} else {
		t.closed()
	}
}

func (t *Transport) dial(ctx context.Context) (*dialed, error) {
	c, err := t.Dial(ctx)
	if err != nil {
		t.closed()
		return nil, dialFailure(ctx, err)
	}
	d := &dialed{pool: t, late: true}
	d.in.sock.init(c)
	return d, nil
}

// put takes back a connection whose answer was read to its exact end.
func (t *Transport) put(d *dialed) {
	d.used, d.late, d.since = true, false, 0
	t.mu.Lock()
	if t.retired || t.MaxIdle > 0 && len(t.idle) >= t.MaxIdle && len(t.waiting) == 0 {
		t.mu.Unlock()
		d.close()
		return
	}
	if w := t.nextWaiter(); w != nil {
		t.mu.Unlock()
		d.late = true
		w.got <- d
		return
	}
	t.idle = append(t.idle, d)
	if t.sweep == nil {
		t.swept = now()
		t.sweep = time.AfterFunc(t.sweepEvery(), t.tidy)
	}
	t.mu.Unlock()
}

// closed notes that a connection is no more; a waiter may dial in its stead.
func (t *Transport) closed() {
	t.mu.Lock()
	w := t.nextWaiter()
	if w == nil {
		t.open--
	}
	t.mu.Unlock()
	if w != nil {
		w.got <- nil
	}
}

func (t *Transport) nextWaiter() *waiter {
	if len(t.waiting) == 0 {
		return nil
	}
	w := t.waiting[0]
	t.waiting[0] = nil
	t.waiting = t.waiting[1:]
	return w
}

// sweepEvery is how often idle connections are looked at: often enough that one closed by the endpoint does not linger.
func (t *Transport) sweepEvery() time.Duration {
	every := 5 * time.Second
	if t.IdleTimeout > 0 {
		every = min(every, max(t.IdleTimeout/4, 10*time.Millisecond))
	}
	return every
}

// tidy closes idle connections that are too old or no longer good. One that came back since the last time is taken to
// have come right after it: too old too soon by one round at most, and no request reads the clock for it.
func (t *Transport) tidy() {
	t.mu.Lock()
	before := t.swept
	t.swept = now()
	old := t.swept - moment(t.IdleTimeout)
	t.closeIdle(func(d *dialed) bool {
		if d.since == 0 {
			d.since = before
		}
		return t.IdleTimeout > 0 && d.since < old || !d.in.sock.quiet()
	})
	if len(t.idle) > 0 {
		t.sweep.Reset(t.sweepEvery())
	} else {
		t.sweep = nil
	}
	t.mu.Unlock()
}

// closeIdle closes the idle connections that are bad. It is called with t.mu held; nobody waits while some are idle.
func (t *Transport) closeIdle(bad func(*dialed) bool) {
	kept := t.idle[:0]
	for _, d := range t.idle {
		if !bad(d) {
			kept = append(kept, d)
			continue
		}
		d.in.sock.close()
		t.open--
	}
	clear(t.idle[len(kept):])
	t.idle = kept
}

// CloseIdle closes the connections that no request is using.
func (t *Transport) CloseIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeIdle(func(*dialed) bool { return true })
	if t.sweep != nil {
		t.sweep.Stop()
		t.sweep = nil
	}
}

// Retire closes idle connections now and busy ones when their answer has ended. Requests are still served.
func (t *Transport) Retire() {
	t.mu.Lock()
	t.retired = true
	t.mu.Unlock()
	t.CloseIdle()
}

// Waiting is the number of requests that wait for a connection.
func (t *Transport) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}

// Conns is the number of connections open, and of those idle.
func (t *Transport) Conns() (open, idle int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open, len(t.idle)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

package http1

// A turn is one request and its answer on a client's connection, and all the memory they need.

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// What of an unread request body is read and dropped to save the connection.
const (
	drainBytes = 256 << 10
	drainTime  = 2 * time.Second
)

type turn struct {
	request
	conn      *accepted
	body      body
	writer    Writer
	continued bool // 100 was sent

	saying sync.Mutex // held by who sends, or decides on, 100, 1xx and the answer: a sender reads the body elsewhere
}

var turns = sync.Pool{New: func() any { return new(turn) }}

func newTurn(a *accepted) *turn {
	t := turns.Get().(*turn)
	t.conn = a
	return t
}

// blankTurn is a turn for a head that did not come to its end: nothing of it is known, and nothing of another's is left.
func blankTurn(a *accepted) *turn {
	t := newTurn(a)
	t.request.reset(0)
	t.minor, t.url = 1, url.URL{}
	t.http = http.Request{URL: &t.url, Header: t.header, Body: http.NoBody, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	return t
}

// free gives the memory back.
// Out of line: decision 014.
//
//go:noinline
func (t *turn) free() {
	t.conn, t.body.in, t.body.owner = nil, nil, nil
	t.writer = Writer{}
	turns.Put(t)
}

// begin makes the request ready for the Handler.
// Out of line: decision 014.
//
//go:noinline
func (t *turn) begin() {
	a, r := t.conn, &t.http
	r.RemoteAddr = a.remote
	if a.in.sock.raw == nil {
		r.TLS = a.tlsState()
	}
	t.continued = false
	t.writer = Writer{turn: t, closing: r.Close || r.Method == http.MethodConnect}
	if r.ContentLength == 0 {
		t.body.init(&a.in, nil, byLength, 0)
		t.body.err = io.EOF // nothing to tell the owner
		return
	}
	if r.ContentLength > 0 {
		t.body.init(&a.in, t, byLength, r.ContentLength)
	} else {
		t.body.init(&a.in, t, byChunks, 0)
		t.body.trailer = &r.Trailer
	}
	t.body.limits, t.body.wait = a.limits, a.limits.StallTimeout
	r.Body = &t.body
}

// beforeRead tells a client that waits for it to send its body, now that somebody wants it.
func (t *turn) beforeRead() error {
	if !t.awaitsContinue() {
		return nil
	}
	t.saying.Lock()
	defer t.saying.Unlock()
	if t.continued || t.writer.begun {
		return nil
	}
	t.continued = true
	return t.conn.in.sock.write(continueLine, nil, t.conn.limits.StallTimeout)
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

func (t *turn) bodyEnded(bool) {}

func (t *turn) bodyClosed(waiting bool) {
	if waiting {
		t.conn.in.sock.halt()
	}
}

// bodyError puts an error of reading a request's body into words. It is always the client's.
func (t *turn) bodyError(err error) error {
	if err == errBodyClosed {
		return err
	}
	if bad, ok := errors.AsType[*fault](err); ok {
		return failure.Request(bad.status, bad.detail)
	}
	kind := failure.ClientGone
	if isTimeout(err) && !t.conn.in.sock.halted.Load() {
		kind = failure.ClientStalled
	}
	return &failure.Error{Source: failure.Client, Kind: kind, Err: err}
}

// finish ends the turn after the Handler has returned; true if the connection can go on.
// Out of line: decision 014.
//
//go:noinline
func (t *turn) finish() bool {
	w := &t.writer
	switch {
	case !w.begun:
		w.Abort()
		return false
	case w.broken || w.switched:
		return false
	case t.body.over():
		return !w.closing
	case !w.closing && t.readable() && t.drain():
		return true
	}
	t.conn.lingers = true
	return false
}

// readable reports whether the body can be read on: nothing is wrong with it but that we have ended its reading. The
// client has not been told that the connection ends, and may be sending the next request behind the body already.
func (t *turn) readable() bool {
	b, s := &t.body, &t.conn.in.sock
	if b.err != nil && b.err != errBodyClosed && !(s.halted.Load() && isTimeout(b.err)) {
		return false
	}
	s.resume()
	b.err = nil
	return true
}

// unreadable reports whether the rest of the body is not worth reading, or will never come. Of chunks nobody knows how
// many are left: where some were passed on and an early answer stops that, more than is worth reading may follow, and a
// connection closed behind them, unannounced, would take the client's next request along.
func (t *turn) unreadable() bool {
	taken, left, err := t.body.progress()
	switch {
	case err == io.EOF:
		return false
	case err != nil, t.awaitsContinue() && !t.continued:
		return true
	}
	if t.body.coding == byChunks {
		return taken > 0
	}
	return left > drainBytes
}

// drain reads the rest of the body, up to a bound.
func (t *turn) drain() bool {
	b := &t.body
	b.closed, b.wait = false, drainTime
	for dropped := 0; dropped <= drainBytes; {
		q, err := b.next(true)
		if err != nil {
			return b.over()
		}
		dropped += len(q)
		b.Discard(len(q))
	}
	return false
}

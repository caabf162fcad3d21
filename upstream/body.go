package upstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/http1"
)

// requestBody lets several attempts read one request body, each from its start. What has been read from the client is
// kept, up to a limit, until the answer begins; beyond the limit nothing is kept and the body cannot be repeated.
//
// What is in hand already is not read but lent: HTTP/1.1 peeks at it, sends it with the head, and discards it when the
// answer has come. Until then nothing was read, and the next attempt can peek again.
//
// A transport may still be inside a read for an attempt that is over. Reads from the client are therefore under a lock,
// and what such a late read gets is kept like the rest, for the attempt that needs it now. A transport that waits for its
// read to return closes the body first. That wakes it, by closing the source: a body that was being waited for when its
// attempt broke off is not repeated.
type requestBody struct {
	source  io.Reader
	began   atomic.Bool                // something was read from source, or is being read
	reading atomic.Pointer[bodyReader] // whoever does right now
	lost    atomic.Bool                // not everything read is kept
	over    atomic.Bool                // nothing is to be read from source any more

	mu    sync.Mutex
	limit int64
	// untilAnswer: what is discarded is not kept, because the answer has come and no other will be asked for.
	untilAnswer bool

	kept  []byte
	total int64 // bytes read from source
	err   error // what source ended with
}

// repeatable reports whether another attempt can have the body from its start.
func (b *requestBody) repeatable() bool {
	return b == nil || !b.began.Load() || b.limit > 0 && !b.lost.Load()
}

// collect reads all of a body of known length, so that attempts beside each other can have it; false: it is longer than
// what is kept, or of unknown length. A body that breaks off does so for each attempt.
func (b *requestBody) collect(length int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if length < 0 || length > b.limit {
		return false
	}
	b.began.Store(true)
	b.untilAnswer = false
	all := make([]byte, length)
	n, err := io.ReadFull(b.source, all)
	b.keep(all[:n])
	if err == nil {
		var more [1]byte
		if _, err = b.source.Read(more[:]); err == nil {
			err = io.ErrNoProgress // more than its length: no server does that
		}
	}
	b.err = err
	return true
}

// handBack gives the request what was collected of its body: no attempt was made, and another service may be asked.
func (b *requestBody) handBack(r *http.Request) {
	if b == nil || b.total == 0 {
		return
	}
	from := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(b.kept), from), from}
}

// finish ends all reading: the request is over, and source belongs to somebody else again. A late read is woken, and
// waited for.
func (b *requestBody) finish() {
	if b == nil {
		return
	}
	b.over.Store(true)
	if b.reading.Load() != nil {
		b.wake()
		b.mu.Lock()
		defer b.mu.Unlock()
	}
}

// wake ends a read of source for good.
func (b *requestBody) wake() {
	b.lost.Store(true)
	if c, ok := b.source.(io.Closer); ok {
		c.Close()
	}
}

var (
	errBodyOver = errors.New("the attempt that reads this request body is over")
	errBodyLost = errors.New("the request body is too long to be repeated")
)

// bodyReader is the body as one attempt reads it.
type bodyReader struct {
	body *requestBody
	at   int64
	over atomic.Bool
}

var _ http1.Peeker = (*bodyReader)(nil)

func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r.at < int64(len(b.kept)) && !r.ended():
		n := copy(p, b.kept[r.at:])
		r.at += int64(n)
		return n, b.endAt(r.at)
	case r.at < b.total && !r.ended():
		return 0, errBodyLost
	case b.err != nil && !r.ended():
		return 0, b.err
	}
	b.reading.Store(r)
	defer b.reading.Store(nil)
	if r.ended() { // asked once more: whoever says so from now on sees that this is a read to wake
		return 0, errBodyOver
	}
	b.began.Store(true)
	n, err := b.source.Read(p)
	r.at += int64(n)
	b.keep(p[:n])
	b.err = err
	return n, err
}

func (r *bodyReader) ended() bool { return r.over.Load() || r.body.over.Load() }

// Peek implements http1.Peeker: what is kept, or what source has in hand.
func (r *bodyReader) Peek() []byte {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r.ended():
		return nil
	case r.at < int64(len(b.kept)):
		return b.kept[r.at:]
	case r.at < b.total || b.err != nil:
		return nil
	}
	if p, ok := b.source.(http1.Peeker); ok {
		return p.Peek()
	}
	return nil
}

// Discard implements http1.Peeker.
func (r *bodyReader) Discard(n int) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.at += int64(n); r.at <= b.total {
		return
	}
	p := b.source.(http1.Peeker)
	b.began.Store(true)
	if b.untilAnswer {
		b.lost.Store(true)
	}
	b.keep(p.Peek()[:n])
	p.Discard(n)
}

// Close ends the attempt's reading. Source is the proxy's to close, unless somebody waits for it.
func (r *bodyReader) Close() error {
	r.finish()
	if r.body.reading.Load() == r {
		r.body.wake()
	}
	return nil
}

// Reopen undoes Close, for a transport that gives a connection up and reads on another.
func (r *bodyReader) Reopen() { r.over.Store(false) }

// finish ends the attempt's reading.
func (r *bodyReader) finish() { r.over.Store(true) }

// endAt is what source ended with, told with the last bytes so that HTTP/2 can end its stream with them.
func (b *requestBody) endAt(at int64) error {
	if at == b.total {
		return b.err
	}
	return nil
}

func (b *requestBody) keep(p []byte) {
	b.total += int64(len(p))
	switch {
	case b.limit == 0 || b.lost.Load():
	case b.total > b.limit:
		b.lost.Store(true)
		b.kept = nil
	default:
		b.kept = append(b.kept, p...)
	}
}

// forget stops keeping: the answer has begun, so nothing is repeated.
func (b *requestBody) forget() {
	if b != nil && b.limit > 0 {
		b.lost.Store(true)
	}
}

package upstream

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// requestBody lets several attempts read one request body, each from its start. What has been read from the client is
// kept, up to a limit, until the answer begins; beyond the limit nothing is kept and the body cannot be repeated.
//
// A transport may still be inside a read for an attempt that is over. Reads from the client are therefore under a lock,
// and what such a late read gets is kept like the rest, for the attempt that needs it now.
type requestBody struct {
	source io.Reader
	began  atomic.Bool // something was read from source, or is being read
	lost   atomic.Bool // not everything read is kept
	over   atomic.Bool // nothing is to be read from source any more

	mu    sync.Mutex
	limit int64
	kept  []byte
	total int64 // bytes read from source
	err   error // what source ended with
}

// newRequestBody keeps up to limit bytes; 0 keeps nothing.
func newRequestBody(source io.Reader, limit int64) *requestBody {
	return &requestBody{source: source, limit: limit}
}

// repeatable reports whether another attempt can have the body from its start.
func (b *requestBody) repeatable() bool {
	return b == nil || !b.began.Load() || b.limit > 0 && !b.lost.Load()
}

// reader begins an attempt.
func (b *requestBody) reader() *bodyReader { return &bodyReader{body: b} }

// finish ends all reading: the request is over, and source belongs to somebody else again.
func (b *requestBody) finish() {
	if b != nil {
		b.over.Store(true)
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

func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r.over.Load() || b.over.Load():
		return 0, errBodyOver
	case r.at < int64(len(b.kept)):
		n := copy(p, b.kept[r.at:])
		r.at += int64(n)
		return n, b.endAt(r.at)
	case r.at < b.total:
		return 0, errBodyLost
	case b.err != nil:
		return 0, b.err
	}
	b.began.Store(true)
	n, err := b.source.Read(p)
	r.at += int64(n)
	b.keep(p[:n])
	b.err = err
	return n, err
}

// Close does nothing: source is the proxy's to close, and a transport that gives a connection up may read again on
// another.
func (r *bodyReader) Close() error { return nil }

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

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// requestBody stands between the client's body and whoever reads it: it counts, enforces the limit, and remembers that
// a read failed because of the client, so that no service is blamed for it. It is not pooled: a transport may still be
// reading when the exchange has ended.
type requestBody struct {
	io.ReadCloser
	limit    int64 // 0: none
	declared int64 // Content-Length, -1: unknown
	read     atomic.Int64
	failed   atomic.Pointer[failure.Error]
	closed   atomic.Bool

	// Trailers arrive with the end of the body. from is nil if none were announced.
	from, to http.Header
}

// limitBody puts the body under the limit of the route, or of the listener if there is none. Tunnels and the streams of
// gRPC and Connect are not bodies in that sense: they have no length to bound. A content type alone makes no stream: the
// route must lead to somebody who takes one.
// Out of line: decision 014.
//
//go:noinline
func (l *life) limitBody() {
	in := l.x.In
	if in.Body == nil || in.Body == http.NoBody {
		return
	}
	limit := l.listener.Limits.BodyBytes
	if l.route != nil {
		limit = l.route.BodyBytes
	}
	if exchange.UpgradeToken(in) != "" || (isGRPC(in.Header) || isConnectStream(in.Header)) && (l.route == nil || l.route.Streams) {
		limit = 0
	}
	l.body = &requestBody{ReadCloser: in.Body, limit: limit, declared: in.ContentLength}
	in.Body = l.body
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	total := b.read.Add(int64(n))
	if b.limit > 0 && total > b.limit {
		return 0, b.fail(b.oversize())
	}
	if err == io.EOF {
		b.passTrailers()
		return n, err
	}
	switch {
	case err == nil:
		return n, nil
	case b.closed.Load():
		return n, err
	}
	return n, b.fail(clientBroke(err))
}

// Close ends the reading from our side: what a transport does when the service wants no more. A read that fails after
// it is not the client's fault.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}

// Peek and Discard make the body an http1.Peeker, if the client's is one: what is in hand goes out with the head. A body
// that is over its limit is left to Read, which says so.
func (b *requestBody) Peek() []byte {
	p, ok := b.ReadCloser.(peeker)
	if !ok {
		return nil
	}
	next := p.Peek()
	if b.limit > 0 && b.read.Load()+int64(len(next)) > b.limit {
		return nil
	}
	return next
}

func (b *requestBody) Discard(n int) {
	b.ReadCloser.(peeker).Discard(n)
	b.read.Add(int64(n))
}

type peeker interface {
	Peek() []byte
	Discard(n int)
}

// passTrailers copies what came after the body, before the reader learns that it has ended.
func (b *requestBody) passTrailers() {
	for name, values := range b.from {
		if _, announced := b.to[name]; announced {
			b.to[name] = values
		}
	}
}

func (b *requestBody) fail(f *failure.Error) error {
	b.failed.CompareAndSwap(nil, f)
	return b.failed.Load()
}

// tooLarge refuses a declared length over the limit before a byte is read.
func (b *requestBody) tooLarge() error {
	if b == nil || b.limit == 0 || b.declared <= b.limit {
		return nil
	}
	return b.fail(b.oversize())
}

func (b *requestBody) oversize() *failure.Error {
	return failure.Request(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is over the limit of %d bytes.", b.limit))
}

// failure is why reading the body failed, or nil. It is safe on nil.
func (b *requestBody) failure() *failure.Error {
	if b == nil {
		return nil
	}
	return b.failed.Load()
}

func (b *requestBody) bytes() int64 {
	if b == nil {
		return 0
	}
	return b.read.Load()
}

// clientBroke tells a body that is malformed or stalled, which the engine says, from one whose sender left.
func clientBroke(err error) *failure.Error {
	if f := failure.From(err); f.Source == failure.Client {
		return f
	}
	return &failure.Error{Source: failure.Client, Kind: failure.ClientGone, Err: err}
}

// isGRPC tells gRPC by its media type, application/grpc with or without a +codec.
func isGRPC(h http.Header) bool {
	const grpc = "application/grpc"
	t := first(h, "Content-Type")
	return strings.HasPrefix(t, grpc) && (len(t) == len(grpc) || t[len(grpc)] == '+' || t[len(grpc)] == ';')
}

func isConnectStream(h http.Header) bool {
	return strings.HasPrefix(first(h, "Content-Type"), "application/connect+")
}

// Package http1 is the gateway's HTTP/1.1 engine, both halves: a server loop for the connections of clients and a
// transport with a pool for the connections to endpoints. It speaks net/http's types and none of its machinery.
//
// One goroutine carries a request from the client's socket to the endpoint's and back; no channel hand-off, no helper
// goroutine, and at best one read and one write on each side:
//
//	wait (no buffer held) → recv into a pooled block → parse → Handler → send to the endpoint → wait →
//	recv → parse → head and first body bytes in one send to the client → wait
//
// What makes it cheap is in three places. socket.go waits inside one syscall.RawConn.Read call, so that readiness is
// never forgotten and no read is made only to learn that nothing is there; deadlines are armed late and corrected when
// they fire, so that a busy connection touches no timer. parse.go makes one string of a head and slices it. Everything
// a request needs (http.Request, header map, buffers) belongs to the connection's turn and is used again for the next:
// nothing of a request may be kept after ServeRequest has returned. Strings are ordinary strings and may be kept.
//
// What makes it safe is that there is one parser (RFC 9112, no leniency: an ambiguous message is refused and its
// connection closed) and one writer, which decides framing itself and never copies it from a header map. Choices the
// RFC leaves open: bare LF, obs-fold, lists or repeats of Content-Length, any transfer coding but chunked are refused;
// chunk extensions are skipped up to a bound and never forwarded; a second chunked is not a coding but an attack.
package http1

import (
	"net/http"
	"time"
)

// Limits bound what a client may make the engine hold or wait for. Sizes are bytes. Zero means no limit, save for the
// two sizes, which then fall back to a cap of 1 MiB and 10,000 fields: nothing is unbounded.
type Limits struct {
	HeaderBytes       int           // the field lines of one message, trailers too; over it 431
	HeaderCount       int           // number of fields; over it 431
	URIBytes          int           // the request target; over it 414
	HeaderTimeout     time.Duration // from a request's first byte to the end of its head; over it 408
	IdleTimeout       time.Duration // between requests; then the connection is closed
	StallTimeout      time.Duration // no byte moved where one is owed
	StreamIdleTimeout time.Duration // the same in tunnels and streamed answers (server-sent events, gRPC)
}

// DefaultLimits are those of the configuration reference.
func DefaultLimits() Limits {
	return Limits{
		HeaderBytes:       64 << 10,
		HeaderCount:       100,
		URIBytes:          8 << 10,
		HeaderTimeout:     10 * time.Second,
		IdleTimeout:       60 * time.Second,
		StallTimeout:      30 * time.Second,
		StreamIdleTimeout: 10 * time.Minute,
	}
}

var defaultLimits = DefaultLimits()

const (
	maxHeaderBytes = 1 << 20 // where a limit of 0 still ends
	maxHeaderCount = 10_000
)

func (l *Limits) headerBytes() int { return orCap(l.HeaderBytes, maxHeaderBytes) }
func (l *Limits) headerCount() int { return orCap(l.HeaderCount, maxHeaderCount) }
func (l *Limits) uriBytes() int    { return orCap(l.URIBytes, maxHeaderBytes) }

func orCap(n, limit int) int {
	if n <= 0 || n > limit {
		return limit
	}
	return n
}

// Peeker is a message body whose next bytes can be had without waiting. Bodies the engine makes are Peekers; a body kept
// in memory by somebody else should be one too, because what can be peeked at whole is sent together with the head.
type Peeker interface {
	Peek() []byte  // the next bytes in hand, valid until the next call of any method; empty if a read would wait
	Discard(n int) // consumes n of them
}

// streams reports whether a message with this Content-Type is an open-ended stream, which may be silent for long.
func streams(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) == 0 {
		return false
	}
	return isStream(v[0])
}

func isStream(media string) bool {
	return hasPrefixFold(media, "text/event-stream") || hasPrefixFold(media, "application/grpc") ||
		hasPrefixFold(media, "application/connect+")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && equalFold(s[:len(prefix)], prefix)
}

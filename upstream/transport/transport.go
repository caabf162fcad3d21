// Package transport carries one request to one endpoint. A Transport owns the endpoint's connections and nothing else:
// which endpoint, how often and how long is the attempt loop's to decide. Errors are *failure.Error of source upstream,
// and say whether anything of the request was sent.
//
// This is the seam behind which the protocols differ: HTTP/1.1 in http1.go, HTTP/2 in http2.go.
package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/http1"
)

// Transport carries requests to one endpoint. It holds neither goroutine nor socket until the first of them.
type Transport interface {
	// RoundTrip sends a request and returns as soon as the head of its answer has arrived. The answer's Body is never nil
	// and must be closed, which ends the exchange; it fails with http_response_incomplete if the upstream breaks off. The
	// Body of a 101 is an io.ReadWriteCloser. When ctx ends, so does the exchange, in whatever state but one: a tunnel lasts
	// until it is closed.
	//
	// Compression is not negotiated, redirects are not followed, and no proxy is looked for in the environment.
	RoundTrip(ctx context.Context, trip *Trip) (*http.Response, error)

	// CloseIdle closes the connections that carry nothing.
	CloseIdle()
}

// Trip is one request on its way to an endpoint, and what there is to say of the way.
type Trip struct {
	// Request is not changed. Of its URL path and query count, and its host where there is no other; the scheme is the
	// endpoint's. Close of its Body must wake a Read; a Body that is closed for good then has no method Reopen.
	Request *http.Request
	// Call says the rest, for HTTP/2 as for HTTP/1.1, but: Inform is never called after RoundTrip has returned. While the
	// request's body is awaited from the client it is the client's time that runs, not the service's: what was left of it
	// until AnswerBy then is counted from the body's end. Over HTTP/2 no field of an answer is missing from its Header.
	http1.Call
}

// Options are what the transport of an endpoint depends on. They are compared by compile's keys, not here.
type Options struct {
	Network string      // tcp or unix
	Address string      // host:port, or the socket's path
	TLS     *tls.Config // nil: plaintext
	HTTP2   bool
	Sparing bool // the other side counts pings and punishes: do not ask it more often than every five minutes

	Max            int           // connections open at once; 0: no limit
	MaxIdle        int           // connections kept that carry nothing; 0: no limit
	Pending        int           // requests that may wait while Max are busy; 0: no limit
	IdleTimeout    time.Duration // 0: idle connections are kept until the other side closes them
	ConnectTimeout time.Duration // addresses, TCP and TLS together; 0: as long as the system tries, at most two minutes
}

// New makes a transport.
func New(o Options) Transport {
	if o.HTTP2 {
		return newHTTP2(o)
	}
	return newHTTP1(o)
}

// Endpoint reads an endpoint's URL into the network and the address to dial.
func Endpoint(scheme, host, path string) (network, address string) {
	switch {
	case scheme == "unix":
		return "unix", path
	case strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']'):
		return "tcp", host
	case scheme == "https":
		return "tcp", net.JoinHostPort(strings.Trim(host, "[]"), "443")
	default:
		return "tcp", net.JoinHostPort(strings.Trim(host, "[]"), "80")
	}
}

// maxHeaderBytes bounds the head of an answer, 1xx answers included.
const maxHeaderBytes = 64 << 10

// full is the failure of a request for which there is no connection and no place to wait.
func full(detail string, err error) *failure.Error {
	return &failure.Error{
		Source: failure.Upstream, Kind: failure.ConnectionLimitReached, RetrySafe: true, Detail: detail,
		Header: http.Header{"Retry-After": {"1"}}, Err: err,
	}
}

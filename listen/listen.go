// Package listen is where clients come in: sockets, the PROXY protocol, TLS, the choice between HTTP/1.1 and HTTP/2, the
// limits of a listener, and draining.
//
//	accept ──▶ over the limit? ──▶ PROXY header ──▶ TLS handshake ──▶ ALPN or preface ──▶ engine ──▶ Proxy
//
// A Listener is a socket and outlives snapshots. A connection keeps for its life what was in force when it was accepted:
// certificates, trust, and with HTTP/2 the limits; so a reload breaks nothing open. HTTP/1.1 asks for its limits anew with
// each request, and every request is routed by what is in force.
// Nothing is read from a connection before it is known who reads it: the PROXY header and HTTP/2's preface are looked at
// with MSG_PEEK, so that a connection that waits costs a goroutine and no buffer, and the engine gets the socket itself.
package listen

import (
	"context"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/proxy"
)

// Proxy answers requests. *proxy.Server is one.
type Proxy interface {
	Serve(context.Context, *exchange.Exchange, proxy.Writer)
	// ServeFailure answers a request that this package refuses.
	ServeFailure(context.Context, *exchange.Exchange, *failure.Error, proxy.Writer)
}

var _ Proxy = (*proxy.Server)(nil)

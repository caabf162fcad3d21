package listen

//lint:file-ignore SA1019 it takes a connection that was accepted and told apart before; net/http's server takes a listener

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/snapshot"
)

// maxFrame is the largest frame taken, RFC 9113's own default. x/net's, of 1 MiB, is also what a connection goes on holding
// once it has read such a frame.
const maxFrame = 16 << 10

// maxStreams is how many streams a connection may have open where the limit is off.
const maxStreams = 1 << 16

// http2Server speaks HTTP/2 by x/net/http2, which keeps the protocol's own bounds: CONTINUATION frames count against the
// header limit, streams that are reset early still hold their place until served (and are bounded in number), control
// frames that nobody reads are bounded.
type http2Server struct {
	engine   *http2.Server
	base     *http.Server // what x/net reads further settings from; it never serves by itself
	draining atomic.Bool
}

func newHTTP2Server(spec *snapshot.Listener) *http2Server {
	limits := &spec.Limits
	streams := limits.Streams
	if streams == 0 {
		streams = maxStreams
	}
	s := &http2Server{
		engine: &http2.Server{
			MaxConcurrentStreams: uint32(min(streams, maxStreams)),
			MaxReadFrameSize:     maxFrame,
			IdleTimeout:          limits.IdleTimeout,
			WriteByteTimeout:     limits.StallTimeout,
			ReadIdleTimeout:      limits.StallTimeout, // a ping finds clients that vanished while a stream is open
		},
		base: &http.Server{
			MaxHeaderBytes: readableHeaderBytes(limits),
			ErrorLog:       silent,
		},
	}
	s.base.ConnState = s.connState
	// Without it the engine has no list of its connections, and could not tell them to go. It cannot fail: its only
	// error is about cipher suites of a TLS configuration, and base has none.
	_ = http2.ConfigureServer(s.base, s.engine)
	return s
}

// serveConn serves one connection and returns when it is closed.
func (s *http2Server) serveConn(c *connection, conn net.Conn) {
	var hc net.Conn = &http2Conn{Conn: conn, connection: c}
	if t, ok := conn.(*tls.Conn); ok {
		hc = &http2TLSConn{Conn: t, connection: c}
	}
	s.engine.ServeConn(hc, &http2.ServeConnOpts{
		Context:    c.listener.ctx,
		BaseConfig: s.base,
		Handler:    (*http2Requests)(c),
	})
}

// drain sends GOAWAY to every connection; each is closed when its streams are done.
func (s *http2Server) drain() {
	s.draining.Store(true)
	s.sendGoAway()
}

// sendGoAway has base run what the engine registered with it. It waits for nothing: base has no connections of its own.
func (s *http2Server) sendGoAway() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.base.Shutdown(ctx)
}

func (s *http2Server) connState(conn net.Conn, cs http.ConnState) {
	c := connectionOf(conn)
	switch cs {
	case http.StateActive:
		c.change(active)
	case http.StateIdle:
		c.change(idle)
		if s.draining.Load() { // it began after the others were told
			s.sendGoAway()
		}
	}
}

// http2Conn and http2TLSConn carry our connection through x/net; the second also its TLS state.
type http2Conn struct {
	net.Conn
	connection *connection
}

type http2TLSConn struct {
	*tls.Conn
	connection *connection
}

func connectionOf(conn net.Conn) *connection {
	if t, ok := conn.(*http2TLSConn); ok {
		return t.connection
	}
	return conn.(*http2Conn).connection
}

// http2Requests is a connection as the receiver of its requests.
type http2Requests connection

func (h *http2Requests) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	c := (*connection)(h)
	c.use()
	defer c.release()

	control := http.NewResponseController(rw)
	var b *body
	if r.ContentLength == 0 && len(r.Trailer) == 0 {
		r.Body = http.NoBody
	} else {
		b = newBody(r.Body, control, c.limits(), isCall(r.Header))
		r.Body = b
	}
	w := newWriter(rw, control, r, b, c)
	defer w.finish()
	defer b.finish()
	c.handle(r, w)
	if w.aborted {
		panic(http.ErrAbortHandler) // a stream reset
	}
}

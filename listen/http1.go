package listen

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/http1"
	"github.com/sluice-gateway/sluice/proxy"
	"github.com/sluice-gateway/sluice/snapshot"
)

var _ proxy.Writer = (*http1Writer)(nil)

// http1Server speaks HTTP/1.1 by our own engine. A listener has one for as long as it lives: a reload changes the limits
// of the connections it has, and closes none of them.
type http1Server struct {
	listener *Listener
	engine   http1.Server
	limited  atomic.Pointer[limited]
}

// limited is the limits of the listener in the engine's words, while one snapshot is in force and it has one name.
type limited struct {
	snapshot *snapshot.Snapshot
	name     string
	limits   http1.Limits
}

func newHTTP1Server(l *Listener) *http1Server {
	s := &http1Server{listener: l}
	s.engine.Handler, s.engine.Limits = s, s.limits
	return s
}

type connectionKey struct{}

// serve serves a connection until it is over, or parked because its client is silent. The connection's end is called when it
// is over, whoever serves it then.
func (s *http1Server) serve(c *connection, conn net.Conn) {
	s.engine.Adopt(connectionContext{c}, conn, c.end)
}

// connectionContext is what the contexts of a connection's requests come from: the listener's, and under connectionKey the
// connection. A context.WithValue would be one more object to fetch for each request.
type connectionContext struct{ c *connection }

func (x connectionContext) Deadline() (time.Time, bool) { return x.c.listener.ctx.Deadline() }
func (x connectionContext) Done() <-chan struct{}       { return x.c.listener.ctx.Done() }
func (x connectionContext) Err() error                  { return x.c.listener.ctx.Err() }

func (x connectionContext) Value(key any) any {
	if key == (connectionKey{}) {
		return x.c
	}
	return x.c.listener.ctx.Value(key)
}

// drain closes idle connections; the others get Connection: close with their next answer.
func (s *http1Server) drain() { s.engine.Shutdown() }

func (s *http1Server) limits() *http1.Limits {
	inForce, name := s.listener.holder.Load(), s.listener.Name()
	if now := s.limited.Load(); now != nil && now.snapshot == inForce && now.name == name {
		return &now.limits
	}
	next := &limited{snapshot: inForce, name: name, limits: http1.DefaultLimits()}
	spec := s.listener.spec()
	if spec != nil { // else forgotten: the proxy breaks off what still comes
		l := &spec.Limits
		next.limits = http1.Limits{
			HeaderBytes: l.HeaderBytes, HeaderCount: l.HeaderCount, URIBytes: l.URIBytes,
			HeaderTimeout: l.HeaderTimeout, IdleTimeout: l.IdleTimeout,
			StallTimeout: l.StallTimeout, StreamIdleTimeout: l.StreamIdleTimeout,
		}
	}
	s.limited.Store(next)
	return &next.limits
}

// ServeRequest implements http1.Handler.
func (s *http1Server) ServeRequest(ctx context.Context, r *http.Request, w *http1.Writer) {
	c := ctx.Value(connectionKey{}).(*connection)
	c.change(active)
	defer c.change(idle)
	if r.Body != http.NoBody {
		b := &lentBody{body: r.Body}
		r.Body = b
		defer b.takeBack()
	}
	var f *failure.Error
	if c.misdirected(r.Host) {
		f = misdirected
	}
	c.serveHTTP1(ctx, r, f, w)
}

// ServeFailure implements http1.Handler.
func (s *http1Server) ServeFailure(ctx context.Context, r *http.Request, f *failure.Error, w *http1.Writer) {
	c := ctx.Value(connectionKey{}).(*connection)
	c.change(active)
	defer c.change(idle)
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	c.serveHTTP1(ctx, r, f, w)
}

// serveHTTP1 gives a request, or why it is none, to the proxy. A connection has one at a time, so it owns the writer.
func (c *connection) serveHTTP1(ctx context.Context, r *http.Request, f *failure.Error, w *http1.Writer) {
	x := c.exchange(r)
	x.Relays = true
	defer proxy.Release(x)
	c.writer = http1Writer{Writer: w, connection: c, exchange: x}
	if f != nil {
		c.listener.proxy.ServeFailure(ctx, x, f, &c.writer)
	} else {
		c.listener.proxy.Serve(ctx, x, &c.writer)
	}
	c.writer = http1Writer{}
}

// http1Writer is the engine's writer as the proxy wants it.
type http1Writer struct {
	*http1.Writer
	connection *connection
	exchange   *exchange.Exchange
}

// Written is how many bytes of the body went to the client.
func (w *http1Writer) Written() int64 { return w.BytesWritten() }

// Write sends the answer. A 101 turns the connection into a tunnel, which is listed while it is open.
func (w *http1Writer) Write(res *http.Response) error {
	if res.StatusCode != http.StatusSwitchingProtocols {
		res.ContentLength = lengthOf(w.exchange.In.Method, res)
		return w.Writer.Write(res)
	}
	c := w.connection
	t := &tunnel{listener: w.exchange.Listener, route: w.exchange.Route, client: c.raw, upstream: res.Body}
	c.change(upgraded)
	c.listener.addTunnel(t)
	defer c.listener.removeTunnel(t)
	return w.Writer.Write(res)
}

package listen

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/snapshot"
)

// http1Server speaks HTTP/1.1 by net/http. All that is particular to net/http is in this file.
//
// What net/http answers by itself is not rendered, counted or logged by us: a request line or field that is malformed
// (400), a version (505), an unknown Expect (417), and a header block far over its limit (431). A header that is too
// slow is closed without a 408.
type http1Server struct{ server *http.Server }

// restGrace is how long net/http reads on after an early answer, so that the client, still sending, can read it: with
// bytes unread a close is a reset, which may overtake the answer.
const restGrace = time.Second

type connectionKey struct{}

func newHTTP1Server(spec *snapshot.Listener) *http1Server {
	return &http1Server{server: &http.Server{
		Handler:                      http.HandlerFunc(serveHTTP1),
		ReadHeaderTimeout:            spec.Limits.HeaderTimeout,
		IdleTimeout:                  spec.Limits.IdleTimeout,
		MaxHeaderBytes:               readableHeaderBytes(&spec.Limits),
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the proxy's to answer
		TLSNextProto:                 map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:                     silent,
		ConnState:                    func(c net.Conn, s http.ConnState) { c.(*http1Conn).connState(s) },
		ConnContext: func(_ context.Context, c net.Conn) context.Context {
			hc := c.(*http1Conn)
			return context.WithValue(hc.connection.listener.ctx, connectionKey{}, hc.connection)
		},
	}}
}

// serveConn serves one connection and returns when it is closed.
func (s *http1Server) serveConn(c *connection, conn net.Conn) {
	hc := &http1Conn{Conn: conn, connection: c, closed: make(chan struct{})}
	_ = s.server.Serve(&oneConn{conn: hc}) // its error only says that there is no second connection
}

// drain closes idle connections; the others get Connection: close with their next answer.
func (s *http1Server) drain() { s.server.SetKeepAlivesEnabled(false) }

// oneConn is the listener of one connection: the second Accept returns when it is closed.
type oneConn struct {
	conn  *http1Conn
	given bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.given {
		l.given = true
		return l.conn, nil
	}
	<-l.conn.closed
	return nil, io.EOF
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// http1Conn is a connection as net/http gets it. No write waits longer than stallTimeout for a byte to move.
type http1Conn struct {
	net.Conn
	connection *connection
	once       sync.Once
	closed     chan struct{}
}

func (c *http1Conn) Write(p []byte) (int, error) {
	stall := c.connection.limits().StallTimeout
	if stall == 0 {
		return c.Conn.Write(p)
	}
	written := 0
	for {
		c.Conn.SetWriteDeadline(time.Now().Add(stall))
		n, err := c.Conn.Write(p[written:])
		if written += n; err == nil || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
	}
}

func (c *http1Conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

func (c *http1Conn) connState(s http.ConnState) {
	switch s {
	case http.StateActive:
		c.connection.change(active)
	case http.StateIdle:
		c.connection.change(idle)
	}
}

func serveHTTP1(rw http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connectionKey{}).(*connection)
	if r.ProtoMajor != 1 { // net/http lets HTTP/2's preface through, for those who would take the connection over
		refuseVersion(rw)
		return
	}
	control := http.NewResponseController(rw)
	var b *body
	if r.Body != http.NoBody {
		_ = control.EnableFullDuplex() // else net/http would swallow the rest of the body before an early answer
		b = newBody(r.Body, control, c.limits(), isGRPC(r.Header))
		b.malformed = malformedHTTP1
		r.Body = b
	}
	w := newWriter(rw, control, r, b, c)
	defer w.finish()
	defer b.finish()
	c.handle(r, w)
	if w.aborted {
		c.reset()
		panic(http.ErrAbortHandler)
	}
	if b != nil && !b.ended() { // the connection closes: see writeHead
		_ = control.SetReadDeadline(time.Now().Add(restGrace))
	}
}

func refuseVersion(rw http.ResponseWriter) {
	rw.Header()["Connection"] = []string{"close"}
	rw.WriteHeader(http.StatusHTTPVersionNotSupported)
}

// malformedHTTP1 tells a body whose framing is wrong from one that broke off.
func malformedHTTP1(err error) error {
	var network net.Error
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, http.ErrBodyReadAfterClose) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &network) {
		return err
	}
	return &failure.Error{Source: failure.Client, Kind: failure.HTTPRequestError,
		Detail: "The body is malformed.", Err: err}
}

// hijack takes the connection over for a tunnel, after the answer's head is written.
func hijack(control *http.ResponseController, res *http.Response) (io.ReadWriteCloser, error) {
	conn, buffered, err := control.Hijack()
	if err != nil {
		return nil, err
	}
	t := &hijacked{Conn: conn, early: buffered.Reader}
	if err := writeSwitch(buffered.Writer, res); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

func writeSwitch(w *bufio.Writer, res *http.Response) error {
	w.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := res.Header.Write(w); err != nil {
		return err
	}
	w.WriteString("\r\n")
	return w.Flush()
}

// hijacked reads first what the client sent behind its request.
type hijacked struct {
	net.Conn
	early *bufio.Reader
}

func (h *hijacked) Read(p []byte) (int, error) {
	if h.early != nil {
		if h.early.Buffered() > 0 {
			return h.early.Read(p[:min(len(p), h.early.Buffered())])
		}
		h.early = nil
	}
	return h.Conn.Read(p)
}

// CloseWrite ends our side; TCP, TLS and unix sockets can.
func (h *hijacked) CloseWrite() error {
	conn := h.Conn
	if hc, ok := conn.(*http1Conn); ok {
		conn = hc.Conn
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return h.Conn.Close()
}

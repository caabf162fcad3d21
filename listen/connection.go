package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
)

// state is what a connection is doing, as the gauges show it.
type state int32

const (
	fresh    state = iota // nothing was asked yet; shown as idle
	active                // a request is being served
	idle                  // between requests
	upgraded              // a tunnel
	closed
)

// A connection is one client's, from accept to close. Its engine, and with it all settings but the limits of
// HTTP/1.1, is the one that was in force when it was accepted. What each request touches stands before engine: decision 014.
type connection struct {
	listener *Listener
	writer   http1Writer      // of the HTTP/1.1 request that is being served
	active   *telemetry.Gauge // where it counts that it serves a request
	state    atomic.Int32
	users    atomic.Int32 // its own goroutine, and each request in it: HTTP/2's may outlast the connection by a moment

	engine     *engine
	raw        net.Conn
	peer       netip.AddrPort // the other end, or what PROXY protocol said it is
	peerText   string         // its address in words
	encrypted  bool
	serverName string // SNI, in lower case; empty: none was sent
	covered    atomic.Pointer[coverage]

	mu      sync.Mutex
	engaged bool // an engine reads from the connection, and sets its deadlines
}

func newConnection(l *Listener, e *engine, raw net.Conn) *connection {
	c := &connection{listener: l, engine: e, raw: raw, peer: peerOf(raw)}
	c.active = c.series().Active(l.accepted.Add(1))
	c.users.Store(1)
	return c
}

// loopback stands for the peer of a unix socket: a process of this machine, let in by the socket's mode.
var loopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)

func peerOf(raw net.Conn) netip.AddrPort {
	if addr, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
		return plainAddrPort(addr.AddrPort())
	}
	return loopback
}

func (c *connection) spec() *snapshot.Listener          { return c.engine.spec }
func (c *connection) limits() *snapshot.Limits          { return &c.engine.spec.Limits }
func (c *connection) series() *telemetry.ListenerSeries { return c.engine.spec.Series }

// serve is the life of a connection, on its own goroutine until an engine adopts it.
func (c *connection) serve() {
	c.series().Open.Add(1)
	conn, speaks, err := c.open()
	if err != nil {
		c.end()
		return
	}
	c.engage()
	c.peerText = c.peer.Addr().Unmap().String()
	switch {
	case speaks == protoHTTP1 && c.engine.http1:
		c.listener.http1.serve(c, conn)
		return
	case speaks == protoHTTP2 && c.engine.http2 != nil:
		c.engine.http2.serveConn(c, conn)
	}
	c.end()
}

func (c *connection) end() {
	c.raw.Close()
	c.release()
}

func (c *connection) use() { c.users.Add(1) }

// release ends what use began. The last one takes the connection off the list that a drain waits for.
func (c *connection) release() {
	if c.users.Add(-1) > 0 {
		return
	}
	if c.change(closed) {
		c.series().Open.Add(-1)
	}
	c.listener.remove(c)
}

// change moves the connection from one gauge to the next. Nothing follows closed.
func (c *connection) change(next state) bool {
	for {
		now := state(c.state.Load())
		if now == closed {
			return false
		}
		if c.state.CompareAndSwap(int32(now), int32(next)) {
			c.count(now, -1)
			c.count(next, 1)
			return true
		}
	}
}

// count counts what is neither idle nor new: those are the rest.
func (c *connection) count(s state, n int64) {
	switch s {
	case active:
		c.active.Add(n)
	case upgraded:
		c.series().Upgraded.Add(n)
	}
}

// hurry is called once draining has begun: a connection that has not asked yet has a moment left to do so. One that
// an engine reads is the engine's to close.
func (c *connection) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.engaged {
		c.raw.SetReadDeadline(time.Now().Add(newcomerGrace))
	}
}

// engage gives the connection to an engine, without a deadline of ours.
func (c *connection) engage() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engaged = true
	c.raw.SetReadDeadline(time.Time{})
}

// await bounds the wait for bytes before an engine takes over. 0: no bound.
func (c *connection) await(limit time.Duration) {
	var deadline time.Time
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	c.raw.SetReadDeadline(deadline)
	select {
	case <-c.listener.stopping: // hurry may have come before the line above
		c.hurry()
	default:
	}
}

// awaiting is await for when there is a wait: most clients have sent something by the time they are looked at.
func (c *connection) awaiting(limit time.Duration) func() { return func() { c.await(limit) } }

const (
	protoHTTP1 = "http/1.1"
	protoHTTP2 = "h2"
)

// open goes as far as it takes to know which engine the connection is for.
func (c *connection) open() (conn net.Conn, speaks string, err error) {
	if c.spec().ProxyProtocol {
		if err := c.readPeer(); err != nil {
			return nil, "", err
		}
	}
	if c.spec().TLS != nil {
		return c.handshake()
	}
	speaks, err = c.sniff()
	return c.raw, speaks, err
}

// readPeer learns from the PROXY header who the client is. Only a trusted proxy may say so, and it must.
func (c *connection) readPeer() error {
	if !c.spec().Trusts(c.peer.Addr()) {
		c.series().Rejected(telemetry.RejectedProxyProtocol)
		return errors.New("the peer is not one of trustedProxies")
	}
	wait := c.limits().HeaderTimeout
	if wait == 0 {
		wait = proxyWait
	}
	c.await(wait)
	peer, err := readProxyHeader(c.raw, c.peer)
	if err != nil {
		if err != io.EOF { // a balancer that only looks whether the port is open is no failure
			c.series().Rejected(telemetry.RejectedProxyProtocol)
		}
		return err
	}
	c.peer = peer
	c.await(0) // what follows has bounds of its own, and may not wait at all
	return nil
}

// handshake makes the connection a TLS one. It begins when the client does, so that one that says nothing costs no
// buffer and counts as no failure.
func (c *connection) handshake() (net.Conn, string, error) {
	var first [1]byte
	if _, err := peek(c.raw, first[:], anything, c.awaiting(c.limits().HeaderTimeout)); err != nil {
		return nil, "", err
	}
	conn := tls.Server(c.raw, c.spec().TLS)
	if err := c.shake(conn); err != nil {
		c.series().Rejected(telemetry.RejectedTLS)
		return nil, "", err
	}
	s := conn.ConnectionState()
	c.encrypted, c.serverName = true, canonicalName(s.ServerName)
	if s.NegotiatedProtocol == protoHTTP2 {
		return conn, protoHTTP2, nil
	}
	return conn, protoHTTP1, nil // also a client that speaks no ALPN
}

// shake bounds the writing side too: a client may take no byte of our certificate.
func (c *connection) shake(conn *tls.Conn) error {
	ctx := c.listener.ctx
	if limit := c.limits().HeaderTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return conn.HandshakeContext(ctx)
}

// sniff waits for the first bytes of a plaintext connection and tells HTTP/2's preface (RFC 9113 section 3.4) from
// everything else.
func (c *connection) sniff() (string, error) {
	var seen [len(http2.ClientPreface)]byte
	n, err := peek(c.raw, seen[:], anything, c.awaiting(c.limits().IdleTimeout))
	if err != nil {
		return "", err
	}
	if c.engine.http2 == nil || !prefaceBegins(seen[:n]) {
		return protoHTTP1, nil
	}
	if n, err = peek(c.raw, seen[:], prefaceDecided, c.awaiting(c.limits().HeaderTimeout)); err != nil {
		return "", err
	}
	if !prefaceBegins(seen[:n]) {
		return protoHTTP1, nil
	}
	return protoHTTP2, nil
}

func anything([]byte) bool { return true }

func prefaceBegins(seen []byte) bool { return bytes.HasPrefix([]byte(http2.ClientPreface), seen) }

func prefaceDecided(seen []byte) bool {
	return len(seen) == len(http2.ClientPreface) || !prefaceBegins(seen)
}

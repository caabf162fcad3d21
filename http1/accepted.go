package http1

// One client connection: wait, parse, handle, again.
//
// A connection on which nothing happens for a while is parked: its goroutine ends, the watcher looks after it, and the
// next byte starts a new goroutine. What remains of it is this struct and the runtime's descriptor, about 1 KiB.

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// How long a goroutine waits for the next request before the connection is parked: shortly as long as the client has
// not shown that it sends one request after another.
const (
	parkSoon  = moment(500 * time.Millisecond)
	parkLate  = moment(2 * time.Second)
	busyAfter = 4 // requests
)

// accepted is a client's connection. What each request touches stands before id: decision 014.
type accepted struct {
	server    *Server
	in        inbound
	limits    *Limits // as they were when the last request ended
	onReady   func(fd uintptr) bool
	turn      *turn  // parsed, and not handled inside the session
	begun     moment // of the head being received; 0: waiting for a request
	idleSince moment
	served    int // requests so far
	fate      fate
	mayPark   bool
	skipped   bool // an empty line, before that head
	lingers   bool // the client may still be sending when it ends
	lastCall  bool // serve what is there, wait for nothing
	remote    string
	scope     Scope

	id        uint64
	tls       *tls.ConnectionState
	onEnd     func()
	parked    atomic.Bool
	watched   bool
	idleUntil atomic.Int64 // the moment at which a parked connection is closed
}

// fate is what the session was left for.
type fate uint8

const (
	waiting fate = iota // nothing: go on
	outside             // a request that must read more from the socket while it is handled
	over
)

func newAccepted(s *Server, ctx context.Context, c net.Conn) *accepted {
	a := &accepted{server: s, remote: c.RemoteAddr().String()}
	a.in.sock.init(c)
	a.scope.parent = ctx
	if a.in.sock.raw != nil {
		a.onReady = a.ready
	}
	return a
}

// run serves the connection until it is over or parked.
func (a *accepted) run() {
	a.fate, a.begun = waiting, 0
	a.limits, a.idleSince = a.server.limits(), now()
	if a.in.sock.raw == nil && !a.shakeHands() {
		a.end()
		return
	}
	a.in.sock.rearm(a.deadline()) // the one that led to parking has fired, and would fail the first read
	for a.step() {
	}
}

// shakeHands completes a TLS handshake that the listener has left to the first read. It must not be interrupted: a
// handshake that has failed, be it by a deadline, fails for ever.
func (a *accepted) shakeHands() bool {
	c, ok := a.in.sock.conn.(*tls.Conn)
	if !ok || a.tls != nil {
		return true
	}
	by := time.Time{}
	if d := a.limits.HeaderTimeout; d > 0 {
		by = time.Now().Add(d)
	}
	c.SetDeadline(by)
	err := c.Handshake()
	c.SetDeadline(time.Time{})
	return err == nil && !a.in.sock.severed.Load() && a.tlsState() != nil
}

// step waits for bytes and serves what they hold; false: the goroutine is done with the connection.
func (a *accepted) step() bool {
	var err error
	if a.in.sock.raw != nil {
		err = a.in.sock.raw.Read(a.onReady)
	} else {
		err = a.receive()
	}
	if err != nil {
		return a.disturbed(err)
	}
	if a.fate == outside {
		a.fate = waiting
		a.handle(a.turn)
		if a.fate == waiting {
			a.settle(false)
		}
	}
	return a.fate != over || a.end()
}

// ready is the session: the callback of a RawConn.Read that goes on from request to request. False means: wait.
func (a *accepted) ready(fd uintptr) bool {
	s := &a.in.sock
	s.fd, s.inside = fd, true
	again := a.session(fd)
	s.inside = false
	return !again
}

// session serves what comes until nothing more does (true), or until it must be left.
func (a *accepted) session(fd uintptr) (again bool) {
	for a.fate == waiting {
		blk := takeBlock()
		n, errno := recv(fd, blk[:])
		if n > 0 {
			a.in.accept(blk, n)
			a.settle(true)
		} else {
			giveBlock(blk)
			if errno != syscall.EAGAIN || a.lastCall {
				a.fate = over
			}
		}
		// A full block may have left something behind, of which no edge would tell.
		if a.fate == waiting && n < blockSize && a.rest() {
			return true
		}
	}
	return false
}

// rest is the last thing before a wait. The flags are looked at after the deadline is armed: whoever sets one sets the
// deadline to the past afterwards, so one of the two is seen.
func (a *accepted) rest() bool {
	a.in.sock.arm(a.deadline())
	if a.scope.over.Load() || a.begun == 0 && a.server.draining.Load() {
		a.lastCall = true
	}
	return !a.lastCall
}

// receive is ready for connections that are read through their own methods.
func (a *accepted) receive() error {
	if a.fate != waiting {
		return nil
	}
	if !a.rest() {
		a.fate = over
		return nil
	}
	blk, n, err := a.in.sock.fillHead(a.deadline())
	if err != nil {
		return err
	}
	a.in.accept(blk, n)
	a.settle(false)
	return nil
}

// deadline is when the present wait is to be looked into.
func (a *accepted) deadline() moment {
	if a.begun != 0 {
		if a.limits.HeaderTimeout <= 0 {
			return never
		}
		return a.begun + moment(a.limits.HeaderTimeout)
	}
	switch by := a.idleEnds(); {
	case !a.mayPark:
		return by
	case a.served < busyAfter:
		return min(by, a.idleSince+parkSoon)
	default:
		return min(by, a.idleSince+parkLate)
	}
}

// idleEnds is the moment at which the connection has waited long enough for a request.
func (a *accepted) idleEnds() moment {
	if a.limits.IdleTimeout <= 0 {
		return never
	}
	return a.idleSince + moment(a.limits.IdleTimeout)
}

// settle serves every request that is whole, as long as the connection lives.
func (a *accepted) settle(inSession bool) {
	for len(a.in.data) > 0 {
		t, done := a.next()
		if !done {
			return
		}
		if t == nil {
			a.fate = over
			return
		}
		if inSession && !a.inHand(t) {
			a.turn, a.fate = t, outside
			return
		}
		a.handle(t)
		if a.fate == over {
			return
		}
	}
}

// next parses the next head. done is false while it is incomplete; t is nil if it was refused.
func (a *accepted) next() (t *turn, done bool) {
	if len(a.in.data) >= 2 && a.in.data[0] == '\r' && a.in.data[1] == '\n' && !a.skipped {
		a.in.consume(2) // one empty line before a request is no harm, RFC 9112 section 2.2
		a.begun, a.skipped = now(), true
		if len(a.in.data) == 0 {
			return nil, false
		}
	}
	end, bad := a.in.headEnd()
	if end < 0 {
		if bad == nil {
			bad = a.tooBig()
		}
		if bad != nil {
			return nil, a.refuse(blankTurn(a), bad)
		}
		if a.begun == 0 {
			a.begun = now()
		}
		a.in.park()
		return nil, false
	}
	t = newTurn(a)
	bad = t.parse(a.in.data[:end], a.limits)
	a.in.consume(end)
	if bad != nil {
		return nil, a.refuse(t, bad)
	}
	a.begun, a.skipped = 0, false
	return t, true
}

// tooBig judges a head of which the end has not come.
func (a *accepted) tooBig() *fault {
	n := len(a.in.data)
	switch {
	case n <= a.limits.uriBytes():
		return nil
	case n > a.limits.uriBytes()+a.limits.headerBytes():
		return faultHeadTooBig
	}
	line := a.in.data[:min(n, a.limits.uriBytes()+maxMethod)]
	if textEnd(line, 0) == len(line) && n > len(line) {
		return faultTargetTooLong
	}
	return nil
}

const maxMethod = 64 // how much of an unfinished request line may be its method

// inHand reports whether t can be handled without another read from the client.
func (a *accepted) inHand(t *turn) bool {
	r := &t.http
	if r.ContentLength == 0 {
		return !t.framing.upgrade && r.Method != http.MethodConnect
	}
	return r.ContentLength > 0 && r.ContentLength <= int64(len(a.in.data))
}

// handle has one request answered.
func (a *accepted) handle(t *turn) {
	t.begin()
	a.served++
	a.server.Handler.ServeRequest(&a.scope, &t.http, &t.writer)
	a.scope.takeBack()
	if !t.finish() {
		a.fate = over
	}
	t.free()
	a.turn = nil
	if a.fate != over {
		a.limits, a.idleSince = a.server.limits(), now()
	}
}

// refuse has the Handler say what is wrong with a message. It is always true: the refusal is done.
func (a *accepted) refuse(t *turn, bad *fault) bool {
	t.begin()
	t.writer.closing = true
	t.body.err = errBodyClosed
	a.server.Handler.ServeFailure(&a.scope, &t.http, failure.Request(bad.status, bad.detail), &t.writer)
	a.scope.takeBack()
	t.finish()
	t.free()
	return true
}

// disturbed looks into an error of a wait; most often a deadline that has several meanings.
func (a *accepted) disturbed(err error) bool {
	s := &a.in.sock
	if !isTimeout(err) || s.severed.Load() {
		return a.end()
	}
	poked := a.server.draining.Load() || a.scope.over.Load()
	if !poked && now() < s.armed {
		return a.end() // no deadline of ours: the connection itself has given up
	}
	s.armed = never
	switch {
	case a.begun != 0:
		if now() >= a.deadline() {
			a.tooSlow()
			return a.end()
		}
	case poked:
		if a.lastCall {
			return a.end()
		}
		a.lastCall = true
		s.rearm(never)
		return true
	case now() >= a.idleEnds():
		return a.end()
	case a.mayPark && a.park():
		return false
	}
	s.rearm(a.deadline())
	return true
}

// tooSlow answers a head that did not come in time; of a client that sent nothing it would be news.
func (a *accepted) tooSlow() {
	if len(a.in.data) == 0 {
		return
	}
	a.refuse(blankTurn(a), faultTooSlow)
}

var faultTooSlow = &fault{status: http.StatusRequestTimeout, detail: "The request's head did not come in time."}

// end closes the connection. It is always false: there is no next step.
func (a *accepted) end() bool {
	if a.scope.detach != nil {
		a.scope.detach()
	}
	if a.lingers && !a.in.sock.severed.Load() {
		a.linger()
	}
	a.in.release()
	a.in.sock.close()
	a.server.remove(a)
	a.scope.Cancel()
	if a.onEnd != nil {
		a.onEnd()
	}
	return false
}

// What is read and dropped before a connection is closed while its client may still be sending.
const (
	lingerBytes = 1 << 20
	lingerTime  = 2 * time.Second
)

// linger closes our half and waits, within bounds, for the client to close the other: bytes that arrive at a closed
// socket make the kernel reset it, and a reset can destroy the answer before the client has read it.
func (a *accepted) linger() {
	a.in.sock.resume()
	c := a.in.sock.conn
	err := closeWrite(c)
	if under := netConn(c); under != c { // TLS has only said goodbye
		err = closeWrite(under)
	}
	if err == nil {
		a.in.skip(lingerBytes, now()+moment(lingerTime))
	}
}

// gone notes that the client closed its side: what it asked for is cancelled, and a wait is looked into.
func (a *accepted) gone() {
	a.scope.Cancel()
	a.in.sock.conn.SetReadDeadline(longAgo)
}

// breakOff ends the connection from outside.
func (a *accepted) breakOff() {
	a.scope.Cancel()
	a.in.sock.sever()
	if a.claim() {
		a.end()
	}
}

// drain closes the connection if it is idle, and else wakes it to find out that it is to close.
func (a *accepted) drain() {
	if a.claim() {
		a.end()
		return
	}
	a.in.sock.conn.SetReadDeadline(longAgo)
}

// park gives the connection into the watcher's care. true: this goroutine must not touch it any more.
func (a *accepted) park() bool {
	if len(a.in.data) > 0 {
		return false
	}
	a.idleUntil.Store(int64(a.idleEnds()))
	a.parked.Store(true)
	if a.server.draining.Load() && a.claim() {
		return false
	}
	if a.server.watch.rest(a) {
		return true
	}
	return !a.claim()
}

// claim takes a parked connection; only one taker wins.
func (a *accepted) claim() bool { return a.parked.CompareAndSwap(true, false) }

// tlsState is the state of a TLS handshake, nil in plaintext. It is asked for once: a handshake is never repeated.
func (a *accepted) tlsState() *tls.ConnectionState {
	if a.tls != nil {
		return a.tls
	}
	c, ok := a.in.sock.conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	state := c.ConnectionState()
	a.tls = &state
	return a.tls
}

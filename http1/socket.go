package http1

// The connection underneath either half. A TCP or unix connection is read and written with the kernel's own calls,
// inside the callbacks of syscall.RawConn; anything else (TLS, pipes) through its net.Conn methods.
//
// Waiting. The runtime's poller is edge-triggered, and RawConn.Read forgets at its start every edge it has seen, which
// is why net.Conn.Read must try the kernel before it waits. Two ways around that try:
//   - exchange sends in the same RawConn.Read that then waits for the answer: the edge cannot be older than the request;
//   - the server loop stays inside one RawConn.Read from request to request (accepted.readable).
//
// A read that brings less than the buffer holds has emptied the socket, so the next bytes make a new edge. The one
// thing that would be missed is a FIN that came together with the last bytes; watch.go sees those.
//
// Deadlines. Setting one costs about as much as a small system call, so a deadline is armed only before a real wait,
// and only when none is set that fires sooner. One that fires too early is set again for the rest. A connection that is
// busy therefore arms one deadline per limit period and not per request.

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

type socket struct {
	conn     net.Conn
	raw      syscall.RawConn // nil: conn's own methods
	fd       uintptr         // the descriptor, while inside
	inside   bool            // the caller is in a callback of raw's: what it writes need not ask for the descriptor again
	armed    moment          // the read deadline that is set, or never
	severed  atomic.Bool     // sever was called
	halted   atomic.Bool     // halt was called
	deadline moment          // what a callback is to arm before it waits
	wait     time.Duration

	blk    *block // operands of the callbacks: a read fills blk or p, a write empties out, which may lie in blk, and tail
	p      []byte
	n      int
	errno  syscall.Errno
	tell   bool // a deadline that fires early is to be told, not set anew: somebody may have set it to be heard
	abrupt bool // close is to be a reset
	check  bool // exchange is to look first whether the connection is still quiet
	out    []byte
	tail   []byte
	sent   int
	werrno syscall.Errno
	stall  time.Duration
	wset   bool   // a write deadline is set, and to be lifted
	until  moment // the write deadline of a connection without kernel's calls

	onRead, onWrite, onExchange func(fd uintptr) bool // bound once, so that a call allocates nothing
}

func (s *socket) init(c net.Conn) {
	s.conn, s.armed = c, never
	s.raw = rawConn(c)
	if s.raw == nil {
		return
	}
	s.onRead, s.onWrite, s.onExchange = s.tryRead, s.tryWrite, s.tryExchange
}

// sever breaks the connection off from another goroutine: every wait on it, now and later, fails at once. It does not
// close: net.Conn.Close waits for callbacks to return, so only the goroutine that owns the socket does that.
func (s *socket) sever() {
	s.severed.Store(true)
	s.conn.SetDeadline(longAgo)
}

// halt wakes a reader from another goroutine without breaking the connection: reads fail until resume.
func (s *socket) halt() {
	s.halted.Store(true)
	s.conn.SetReadDeadline(longAgo)
}

func (s *socket) resume() {
	if s.halted.Swap(false) {
		s.rearm(never)
	}
}

var longAgo = time.Unix(1, 0)

// abort makes close a reset where there is such a thing, so that the peer cannot take what it got for a whole message.
func (s *socket) abort() {
	s.sever()
	s.abrupt = true
}

// close closes the connection. It must not be called inside a callback, which Close would wait for.
func (s *socket) close() {
	if s.abrupt {
		c := netConn(s.conn)
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		c.Close() // first: a TLS connection would say goodbye properly
	}
	s.conn.Close()
}

func netConn(c net.Conn) net.Conn {
	if u, ok := c.(interface{ NetConn() net.Conn }); ok {
		return u.NetConn()
	}
	return c
}

// arm makes sure that a deadline no later than by is set.
func (s *socket) arm(by moment) {
	if s.armed <= by {
		return
	}
	s.rearm(by)
}

// rearm replaces a deadline that fired too early.
func (s *socket) rearm(by moment) {
	s.armed = by
	t := time.Time{}
	if by != never {
		t = by.time()
	}
	s.conn.SetReadDeadline(t)
	if s.halted.Load() || s.severed.Load() { // which may have come in between
		s.conn.SetReadDeadline(longAgo)
	}
}

// early tells what to do about an error of a read: true if it was only a deadline that fired before by, which is then
// set anew.
func (s *socket) early(err error, by *moment) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || s.tell || s.severed.Load() || s.halted.Load() {
		return false
	}
	if *by == 0 {
		*by = after(s.wait)
	}
	if *by != never && now() >= *by {
		return false
	}
	s.rearm(*by)
	return true
}

// read waits for bytes, at most wait (0: for ever), and puts them into p.
func (s *socket) read(p []byte, wait time.Duration) (int, error) {
	s.wait, s.deadline = wait, 0
	if s.raw == nil {
		return s.readConn(p)
	}
	s.p = p
	err := s.rawRead(s.onRead)
	s.p = nil
	return s.result(err)
}

// fill is read into a block that is taken only when there are bytes to put there.
func (s *socket) fill(wait time.Duration) (*block, int, error) {
	s.wait, s.deadline = wait, 0
	return s.fillArmed()
}

// fillBy is fill that waits until by.
func (s *socket) fillBy(by moment) (*block, int, error) {
	s.deadline = by
	return s.fillArmed()
}

func (s *socket) fillArmed() (*block, int, error) {
	if s.raw == nil {
		return s.fillConn()
	}
	return s.filled(s.rawRead(s.onRead))
}

func (s *socket) filled(err error) (*block, int, error) {
	blk := s.blk
	s.blk = nil
	n, err := s.result(err)
	if n == 0 && blk != nil {
		giveBlock(blk)
		blk = nil
	}
	return blk, n, err
}

func (s *socket) rawRead(f func(uintptr) bool) error {
	for {
		err := s.raw.Read(f)
		if err == nil || !s.early(err, &s.deadline) {
			return err
		}
	}
}

func (s *socket) result(err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case s.errno != 0:
		return 0, s.errno
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// tryRead is the callback of read and fill.
func (s *socket) tryRead(fd uintptr) bool {
	if s.p != nil {
		s.n, s.errno = recv(fd, s.p)
	} else {
		s.blk = takeBlock()
		s.n, s.errno = recv(fd, s.blk[:])
		if s.errno != 0 {
			s.giveBack()
		}
	}
	if s.errno != syscall.EAGAIN {
		return true
	}
	s.armWait()
	return false
}

// armWait arms the deadline of the read that is about to wait.
func (s *socket) armWait() {
	if s.deadline == 0 {
		s.deadline = after(s.wait)
	}
	s.arm(s.deadline)
}

func (s *socket) readConn(p []byte) (int, error) {
	s.armWait()
	for {
		n, err := s.conn.Read(p)
		if n > 0 {
			return n, nil
		}
		if err == nil || s.early(err, &s.deadline) {
			continue
		}
		return 0, err
	}
}

func (s *socket) fillConn() (*block, int, error) {
	var one [1]byte // waits in place of a block
	n, err := s.readConn(one[:])
	if n == 0 {
		return nil, 0, err
	}
	blk := takeBlock()
	blk[0] = one[0]
	return blk, 1, nil
}

// fillHead is fill, until by, for a connection without kernel's calls and bytes of which one is never enough: it goes on
// behind the first, which a TLS connection has in memory. tell makes it report deadlines that fire early.
func (s *socket) fillHead(by moment) (*block, int, error) {
	s.deadline, s.tell = by, true
	blk, n, err := s.fillConn()
	if n > 0 {
		more, _ := s.readConn(blk[n:]) // an error comes back with the next read
		n += more
	}
	s.tell = false
	return blk, n, err
}

// errStale is a kept connection that was closed, or spoke unasked, while nobody used it. Nothing was sent.
var errStale = errors.New("http1: the kept connection is not as it was left")

// exchange sends out, which lies in lent, and tail, and waits until by for the first bytes that come back. It takes lent
// over, and gives it back before that wait. check makes it look first whether the connection is as it was left. s.sent
// tells how many bytes went out.
func (s *socket) exchange(lent *block, out, tail []byte, check bool, by moment, stall time.Duration) (*block, int, error) {
	s.sent, s.blk = 0, lent
	if s.raw == nil {
		if check && !s.quiet() {
			s.giveBack()
			return nil, 0, errStale
		}
		err := s.write(out, tail, stall)
		s.giveBack()
		if err != nil {
			return nil, 0, err
		}
		return s.fillBy(by)
	}
	s.deadline, s.check, s.out, s.tail, s.werrno = by, check, out, tail, 0
	err := s.rawRead(s.onExchange)
	out, tail = s.out, s.tail
	s.out, s.tail = nil, nil
	if err == nil && len(out)+len(tail) > 0 {
		return s.finishExchange(out, tail, by, stall)
	}
	return s.filled(err)
}

// finishExchange goes on when not everything could be sent at once.
func (s *socket) finishExchange(out, tail []byte, by moment, stall time.Duration) (*block, int, error) {
	var err error
	switch {
	case s.check:
		err = errStale
	case s.werrno != syscall.EAGAIN:
		err = s.werrno
	default:
		s.stall = stall
		err = s.flush(out, tail)
	}
	s.giveBack()
	if err != nil {
		return nil, 0, err
	}
	return s.fillBy(by)
}

// giveBack gives the block back that is in use, if one is.
func (s *socket) giveBack() {
	if s.blk != nil {
		giveBlock(s.blk)
		s.blk = nil
	}
}

// tryExchange is the callback of exchange: the first call sends, later ones receive.
func (s *socket) tryExchange(fd uintptr) bool {
	if len(s.out)+len(s.tail) == 0 {
		return s.tryRead(fd)
	}
	if s.check && !silent(fd) {
		return true
	}
	s.check = false
	if !s.push(fd) {
		return true
	}
	s.giveBack()
	s.armWait()
	return false
}

// push sends as much of out and tail as the kernel takes; true if that was all.
func (s *socket) push(fd uintptr) bool {
	for len(s.out)+len(s.tail) > 0 {
		var n int
		n, s.werrno = send(fd, s.out, s.tail)
		if s.werrno != 0 {
			return false
		}
		s.sent += n
		k := min(n, len(s.out))
		s.out, s.tail = s.out[k:], s.tail[n-k:]
	}
	return true
}

// write sends out and then tail. stall bounds each wait in which no byte moves; 0 is no bound.
func (s *socket) write(out, tail []byte, stall time.Duration) error {
	s.sent, s.stall = 0, stall
	if s.raw == nil {
		return s.writeConn(out, tail)
	}
	return s.flush(out, tail)
}

func (s *socket) flush(out, tail []byte) error {
	s.out, s.tail, s.werrno = out, tail, 0
	if s.inside && !s.severed.Load() && (s.push(s.fd) || s.werrno != syscall.EAGAIN) {
		s.out, s.tail = nil, nil
		return s.written(nil)
	}
	err := s.written(s.raw.Write(s.onWrite))
	s.out, s.tail = nil, nil
	return err
}

// written ends a RawConn.Write: it lifts a deadline that was set, and returns the error of either kind.
func (s *socket) written(err error) error {
	if s.wset {
		s.wset = false
		s.writeBy(time.Time{})
	}
	if err == nil && s.werrno != 0 {
		err = s.werrno
	}
	return err
}

// whileWritable calls push, which sends and leaves its errno in werrno, until it is true or fails; between the calls it
// waits for room.
func (s *socket) whileWritable(stall time.Duration, push func(fd uintptr) bool) error {
	s.stall, s.werrno = stall, 0
	return s.written(s.raw.Write(func(fd uintptr) bool { return push(fd) || s.full() }))
}

// tryWrite is the callback of write.
func (s *socket) tryWrite(fd uintptr) bool {
	return s.push(fd) || s.full()
}

// full is true if a write has failed; if the kernel only has no room, it sets the deadline for the wait.
func (s *socket) full() bool {
	if s.werrno != syscall.EAGAIN {
		return true
	}
	if s.stall > 0 {
		s.wset = true
		s.writeBy(after(s.stall).time())
	}
	return false
}

// writeBy sets the write deadline, of which sever has the last word.
func (s *socket) writeBy(t time.Time) {
	s.conn.SetWriteDeadline(t)
	if s.severed.Load() {
		s.conn.SetWriteDeadline(longAgo)
	}
}

// writeConn is write for connections without a kernel's call. A TLS connection does not survive a write deadline, so
// this one is never early: it is set a quarter further off than need be, and left until it comes closer than that.
func (s *socket) writeConn(out, tail []byte) error {
	if by := after(s.stall); by != never && s.until < by {
		s.until = by + moment(s.stall/4)
		s.writeBy(s.until.time())
	}
	n, err := s.conn.Write(out)
	s.sent += n
	if err == nil && len(tail) > 0 {
		n, err = s.conn.Write(tail)
		s.sent += n
	}
	return err
}

// quiet reports whether an idle connection is as it was left: open, and nothing has come. Of a TLS connection it asks
// the socket underneath; a session ticket that arrives late makes it look used, which costs one handshake and is safe.
func (s *socket) quiet() bool {
	raw := s.raw
	if raw == nil {
		if raw = rawConn(netConn(s.conn)); raw == nil {
			return true
		}
	}
	ok := false
	err := raw.Control(func(fd uintptr) { ok = silent(fd) })
	return err == nil && ok
}

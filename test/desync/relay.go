package desync

// A bad network: a relay in front of an origin that can stall and break.

import (
	"io"
	"net"
	"sync"
)

// Relay passes bytes on between the gateway and an origin until it is told to stall or to break.
type Relay struct {
	listener net.Listener
	target   string
	serving  sync.WaitGroup

	mu      sync.Mutex
	flowing sync.Cond
	stalled bool
	closed  bool
	open    map[net.Conn]bool
}

// NewRelay listens on a free port and passes on to target.
func NewRelay(target string) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{listener: l, target: target, open: make(map[net.Conn]bool)}
	r.flowing.L = &r.mu
	r.serving.Go(r.accept)
	return r, nil
}

// Addr is where it listens.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Stall holds back every byte, both ways, until Flow is called.
func (r *Relay) Stall() {
	r.mu.Lock()
	r.stalled = true
	r.mu.Unlock()
}

// Flow ends a stall.
func (r *Relay) Flow() {
	r.mu.Lock()
	r.stalled = false
	r.mu.Unlock()
	r.flowing.Broadcast()
}

// Break resets every connection.
func (r *Relay) Break() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

// Close ends the relay and its connections.
func (r *Relay) Close() {
	r.listener.Close()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Flow()
	r.Break()
	r.serving.Wait()
}

func (r *Relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.serving.Go(func() { r.join(near) })
	}
}

func (r *Relay) join(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", r.target)
	if err != nil {
		_ = near.(*net.TCPConn).SetLinger(0) // the origin is down: nobody is to think it answered
		return
	}
	defer far.Close()
	if !r.keep(near, far) {
		return
	}
	defer r.forget(near, far)
	var back sync.WaitGroup
	back.Go(func() { r.pass(near, far) })
	r.pass(far, near)
	back.Wait()
}

func (r *Relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		r.open[c] = true
	}
	return !r.closed
}

func (r *Relay) forget(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		delete(r.open, c)
	}
}

// pass copies until either side ends, which ends both: half of a connection is of use to nobody here.
func (r *Relay) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	var some [4 << 10]byte
	for {
		n, err := from.Read(some[:])
		r.await()
		if n > 0 {
			if _, err := to.Write(some[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				_ = to.(*net.TCPConn).SetLinger(0)
			}
			return
		}
	}
}

func (r *Relay) await() {
	r.mu.Lock()
	for r.stalled {
		r.flowing.Wait()
	}
	r.mu.Unlock()
}

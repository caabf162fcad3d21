package http1

// Tunnels: after a 101 (RFC 9110 section 7.8) the client's connection and the endpoint's are joined, and what passes is
// nobody's business. A tunnel ends when both directions have ended, when one breaks, or when nothing has moved in
// either for the idle limit. Between bytes neither direction holds a buffer.

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// tunnel is the endpoint's end: the Body of a 101 answer.
type tunnel struct {
	d        *dialed
	observer Observer
	over     atomic.Bool
}

func (a *answer) tunnel() {
	d := a.d
	a.d = nil
	if !d.guard.lift(&d.in.sock) {
		d.in.sock.sever()
	}
	a.http.ContentLength = -1
	a.http.Body = &tunnel{d: d, observer: a.observer}
}

func (t *tunnel) Read(p []byte) (int, error) {
	in := &t.d.in
	if len(in.data) == 0 {
		return in.direct(p, 0)
	}
	n := copy(p, in.data)
	in.consume(n)
	return n, nil
}

func (t *tunnel) Write(p []byte) (int, error) {
	err := t.d.in.sock.write(p, nil, t.d.pool.StallTimeout)
	return t.d.in.sock.sent, err
}

func (t *tunnel) CloseWrite() error { return closeWrite(t.d.in.sock.conn) }

// Close closes the connection; it never returns to the pool.
func (t *tunnel) Close() error {
	if t.over.Swap(true) {
		return nil
	}
	t.d.in.sock.close()
	t.d.pool.closed()
	if t.observer != nil {
		t.observer.AnswerEnded()
	}
	return nil
}

func closeWrite(c any) error {
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return io.ErrClosedPipe
}

// pull waits for bytes. They lie in v, which the caller gives back.
type pull func(v *vessel) ([]byte, error)

func (in *inbound) pull(v *vessel) ([]byte, error) {
	if len(in.data) == 0 {
		blk, n, err := in.sock.fill(0)
		if n == 0 {
			return nil, err
		}
		v.blk = blk
		return blk[:n], nil
	}
	v.blk = takeBlock()
	n := copy(v.blk[:], in.data)
	in.consume(n)
	return v.blk[:n], nil
}

// pullFrom reads from something that is not the engine's, or is inside something that is not.
func pullFrom(r io.Reader) pull {
	full := false
	return func(v *vessel) ([]byte, error) {
		buf := v.take(full)
		n, err := r.Read(buf)
		full = n == len(buf)
		if n > 0 {
			return buf[:n], nil
		}
		return nil, err
	}
}

// join is one tunnel. A timer watches it, not deadlines: the peer may know none.
type join struct {
	client *accepted
	peer   io.ReadWriteCloser
	idle   time.Duration
	moved  atomic.Int64 // the moment at which something last moved, in either direction

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// watch looks whether something has moved, and breaks the tunnel if not.
func (j *join) watch() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over || j.idle <= 0 {
		return
	}
	left := time.Duration(moment(j.moved.Load()) + moment(j.idle) - now())
	switch {
	case left <= 0:
		j.client.in.sock.sever()
		j.peer.Close()
	case j.timer == nil:
		j.timer = time.AfterFunc(left, j.watch)
	default:
		j.timer.Reset(left)
	}
}

func (j *join) end() {
	j.mu.Lock()
	j.over = true
	if j.timer != nil {
		j.timer.Stop()
	}
	j.mu.Unlock()
	j.peer.Close()
}

// pump carries one direction until it ends.
func (j *join) pump(from pull, to func([]byte) error) (carried int64, err error) {
	for {
		var v vessel
		p, err := from(&v)
		if len(p) > 0 {
			carried += int64(len(p))
			j.moved.Store(int64(now()))
			err = to(p)
		}
		v.give()
		if err != nil {
			return carried, err
		}
	}
}

// run joins the client's connection with peer until both directions are done. It returns the bytes that went to the
// client and those that came from it.
func (j *join) run() (down, up int64) {
	c := j.client
	j.moved.Store(int64(now()))
	j.watch()
	from := pullFrom(j.peer)
	if t, ok := j.peer.(*tunnel); ok {
		from = t.d.in.pull
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		down, err = j.pump(from, func(p []byte) error { return c.in.sock.write(p, nil, c.limits.StallTimeout) })
		if err != io.EOF || closeWrite(c.in.sock.conn) != nil {
			c.in.sock.sever()
		}
	}()
	up, err := j.pump(c.in.pull, func(p []byte) error { _, err := j.peer.Write(p); return err })
	if err != io.EOF || closeWrite(j.peer) != nil {
		j.peer.Close()
	}
	<-done
	j.end()
	return down, up
}

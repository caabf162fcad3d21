package http1

// Tunnels: after a 101 (RFC 9110 section 7.8) the client's connection and the endpoint's are joined, and what passes is
// nobody's business. A tunnel ends when both directions have ended, when one breaks, or when nothing has moved in
// either for the idle limit. Between bytes neither direction holds a buffer.

import (
	"io"
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

// pull waits for bytes; in a block that the caller gives back.
type pull func(wait time.Duration) (*block, int, error)

func (in *inbound) pull(wait time.Duration) (*block, int, error) {
	if len(in.data) == 0 {
		return in.sock.fill(wait)
	}
	blk := takeBlock()
	n := copy(blk[:], in.data)
	in.consume(n)
	return blk, n, nil
}

// pullFrom reads from something that knows no deadline; the other direction watches the clock for both.
func pullFrom(r io.Reader) pull {
	return func(time.Duration) (*block, int, error) {
		blk := takeBlock()
		n, err := r.Read(blk[:])
		if n > 0 {
			return blk, n, nil
		}
		giveBlock(blk)
		return nil, 0, err
	}
}

// join is one tunnel.
type join struct {
	idle  time.Duration
	moved atomic.Int64 // the moment at which something last moved, in either direction
}

// pump carries one direction until it ends. A silence is the end only if the other direction was silent as well.
func (j *join) pump(from pull, to func([]byte) error) (carried int64, err error) {
	wait := j.idle
	for {
		blk, n, err := from(wait)
		if n > 0 {
			carried += int64(n)
			j.moved.Store(int64(now()))
			err = to(blk[:n])
			giveBlock(blk)
		}
		if err != nil && isTimeout(err) && n == 0 {
			if wait = time.Duration(moment(j.moved.Load()) + moment(j.idle) - now()); wait > 0 {
				continue
			}
		}
		if err != nil {
			return carried, err
		}
		wait = j.idle
	}
}

// run joins the client's connection with peer until both directions are done. It returns the bytes that went to the
// client and those that came from it.
func (j *join) run(c *accepted, peer io.ReadWriteCloser) (down, up int64) {
	j.moved.Store(int64(now()))
	from := pullFrom(peer)
	if t, ok := peer.(*tunnel); ok {
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
	up, err := j.pump(c.in.pull, func(p []byte) error { _, err := peer.Write(p); return err })
	if err != io.EOF || closeWrite(peer) != nil {
		peer.Close()
	}
	<-done
	peer.Close()
	return down, up
}

package transport

//lint:file-ignore SA1019 the pool is written over x/net's connections; net/http's, of Go 1.26, are a step of their own

import (
	"container/list"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/failure"
)

// pool holds the HTTP/2 connections to one endpoint. A request gets a stream on the connection with the fewest. When
// even that one carries crowded streams, another is opened beside it, up to max: one connection is one TCP window, one
// lock and one reader, and soon the bottleneck. Only when every connection is at the limit that the other side has set
// do requests wait, in the order they came.
//
// Connections are dialled on goroutines of their own, one for as many waiting requests as it will carry, so a request
// that goes away leaves the others their connection. A dial that fails fails those who wait, unless they can wait for a
// stream. All goroutines end with their dial or their connection.
type pool struct {
	http    *http2.Transport
	dialer  *dialer
	max     int // connections; 0: no limit
	maxIdle int // connections without streams; 0: no limit
	pending int // requests waiting; 0: no limit

	mu      sync.Mutex
	conns   []*http2Conn // those that are draining included
	dialing int
	streams int       // the newest connection's limit; 0: not known yet
	waiting list.List // of *waiter
	gone    bool      // connections are closed as soon as they are idle
}

// http2Conn is a connection. limit is fixed, the rest is under the pool's lock.
type http2Conn struct {
	conn    *conn
	streams *http2.ClientConn
	limit   int  // streams at once
	busy    int  // streams in use
	used    bool // has carried a stream
	leaving bool // is being closed
}

// waiter is a request without a stream. Its channel has room for the one answer it gets.
type waiter chan grant

type grant struct {
	conn   *http2Conn
	reused bool
	err    error
}

// crowded is the number of streams at which a second connection is worth its handshake.
const crowded = 64

// take finds a stream, or waits for one.
func (p *pool) take(ctx context.Context) (*http2Conn, bool, error) {
	p.mu.Lock()
	if p.waiting.Len() == 0 {
		if c := p.leastBusy(); c != nil {
			if c.busy >= crowded && p.dialing == 0 && p.mayDial() {
				p.dial()
			}
			reused := p.use(c)
			p.mu.Unlock()
			return c, reused, nil
		}
	}
	if p.crammed() {
		p.mu.Unlock()
		return nil, false, full("Too many requests are waiting for a stream to the service.", nil)
	}
	w := make(waiter, 1)
	place := p.waiting.PushBack(w)
	p.serve()
	p.mu.Unlock()
	select {
	case g := <-w:
		return g.conn, g.reused, g.err
	case <-ctx.Done():
		return nil, false, p.giveUp(ctx, place)
	}
}

// giveUp leaves the line. A stream that was granted at that very moment is given back.
func (p *pool) giveUp(ctx context.Context, place *list.Element) error {
	p.mu.Lock()
	p.waiting.Remove(place) // does nothing if it was served
	connecting := p.dialing > 0
	p.mu.Unlock()
	select {
	case g := <-place.Value.(waiter):
		if g.conn != nil {
			p.give(g.conn)
		}
	default:
	}
	if connecting {
		return context.Cause(ctx)
	}
	return full("No stream to the service became free in time.", context.Cause(ctx))
}

// crammed reports whether one more may not wait. Those whom a connection on its way will carry are not in the way.
func (p *pool) crammed() bool {
	return p.pending > 0 && p.waiting.Len() >= p.pending+(p.dialing+1)*p.expected()
}

// serve hands streams to those who wait, and dials for as many as are left.
func (p *pool) serve() {
	for p.waiting.Len() > 0 {
		c := p.leastBusy()
		if c == nil {
			break
		}
		reused := p.use(c)
		p.waiting.Remove(p.waiting.Front()).(waiter) <- grant{conn: c, reused: reused}
	}
	for p.waiting.Len() > p.dialing*p.expected() && p.mayDial() {
		p.dial()
	}
}

// expected is how many streams a new connection will probably carry.
func (p *pool) expected() int {
	if p.streams == 0 {
		return crowded
	}
	return min(p.streams, crowded)
}

// leastBusy is the connection to put the next stream on; nil if all are at their limit.
func (p *pool) leastBusy() *http2Conn {
	var best *http2Conn
	for _, c := range p.conns {
		if !c.leaving && c.busy < c.limit && (best == nil || c.busy < best.busy) && c.streams.CanTakeNewRequest() {
			best = c
		}
	}
	return best
}

func (p *pool) use(c *http2Conn) (reused bool) {
	reused, c.used = c.used, true
	c.busy++
	return reused
}

// give returns a stream.
func (p *pool) give(c *http2Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.busy--
	p.serve()
	if c.busy == 0 && (p.gone || p.tooManyIdle()) {
		leave(c)
	}
}

// leave closes a connection that carries nothing. That takes a moment, in which it must not be given another stream: the
// closing would break it off.
func leave(c *http2Conn) {
	c.leaving = true
	go c.streams.Close()
}

func (p *pool) tooManyIdle() bool {
	idle := 0
	for _, c := range p.conns {
		if c.busy == 0 && !c.leaving {
			idle++
		}
	}
	return p.maxIdle > 0 && idle > p.maxIdle
}

func (p *pool) mayDial() bool { return p.max == 0 || len(p.conns)+p.dialing < p.max }

func (p *pool) dial() {
	p.dialing++
	go func() {
		c, err := p.connect()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dialing--
		if err != nil {
			p.fail(err)
			return
		}
		p.add(c)
	}()
}

// add takes a new connection in. One that closed meanwhile has tried to leave in vain, so it is left out; p is locked,
// so one that closes from now on finds itself here.
func (p *pool) add(c *http2Conn) {
	p.streams = c.limit
	if c.conn.closed.Load() {
		p.fail(prefaceFailure(io.ErrUnexpectedEOF))
		return
	}
	p.conns = append(p.conns, c)
	p.serve()
	if p.gone && c.busy == 0 {
		leave(c)
	}
}

// connect opens a connection and asks for a sign of life. The answer to a ping comes after the other side's settings, so
// the limit of streams is known before the first; and whoever does not speak HTTP/2 is found out before a request is lost.
func (p *pool) connect() (*http2Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), p.dialer.timeout)
	defer cancel()
	c, err := p.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	h := &http2Conn{conn: c}
	c.onClose = func() { p.remove(h) }
	streams, err := p.http.NewClientConn(c)
	if err != nil {
		c.Close()
		return nil, prefaceFailure(err)
	}
	if err := streams.Ping(ctx); err != nil {
		streams.Close()
		return nil, prefaceFailure(err)
	}
	state := streams.State()
	if state.MaxConcurrentStreams == 0 || state.Closed || state.Closing {
		streams.Close()
		return nil, prefaceFailure(errNoStreams)
	}
	h.streams, h.limit = streams, min(int(state.MaxConcurrentStreams), maxStreams)
	return h, nil
}

// maxStreams bounds the streams of a connection whose other side names no bound, or a huge one.
const maxStreams = 1000

var errNoStreams = errors.New("the endpoint opened an HTTP/2 connection and takes no streams on it")

func prefaceFailure(err error) *failure.Error {
	f := &failure.Error{
		Source: failure.Upstream, Kind: failure.HTTPProtocolError, RetrySafe: true, Detail: "The service does not speak HTTP/2.", Err: err,
	}
	if isTimeout(err) {
		f.Kind, f.Detail = failure.ConnectionTimeout, "The service could not be connected to in time."
	} else if isTermination(err) {
		f.Kind, f.Detail = failure.ConnectionTerminated, "The service closed the connection."
	}
	return f
}

// fail is what a dial does that came to nothing. Who has a stream to wait for goes on waiting.
func (p *pool) fail(err error) {
	for _, c := range p.conns {
		if c.busy > 0 && c.streams.CanTakeNewRequest() {
			return
		}
	}
	if p.dialing > 0 {
		return
	}
	for p.waiting.Len() > 0 {
		p.waiting.Remove(p.waiting.Front()).(waiter) <- grant{err: err}
	}
}

func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	for _, c := range p.conns {
		if c.busy == 0 {
			leave(c)
		}
	}
}

// remove forgets a connection that is closed.
func (p *pool) remove(c *http2Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.conns, c); i >= 0 {
		p.conns = slices.Delete(p.conns, i, i+1)
		p.serve()
	}
}

// MarkDead and GetClientConn make the pool an http2.ClientConnPool, so that x/net does not make one of its own. Neither
// has work: a connection that closes says so itself, and x/net, given connections to use, asks for none.
func (p *pool) MarkDead(*http2.ClientConn) {}

func (p *pool) GetClientConn(*http.Request, string) (*http2.ClientConn, error) {
	return nil, http2.ErrNoCachedConn
}

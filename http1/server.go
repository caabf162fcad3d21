package http1

// The server half: connections of clients, set up, counted, drained.

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// Handler answers requests. It renders everything a client reads, failures included, by calling w.Write once. If it
// returns without, the connection is broken off.
//
// r, its header map and w are used again for the next request: nothing of them may be kept after the return. r.Body is
// never nil. ctx is cancelled when the client goes away, which includes a client that only closed its sending half.
type Handler interface {
	ServeRequest(ctx context.Context, r *http.Request, w *Writer)
	// ServeFailure answers a message that is none. r holds what was understood of it, maybe nothing; the connection is
	// closed after the answer.
	ServeFailure(ctx context.Context, r *http.Request, f *failure.Error, w *Writer)
}

// Server serves HTTP/1.1 on connections that somebody else accepts. Handler is set before first use.
type Server struct {
	Handler Handler
	Limits  func() *Limits // asked once a request, and not changed after; nil: DefaultLimits

	draining atomic.Bool
	mu       sync.Mutex
	conns    map[uint64]*accepted
	lastID   uint64
	watch    *watcher // made with the first connection
	sweeping bool
}

// ServeConn serves c on the caller's goroutine until the connection is over, tunnels included. The values of ctx are
// those of every request's context; when ctx is cancelled, the connection is broken off.
func (s *Server) ServeConn(ctx context.Context, c net.Conn) {
	if a := s.admit(ctx, c); a != nil {
		a.run()
	}
}

// Adopt is ServeConn that may return when nothing has come from the client for a while: such a connection costs no
// goroutine, and is served on another when it wakes. over, which may be nil, is called once, when it has ended. To end a
// connection from outside, cancel ctx: c.Close would wait for the Handler.
func (s *Server) Adopt(ctx context.Context, c net.Conn, over func()) {
	a := s.admit(ctx, c)
	if a == nil {
		if over != nil {
			over()
		}
		return
	}
	a.mayPark, a.onEnd = a.watched, over
	a.run()
}

func (s *Server) limits() *Limits {
	if s.Limits == nil {
		return &defaultLimits
	}
	return s.Limits()
}

// admit registers a connection; nil, and c is closed, if the server is draining.
func (s *Server) admit(ctx context.Context, c net.Conn) *accepted {
	a := newAccepted(s, ctx, c)
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		c.Close()
		return nil
	}
	if s.conns == nil {
		s.conns = make(map[uint64]*accepted)
	}
	if s.watch == nil {
		s.watch = newWatcher(s)
	}
	s.lastID++
	a.id = s.lastID
	s.conns[a.id] = a
	s.mu.Unlock()
	a.watched = s.watch.add(a)
	if ctx.Done() != nil {
		a.scope.detach = context.AfterFunc(ctx, a.breakOff)
	}
	return a
}

// remove forgets a connection that is over.
func (s *Server) remove(a *accepted) {
	s.mu.Lock()
	delete(s.conns, a.id)
	s.mu.Unlock()
	s.endWatch()
}

// endWatch ends the watcher when there is nothing more to watch, ever.
func (s *Server) endWatch() {
	s.mu.Lock()
	w := s.watch
	if len(s.conns) > 0 || !s.draining.Load() {
		w = nil
	}
	s.mu.Unlock()
	if w != nil {
		w.close() // waits for the watcher, which may be waiting for the lock
	}
}

func (s *Server) find(id uint64) *accepted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}

// all is the connections of now.
func (s *Server) all() []*accepted {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*accepted, 0, len(s.conns))
	for _, a := range s.conns {
		list = append(list, a)
	}
	return list
}

// sweepEvery is how exact the idle limit of parked connections is.
const sweepEvery = time.Second

// sweepLater makes sure that parked connections are looked at.
func (s *Server) sweepLater() {
	s.mu.Lock()
	if !s.sweeping {
		s.sweeping = true
		time.AfterFunc(sweepEvery, s.sweep)
	}
	s.mu.Unlock()
}

// sweep closes the parked connections whose idle limit has passed.
func (s *Server) sweep() {
	parked := false
	for _, a := range s.all() {
		if !a.parked.Load() {
			continue
		}
		parked = true
		if int64(now()) >= a.idleUntil.Load() && a.claim() {
			a.end()
		}
	}
	s.mu.Lock()
	s.sweeping = false
	s.mu.Unlock()
	if parked {
		s.sweepLater()
	}
}

// Conns is the number of connections that are open.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown begins the drain: idle connections are closed, others carry Connection: close on their next answer, new ones
// are refused. It does not wait: ServeConn returns, or over is called, for each when it has ended. A server that has
// served anything must be shut down for its watcher to end.
func (s *Server) Shutdown() {
	s.mu.Lock()
	s.draining.Store(true)
	s.mu.Unlock()
	s.endWatch()
	for _, a := range s.all() {
		a.drain()
	}
}

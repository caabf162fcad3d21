package http1

// The context of a client's connection. It is cancelled when the client goes away or the server's own context is, and
// costs a request nothing: the connection to an endpoint that works for it puts itself into a slot, and cancelling
// breaks off what it finds there. context.AfterFunc would cost a map entry, two locks and three allocations per attempt.

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

type scope struct {
	parent context.Context
	slot   atomic.Pointer[socket] // the one connection at work for this client, if it is one
	over   atomic.Bool
	kept   atomic.Pointer[answer] // answers to take back when the request is done

	mu     sync.Mutex
	done   chan struct{}           // made when first asked for
	after  map[*afterFunc]struct{} // made when first asked for
	detach func() bool             // from parent
}

type afterFunc struct{ f func() }

type scopeKey struct{}

func (s *scope) Deadline() (time.Time, bool) { return s.parent.Deadline() }

func (s *scope) Value(key any) any {
	if _, ok := key.(scopeKey); ok {
		return s
	}
	return s.parent.Value(key)
}

func (s *scope) Err() error {
	if !s.over.Load() {
		return nil
	}
	if err := s.parent.Err(); err != nil {
		return err
	}
	return context.Canceled
}

func (s *scope) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.over.Load() {
			close(s.done)
		}
	}
	return s.done
}

// AfterFunc is what package context looks for, so that contexts derived from this one need no goroutine.
func (s *scope) AfterFunc(f func()) (stop func() bool) {
	a := &afterFunc{f}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over.Load() {
		go f()
		return func() bool { return false }
	}
	if s.after == nil {
		s.after = make(map[*afterFunc]struct{})
	}
	s.after[a] = struct{}{}
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, ok := s.after[a]
		delete(s.after, a)
		return ok
	}
}

// cancel ends the scope. It is called once or more, by anyone.
func (s *scope) cancel() {
	s.mu.Lock()
	if s.over.Swap(true) {
		s.mu.Unlock()
		return
	}
	if s.done != nil {
		close(s.done)
	}
	after := s.after
	s.after = nil
	s.mu.Unlock()
	if at := s.slot.Swap(nil); at != nil {
		at.sever()
	}
	for a := range after {
		go a.f()
	}
}

// scopeOf finds the scope that ctx is, if it is cancelled exactly when the scope is. A context derived with a deadline
// or a cancel of its own is another matter, and one made by context.WithoutCancel as well.
func scopeOf(ctx context.Context) *scope {
	if s, ok := ctx.(*scope); ok {
		return s
	}
	s, ok := ctx.Value(scopeKey{}).(*scope)
	if ok && ctx.Done() == s.Done() {
		return s
	}
	return nil
}

// guard is what breaks a connection off when a context is cancelled.
type guard struct {
	scope *scope
	stop  func() bool
}

// set makes ctx's end sever sock. false: it has ended already.
func (g *guard) set(ctx context.Context, s *scope, sock *socket) bool {
	g.scope, g.stop = nil, nil
	if s != nil && s.slot.CompareAndSwap(nil, sock) {
		g.scope = s
		if s.over.Load() { // cancel may have looked before we came
			g.lift(sock)
			return false
		}
		return true
	}
	if ctx.Done() == nil {
		return true
	}
	g.stop = context.AfterFunc(ctx, sock.sever)
	return ctx.Err() == nil
}

// lift takes the guard away. false: too late, sock is or will be severed.
func (g *guard) lift(sock *socket) bool {
	switch {
	case g.scope != nil:
		s := g.scope
		g.scope = nil
		return s.slot.CompareAndSwap(sock, nil)
	case g.stop != nil:
		stop := g.stop
		g.stop = nil
		return stop()
	}
	return true
}

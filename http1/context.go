package http1

// The context of a client's connection, and those of parts of its request. It is cancelled when the client goes away or the
// server's own context is, and costs a request nothing: the connection to an endpoint that works for it puts itself into a
// slot, and cancelling breaks off what it finds there. context.AfterFunc would cost a map entry, two locks and three
// allocations per attempt.

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Scope is a context within that of a client's request, for one request to an endpoint at a time of several that are made
// for it. It is to RoundTrip what the request's own context is: cheap, and the memory of the answers is used again.
type Scope struct {
	parent context.Context
	slot   atomic.Pointer[socket] // the one connection at work for this client, if it is one
	over   atomic.Bool
	kept   atomic.Pointer[answer] // answers to take back when the request is done

	mu       sync.Mutex
	done     chan struct{}           // made when first asked for
	after    map[*afterFunc]struct{} // made when first asked for
	children *Scope                  // the first of those that are to end with it
	detach   func() bool             // from a parent of another kind

	outer      *Scope // the parent, if it is a scope; it and the siblings are guarded by its lock
	prev, next *Scope
}

// NewScope makes a scope that is cancelled with parent. End has to be called.
func NewScope(parent context.Context) *Scope {
	s := &Scope{parent: parent}
	if outer := scopeOf(parent); outer != nil {
		outer.adopt(s)
	} else if parent.Done() != nil {
		s.detach = context.AfterFunc(parent, s.Cancel)
	}
	return s
}

func (s *Scope) adopt(child *Scope) {
	child.outer = s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over.Load() {
		child.over.Store(true)
		return
	}
	if child.next = s.children; child.next != nil {
		child.next.prev = child
	}
	s.children = child
}

func (s *Scope) disown(child *Scope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if child.next != nil {
		child.next.prev = child.prev
	}
	if child.prev != nil {
		child.prev.next = child.next
	} else if s.children == child {
		s.children = child.next
	}
	child.prev, child.next = nil, nil
}

// End lets go of the parent, and ends what was left open, be it in a context derived from this one: nothing of the answers that
// came within the scope may be used any more. It is called once, when nobody makes requests within the scope.
func (s *Scope) End() {
	switch {
	case s.outer != nil:
		s.outer.disown(s)
	case s.detach != nil:
		s.detach()
	}
	s.takeBack()
	s.Cancel()
}

type afterFunc struct{ f func() }

type scopeKey struct{}

// Deadline implements context.Context.
func (s *Scope) Deadline() (time.Time, bool) { return s.parent.Deadline() }

// Value implements context.Context.
func (s *Scope) Value(key any) any {
	if _, ok := key.(scopeKey); ok {
		return s
	}
	return s.parent.Value(key)
}

// Err implements context.Context.
func (s *Scope) Err() error {
	if !s.over.Load() {
		return nil
	}
	if err := s.parent.Err(); err != nil {
		return err
	}
	return context.Canceled
}

// Done implements context.Context.
func (s *Scope) Done() <-chan struct{} {
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
func (s *Scope) AfterFunc(f func()) (stop func() bool) {
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

// Cancel cancels what is within the scope, and breaks off the request that is under way. It may be called by anyone, and more
// than once.
func (s *Scope) Cancel() {
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
	for child := s.children; child != nil; child = child.next {
		child.Cancel()
	}
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
func scopeOf(ctx context.Context) *Scope {
	if s, ok := ctx.(*Scope); ok {
		return s
	}
	s, ok := ctx.Value(scopeKey{}).(*Scope)
	if ok && ctx.Done() == s.Done() {
		return s
	}
	return nil
}

// guard is what breaks a connection off when a context is cancelled.
type guard struct {
	scope *Scope
	stop  func() bool
}

// set makes ctx's end sever sock. false: it has ended already.
func (g *guard) set(ctx context.Context, s *Scope, sock *socket) bool {
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

package transport

import (
	"container/list"
	"context"
	"sync"
)

// gate lets in as many as there is room for and keeps the others waiting in the order they came, up to a bound.
type gate struct {
	room    int // 0: for everybody
	pending int // how many may wait; 0: no limit

	mu      sync.Mutex
	in      int
	waiting list.List // of chan struct{}, each with room for one turn
}

// enter waits for room. The error is full, or that of ctx; else leave must be called.
func (g *gate) enter(ctx context.Context) error {
	if g.room <= 0 {
		return nil
	}
	g.mu.Lock()
	if g.in < g.room {
		g.in++
		g.mu.Unlock()
		return nil
	}
	if g.pending > 0 && g.waiting.Len() >= g.pending {
		g.mu.Unlock()
		return full("Too many requests are waiting for a connection to the service.", nil)
	}
	turn := make(chan struct{}, 1)
	place := g.waiting.PushBack(turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		return g.giveUp(ctx, place)
	}
}

// giveUp leaves the line. A turn that was given at that very moment is passed on.
func (g *gate) giveUp(ctx context.Context, place *list.Element) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting.Remove(place) // does nothing if leave has removed it
	select {
	case <-place.Value.(chan struct{}):
		g.pass()
	default:
	}
	return full("No connection to the service became free in time.", context.Cause(ctx))
}

// leave ends what enter began.
func (g *gate) leave() {
	if g.room <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass()
}

// pass gives the room to who has waited longest. mu is held.
func (g *gate) pass() {
	first := g.waiting.Front()
	if first == nil {
		g.in--
		return
	}
	g.waiting.Remove(first).(chan struct{}) <- struct{}{}
}

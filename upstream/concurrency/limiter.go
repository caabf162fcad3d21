// Package concurrency is the bulkhead of a service: how many requests may be in it at once. What is over the limit is
// refused at once, or waits in a short queue, so that a service that has become slow holds up its own callers only.
//
// The limit is fixed, or found by a Climber while requests come and go. A request costs two atomic additions while there
// is room; only where there is none does it meet the lock of the queue.
package concurrency

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Settings are the bounds of a service.
type Settings struct {
	Max      int  // requests at once; 0: no limit but what Adaptive finds
	Adaptive bool // find the limit, up to Max
	Pending  int  // requests that may wait for a place
	Wait     time.Duration
}

// Limiter bounds the requests that are in a service at once.
type Limiter struct {
	settings Settings
	fixed    int64    // the limit without a climber
	climber  *Climber // nil: the limit is fixed

	now func() time.Time

	inside  atomic.Int64
	refused atomic.Uint64

	waiters atomic.Int64 // len of queue
	mu      sync.Mutex
	queue   list.List // of chan struct{}: who waits, first come first
}

// unlimited stands for no limit.
const unlimited = 1 << 40

// New makes a limiter with nobody in it.
func New(s Settings) *Limiter {
	l := &Limiter{settings: s, fixed: int64(s.Max), now: time.Now}
	if s.Max == 0 {
		l.fixed = unlimited
	}
	if s.Adaptive {
		l.climber = NewClimber(s.Max)
	}
	return l
}

// Settings are what it was made with.
func (l *Limiter) Settings() *Settings { return &l.settings }

// Limit is the limit now; 0 means none.
func (l *Limiter) Limit() int {
	if n := l.limit(); n < unlimited {
		return int(n)
	}
	return 0
}

// Inside is the number of requests in the service.
func (l *Limiter) Inside() int { return int(l.inside.Load()) }

// Pending is the number of requests that wait.
func (l *Limiter) Pending() int { return int(l.waiters.Load()) }

// Refused is how many requests found no place so far.
func (l *Limiter) Refused() uint64 { return l.refused.Load() }

func (l *Limiter) limit() int64 {
	if l.climber != nil {
		return l.climber.limit.Load()
	}
	return l.fixed
}

// Enter takes a place, which Leave gives back. It waits for one if the queue has room, at most Settings.Wait, not after by
// (zero: for ever) and while ctx lasts, and reports whether it got it.
func (l *Limiter) Enter(ctx context.Context, by time.Time) bool {
	if l.waiters.Load() == 0 && l.tryEnter() {
		return true
	}
	if l.climber != nil {
		l.climber.pressed()
	}
	if l.settings.Pending > 0 && l.wait(ctx, by) {
		return true
	}
	l.refused.Add(1)
	return false
}

func (l *Limiter) tryEnter() bool {
	if l.inside.Add(1) <= l.limit() {
		return true
	}
	l.leave()
	return false
}

// Leave gives a place back. Good means that the service has done what it was asked for: what an adaptive limit is there
// to get most of.
func (l *Limiter) Leave(good bool) {
	if l.climber != nil {
		l.climber.done(good, l.inside.Load(), l.now)
	}
	l.leave()
}

// leave lets in who waits first. Whoever begins to wait looks for a place once more after it is seen in waiters, so no
// place is given back unnoticed.
func (l *Limiter) leave() {
	l.inside.Add(-1)
	if l.waiters.Load() > 0 {
		l.mu.Lock()
		l.admit()
		l.mu.Unlock()
	}
}

// admit lets in as many as there are places for. mu is held.
func (l *Limiter) admit() {
	for l.queue.Len() > 0 {
		if n := l.inside.Load(); n >= l.limit() {
			return
		} else if !l.inside.CompareAndSwap(n, n+1) {
			continue
		}
		close(l.queue.Remove(l.queue.Front()).(chan struct{}))
		l.waiters.Add(-1)
	}
}

// wait waits in the queue, if that has room.
func (l *Limiter) wait(ctx context.Context, by time.Time) bool {
	most := l.settings.Wait
	if !by.IsZero() {
		most = min(most, time.Until(by))
	}
	l.mu.Lock()
	if l.queue.Len() >= l.settings.Pending {
		l.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	place := l.queue.PushBack(turn)
	l.waiters.Add(1)
	l.admit()
	l.mu.Unlock()

	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return !l.giveUp(place, turn)
}

// giveUp leaves the queue. It reports whether the turn had not come meanwhile.
func (l *Limiter) giveUp(place *list.Element, turn chan struct{}) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn:
		return false
	default:
		l.queue.Remove(place)
		l.waiters.Add(-1)
		return true
	}
}

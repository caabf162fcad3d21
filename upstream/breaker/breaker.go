// Package breaker stops calls to what fails, so that callers are told at once instead of waiting and the service has
// peace to recover.
//
// Closed, a breaker counts attempts over a sliding window. It opens once there were MinRequests in it and at least
// ErrorPercent of them failed, or at least SlowPercent took SlowAfter or longer. Open, it refuses everything for
// OpenFor. Then it is half-open and admits exactly Probes attempts: one that fails opens it again, and when all have
// succeeded it closes, with an empty window, unless SlowPercent of them were slow.
//
// A probe that says nothing, because its client went away, gives its place to another. One that has said nothing for
// OpenFor, or SlowAfter if that is longer, does so too; should it yet end, its outcome counts.
//
// Closed, an attempt costs an atomic load before and an atomic addition after; only what speaks for opening looks at
// the whole window. The rest is rare and goes by a lock.
package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

// Settings are when a breaker opens and how it closes.
type Settings struct {
	Window       time.Duration
	MinRequests  int
	ErrorPercent float64
	SlowPercent  float64
	SlowAfter    time.Duration // 0: nothing is slow
	OpenFor      time.Duration
	Probes       int
}

// State is a breaker's state. The numbers are what sluice_breaker_state shows.
type State int32

const (
	Closed   State = 0
	HalfOpen State = 1
	Open     State = 2
)

func (s State) String() string {
	switch s {
	case HalfOpen:
		return "half-open"
	case Open:
		return "open"
	default:
		return "closed"
	}
}

// Breaker is one circuit breaker. It may be used from many goroutines at once.
type Breaker struct {
	settings Settings
	changed  func(State) // is told of each change in its order, under the lock: it must not call the breaker; may be nil
	start    time.Time
	window   window

	state atomic.Int32
	until atomic.Int64 // open: when it ends; half-open: when probes that said nothing are given up. Since start
	free  atomic.Int32 // half-open: probes still to be admitted

	mu        sync.Mutex
	turn      uint64 // counts the changes of state: an attempt of an earlier one says nothing of this one
	turnNow   atomic.Uint64
	succeeded int // probes of this turn
	slow      int // of them
}

// New makes a breaker that is closed.
func New(s Settings, changed func(State)) *Breaker {
	return &Breaker{settings: s, changed: changed, start: time.Now(), window: newWindow(s.Window)}
}

// Settings are what it was made with.
func (b *Breaker) Settings() *Settings { return &b.settings }

// Permit is leave to make an attempt. It must be given back by Done, once. The lowest bit says that it is a probe, the
// others of which turn it is.
type Permit uint64

func permit(turn uint64, probe bool) Permit {
	p := Permit(turn << 1)
	if probe {
		p |= 1
	}
	return p
}

// Probe reports whether the attempt is one of those that a half-open breaker is judged by.
func (p Permit) Probe() bool { return p&1 != 0 }

func (p Permit) turn() uint64 { return uint64(p >> 1) }

// Outcome is what came of an attempt.
type Outcome uint8

const (
	Success Outcome = iota
	Failure         // the service is to blame
	Nothing         // it says nothing of the service: the client went away, or nothing was sent for want of room
)

// State is the state now. A breaker whose time of being open is over is half-open.
func (b *Breaker) State(now time.Time) State {
	s := State(b.state.Load())
	if s == Open && b.since(now) >= b.until.Load() {
		return HalfOpen
	}
	return s
}

// Allow asks for leave to make an attempt. If there is none, retry is when to ask again.
func (b *Breaker) Allow(now time.Time) (p Permit, retry time.Duration, ok bool) {
	if State(b.state.Load()) == Closed {
		return b.Attempt(), 0, true
	}
	return b.allowProbe(now)
}

// Attempt is for an attempt of a request that was let in before. It takes no probe's place, yet if it fails while the
// breaker is half-open, that opens it.
func (b *Breaker) Attempt() Permit { return permit(b.turnNow.Load(), false) }

// Closed reports whether the breaker lets everything through.
func (b *Breaker) Closed() bool { return State(b.state.Load()) == Closed }

// Refuses reports whether Allow would find no leave. It takes none.
func (b *Breaker) Refuses(now time.Time) bool {
	switch State(b.state.Load()) {
	case Open:
		return b.since(now) < b.until.Load()
	case HalfOpen:
		return b.free.Load() <= 0 && b.since(now) < b.until.Load()
	default:
		return false
	}
}

func (b *Breaker) allowProbe(now time.Time) (Permit, time.Duration, bool) {
	if b.Refuses(now) {
		return 0, b.retryAfter(now), false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.since(now)
	switch State(b.state.Load()) {
	case Closed: // meanwhile
		return permit(b.turn, false), 0, true
	case Open:
		if t < b.until.Load() {
			return 0, b.retryAfter(now), false
		}
		b.halfOpen(t)
	case HalfOpen:
		if b.free.Load() <= 0 {
			if t < b.until.Load() {
				return 0, b.retryAfter(now), false
			}
			b.free.Store(int32(b.settings.Probes - b.succeeded))
		}
	}
	b.free.Add(-1)
	b.until.Store(t + int64(b.patience()))
	return permit(b.turn, true), 0, true
}

// retryAfter is how long to wait before asking again: until the breaker is half-open, or until the probes will have
// spoken, which nobody knows.
func (b *Breaker) retryAfter(now time.Time) time.Duration {
	if State(b.state.Load()) == Open {
		return max(0, time.Duration(b.until.Load()-b.since(now)))
	}
	return time.Second
}

// patience is how long a probe may say nothing.
func (b *Breaker) patience() time.Duration { return max(b.settings.OpenFor, b.settings.SlowAfter) }

// Done tells what came of an attempt, which took so long and is over now.
func (b *Breaker) Done(p Permit, o Outcome, took time.Duration, now time.Time) {
	slow := b.settings.SlowAfter > 0 && took >= b.settings.SlowAfter
	switch {
	case p.turn() != b.turnNow.Load():
	case p.Probe():
		b.probed(p, o, slow, now)
	case State(b.state.Load()) != Closed:
		if o == Failure {
			b.trip(p, HalfOpen, now)
		}
	case o != Nothing || slow: // a client that did not wait so long found it slow, too
		t := b.since(now)
		b.window.count(t, o == Failure, slow)
		if (o == Failure || slow) && b.trips(b.window.sum(t)) {
			b.trip(p, Closed, now)
		}
	}
}

// trips reports whether what the window holds opens the breaker.
func (b *Breaker) trips(s tally) bool {
	return s.attempts >= b.settings.MinRequests &&
		(s.percent(s.failed) >= b.settings.ErrorPercent ||
			b.settings.SlowAfter > 0 && s.percent(s.slow) >= b.settings.SlowPercent)
}

// trip opens the breaker, if it is what it was when that was decided.
func (b *Breaker) trip(p Permit, from State, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.turn() == b.turn && State(b.state.Load()) == from {
		b.open(b.since(now))
	}
}

// probed judges a probe of this turn.
func (b *Breaker) probed(p Permit, o Outcome, slow bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.turn() != b.turn {
		return
	}
	switch o {
	case Failure:
		b.open(b.since(now))
		return
	case Nothing:
		b.free.Store(min(b.free.Load()+1, int32(b.settings.Probes-b.succeeded)))
		return
	}
	b.succeeded++
	if slow {
		b.slow++
	}
	if b.succeeded < b.settings.Probes {
		return
	}
	if float64(b.slow)*100 >= b.settings.SlowPercent*float64(b.succeeded) && b.slow > 0 {
		b.open(b.since(now))
		return
	}
	b.close()
}

func (b *Breaker) open(t int64) {
	b.until.Store(t + int64(b.settings.OpenFor))
	b.become(Open)
}

func (b *Breaker) halfOpen(t int64) {
	b.succeeded, b.slow = 0, 0
	b.free.Store(int32(b.settings.Probes))
	b.until.Store(t + int64(b.patience()))
	b.become(HalfOpen)
}

func (b *Breaker) close() {
	b.window.clear()
	b.become(Closed)
}

func (b *Breaker) become(s State) {
	b.turn++
	b.turnNow.Store(b.turn)
	b.state.Store(int32(s))
	if b.changed != nil {
		b.changed(s)
	}
}

// since is a time as the breaker counts it. What began before it was made is none of its business, yet must not count
// backwards.
func (b *Breaker) since(now time.Time) int64 { return max(0, int64(now.Sub(b.start))) }

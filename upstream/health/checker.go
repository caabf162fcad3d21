package health

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Checker has the checks of one service. All that are not running stand in a queue by the time they are due; one timer
// waits for the first, and each check runs on a goroutine that ends with it. There are never more of those than
// maxRunning: where ten thousand endpoints are silent, a round takes as long as it takes and the rest of the gateway
// does not notice.
//
// An endpoint is checked at once when it is first seen. Its second check follows after a random part of the interval
// and every other after the interval, give or take a tenth: so the checks of many endpoints, and of many gateways that
// started together, spread and stay spread.
type Checker struct {
	settings Settings

	mu      sync.Mutex
	entries map[*State]*entry
	queue   queue
	running int
	timer   *time.Timer // nil until there is something to wait for
	ctx     context.Context
	cancel  context.CancelFunc
}

// maxRunning bounds the checks of one service that run at once.
const maxRunning = 256

// Target is an endpoint to be checked.
type Target struct {
	State   *State
	Probe   Probe
	Changed func(Change) // is told of each change, of one at a time
}

// entry is a target and its place in the queue.
type entry struct {
	Target
	due     time.Time
	at      int // in the queue; -1: it is being checked
	checked int // times
	gone    bool
}

// NewChecker makes a checker that watches nothing.
func NewChecker(s Settings) *Checker {
	c := &Checker{settings: s, entries: make(map[*State]*entry)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Settings are what it was made with.
func (c *Checker) Settings() *Settings { return &c.settings }

// Watch replaces the endpoints that are checked. One that was watched before keeps its turn. Watching one begins with a
// check at once.
func (c *Checker) Watch(targets []Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	before := c.entries
	c.entries = make(map[*State]*entry, len(targets))
	now := time.Now()
	for _, t := range targets {
		e := before[t.State]
		if e == nil {
			e = &entry{due: now}
			heap.Push(&c.queue, e)
		}
		delete(before, t.State)
		e.Target = t
		c.entries[t.State] = e
	}
	for _, e := range before {
		c.forget(e)
	}
	c.run()
}

// Stop ends all checks, for good. One that is running no longer counts.
func (c *Checker) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel()
	for _, e := range c.entries {
		c.forget(e)
	}
	c.entries = nil
	if c.timer != nil {
		c.timer.Stop()
	}
}

func (c *Checker) forget(e *entry) {
	e.gone = true
	if e.at >= 0 {
		heap.Remove(&c.queue, e.at)
	}
}

// run begins the checks that are due and sets the timer for the next. mu is held.
func (c *Checker) run() {
	now := time.Now()
	for len(c.queue) > 0 && c.running < maxRunning && !c.queue[0].due.After(now) {
		e := heap.Pop(&c.queue).(*entry)
		c.running++
		go c.check(e, e.Probe)
	}
	if len(c.queue) == 0 || c.running == maxRunning || c.ctx.Err() != nil {
		return // a check that ends asks again
	}
	wait := c.queue[0].due.Sub(now)
	if c.timer == nil {
		c.timer = time.AfterFunc(wait, c.wake)
		return
	}
	c.timer.Reset(wait)
}

func (c *Checker) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run()
}

func (c *Checker) check(e *entry, probe Probe) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(c.ctx, c.settings.Timeout)
	err := probe(ctx)
	cancel()
	if change, changed := c.conclude(e, err); changed != nil {
		changed(change)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if !e.gone {
		e.checked++
		e.due = began.Add(c.pause(e.checked))
		heap.Push(&c.queue, e)
	}
	c.run()
}

// conclude records what a check has found, and finds whom to tell if that changed something.
func (c *Checker) conclude(e *entry, err error) (Change, func(Change)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.gone || !e.State.record(&c.settings, err, time.Now()) {
		return Change{}, nil
	}
	return Change{Up: err == nil, Err: err}, e.Changed
}

// pause is the time from the n-th check of an endpoint to the one after.
func (c *Checker) pause(n int) time.Duration {
	interval := c.settings.Interval
	if n == 1 {
		return rand.N(interval) + 1
	}
	tenth := interval / 10
	return interval - tenth + rand.N(2*tenth+1)
}

// queue is a heap of entries by the time they are due.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.at = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.at = -1
	return e
}

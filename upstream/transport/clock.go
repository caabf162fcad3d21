package transport

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// clock ends a request whose answer does not begin in time. It stands still while a read of the request's body waits for
// the client, and starts afresh when that has brought something: as long as the client is sending, no answer is owed.
type clock struct {
	limit   time.Duration
	expire  func()
	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	expired bool
}

// newClock starts a clock; the zero time makes one that never expires.
func newClock(by time.Time, expire func()) *clock {
	c := &clock{expire: expire}
	if by.IsZero() {
		return c
	}
	c.limit = max(1, time.Until(by))
	c.timer = time.AfterFunc(c.limit, c.ring)
	return c
}

func (c *clock) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.expired, c.stopped = true, true
		c.expire()
	}
}

// stop ends the clock for good. It reports whether it had expired.
func (c *clock) stop() (late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	return c.expired
}

func (c *clock) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.timer.Stop()
	}
}

func (c *clock) restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.timer.Reset(c.limit)
	}
}

// pausedBy is body as a transport is to read it.
func (c *clock) pausedBy(body io.ReadCloser) io.ReadCloser {
	if c.timer == nil || body == nil || body == http.NoBody {
		return body
	}
	return &clockedBody{body, c}
}

type clockedBody struct {
	io.ReadCloser
	clock *clock
}

func (b *clockedBody) Read(p []byte) (int, error) {
	b.clock.pause()
	defer b.clock.restart()
	return b.ReadCloser.Read(p)
}

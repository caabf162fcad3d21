package listen

import (
	"sync"
	"time"
)

// A watch breaks off a wait that has become too long. Between begin and end something is owed; if that takes longer than
// the limit, expire is called, once, from another goroutine, and must end the wait. Nothing is owed otherwise, and the
// timer is left to run out by itself, so that a wait costs two uncontended locks and no timer operation.
//
// A nil watch never expires.
type watch struct {
	limit  time.Duration
	expire func()

	mu      sync.Mutex
	timer   *time.Timer
	since   time.Time
	owed    bool
	ticking bool // the timer will call check
	expired bool
	stopped bool
}

func newWatch(limit time.Duration, expire func()) *watch {
	if limit <= 0 {
		return nil
	}
	return &watch{limit: limit, expire: expire}
}

// begin starts the wait, or starts it anew.
func (w *watch) begin() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since, w.owed = time.Now(), true
	if w.ticking || w.stopped {
		return
	}
	w.ticking = true
	if w.timer == nil {
		w.timer = time.AfterFunc(w.limit, w.check)
	} else {
		w.timer.Reset(w.limit)
	}
}

// again starts the wait anew if there is one.
func (w *watch) again() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = time.Now()
}

// end says that what was owed has come. It reports whether that was too late.
func (w *watch) end() (late bool) {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owed = false
	return w.expired
}

// late reports whether the watch has expired.
func (w *watch) late() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.expired
}

// stop makes sure that expire is not running and never will.
func (w *watch) stop() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *watch) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ticking = false
	if w.stopped || w.expired || !w.owed {
		return
	}
	if left := w.limit - time.Since(w.since); left > 0 {
		w.ticking = true
		w.timer.Reset(left)
		return
	}
	w.expired = true
	w.expire()
}

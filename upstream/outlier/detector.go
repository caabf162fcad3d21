package outlier

import (
	"sync"
	"sync/atomic"
	"time"
)

// Detector watches the endpoints of one service. Observe is all that a request pays; ejections, which are rare, and the
// comparison at the end of an interval go by one lock and one timer.
type Detector struct {
	settings Settings

	mu      sync.Mutex
	targets map[*State]Target
	order   []*State    // of targets
	full    atomic.Bool // no more may be ejected, so that a service which fails as a whole does not queue for mu
	timer   *time.Timer
	compare time.Time // when the interval ends
	stopped bool
}

// Target is an endpoint to be watched.
type Target struct {
	State   *State
	Changed func(Change) // is told of each change, of one at a time, and must not call the detector
}

// Change is an ejection, or that the endpoint is back from one.
type Change struct {
	Ejected bool
	For     time.Duration // how long
	Reason  Reason
}

// Reason is why an endpoint was ejected.
type Reason string

const (
	Consecutive Reason = "consecutive_errors"
	ErrorRate   Reason = "error_rate"
)

// NewDetector makes a detector that watches nothing.
func NewDetector(s Settings) *Detector {
	return &Detector{settings: s}
}

// Settings are what it was made with.
func (d *Detector) Settings() *Settings { return &d.settings }

// Watch replaces the endpoints that are watched. One that is ejected stays so until its time has come.
func (d *Detector) Watch(targets []Target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	d.targets = make(map[*State]Target, len(targets))
	d.order = make([]*State, 0, len(targets))
	for _, t := range targets {
		if _, twice := d.targets[t.State]; !twice {
			d.targets[t.State] = t
			d.order = append(d.order, t.State)
		}
	}
	if d.timer == nil {
		d.compare = time.Now().Add(d.settings.Interval)
		d.timer = time.AfterFunc(d.settings.Interval, d.tick)
	}
	d.review()
}

// Stop ends the detector for good. Ejections go on under the detector that follows.
func (d *Detector) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.targets, d.order = nil, nil
	if d.timer != nil {
		d.timer.Stop()
	}
}

// Observe counts an attempt at an endpoint. What was sent to one before it was ejected does not count any more.
func (d *Detector) Observe(s *State, failed bool) {
	if s.Ejected() {
		return
	}
	if s.count(failed, d.settings.ConsecutiveErrors) && !d.full.Load() {
		d.eject(s, Consecutive)
	}
}

func (d *Detector) eject(s *State, why Reason) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ejectLocked(s, why)
}

func (d *Detector) ejectLocked(s *State, why Reason) {
	t, watched := d.targets[s]
	if !watched || d.full.Load() {
		return
	}
	if lasts := s.eject(&d.settings, time.Now()); lasts > 0 {
		t.Changed(Change{Ejected: true, For: lasts, Reason: why})
		d.review()
	}
}

// tick is the timer's: an ejection may be over, or the interval.
func (d *Detector) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	now := time.Now()
	for _, s := range d.order {
		if s.readmit(now) {
			d.targets[s].Changed(Change{})
		}
	}
	d.review()
	if !d.compare.After(now) {
		d.compare = now.Add(d.settings.Interval)
		d.compareAll()
		d.review()
	}
}

// compareAll compares each endpoint with all the others together.
func (d *Detector) compareAll() {
	tallies := make([]tally, len(d.order))
	var all tally
	for i, s := range d.order {
		tallies[i] = s.take()
		all.attempts += tallies[i].attempts
		all.errors += tallies[i].errors
	}
	for i, t := range tallies {
		if t.worse(tally{all.attempts - t.attempts, all.errors - t.errors}) {
			d.ejectLocked(d.order[i], ErrorRate)
		}
	}
}

// review counts who is out and sets the timer for what comes first: the end of the interval or of an ejection. The count
// is taken anew each time, for around a reload another detector may watch the same endpoints.
func (d *Detector) review() {
	out, first := 0, d.compare
	for _, s := range d.order {
		if until := s.Until(); !until.IsZero() {
			out++
			if until.Before(first) {
				first = until
			}
		}
	}
	d.full.Store(out >= d.settings.most(len(d.order)))
	d.timer.Reset(time.Until(first))
}

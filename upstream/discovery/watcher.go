package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// The pause after a failure, and what is added to the time a source asks for.
const (
	backoffBase = time.Second
	backoffMax  = 30 * time.Second
	maxSpread   = time.Second // at most a tenth of the time

	// pace is the least time between two questions, for a source that should wait for news and does not.
	pace = 100 * time.Millisecond
)

var errEmpty = errors.New("the answer is empty; the endpoints before stay (allowEmpty: true would take it)")

// Options is what a Watcher does with the answers.
type Options struct {
	Source     Source
	AllowEmpty bool

	// Apply puts a set in force: sanitized, and not the one before. It is never called twice at once, nor after Stop has
	// returned.
	Apply func(set []Endpoint)
	// Told is called after each answer, failures included; nil: nobody listens. It is called like Apply.
	Told func(Outcome)
}

// Outcome is how one question to the source ended.
type Outcome struct {
	Err       error // nil: a usable answer
	Changed   bool  // the answer was put in force
	Recovered bool  // the answer before was a failure
	First     bool  // the first failure of a row, or the first usable answer ever
	Added     int   // endpoints of the answer that were not in the set before
	Removed   int
	State     State // after it
}

// State is what a Watcher knows.
type State struct {
	Source     string
	Endpoints  int       // of the last good answer
	Duplicates int       // in the last good answer, beside those
	LastGood   time.Time // when a usable answer last came; zero: never
	LastChange time.Time // when one was last put in force
	LastError  string    // of the last failure since; empty: the last answer was usable
	FailedAt   time.Time // when that was
	Failures   int       // in a row
}

// Watcher asks a Source until it is stopped, and keeps the last good set. Make it with New.
type Watcher struct {
	options Options
	found   chan struct{} // closed with the first usable answer
	stop    context.CancelFunc
	stopped chan struct{}

	refused error // of the goroutine alone: why the last answer could not be used

	mu    sync.Mutex
	state State
	set   []Endpoint
}

// New makes a watcher that does nothing yet.
func New(o Options) *Watcher {
	return &Watcher{options: o, found: make(chan struct{}), state: State{Source: o.Source.String()}}
}

// Start begins to ask. It returns at once, and is called once.
func (w *Watcher) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop, w.stopped = cancel, make(chan struct{})
	go func() {
		defer close(w.stopped)
		w.run(ctx)
	}()
}

// Stop ends the asking and returns when nothing more will be put in force.
func (w *Watcher) Stop() {
	if w.stop != nil {
		w.stop()
		<-w.stopped
	}
}

// Found is closed when the first usable answer has been put in force.
func (w *Watcher) Found() <-chan struct{} { return w.found }

// State is what the watcher knows now.
func (w *Watcher) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// Set is the last good set; the caller does not change it.
func (w *Watcher) Set() []Endpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set
}

func (w *Watcher) run(ctx context.Context) {
	defer w.close()
	for ctx.Err() == nil {
		answer, err := w.find(ctx)
		if ctx.Err() != nil {
			return
		}
		pause(ctx, w.take(answer, err))
	}
}

// find asks the source. What it reads comes from outside, and a panic over it must not end the gateway.
func (w *Watcher) find(ctx context.Context) (answer Answer, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a mistake in reading the answer: %v", r)
		}
	}()
	return w.options.Source.Find(ctx)
}

// close lets go of what the source holds.
func (w *Watcher) close() {
	if c, ok := w.options.Source.(io.Closer); ok {
		c.Close()
	}
}

// take judges an answer, puts it in force if it is another one, and says how long to wait before the next question. A
// source that answers what cannot be used is up and is asked at its own pace; one that does not answer is spared.
func (w *Watcher) take(answer Answer, err error) time.Duration {
	wait := max(answer.After+spread(answer.After), pace)
	if err != nil {
		w.failed(err)
		if answer.Waits {
			return wait
		}
		return backoff(w.State().Failures)
	}
	set, duplicates, err := w.judge(answer)
	if w.refused = err; err != nil {
		w.failed(err)
		if answer.Waits {
			return wait
		}
		return max(wait, backoffBase)
	}
	w.succeeded(set, duplicates)
	return wait
}

// judge gives the set of an answer, or says why it cannot be used.
func (w *Watcher) judge(answer Answer) (set []Endpoint, duplicates int, err error) {
	before := w.State()
	switch {
	case answer.Unchanged && w.refused != nil:
		return nil, 0, w.refused // unchanged is the answer that was refused, not the one in force
	case answer.Unchanged && before.LastGood.IsZero():
		return nil, 0, errors.New("the source says that nothing has changed before it said anything")
	case answer.Unchanged:
		return w.Set(), before.Duplicates, nil
	}
	set, duplicates, err = Sanitize(answer.Endpoints)
	if err == nil && len(set) == 0 && !w.options.AllowEmpty {
		err = errEmpty
	}
	return set, duplicates, err
}

func (w *Watcher) failed(err error) {
	w.mu.Lock()
	w.state.Failures++
	w.state.LastError, w.state.FailedAt = clipError(err), time.Now()
	o := Outcome{Err: err, First: w.state.Failures == 1, State: w.state}
	w.mu.Unlock()
	w.tell(o)
}

func (w *Watcher) succeeded(set []Endpoint, duplicates int) {
	w.mu.Lock()
	o := Outcome{Recovered: w.state.Failures > 0, First: w.state.LastGood.IsZero()}
	o.Added, o.Removed = difference(w.set, set)
	o.Changed = o.First || !slices.Equal(w.set, set)
	now := time.Now()
	w.set = set
	w.state = State{
		Source: w.state.Source, Endpoints: len(set), Duplicates: duplicates, LastGood: now, LastChange: w.state.LastChange,
	}
	if o.Changed {
		w.state.LastChange = now
	}
	o.State = w.state
	w.mu.Unlock()

	if o.Changed && w.options.Apply != nil {
		w.options.Apply(set)
	}
	if o.First {
		close(w.found)
	}
	w.tell(o)
}

func (w *Watcher) tell(o Outcome) {
	if w.options.Told != nil {
		w.options.Told(o)
	}
}

// difference counts the URLs that are in one sorted set alone.
func difference(before, after []Endpoint) (added, removed int) {
	for len(before) > 0 && len(after) > 0 {
		switch {
		case before[0].URL == after[0].URL:
			before, after = before[1:], after[1:]
		case before[0].URL < after[0].URL:
			removed, before = removed+1, before[1:]
		default:
			added, after = added+1, after[1:]
		}
	}
	return added + len(after), removed + len(before)
}

// backoff is the pause after so many failures in a row.
func backoff(failures int) time.Duration {
	d := backoffMax
	if failures < 6 {
		d = min(d, backoffBase<<max(failures-1, 0))
	}
	return d/2 + rand.N(d/2)
}

// spread is a random part of a time, so that many gateways that were started together do not ask together.
func spread(d time.Duration) time.Duration {
	if most := min(d/10, maxSpread); most > 0 {
		return rand.N(most)
	}
	return 0
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// clipError is the text of an error, of which a part may be what somebody else wrote.
func clipError(err error) string {
	const most = 500
	s := err.Error()
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

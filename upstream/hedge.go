package upstream

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// HedgePolicy sends a request to a second endpoint when the first has not answered for a while. Whichever answers first
// is the one; the other is given up. A hedge is taken out of the retry budget, goes only to an endpoint not tried yet, and
// only for requests that may be repeated: idempotent, without a body or with one that fits the buffer for repeating.
type HedgePolicy struct {
	After    time.Duration // how long; 0: see Quantile
	Quantile float64       // as long as this part of the service's answers take; nothing is hedged while that is unknown
}

// hedgeAfter is when an attempt of this call is hedged; false: not at all.
func (l *loop) hedgeAfter() (time.Duration, bool) {
	h := l.policy.Hedge
	if h == nil || !l.harmless() {
		return 0, false
	}
	after := h.After
	if after == 0 {
		usual, known := l.service.lineage.latencies.Quantile(h.Quantile, l.start)
		if !known {
			return 0, false
		}
		after = usual
	}
	if !l.deadline.IsZero() && l.deadline.Sub(l.start) <= after {
		return 0, false
	}
	return after, l.body == nil || l.collect()
}

// collect waits for the whole body. That is the client's time, not the service's.
func (l *loop) collect() bool {
	if !l.body.collect(l.call.Request.ContentLength) {
		return false
	}
	waited := time.Since(l.start)
	l.start = l.start.Add(waited)
	if !l.deadline.IsZero() {
		l.deadline = l.deadline.Add(waited)
	}
	return true
}

// race is a loop's way round while attempts may run beside each other: each on a goroutine of its own and under a context
// of its own, by which it is given up. Everything else is done by Do's goroutine, which does not return before all have
// ended: nothing of the request is in use after that.
//
// 1xx answers are not passed on: they might be those of either.
type race struct {
	*loop
	ctx      context.Context
	after    time.Duration
	running  []*attempt // at most two
	finished chan finish
	due      *time.Timer // of the hedge: counted from the begin of what is hedged
}

// finish is what came of an attempt.
type finish struct {
	attempt  *attempt
	res      *http.Response
	err      error
	panicked any
}

// race is Do's loop with a hedge. A failure, or an answer that the policy would have bettered, counts for nothing while
// the other attempt runs; the last of them is judged as usual.
func (l *loop) race(ctx context.Context, after time.Duration) (*http.Response, error) {
	r := &race{loop: l, ctx: ctx, after: after, finished: make(chan finish, 2), due: time.NewTimer(after)}
	l.racing = true
	defer r.end()
	if err := r.launch(false); err != nil {
		l.body.handBack(l.call.Request)
		return nil, l.over(err)
	}
	for {
		select {
		case <-r.due.C:
			r.hedge()
			continue
		case f := <-r.finished:
			a, res, err := r.outcome(f)
			if ctx.Err() != nil {
				a.discard(res)
				return nil, l.over(err)
			}
			if len(r.running) > 0 && (err != nil || l.namesAnswer(res)) {
				a.discard(res)
				continue
			}
			wait, again := l.judge(a, res, err)
			if !again {
				return r.deliver(a, res, err)
			}
			a.discard(res)
			if err := l.sleep(wait); err != nil {
				return nil, l.over(err)
			}
			if err := r.launch(false); err != nil {
				return nil, l.over(err)
			}
		}
	}
}

// launch begins an attempt; elsewhere: only at an endpoint not tried yet.
func (r *race) launch(elsewhere bool) error {
	a, err := r.choose(elsewhere)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.ctx)
	a.cancel, a.hedge = cancel, elsewhere
	if !elsewhere {
		r.due.Reset(r.after)
	}
	r.running = append(r.running, a)
	go func() {
		f := finish{attempt: a}
		defer func() {
			f.panicked = recover() // for Do's goroutine, where somebody expects it
			r.finished <- f
		}()
		f.res, f.err = a.ask(ctx)
	}()
	return nil
}

// hedge sends the request to somebody else as well, if there is anybody, no gate is against it and the budget bears it.
func (r *race) hedge() {
	if len(r.running) != 1 || len(r.tried) >= r.members.choice(time.Now()).takers || !r.mayGoOn() {
		return
	}
	if !r.service.budget.Take() {
		r.service.spec.Series.HedgeSuppressed()
		return
	}
	if r.launch(true) == nil {
		r.service.spec.Series.HedgeSent()
	}
}

// outcome takes an attempt that has ended out of the race.
func (r *race) outcome(f finish) (*attempt, *http.Response, error) {
	r.hand = f.attempt
	r.running = slices.DeleteFunc(r.running, func(a *attempt) bool { return a == f.attempt })
	if f.panicked != nil {
		panic(f.panicked)
	}
	f.attempt.record(f.res, f.err)
	return f.attempt, f.res, f.err
}

func (r *race) deliver(a *attempt, res *http.Response, err error) (*http.Response, error) {
	if err == nil && a.hedge {
		r.service.spec.Series.HedgeWon()
	}
	return r.loop.deliver(a, res, err)
}

// end gives up who still runs, and waits until they have noticed.
func (r *race) end() {
	r.due.Stop()
	defer r.await()
	for _, a := range r.running {
		a.cancel()
	}
	for _, a := range r.running {
		a.recordLost()
	}
}

func (r *race) await() {
	for range r.running {
		f := <-r.finished
		f.attempt.res = f.res
		r.panicked = r.panicked || f.panicked != nil
		f.attempt.abandon()
	}
}

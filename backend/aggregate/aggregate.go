// Package aggregate is a route's end that asks several services and makes one answer of what they say.
//
// The calls form a graph: one whose texts name another's answer waits for it, and nothing else does. Answer starts the
// calls that wait for nothing, each on a goroutine but the first, which runs on the caller's; whoever finishes a call goes
// on with the first that this made ready. When all have ended the answers are merged:
//
//   - spec.go is what compile says, plan.go what is made of it: references, order, cycles
//   - run.go runs the graph, call.go makes one call, fanout.go one for each element of a list
//   - fields.go says what of the request goes to a call, failed.go what becomes of one that fails
//   - anonymous.go says whose answers may be given to others
//   - merge.go makes the answer, caching.go says how long it may be kept
//
// An answer is checked once and then copied byte for byte; nothing is decoded unless a jq program runs.
//
// What is not done, on purpose: no field of an answer but Cache-Control and Vary has a part in ours (no cookies, no ETag),
// so conditional requests and ranges are answered in full; a HEAD asks as a GET does; the client's Accept chooses nothing.
package aggregate

import (
	"context"
	"sync"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// Aggregate is the end. It is made by New, and one instance serves many requests.
type Aggregate struct {
	spec  Spec
	calls []*plan
	roots []int     // the calls that wait for nothing
	body  bool      // a call refers to the request's body
	runs  sync.Pool // of *run

	lines bool            // fields may go to the services beside the header
	own   map[string]bool // but for these, which calls say themselves

	varies   []string // the client's fields that texts refer to
	personal bool     // texts refer to who the client is
}

// Forwards says that x.Out is needed: what goes to the calls is taken from it.
func (*Aggregate) Forwards() bool { return true }

// SendsLines implements backend.LineSender.
func (a *Aggregate) SendsLines() bool { return a.lines }

// Answer implements backend.Backend.
func (a *Aggregate) Answer(ctx context.Context, x *exchange.Exchange) error {
	r := a.begin(ctx, x)
	defer r.end()
	if err := r.readBody(); err != nil {
		return err
	}
	r.all()
	r.tell()
	if err := r.outcome(ctx); err != nil {
		return err
	}
	return r.answer()
}

// tell leaves the attempts of all calls in the exchange, in the order of the calls.
func (r *run) tell() {
	for i := range r.calls {
		r.x.Attempts = append(r.x.Attempts, r.calls[i].attempts...)
	}
}

// outcome is why there is no answer, or nil.
func (r *run) outcome(ctx context.Context) error {
	if r.panicked != nil {
		panic(r.panicked) // on the goroutine where the proxy catches it
	}
	if ctx.Err() != nil {
		return &failure.Error{Source: failure.Client, Kind: failure.ClientGone, Err: context.Cause(ctx)}
	}
	if f := r.whole.Load(); f != nil {
		r.x.Service = f.service
		return f.err
	}
	return nil
}

// failed lists the calls that failed.
func (r *run) failed() (names []string) {
	for i := range r.calls {
		if r.calls[i].failure != nil {
			names = append(names, r.a.spec.Calls[i].Name)
		}
	}
	return names
}

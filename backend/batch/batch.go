// Package batch is a route's end that takes several requests in one and answers with all their answers.
//
//	POST  {"requests": [{"id": "a", "method": "GET", "path": "/orders/7?full=1", "headers": {"accept-language": "de"}}, …]}
//	200   {"responses": [{"id": "a", "status": 200, "headers": {"content-type": "application/json"}, "body": {…}}, …]}
//
// Each goes through the route table by itself, with its own filters, limits, record and status: x.Dispatch is the door. The
// answers stand in the order of the requests, whatever order they came in. What is wrong with the batch itself is a 400 that
// names the place, before any of it is sent.
//
//   - batch.go asks, request.go reads the batch, response.go writes the answers
//
// A request says who it is by its own fields. Those that Inherit names are the batch's where it has none of its own. What
// speaks of a connection, of framing, or of the way the request came is refused: that is the gateway's to say.
package batch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// Batch is the end. It is not changed after it was made, and serves many requests at once.
type Batch struct {
	Requests     int           // at most so many in a batch
	Concurrency  int           // of which so many at once
	RequestBytes int64         // of the batch
	AnswerBytes  int64         // of the body of one answer
	TotalBytes   int64         // of all of them
	Inherit      []string      // canonical names of fields
	Timeout      time.Duration // of all requests together; 0: none
}

// CheckInherit says what is wrong with a name for Inherit.
func CheckInherit(name string) error {
	switch canonical := http.CanonicalHeaderKey(name); {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q cannot be the name of a header field", name)
	case isForGateway(canonical) || strings.HasPrefix(canonical, "Content-"):
		return fmt.Errorf("%s is each request's own", canonical)
	}
	return nil
}

// Forwards says that nothing of the batch itself is forwarded.
func (*Batch) Forwards() bool { return false }

var errTime = &failure.Error{Source: failure.Gateway, Kind: failure.HTTPResponseTimeout, Detail: "The time of the batch is over."}

// Answer implements backend.Backend.
func (b *Batch) Answer(ctx context.Context, x *exchange.Exchange) error {
	requests, err := b.read(x.In)
	if err != nil {
		return err
	}
	r := run{batch: b, x: x, ctx: ctx, requests: requests, answers: make([]answer, len(requests))}
	if b.Timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, b.Timeout, errTime)
		defer cancel()
		r.ctx = limited
	}
	r.all()
	if ctx.Err() != nil {
		return &failure.Error{Source: failure.Client, Kind: failure.ClientGone, Err: context.Cause(ctx)}
	}
	x.Response = r.response()
	return nil
}

// run is one batch on its way.
type run struct {
	batch    *Batch
	x        *exchange.Exchange
	ctx      context.Context
	requests []request
	answers  []answer
	next     atomic.Int32
	bytes    atomic.Int64
}

// all lets Concurrency goroutines, of which the caller's is one, take one request after the other.
func (r *run) all() {
	var others sync.WaitGroup
	for range min(r.batch.Concurrency, len(r.requests)) - 1 {
		others.Go(r.work)
	}
	r.work()
	others.Wait()
}

func (r *run) work() {
	for i := int(r.next.Add(1)) - 1; i < len(r.requests); i = int(r.next.Add(1)) - 1 {
		r.dispatch(i)
	}
}

func (r *run) dispatch(i int) {
	a := &r.answers[i]
	if r.ctx.Err() != nil {
		a.failed(failure.From(context.Cause(r.ctx)))
		return
	}
	in := r.requests[i].in
	err := r.x.Dispatch(r.ctx, in, func(res *http.Response) error { return r.take(a, in.Method, res) })
	if cause := context.Cause(r.ctx); err != nil && errors.Is(cause, errTime) {
		err = errTime
	}
	if err != nil {
		a.failed(failure.From(err))
	}
}

// Package proxy is the life of a request, from a parsed message to the access record. Serve reads in the order in
// which things happen; what a step needs to know it finds in the snapshot, worked out by compile.
package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/route"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
)

var errNoAnswer = errors.New("neither an answer nor a failure came from the backend")

// Server lives as long as the process; snapshots come and go beneath it.
type Server struct {
	Snapshots *snapshot.Holder
	Metrics   *telemetry.Metrics
	Log       *slog.Logger // panics only: what happens to requests is in the access log
}

// Serve answers one request, whose exchange is one that Acquire has lent. The engine has set In, Peer, TLS, Listener and
// Start; all else is learned here. It never panics, and when it returns nothing of x is in use any more.
func (s *Server) Serve(ctx context.Context, x *exchange.Exchange, w Writer) {
	l := s.begin(x, w)
	if l == nil {
		return
	}
	defer l.end(ctx)

	answered, err := l.answer(ctx)
	l.respond(ctx, answered, err)
	l.write(ctx)
}

// ServeFailure answers a request that the engine could not take: f says why, x.In is as much as was understood.
func (s *Server) ServeFailure(ctx context.Context, x *exchange.Exchange, f *failure.Error, w Writer) {
	l := s.begin(x, w)
	if l == nil {
		return
	}
	defer l.end(ctx)

	_ = l.prepare() // for the record; what is wrong is known already
	l.respond(ctx, l.pipeline.Outermost(), f)
	l.write(ctx)
}

// A life is one request on its way through, with its exchange. It is pooled; inform and door are its method values, made once.
// What is read when the answer comes stands before out: decision 014.
type life struct {
	x        *exchange.Exchange // &exchange
	server   *Server
	w        Writer
	snapshot *snapshot.Snapshot
	listener *snapshot.Listener
	route    *snapshot.Route // nil: none matched
	stats    *telemetry.RouteSeries
	pipeline *filter.Pipeline
	body     *requestBody // nil: the request has none
	inform   func(int, http.Header)
	door     func(context.Context, *http.Request, func(*http.Response) error) error // dispatch

	lines    []byte // see forwarding
	used     int    // of values
	written  bool   // the answer's head may be on its way: it can only be broken off now
	exchange exchange.Exchange
	out      outgoing
	values   [12]string // see one
	room     exchange.Room
}

// answer finds who answers and lets them. It returns the place of the filter that did, for the response filters.
func (l *life) answer(ctx context.Context) (answered int, err error) {
	x := l.x

	// 1. Prepare: what everything else relies on, and what no route can make right.
	if err := l.prepare(); err != nil {
		return l.pipeline.Outermost(), err
	}
	if answersItself(x) {
		return l.pipeline.Outermost(), nil
	}

	// 2. Match. A miss still passes the filters of the listener: an address that is refused learns nothing from a 404.
	miss := l.match()
	l.limitBody()
	if err := l.shed(); err != nil {
		return l.pipeline.Outermost(), err
	}

	// 3. Request filters, until one answers.
	if answered, err = l.pipeline.Request(ctx, x); err != nil || x.Response != nil {
		return answered, err
	}
	if miss != nil {
		return filter.Everywhere, miss
	}
	if err := l.body.tooLarge(); err != nil {
		return filter.Everywhere, err
	}

	// 4. Out: made late, so that a refusal never pays for it.
	if l.route.Backend.Forwards() {
		if err := l.makeOut(ctx); err != nil {
			return filter.Everywhere, err
		}
		if answered, err = l.pipeline.Transform(ctx, x); err != nil || x.Response != nil {
			return answered, err
		}
		if err := checkOut(x); err != nil {
			return filter.Everywhere, err
		}
	}

	// 5. Backend.
	return filter.Everywhere, l.route.Backend.Answer(ctx, x)
}

// match looks the route up. The error is what the client is told if no filter answers first.
// Out of line: decision 014.
//
//go:noinline
func (l *life) match() error {
	r, found := l.listener.Table.Match(l.x)
	switch found {
	case route.Found:
		l.route, l.pipeline, l.stats = r, r.Pipeline, r.Stats
		l.x.Route = r.Name
		return nil
	case route.MethodNotAllowed:
		return methodNotAllowed(l.listener.Table.Allowed(l.x))
	default:
		return &failure.Error{Source: failure.Client, Kind: failure.DestinationNotFound, Detail: "No route matches this request."}
	}
}

// shed refuses a request while the gateway is overloaded and the route is one that can wait: before anything is done for it.
func (l *life) shed() error {
	if l.route == nil || !l.route.Sheds {
		return nil
	}
	return l.route.Valve.Refuses()
}

// respond makes the answer ready to be written: a failure is rendered, then the response filters run.
func (l *life) respond(ctx context.Context, answered int, err error) {
	x := l.x
	if err == nil && x.Response == nil {
		err = &failure.Error{Kind: failure.ProxyInternalError, Err: errNoAnswer}
	}
	if err != nil {
		l.fail(ctx, err)
	}
	if x.Response == nil {
		return // the client went away, or is to be broken off
	}
	if l.snapshot.Log != nil {
		x.FirstByte = time.Since(x.Start)
	}
	removeHopByHop(x.Response.Header, x.Response.StatusCode == http.StatusSwitchingProtocols)

	// 6. Response filters, last to first. The failure of one is an answer to those before it.
	for {
		if answered, err = l.pipeline.Response(ctx, x, answered); err == nil {
			break
		}
		closeBody(x.Response)
		if l.fail(ctx, err); x.Response == nil {
			return
		}
	}
	l.finishHead()
}

// fail makes err the answer. A client that has gone gets none, nor does one that is to be broken off.
func (l *life) fail(ctx context.Context, err error) {
	if f := l.body.failure(); f != nil {
		err = f // the backend failed because the client's body did
	}
	l.x.Fail(ctx, err)
	l.x.Response = nil
	if f := l.x.Failure; f.Kind != failure.ClientGone && !f.BreakOff {
		l.x.Response = l.render()
	}
}

// write streams the answer. What breaks off on either side is broken off on the other, never ended cleanly.
func (l *life) write(ctx context.Context) {
	x := l.x
	if x.Response == nil {
		l.w.Abort()
		return
	}
	l.written = true
	err := l.w.Write(x.Response)
	closeBody(x.Response)
	if err != nil {
		x.Fail(ctx, err)
		l.w.Abort()
	}
}

// end is the last thing that happens to a request, whatever happened before: a panic becomes a 500 if nothing was
// written yet, then the exchange is counted, logged and let go.
func (l *life) end(ctx context.Context) {
	defer l.letGo()
	defer func() {
		if p := recover(); p != nil { // a FinishFilter, or the writing of the 500 itself
			l.server.Metrics.Panic()
			l.server.Log.ErrorContext(ctx, "finishing a request panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if p := recover(); p != nil {
		l.panicked(ctx, p)
	}
	l.finish()
}

func (l *life) panicked(ctx context.Context, p any) {
	x := l.x
	l.server.Metrics.Panic()
	l.server.Log.ErrorContext(ctx, "a request panicked", "panic", p, "route", x.Route, "request_id", x.RequestID,
		"stack", string(debug.Stack()))
	if x.Response != nil {
		closeBody(x.Response)
	}
	x.Failure = &failure.Error{Source: failure.Gateway, Kind: failure.ProxyInternalError, Detail: "The gateway failed."}
	if l.written {
		l.w.Abort()
		return
	}
	x.Response = l.render()
	l.finishHead()
	if l.w.Write(x.Response) != nil {
		l.w.Abort()
	}
}

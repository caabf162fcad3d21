package proxy

import (
	"net/http"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
)

var lives = sync.Pool{New: func() any { return new(life) }}

// Acquire lends an empty exchange to an engine, which fills it, hands it to Serve and gives it back with Release.
func Acquire() *exchange.Exchange {
	l := lives.Get().(*life)
	if l.x == nil { // it is new
		l.x, l.inform, l.door = &l.exchange, l.passInformational, l.dispatch
		l.x.UseRoom(&l.room)
	}
	l.x.Reset()
	l.x.Carrier = l
	return l.x
}

// Release takes an exchange back. Nothing of it may be used after.
func Release(x *exchange.Exchange) { lives.Put(x.Carrier) }

// begin is nil, and the request broken off, if its listener has drained and is forgotten: nobody is to answer any more.
func (s *Server) begin(x *exchange.Exchange, w Writer) *life {
	running, listener := s.Snapshots.Listener(x.Listener)
	if listener == nil {
		w.Abort()
		return nil
	}
	l := x.Carrier.(*life)
	l.server, l.w = s, w
	l.snapshot, l.listener = running, listener
	l.pipeline, l.stats = l.listener.Unmatched, l.listener.UnmatchedStats
	x.UseConsumers(l.snapshot.Consumers)
	x.Inform, x.Dispatch = l.inform, l.door
	return l
}

// maxLines keeps the rare monster of a Host from staying in the pool.
const maxLines = 1 << 10

// letGo leaves nothing of the request in l that is large, or would be taken for the next one's. (Out's header is cleared when
// the next request fills it: decision 014.)
func (l *life) letGo() {
	if l.x.Forwarding != nil { // which a filter may have made longer
		l.lines = l.x.Forwarding
	}
	if cap(l.lines) > maxLines {
		l.lines = nil
	}
	l.server, l.w, l.snapshot, l.listener, l.route, l.stats, l.pipeline, l.body = nil, nil, nil, nil, nil, nil, nil, nil
	l.out.request.Body, l.out.request.Trailer = nil, nil // the rest is small, and written over
	l.used, l.written = 0, false
}

// passInformational forwards a 1xx answer. 100 is not forwarded: whether to send the body was settled between the
// client and us (RFC 9110 section 10.1.1 lets an intermediary answer it itself).
func (l *life) passInformational(status int, header http.Header) {
	if status == http.StatusContinue || status == http.StatusSwitchingProtocols {
		return
	}
	h := header.Clone()
	removeHopByHop(h, false)
	_ = l.w.Inform(status, h) // a client that has gone is noticed by the write that follows
}

// finish counts and logs.
func (l *life) finish() {
	x := l.x
	duration := time.Since(x.Start)
	status := l.status()

	l.stats.Observe(x.Service, status, duration)

	if log := l.snapshot.Log; log != nil {
		var record telemetry.Record
		l.record(&record, status, duration)
		log.Write(&record)
	}
	l.pipeline.Finish(x) // last: a filter that panics here must not cost the line in the log
}

// status is what the log says: the answer's, 499 for a client that did not wait for it, and for one that was broken off
// what it would have been told.
func (l *life) status() int {
	if f := l.x.Failure; f != nil && (f.Kind == failure.ClientGone || f.BreakOff) {
		return f.Code()
	}
	if l.x.Response != nil {
		return l.x.Response.StatusCode
	}
	return http.StatusInternalServerError
}

// record fills r, which is new.
func (l *life) record(r *telemetry.Record, status int, duration time.Duration) {
	x := l.x
	r.Start, r.Duration, r.FirstByte = x.Start, duration, x.FirstByte
	r.Listener, r.Route, r.Service, r.RequestID = x.Listener, x.Route, x.Service, x.RequestID
	r.Client, r.Consumer = x.Client, x.Identity.Name()
	r.Method, r.Scheme, r.Host, r.Path, r.Proto = x.In.Method, x.Scheme, x.Host, x.Path, x.In.Proto
	r.UserAgent = first(x.In.Header, "User-Agent")
	r.Status, r.RequestBytes, r.ResponseBytes = status, l.body.bytes(), l.w.Written()
	r.Failure, r.Attempts = x.Failure, x.Attempts
	for i := range x.Attempts {
		r.Upstream += x.Attempts[i].Duration
	}
}

// first is Header.Get for a name already in canonical spelling.
func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func closeBody(r *http.Response) {
	if r != nil && r.Body != nil {
		r.Body.Close()
	}
}

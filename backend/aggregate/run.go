package aggregate

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/template"
	"github.com/sluice-gateway/sluice/upstream"
)

// run is one request's way through the graph. It is pooled with the buffers of its calls; what goes out is copied.
type run struct {
	a        *Aggregate
	x        *exchange.Exchange
	scope    *upstream.Scope // ends with the request, or as soon as a required call has failed
	deadline time.Time       // zero: none
	lines    []byte          // fields that go to every call
	fields   []field         // those of them that need a header
	body     document.Value
	calls    []state

	left     atomic.Int32 // calls that have not ended
	over     chan struct{}
	bytes    atomic.Int64 // of all answers
	whole    atomic.Pointer[verdict]
	panicked any // set before over is told
	caught   atomic.Bool
}

// verdict is why there is no answer at all.
type verdict struct {
	err     *failure.Error
	service string
}

// state is what is known of one call. Until its call has ended it belongs to the goroutine that makes it.
type state struct {
	waits     atomic.Int32
	anonymous bool           // known as soon as the call begins
	value     document.Value // nil: none
	failure   *failure.Error // why the call failed, even if a fallback stands in
	attempts  []telemetry.Attempt
	caching   caching
	unit      unit
}

// begin takes a run from the pool.
func (a *Aggregate) begin(ctx context.Context, x *exchange.Exchange) *run {
	r, ok := a.runs.Get().(*run)
	if !ok {
		r = &run{a: a, calls: make([]state, len(a.calls)), over: make(chan struct{}, 1)}
	}
	r.x = x
	r.scope = upstream.NewScope(ctx)
	if a.spec.Timeout > 0 {
		r.deadline = time.Now().Add(a.spec.Timeout)
	}
	r.collect()
	r.left.Store(int32(len(a.calls)))
	for i, q := range a.calls {
		r.calls[i].waits.Store(int32(q.waits))
	}
	return r
}

// end gives the run back. Nobody else holds it: every call has ended.
func (r *run) end() {
	r.scope.End()
	if r.left.Load() > 0 { // it was never begun, or is being unwound by a panic
		return
	}
	for i := range r.calls {
		s := &r.calls[i]
		s.value, s.failure, s.caching = nil, nil, caching{}
		clear(s.attempts)
		s.attempts = s.attempts[:0]
		s.unit.release()
	}
	if cap(r.lines) > keptLines {
		r.lines = nil
	}
	clear(r.fields)
	r.fields = r.fields[:0]
	r.x, r.scope, r.deadline, r.body, r.panicked = nil, nil, time.Time{}, nil, nil
	r.bytes.Store(0)
	r.whole.Store(nil)
	r.caught.Store(false)
	r.a.runs.Put(r)
}

// readBody reads the request's body, if a call refers to it.
func (r *run) readBody() error {
	out := r.x.Out
	if !r.a.body || out.Body == nil || out.Body == http.NoBody {
		return nil
	}
	limit := r.a.spec.Limits.RequestBytes
	text, err := io.ReadAll(io.LimitReader(out.Body, limit+1))
	if err != nil {
		return err
	}
	if int64(len(text)) > limit {
		return failure.Request(http.StatusRequestEntityTooLarge, "The body is too long for this route.")
	}
	if len(text) == 0 {
		return nil
	}
	media, _, _ := mime.ParseMediaType(out.Header.Get("Content-Type"))
	switch {
	case out.Header["Content-Encoding"] != nil:
		return failure.Request(http.StatusUnsupportedMediaType, "The body must not be compressed.")
	case document.IsForm(media):
		r.body, err = document.FromForm(text)
	case document.IsJSON(media) || media == "":
		r.body, err = document.Parse(text, r.a.spec.Limits.Depth)
	default:
		return failure.Request(http.StatusUnsupportedMediaType, "The body must be JSON or a form.")
	}
	if err != nil {
		return failure.Request(http.StatusBadRequest, "The body cannot be read: "+err.Error()+".")
	}
	return nil
}

// all makes every call, and returns when all have ended.
func (r *run) all() {
	roots := r.a.roots
	for _, i := range roots[1:] {
		go r.from(i)
	}
	r.from(roots[0])
	<-r.over
}

// from makes call i, and then those that it was the last to be waited for.
func (r *run) from(i int) {
	for i >= 0 {
		r.make(i)
		i = r.ended(i)
	}
}

// make makes one call. A panic is carried to the goroutine of the request.
func (r *run) make(i int) {
	defer func() {
		if p := recover(); p != nil {
			if !r.caught.Swap(true) {
				r.panicked = p
			}
			r.scope.Cancel()
		}
	}()
	q, s := r.a.calls[i], &r.calls[i]
	s.anonymous = r.anonymous(q)
	deadline := r.deadline
	if q.Timeout > 0 {
		if own := time.Now().Add(q.Timeout); deadline.IsZero() || own.Before(deadline) {
			deadline = own
		}
	}
	var err *failure.Error
	if q.ForEach == "" {
		s.value, err = r.call(q, &s.unit, deadline, nil, 0, &s.caching)
		s.attempts = append(s.attempts, s.unit.attempts...)
	} else {
		err = r.forEach(q, s, deadline)
	}
	if err != nil {
		r.fail(q, s, err)
	}
}

// ended tells those who wait for call i. The first that waits for nothing more is returned, the others get goroutines of
// their own. After the last call nothing of r may be touched.
func (r *run) ended(i int) (next int) {
	next = -1
	for _, j := range r.a.calls[i].wakes {
		if r.calls[j].waits.Add(-1) > 0 {
			continue
		}
		if next < 0 {
			next = j
		} else {
			go r.from(j)
		}
	}
	if r.left.Add(-1) == 0 {
		r.over <- struct{}{}
	}
	return next
}

// errCut is the end of the calls that are still under way when there will be no answer.
var errCut = &failure.Error{Source: failure.Gateway, Kind: failure.ClientGone, Err: errors.New("another call has failed, and was required")}

// source finds the values of one call's references.
type source struct {
	r     *run
	item  document.Value
	index int
}

// Find implements template.Source. A call's answer is whole here, before pick.
func (f *source) Find(ref *template.Reference) template.Value {
	if !ref.IsExternal() || ref.Slot == template.Captured {
		return template.FromRequest(f.r.x, ref)
	}
	var v document.Value
	switch ref.Slot {
	case slotBody:
		v = f.r.body
	case slotItem:
		v = f.item
	case slotIndex:
		return template.OfText(itoa(f.index))
	default:
		v = f.r.calls[ref.Slot].value
	}
	v, _ = v.Get(ref.Path)
	return template.Of(v)
}

package aggregate

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
)

// forEach makes a call for each element of a list, Concurrency at once, and an array of their answers in the list's order.
// The call's timeout is that of all of them together. One that fails fails the call if it is required; else the fallback,
// or null, stands in its place, so that places keep their meaning, and the call counts as failed.
func (r *run) forEach(q *plan, s *state, deadline time.Time) *failure.Error {
	list, err := r.list(q)
	if err != nil {
		return err
	}
	f := fan{r: r, q: q, deadline: deadline, elements: make([]fanned, len(list))}
	for i, item := range list {
		f.elements[i].item = item
	}
	f.run()
	for i := range f.elements {
		s.attempts = append(s.attempts, f.elements[i].attempts...)
		s.caching.join(&f.elements[i].caching)
	}
	return f.gather(s)
}

// list finds the elements.
func (r *run) list(q *plan) (list []document.Value, _ *failure.Error) {
	v := r.body
	if q.listOf >= 0 {
		v = r.calls[q.listOf].value
	}
	v, _ = v.Get(q.list)
	if k := v.Kind(); k != document.Array {
		return nil, q.badList(fmt.Sprintf("What forEach names is %v, not an array.", k))
	}
	for e := v.Elements(); e.Next(); {
		if len(list) == q.Items {
			return nil, q.badList("The list that forEach names is too long.")
		}
		list = append(list, e.Value)
	}
	return list, nil
}

// badList blames whoever the list came from.
func (q *plan) badList(detail string) *failure.Error {
	if q.listOf == slotBody {
		return failure.Request(http.StatusBadRequest, detail)
	}
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: detail}
}

// fan is the calls of one forEach.
type fan struct {
	r        *run
	q        *plan
	deadline time.Time
	elements []fanned
	next     atomic.Int32
	panicked atomic.Pointer[any]
}

// fanned is one element and what came of it.
type fanned struct {
	item     document.Value
	value    document.Value
	failure  *failure.Error
	attempts []telemetry.Attempt
	caching  caching
}

// run lets Concurrency goroutines, of which the caller's is one, take one element after the other.
func (f *fan) run() {
	var others sync.WaitGroup
	for range min(f.q.Concurrency, len(f.elements)) - 1 {
		others.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					f.panicked.Store(&p)
				}
			}()
			f.work()
		})
	}
	f.work()
	others.Wait()
	if p := f.panicked.Load(); p != nil {
		panic(*p)
	}
}

func (f *fan) work() {
	u := units.Get().(*unit)
	for i := int(f.next.Add(1)) - 1; i < len(f.elements); i = int(f.next.Add(1)) - 1 {
		e := &f.elements[i]
		v, err := f.r.call(f.q, u, f.deadline, e.item, i, &e.caching)
		e.value, e.failure = append(document.Value(nil), v...), err
		e.attempts = append(e.attempts, u.attempts...)
		u.release()
		if err != nil && f.q.Required {
			f.next.Store(int32(len(f.elements))) // the rest is in vain
		}
	}
	units.Put(u)
}

var units = sync.Pool{New: func() any { return new(unit) }}

// gather makes the array.
func (f *fan) gather(s *state) (first *failure.Error) {
	b := append(s.unit.buffer[:0], '[')
	for i := range f.elements {
		e := &f.elements[i]
		if i > 0 {
			b = append(b, ',')
		}
		v := e.value
		if e.failure != nil || v == nil {
			if v = f.q.Fallback; v == nil {
				v = null
			}
		}
		if e.failure != nil && first == nil {
			first = e.failure
		}
		b = append(b, v...)
	}
	b = append(b, ']')
	s.unit.buffer, s.value = b, b
	return first
}

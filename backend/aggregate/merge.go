package aggregate

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/failure"
)

// answer makes the answer of those of the calls.
func (r *run) answer() error {
	buffer := buffers.Get().(*[]byte)
	if r.a.spec.Flat {
		*buffer = r.flat((*buffer)[:0])
	} else {
		*buffer = r.named((*buffer)[:0])
	}
	if err := r.shape(buffer); err != nil {
		return err
	}
	header := make(http.Header, 8)
	header["Content-Type"] = jsonType
	failed := r.failed()
	if failed == nil {
		header["X-Aggregate-Completed"] = completed
	} else {
		header["X-Aggregate-Completed"] = incomplete
		header["X-Aggregate-Failed"] = []string{strings.Join(failed, ",")}
	}
	r.cache(header, failed != nil)
	body := new(text)
	body.Reset(*buffer)
	body.buffer.Store(buffer)
	r.x.Response = &http.Response{StatusCode: http.StatusOK, Header: header, Body: body, ContentLength: int64(len(*buffer))}
	return nil
}

var (
	jsonType   = []string{"application/json"}
	completed  = []string{"true"}
	incomplete = []string{"false"}
)

// named puts each answer under its call's name.
func (r *run) named(b []byte) []byte {
	b = append(b, '{')
	open := len(b)
	for i, q := range r.a.calls {
		v := r.calls[i].value
		if v == nil {
			continue
		}
		if len(b) > open {
			b = append(b, ',')
		}
		b = q.append(append(b, q.quoted...), v)
	}
	return append(b, '}')
}

func (q *plan) append(b []byte, v document.Value) []byte {
	if q.pick == nil {
		return append(b, v...)
	}
	return q.pick.Append(b, v)
}

// flat puts the members of the answers side by side. What is no object stands under its call's name. Of members of one name
// the last counts, in the order of the calls.
func (r *run) flat(b []byte) []byte {
	type member struct{ name, value document.Value }
	var all []member
	last := make(map[string]int)
	add := func(name, value document.Value) {
		last[name.Text()] = len(all)
		all = append(all, member{name, value})
	}
	for i, q := range r.a.calls {
		v := r.calls[i].value
		if v == nil {
			continue
		}
		if q.pick != nil {
			v = q.pick.Append(nil, v)
		}
		if v.Kind() != document.Object {
			add(document.AppendQuoted(nil, q.Name), v)
			continue
		}
		for m := v.Members(); m.Next(); {
			add(m.Name, m.Value)
		}
	}
	b = append(b, '{')
	open := len(b)
	for i, m := range all {
		if last[m.name.Text()] != i {
			continue
		}
		if len(b) > open {
			b = append(b, ',')
		}
		b = append(append(append(b, m.name...), ':'), m.value...)
	}
	return append(b, '}')
}

// shape lets the jq program, if there is one, make the answer.
func (r *run) shape(b *[]byte) error {
	if r.a.spec.Response == nil {
		return nil
	}
	ctx, cancel := r.until(r.scope)
	defer cancel()
	v, err := r.a.spec.Response.Run(ctx, *b, int(r.a.spec.Limits.TotalBytes))
	if err == nil {
		*b = append((*b)[:0], v...)
		return nil
	}
	f := &failure.Error{Source: failure.Gateway, Kind: failure.ProxyConfiguration, Status: http.StatusBadGateway,
		Detail: "The response program cannot make an answer of what the calls said.", Err: err}
	if errors.Is(err, document.ErrResultTooLarge) {
		f.Detail = "The answer made of the calls is too long."
	}
	return f
}

// text is an answer's body. The buffer is pooled, the body is not: whoever holds it may close it again when the buffer is
// another answer's already.
type text struct {
	bytes.Reader
	buffer atomic.Pointer[[]byte]
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

var _ io.ReadCloser = (*text)(nil)

// Close gives the buffer back, if all of it was read: else somebody may still be reading.
func (t *text) Close() error {
	if t.Len() > 0 {
		return nil
	}
	if b := t.buffer.Swap(nil); b != nil && cap(*b) <= keptBuffer {
		buffers.Put(b)
	}
	return nil
}

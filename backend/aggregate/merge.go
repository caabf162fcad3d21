package aggregate

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/failure"
)

// answer makes the answer of those of the calls.
func (r *run) answer() error {
	t := texts.Get().(*text)
	t.b, t.closed = t.b[:0], false
	if r.a.spec.Flat {
		t.b = r.flat(t.b)
	} else {
		t.b = r.named(t.b)
	}
	if err := r.shape(t); err != nil {
		t.Close()
		return err
	}
	t.Reset(t.b)
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
	r.x.Response = &http.Response{StatusCode: http.StatusOK, Header: header, Body: t, ContentLength: int64(len(t.b))}
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
func (r *run) shape(t *text) error {
	if r.a.spec.Response == nil {
		return nil
	}
	ctx, cancel := r.until(r.ctx)
	defer cancel()
	v, err := r.a.spec.Response.Run(ctx, t.b, int(r.a.spec.Limits.TotalBytes))
	if err == nil {
		t.b = append(t.b[:0], v...)
		return nil
	}
	f := &failure.Error{Source: failure.Gateway, Kind: failure.ProxyConfiguration, Status: http.StatusBadGateway,
		Detail: "The response program cannot make an answer of what the calls said.", Err: err}
	if errors.Is(err, document.ErrResultTooLarge) {
		f.Detail = "The answer made of the calls is too long."
	}
	return f
}

// text is an answer's body. It is pooled.
type text struct {
	bytes.Reader
	b      []byte
	closed bool
}

var texts = sync.Pool{New: func() any { return new(text) }}

var _ io.ReadCloser = (*text)(nil)

// Close gives the body back.
func (t *text) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	t.Reset(nil)
	if cap(t.b) > keptBuffer {
		t.b = nil
	}
	texts.Put(t)
	return nil
}

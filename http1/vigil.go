package http1

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// vigil bounds the silence of a stream that is not the engine's own, whose reads know no deadline: it is closed.
type vigil struct {
	limit  time.Duration // 0: for ever
	closer io.Closer
	timer  *time.Timer

	mu      sync.Mutex // held while closing, so that nothing is closed once read has returned
	waiting bool
	out     bool
}

func (o *outlet) vigil(res *http.Response) *vigil {
	return &vigil{limit: o.w.turn.conn.limits.StreamIdleTimeout, closer: res.Body}
}

// limitSilence is the same for a stream that is the engine's own: its reads know a deadline, which is the transport's until
// it is sent on. It reports whether res is a stream.
func (o *outlet) limitSilence(source io.Reader, res *http.Response) bool {
	b, ok := source.(*body)
	if !ok || !streams(res.Header) && !passedBy(b).streams {
		return false
	}
	b.wait = o.w.turn.conn.limits.StreamIdleTimeout
	return true
}

// read reads under the limit.
func (p *vigil) read(body io.Reader, b []byte) (int, error) {
	if p.limit <= 0 {
		return body.Read(b)
	}
	p.await(true)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.limit, p.end)
	} else {
		p.timer.Reset(p.limit)
	}
	n, err := body.Read(b)
	p.timer.Stop()
	if p.await(false) && err != nil {
		err = errFellSilent
	}
	return n, err
}

func (p *vigil) await(waiting bool) (out bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = waiting
	return p.out
}

func (p *vigil) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting {
		p.out = true
		p.closer.Close()
	}
}

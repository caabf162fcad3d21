package backend

import (
	"io"
	"sync"
)

// tee is a request body that keeps what is read of it, up to a limit. A transport may still be reading when the answer
// has come, so what is kept is under a lock; after take nothing is kept any more.
type tee struct {
	io.ReadCloser
	limit    int64
	declared int64 // Content-Length; -1: unknown

	mu    sync.Mutex
	kept  []byte
	total int64
	ended bool // read to its end
	taken bool
}

type taken uint8

const (
	part taken = iota // not all of it was read
	whole
	overLimit
)

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.keep(p[:n], err == io.EOF)
	return n, err
}

// Peek and Discard let what is in hand go out with the head, if the body can do that.
func (t *tee) Peek() []byte {
	if p, ok := t.ReadCloser.(peeker); ok {
		return p.Peek()
	}
	return nil
}

func (t *tee) Discard(n int) {
	p := t.ReadCloser.(peeker)
	t.keep(p.Peek()[:n], false)
	p.Discard(n)
}

type peeker interface {
	Peek() []byte
	Discard(n int)
}

func (t *tee) keep(p []byte, ended bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total += int64(len(p))
	t.ended = t.ended || ended
	switch {
	case t.taken:
	case t.total > t.limit:
		t.kept = nil
	default:
		t.kept = append(t.kept, p...)
	}
}

// take gives what was kept to the caller, if it is the whole body.
func (t *tee) take() ([]byte, taken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.kept
	t.kept, t.taken = nil, true
	switch {
	case t.total > t.limit:
		return nil, overLimit
	case !t.ended && t.total != t.declared:
		return nil, part
	}
	return kept, whole
}

package transport

import (
	"io"
	"sync/atomic"
)

// answer is the body of an answer: it names what breaks it off, and tells once, at its end or when it is closed, that
// the connection is done with.
type answer struct {
	body io.ReadCloser
	done func()
	over atomic.Bool
}

// newAnswer wraps body. That of a 101 can be written to, and the result then too.
func newAnswer(body io.ReadCloser, done func()) io.ReadCloser {
	a := &answer{body: body, done: done}
	if w, ok := body.(io.Writer); ok {
		return &tunnel{a, w}
	}
	return a
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	if err == nil {
		return n, nil
	}
	a.finish()
	if err != io.EOF {
		err = bodyFailure(err)
	}
	return n, err
}

func (a *answer) Close() error {
	err := a.body.Close()
	a.finish()
	return err
}

func (a *answer) finish() {
	if a.over.CompareAndSwap(false, true) {
		a.done()
	}
}

// tunnel is what a 101 leads to. Reading its end does not end it: the other direction may go on until Close.
type tunnel struct {
	*answer
	io.Writer
}

func (t *tunnel) Read(p []byte) (int, error) { return t.body.Read(p) }

package transport

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/http1"
)

// answer is the body of an HTTP/2 answer: it names what breaks it off, and tells once, at its end or when it is closed,
// that the stream is done with. Those of HTTP/1.1 are the engine's own and are passed on as they are.
type answer struct {
	body     io.ReadCloser
	ctx      context.Context // the caller's
	done     func()
	observer http1.Observer // may be nil
	over     atomic.Bool
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		err = a.broken(err)
	}
	a.finish()
	return n, err
}

// broken is the failure of an answer that was passed on and broke off.
func (a *answer) broken(err error) error {
	if a.ctx.Err() != nil {
		return ClientGone(a.ctx, err)
	}
	return bodyFailure(err)
}

func (a *answer) Close() error {
	err := a.body.Close()
	a.finish()
	return err
}

func (a *answer) finish() {
	if !a.over.CompareAndSwap(false, true) {
		return
	}
	a.done()
	if a.observer != nil {
		a.observer.AnswerEnded()
	}
}

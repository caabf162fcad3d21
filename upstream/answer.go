package upstream

import (
	"io"
	"sync/atomic"
)

// answerBody is the body of the answer that is passed on. Its end, or Close, is the end of the attempt.
type answerBody struct {
	io.ReadCloser
	end  func()
	fail func(error) error // names the reason of a failed read
	over atomic.Bool
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		err = b.fail(err)
	}
	b.finish()
	return n, err
}

func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.finish()
	return err
}

func (b *answerBody) finish() {
	if b.over.CompareAndSwap(false, true) {
		b.end()
	}
}

// tunnelBody is the body of a 101: reading its end leaves the other direction open.
type tunnelBody struct {
	*answerBody
	io.Writer
}

func (b *tunnelBody) Read(p []byte) (int, error) { return b.ReadCloser.Read(p) }

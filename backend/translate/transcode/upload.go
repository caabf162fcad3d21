package transcode

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/failure"
)

// upload makes the frames of a client's stream of the JSON values in its body, one after the other, with white space, line
// ends as a rule, between them. Each message also has what path and query say. The data of google.api.HttpBody is cut
// into messages as it comes.
//
// The transport reads it while the answer may be on its way already, in another goroutine, so it has a call of its own to
// build frames in, and nothing of the exchange, which it may outlive.
type upload struct {
	mu      sync.Mutex // of all but closed
	closed  atomic.Bool
	build   *call
	from    io.ReadCloser
	in      []byte // read and not used
	scanned jsonwire.Splitter
	rest    []byte // of the last frame
	eof     bool
	sentAny bool
	failed  atomic.Pointer[failure.Error]
}

func newUpload(c *call) *upload {
	u := &upload{from: c.x.Out.Body, build: &call{translator: c.translator, op: c.op, query: c.query, media: c.media}}
	u.build.match.CopyFrom(&c.match)
	if u.from == nil {
		u.from = http.NoBody
	}
	return u
}

// blame implements sending.
func (u *upload) blame(err error) error {
	if f := u.failed.Load(); f != nil {
		return f
	}
	return err
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.rest) == 0 {
		if u.closed.Load() {
			return 0, errDetached
		}
		if err := u.guarded(); err != nil {
			if err != io.EOF {
				u.failed.CompareAndSwap(nil, failure.From(err))
			}
			return 0, err
		}
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// Close implements io.Closer. It does not wait for a Read that waits for the client.
func (u *upload) Close() error {
	u.closed.Store(true)
	return u.from.Close()
}

// guarded is next on a goroutine of the transport's, where a panic over what the client sent would end the gateway.
func (u *upload) guarded() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &failure.Error{Kind: failure.ProxyInternalError, Err: fmt.Errorf("a panic: %v", p)}
		}
	}()
	return u.next()
}

// next makes one more frame, or returns io.EOF.
func (u *upload) next() error {
	if u.build.op.rawIn {
		return u.nextRaw()
	}
	for {
		value, n := u.scanned.Next(u.in, u.eof)
		if value != nil {
			err := u.frame(value)
			u.in = append(u.in[:0], u.in[n:]...)
			return err
		}
		if u.eof {
			return io.EOF
		}
		if limit := u.build.translator.options.MessageBytes; limit > 0 && len(u.in) > limit*jsonRatio {
			return tooLarge(limit * jsonRatio)
		}
		if err := u.fill(); err != nil {
			return err
		}
	}
}

func (u *upload) fill() error {
	const step = 4 << 10
	if cap(u.in)-len(u.in) < step {
		u.in = append(u.in, make([]byte, step)...)[:len(u.in)]
	}
	n, err := u.from.Read(u.in[len(u.in):cap(u.in)])
	u.in = u.in[:len(u.in)+n]
	if err == io.EOF {
		u.eof, err = true, nil
	}
	return err
}

// rawChunk is the most that one message of an HttpBody stream has.
const rawChunk = 32 << 10

func (u *upload) nextRaw() error {
	for !u.eof && len(u.in) == 0 {
		if err := u.fill(); err != nil {
			return err
		}
	}
	if len(u.in) == 0 && u.sentAny {
		return io.EOF
	}
	n := min(len(u.in), rawChunk)
	if limit := u.build.translator.options.MessageBytes; limit > 0 {
		n = min(n, max(limit/2, 1)) // the rest is for the type and the parameters
	}
	err := u.frame(u.in[:n])
	u.in = append(u.in[:0], u.in[n:]...)
	return err
}

func (u *upload) frame(value []byte) error {
	c := u.build
	c.frame = append(c.frame[:0], make([]byte, grpc.HeaderBytes)...)
	err := c.appendBody(value)
	if err == nil {
		err = c.appendParams()
	}
	if err == nil {
		err = c.closeFrame()
	}
	if err != nil {
		return err
	}
	u.sentAny = true
	u.rest = c.frame
	return nil
}

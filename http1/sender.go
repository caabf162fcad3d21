package http1

// A sender carries a streamed request body to an endpoint while the caller waits for the answer, so that an early
// answer is seen. It is the only place where a request has a second goroutine.

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

type sender struct {
	sock    *socket
	body    io.ReadCloser
	length  int64 // still to come, or -1: chunked
	trailer http.Header
	stall   time.Duration

	done     chan struct{} // closed when run has returned
	bodyErr  error         // valid after broke or done: the body could not be read
	broke    atomic.Bool   // and that is why the connection was severed
	finished atomic.Bool   // everything was sent
	at       atomic.Int64  // the moment of that
}

func newSender(s *socket, o *outgoing, stall time.Duration) *sender {
	return &sender{sock: s, body: o.stream, length: o.length, trailer: o.trailer, stall: stall, done: make(chan struct{})}
}

// run sends the body. A body that breaks off breaks the request off: the endpoint must never take it for whole. If it
// is the endpoint that takes no more, there may be an answer that says why, so the connection stays.
func (s *sender) run() {
	defer close(s.done)
	blk := takeBlock()
	defer giveBlock(blk)
	err := s.copy(blk[:])
	if err == nil {
		s.at.Store(int64(now()))
		s.finished.Store(true)
		return
	}
	if s.bodyErr != nil {
		s.broke.Store(true)
		s.sock.sever()
	}
}

const chunkRoom = 16 // in front of data for its size line

func (s *sender) copy(b []byte) error {
	for {
		n, err := s.body.Read(b[chunkRoom : len(b)-chunkRoom])
		if s.length >= 0 {
			if int64(n) > s.length {
				n, err = int(s.length), io.EOF
			}
			s.length -= int64(n)
		}
		last := err == io.EOF
		if last && s.length > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && !last || s.length > 0 && last {
			s.bodyErr = err
			return err
		}
		out, err := s.frame(b, n, last)
		if err != nil {
			s.bodyErr = err
			return err
		}
		if err := s.sock.write(out, nil, s.stall); err != nil {
			return err
		}
		if last || s.length == 0 {
			return nil
		}
	}
}

// frame puts the n bytes at chunkRoom into the form they are sent in.
func (s *sender) frame(b []byte, n int, last bool) ([]byte, error) {
	data := b[chunkRoom : chunkRoom+n]
	if s.length >= 0 {
		return data, nil
	}
	out := data[:0]
	if n > 0 {
		out = frameChunk(b, chunkRoom, n)
	}
	if !last {
		return out, nil
	}
	return appendLastChunk(out, s.trailer)
}

// frameChunk makes a chunk of the n bytes at b[at:], writing its size line in front of them and CR LF behind.
func frameChunk(b []byte, at, n int) []byte {
	b[at-1], b[at-2] = '\n', '\r'
	i := at - 2
	for size := n; size > 0; size >>= 4 {
		i--
		b[i] = "0123456789abcdef"[size&15]
	}
	b[at+n], b[at+n+1] = '\r', '\n'
	return b[i : at+n+2]
}

// stop ends the sender and waits for it; true if it had sent everything. A body's Close must wake its reader, as that of
// every net/http body does.
func (s *sender) stop() bool {
	if !s.finished.Load() {
		s.body.Close()
		s.sock.conn.SetWriteDeadline(longAgo)
		<-s.done
		s.sock.writeBy(time.Time{})
	}
	return s.finished.Load()
}

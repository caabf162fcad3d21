package listen

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/snapshot"
)

// past is a deadline that has come: what waits on it returns.
var past = time.Unix(1, 0)

// body is a request's body under watch: while somebody reads, the client has stallTimeout to send a byte. gRPC streams
// may be silent for streamIdleTimeout, and what goes the other way counts for them too.
type body struct {
	io.ReadCloser
	watch  *watch
	stream bool                          // the watch is one over both directions
	answer atomic.Pointer[http.Response] // closed with the stream, once there is one
}

func newBody(b io.ReadCloser, control *http.ResponseController, limits *snapshot.Limits, stream bool) *body {
	limit := limits.StallTimeout
	if stream {
		limit = limits.StreamIdleTimeout
	}
	watched := &body{ReadCloser: b, stream: stream}
	watched.watch = newWatch(limit, func() {
		_ = control.SetReadDeadline(past)
		if res := watched.answer.Load(); res != nil {
			res.Body.Close()
		}
	})
	return watched
}

func (b *body) Read(p []byte) (int, error) {
	b.watch.begin()
	n, err := b.ReadCloser.Read(p)
	late := b.endRead(n)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		return n, err
	case late:
		return n, &failure.Error{Source: failure.Client, Kind: failure.ClientStalled,
			Detail: "The body did not arrive in time.", Err: err}
	}
	return n, err
}

func (b *body) endRead(n int) (late bool) {
	if !b.stream {
		return b.watch.end()
	}
	if n > 0 {
		b.watch.begin() // what moved starts the silence anew; it is over only with the request
	}
	return b.watch.late()
}

// finish ends the watch. The handler calls it before it returns: no deadline may be set after that.
// A nil body is none.
func (b *body) finish() {
	if b != nil {
		b.watch.stop()
	}
}

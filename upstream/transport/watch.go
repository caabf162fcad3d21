package transport

import (
	"fmt"
	"net/http"
	"net/textproto"
	"sync"

	"github.com/sluice-gateway/sluice/failure"
)

// watch follows one request through x/net/http2. Its trace hook is called from a goroutine of its own; seal ends that, so
// that nobody is informed of a request which is over.
type watch struct {
	trip  *Trip
	conn  *conn // that the request was given last; nil: none yet
	began int64 // what had been written to conn before
	tries int

	mu       sync.Mutex
	informed int
	sealed   bool
}

func (w *watch) got(c *conn, reused bool) {
	w.conn, w.began = c, c.written.Load()
	w.trip.Reused = reused
	w.tries++
}

// inform is the hook. 100 is not the client's: its own Expect is answered on its own connection.
func (w *watch) inform(status int, header textproto.MIMEHeader) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.informed++; w.informed > maxInformed {
		return errInformed
	}
	if w.trip.Inform != nil && !w.sealed && status != http.StatusContinue && status != http.StatusSwitchingProtocols {
		w.trip.Inform(status, http.Header(header))
	}
	return nil
}

// maxInformed bounds the 1xx answers to one request.
const maxInformed = 16

var errInformed = &failure.Error{
	Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: "The service sent informational answers without end.",
	Err: fmt.Errorf("more than %d informational answers", maxInformed),
}

func (w *watch) seal() {
	w.mu.Lock()
	w.sealed = true
	w.mu.Unlock()
}

// phase is how far the request has come. On a connection of many streams what others wrote counts too: that errs on the
// side of not repeating.
func (w *watch) phase() phase {
	switch {
	case w.conn == nil:
		return unconnected
	case w.conn.written.Load() == w.began:
		return connected
	default:
		return written
	}
}

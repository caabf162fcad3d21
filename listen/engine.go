package listen

import (
	"io"
	"log"

	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/snapshot"
)

// An engine speaks HTTP on connections that share their settings. There is one for each *snapshot.Listener that was in
// force while a connection came in, and it goes with the last of them.
type engine struct {
	spec         *snapshot.Listener
	certificates *servertls.Index // nil: plaintext
	http1        bool             // is spoken; by the listener's own, which outlives the settings
	http2        *http2Server     // nil: not spoken
}

func newEngine(spec *snapshot.Listener) *engine {
	e := &engine{spec: spec, http1: spec.HTTP1}
	if spec.TLS != nil {
		e.certificates = servertls.NewIndex(spec.TLS.Certificates)
	}
	if spec.HTTP2 {
		e.http2 = newHTTP2Server(spec)
	}
	return e
}

// drain lets what is open finish, and closes what is idle.
func (e *engine) drain() {
	if e.http2 != nil {
		e.http2.drain()
	}
}

// maxHeaderBytes is how much of a header block is read where the limit is off.
const maxHeaderBytes = 16 << 20

// readableHeaderBytes is what the engines read of a header block before they refuse it themselves. It is above the
// limits, so that what is over one of them by less is refused by us, with the status that says which, and logged.
func readableHeaderBytes(l *snapshot.Limits) int {
	if l.HeaderBytes == 0 || l.URIBytes == 0 || l.HeaderCount == 0 {
		return maxHeaderBytes
	}
	const fieldOverhead = 32 // RFC 9113 section 6.5.2
	return min(maxHeaderBytes, 2*(l.HeaderBytes+l.URIBytes+fieldOverhead*l.HeaderCount))
}

// silent takes the lines that net/http and x/net/http2 would write about broken connections: clients cause them at will.
var silent = log.New(io.Discard, "", 0)

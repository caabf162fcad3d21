package transport

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/http1"
)

// stallTimeout is how long a service may send nothing of an answer's body that it owes: the default of a listener's limit of
// that name, since an endpoint serves listeners with different ones. Streams that may be silent have no limit here; the
// writer to the client holds them to its listener's streamIdleTimeout.
const stallTimeout = 30 * time.Second

// http1Transport speaks HTTP/1.1 by our own engine, whose pool has the bounds and the queue.
type http1Transport struct{ pool http1.Transport }

func newHTTP1(o Options) *http1Transport {
	d := newDialer(o)
	t := &http1Transport{pool: http1.Transport{
		MaxConns: o.Max, MaxIdle: o.MaxIdle, Pending: o.Pending,
		IdleTimeout: o.IdleTimeout, StallTimeout: stallTimeout,
		HeaderBytes: maxHeaderBytes,
	}}
	t.pool.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := d.dial(ctx)
		if err != nil {
			return nil, err // and not a nil *conn in a net.Conn
		}
		return c.Conn, nil // the engine counts what it writes itself
	}
	return t
}

func (t *http1Transport) RoundTrip(ctx context.Context, trip *Trip) (*http.Response, error) {
	res, err := t.pool.RoundTrip(ctx, trip.Request, &trip.Call)
	if err != nil {
		return nil, explained(err)
	}
	return res, nil
}

// CloseIdle closes what is idle, and from then on what becomes so.
func (t *http1Transport) CloseIdle() { t.pool.Retire() }

// details is what the client is told of the engine's failures, which carry a kind and a cause only.
var details = map[failure.Kind]string{
	failure.ConnectionTerminated:   "The service closed the connection before it answered.",
	failure.ConnectionTimeout:      "The service could not be connected to in time.",
	failure.ConnectionLimitReached: "Too many requests are waiting for a connection to the service.",
	failure.HTTPResponseTimeout:    "The service did not answer in time.",
	failure.HTTPResponseHeaderSize: "The head of the service's answer is too large.",
	failure.HTTPResponseIncomplete: "The service broke its answer off.",
	failure.HTTPProtocolError:      "The service's answer is not valid HTTP.",
	failure.HTTPUpgradeFailed:      "The service switched to a protocol that was not asked for.",
}

// explained is the engine's failure in words. What others have said is passed on.
func explained(err error) *failure.Error {
	f := failure.From(err)
	switch {
	case f.Detail != "" || f.Source != failure.Upstream:
		return f
	case f.Kind == failure.ConnectionLimitReached:
		return full(details[f.Kind], f.Err)
	case f.Kind == failure.ConnectionTerminated && isAlert(f.Err): // with TLS 1.3 a refused client certificate is told only now
		return handshakeFailure(f.Err)
	}
	own := *f
	own.Detail = details[f.Kind]
	return &own
}

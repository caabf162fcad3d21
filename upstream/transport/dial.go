package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// dialer opens connections to one endpoint. A host name is resolved each time and every address tried, the time that is
// left shared out among them.
type dialer struct {
	net.Dialer
	network, address string
	timeout          time.Duration
	tls              *tls.Config // nil: plaintext
	shared           bool        // a connection carries many requests at once
}

// dialCeiling stands in for a connectTimeout of 0: a handshake that stays silent must end some time.
const dialCeiling = 2 * time.Minute

func newDialer(o Options) *dialer {
	d := &dialer{network: o.Network, address: o.Address, timeout: o.ConnectTimeout, shared: o.HTTP2}
	if d.timeout <= 0 {
		d.timeout = dialCeiling
	}
	if o.TLS != nil {
		host, _, _ := net.SplitHostPort(o.Address)
		d.tls = forDial(o.TLS, host, o.HTTP2)
	}
	return d
}

// dial opens a connection, TLS included, within the timeout. Its error is a *failure.Error that is safe to retry: nothing
// was sent.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	c, err := d.DialContext(ctx, d.network, d.address)
	if err != nil {
		return nil, dialFailure(err)
	}
	if d.shared {
		boundSilence(c)
	}
	if d.tls == nil {
		return &conn{Conn: c}, nil
	}
	secure := tls.Client(c, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, handshakeFailure(err)
	}
	if wants := d.tls.NextProtos[0]; wants == "h2" && secure.ConnectionState().NegotiatedProtocol != wants {
		secure.Close()
		return nil, handshakeFailure(errNoHTTP2)
	}
	return &conn{Conn: secure}, nil
}

var errNoHTTP2 = errors.New("the endpoint does not offer HTTP/2 (ALPN h2)")

// conn counts what was written, to know of a request that failed whether any of it was sent, and tells when it closes.
type conn struct {
	net.Conn
	written atomic.Int64
	closed  atomic.Bool
	onClose func() // may be nil
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

func (c *conn) Close() error {
	if c.closed.CompareAndSwap(false, true) && c.onClose != nil {
		c.onClose()
	}
	return c.Conn.Close()
}

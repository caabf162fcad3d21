package transport

import "context"

// Connector makes connections to an endpoint for no purpose but to see that it can.
type Connector struct{ dialer *dialer }

// NewConnector makes one that connects as a Transport of these options would, TLS included.
func NewConnector(o Options) *Connector { return &Connector{newDialer(o)} }

// Try makes a connection and closes it. Its error is a *failure.Error.
func (c *Connector) Try(ctx context.Context) error {
	conn, err := c.dialer.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Conn.Close()
}

package listen

import (
	"io"
	"sync"
)

// A tunnel is a client's connection joined with what it upgraded to. Tunnels are listed because they alone outlive a
// reload by more than one answer: those whose route is gone are closed after the drain.
type tunnel struct {
	listener, route  string
	client, upstream io.Closer // the client's connection is the one below TLS, which would wait to say goodbye
	once             sync.Once
}

// close breaks the tunnel. It may be called from anywhere, and again.
func (t *tunnel) close() {
	t.once.Do(func() {
		t.client.Close()
		t.upstream.Close()
	})
}

package listen

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/failure"
)

// A tunnel joins a client with what it upgraded to, until both sides have ended, one has broken, or nothing moved for
// streamIdleTimeout. When one side has ended the other has stallTimeout of silence left: a peer that vanished would
// hold it open for ever.
type tunnel struct {
	listener, route string

	raw      io.Closer // the client's connection below TLS
	client   io.ReadWriteCloser
	upstream io.ReadWriteCloser
	silence  *watch
	ending   *watch // begun when one side has ended
	once     sync.Once
	moved    atomic.Int64 // bytes to the client
}

var errNoUpgrade = errors.New("a 101 needs a body that can be written to, and HTTP/1.1")

// upgrade writes the head of a 101 and carries the tunnel. It returns when both directions have ended.
func (w *writer) upgrade(res *http.Response) error {
	upstream, ok := res.Body.(io.ReadWriteCloser)
	if !ok || w.http2 {
		return &failure.Error{Kind: failure.HTTPUpgradeFailed, Err: errNoUpgrade}
	}
	client, err := hijack(w.control, res)
	if err != nil {
		return w.writeError(err)
	}
	c := w.connection
	t := &tunnel{listener: c.name, raw: c.raw, client: client, upstream: upstream}
	if w.exchange != nil {
		t.route = w.exchange.Route
	}
	c.change(upgraded)
	c.listener.addTunnel(t)
	defer c.listener.removeTunnel(t)
	t.silence = newWatch(c.limits().StreamIdleTimeout, t.close)
	t.ending = newWatch(c.limits().StallTimeout, t.close)
	t.carry()
	w.written = t.moved.Load()
	return nil
}

func (t *tunnel) carry() {
	t.silence.begin()
	var other sync.WaitGroup
	other.Go(func() { t.pump(t.upstream, t.client, nil) })
	t.pump(t.client, t.upstream, &t.moved)
	other.Wait()
	t.silence.stop()
	t.ending.stop()
	t.close()
}

// pump moves bytes one way, and at the end passes the end on. Whatever breaks breaks both ways.
func (t *tunnel) pump(to, from io.ReadWriteCloser, moved *atomic.Int64) {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for {
		n, err := from.Read(buf[:])
		if n > 0 {
			t.stir()
			if _, err := to.Write(buf[:n]); err != nil {
				t.close()
				return
			}
			if moved != nil {
				moved.Add(int64(n))
			}
			t.stir()
		}
		if err == io.EOF && closeWrite(to) == nil {
			t.ending.begin()
			return
		}
		if err != nil {
			t.close()
			return
		}
	}
}

// stir notes that something moved.
func (t *tunnel) stir() {
	t.silence.begin()
	t.ending.again()
}

// close closes both sides. It may be called from anywhere, and again. The raw connection comes first: TLS would wait for
// seconds to say goodbye to a client that does not read.
func (t *tunnel) close() {
	t.once.Do(func() {
		t.raw.Close()
		t.client.Close()
		t.upstream.Close()
	})
}

// closeWrite tells the peer that no more comes, if the connection can say that without closing altogether.
func closeWrite(c io.ReadWriteCloser) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return os.ErrInvalid
}

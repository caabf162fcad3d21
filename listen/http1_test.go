package listen

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/proxy"
	"github.com/sluice-gateway/sluice/snapshot"
)

// ways are how HTTP/1.1 comes in.
var ways = []struct {
	name        string
	tls, header bool
}{{name: "plain"}, {name: "tls", tls: true}, {name: "proxy", header: true}, {name: "proxy tls", tls: true, header: true}}

// eachWay runs a test over all of them, with a function that makes a client's connection.
func eachWay(t *testing.T, serve serve, test func(t *testing.T, u *up, dial func() net.Conn), change ...func(*snapshot.Listener)) {
	ca := newAuthority(t)
	server := ca.server(t, servertls.Settings{}, []string{"a.example"})
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			u := start(t, serve, append(change, func(s *snapshot.Listener) {
				if way.tls {
					s.TLS = server
				}
				if way.header {
					proxied(s)
				}
			})...)
			test(t, u, func() net.Conn {
				c := u.dial(t)
				if way.header {
					io.WriteString(c, "PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n")
				}
				if way.tls {
					return tls.Client(c, &tls.Config{RootCAs: ca.pool(), ServerName: "a.example"})
				}
				return c
			})
		})
	}
}

// What the engine refuses is answered by the proxy, with the status that says why, and the connection closed.
func TestRefusals(t *testing.T) {
	const host = "Host: a.example\r\n"
	for _, c := range []struct {
		name, send string
		want       int
	}{
		{"garbage", "hello\r\n\r\n", 400},
		{"bare LF", "GET / HTTP/1.1\nHost: a.example\n\n", 400},
		{"a control, and no end of the head", "GET / HTTP/1.1\r\nHost: a\x00", 400},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two framings", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"too slow", "GET / HTTP/1.1\r\nHost", 408},
		{"target", "GET /" + strings.Repeat("x", 100) + " HTTP/1.1\r\n" + host + "\r\n", 414},
		{"target without end", "GET /" + strings.Repeat("x", 1000), 414},
		{"fields", "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("x", 2048) + "\r\n\r\n", 431},
		{"fields without end", "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("x", 8000), 431},
		{"too many fields", "GET / HTTP/1.1\r\n" + host + strings.Repeat("A: b\r\n", 10) + "\r\n", 431},
		{"version", "GET / HTTP/3.0\r\n" + host + "\r\n", 505},
		{"expectation", "GET / HTTP/1.1\r\n" + host + "Expect: 200-maybe\r\n\r\n", 417},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, tell, func(t *testing.T, u *up, dial func() net.Conn) {
				conn := dial()
				io.WriteString(conn, c.send)
				r := bufio.NewReader(conn)
				res, body := read(t, r, "GET")
				if res.StatusCode != c.want || !strings.HasPrefix(body, "http_request_error: ") || !res.Close {
					t.Errorf("%d %s, close %v", res.StatusCode, body, res.Close)
				}
				if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
					t.Errorf("after it: %q %v", rest, err)
				}
			}, limits(small), limits(func(l *snapshot.Limits) {
				if c.want == 408 {
					l.HeaderTimeout = 10 * shortly // a handshake must fit in
				}
			}))
		})
	}
}

// A head that never came to its end is refused with nothing of the requests before it.
func TestRefusalsShowNothingOfOthers(t *testing.T) {
	u := start(t, tell, limits(small))
	for range 8 {
		if res, _ := u.talk(t, "PUT /secret HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"); res.StatusCode != 200 {
			t.Fatal(res.StatusCode)
		}
		res, body := u.talk(t, "GET /\x00")
		if res.StatusCode != 400 || res.Header.Get("X-In") != `"" "" 0 fields, 0 bytes` || body == "" {
			t.Errorf("%d %s %q", res.StatusCode, body, res.Header)
		}
	}
}

// A transport that was answered early may still be reading the body when its request is over; what comes next on the
// connection, or in the same memory, is not for it.
func TestBodiesAreTakenBack(t *testing.T) {
	late := make(chan io.Reader, 1)
	ended := make(chan error, 1)
	var before atomic.Bool
	u := start(t, func(ctx context.Context, x *exchange.Exchange, w proxy.Writer) {
		if before.Swap(true) {
			tell(ctx, x, w)
			return
		}
		body := x.In.Body
		begun := make(chan struct{})
		go func() {
			var b [2]byte
			_, _ = io.ReadFull(body, b[:]) // these are there
			close(begun)
			_, err := body.Read(b[:])
			ended <- err
		}()
		<-begun
		late <- body
		_ = w.Write(answer(403, "no"))
	})
	c := u.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nab")
	r := bufio.NewReader(c)
	if res, _ := read(t, r, "POST"); res.StatusCode != 403 {
		t.Errorf("%d", res.StatusCode)
	}
	if err := <-ended; err == nil {
		t.Error("the reader was not told")
	}
	body := <-late
	c2 := u.dial(t)
	io.WriteString(c2, "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
	if n, err := body.Read(make([]byte, 10)); n > 0 || err == nil {
		t.Errorf("%d bytes of another request, %v", n, err)
	}
	if res, _ := read(t, bufio.NewReader(c2), "POST"); res.StatusCode != 200 {
		t.Errorf("%d", res.StatusCode)
	}
}

// Whose fault a broken answer is: the error says so.
func TestBlame(t *testing.T) {
	broken := &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Err: net.ErrClosed}
	for _, c := range []struct {
		name string
		err  error
	}{
		{"of the body", broken},
		{"of the body, and looks like the network's", &net.OpError{Op: "read", Err: errors.New("reset")}},
	} {
		each(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
			err := w.Write(&http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: brokenBody{c.err}})
			if err != c.err {
				t.Errorf("%s: %v", c.name, err)
			}
			w.Abort()
		}, func(t *testing.T, u *up, client *http.Client, url string) {
			res, err := client.Get(url)
			if err != nil {
				return
			}
			defer res.Body.Close()
			if _, err := io.ReadAll(res.Body); err == nil {
				t.Error("a clean end")
			}
		})
	}
}

type brokenBody struct{ error }

func (f brokenBody) Read([]byte) (int, error) { return 0, f.error }
func (f brokenBody) Close() error             { return nil }

// parked waits until n connections of HTTP/1.1 are with the engine and idle.
func parked(t *testing.T, u *up, n int64) {
	t.Helper()
	eventually(t, "all are idle", func() bool { s := u.spec.Series.Connections(); return s.Idle == n && s.Active == 0 })
}

// Connections that wait leave nothing: closed by their client, by a drain, by the idle limit.
func TestConnectionsThatWait(t *testing.T) {
	const n = 20
	before := files(t)
	eachWay(t, tell, func(t *testing.T, u *up, dial func() net.Conn) {
		var conns []net.Conn
		for range n {
			c := dial()
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
			if res, _ := read(t, bufio.NewReader(c), "GET"); res.StatusCode != 200 {
				t.Fatal(res.StatusCode)
			}
			conns = append(conns, c)
		}
		parked(t, u, n)
		for _, c := range conns[:n/2] {
			c.Close()
		}
		eventually(t, "those closed are gone", func() bool { return u.open() == n/2 })
		parked(t, u, n/2)
		if err := u.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		for _, c := range conns[n/2:] {
			if b, err := io.ReadAll(c); err != nil && !isReset(err) || len(b) > 0 {
				t.Errorf("%q %v", b, err)
			}
			c.Close()
		}
	})
	eventually(t, "no file is left open", func() bool { return files(t) <= before })
}

// A client that closes its sending half after a request has gone, as far as the engine can tell; without one it is just
// an end.
func TestClientsThatCloseTheirHalf(t *testing.T) {
	gone := make(chan error, 1)
	u := start(t, func(ctx context.Context, x *exchange.Exchange, w proxy.Writer) {
		<-ctx.Done()
		gone <- ctx.Err()
		w.Abort()
	})
	c := u.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "it is asked for", func() bool { return u.proxy.busy.Load() == 1 })
	c.(*net.TCPConn).CloseWrite()
	if err := <-gone; err != context.Canceled {
		t.Error(err)
	}
	eventually(t, "the connection is gone", func() bool { return u.open() == 0 })

	silent := u.dial(t)
	eventually(t, "it is open", func() bool { return u.open() == 1 })
	silent.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(silent); err != nil || len(b) > 0 {
		t.Errorf("%q %v", b, err)
	}
}

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
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/proxy"
	"github.com/sluice-gateway/sluice/snapshot"
)

// switches answers 101 with one end of a TCP connection, and hands out the other.
func switches(t *testing.T, route string) (serve, chan *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	far := make(chan *net.TCPConn, 1)
	return func(_ context.Context, x *exchange.Exchange, w proxy.Writer) {
		near, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		other, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		far <- other.(*net.TCPConn)
		x.Route = route
		res := &http.Response{StatusCode: 101, Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}, Body: near}
		if err := w.Write(res); err != nil {
			w.Abort()
		}
	}, far
}

const upgradeText = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// tunnelTo opens a tunnel and returns both ends.
func tunnelTo(t *testing.T, u *up, far chan *net.TCPConn, secure *tls.Config, early string) (client net.Conn, r *bufio.Reader, up *net.TCPConn) {
	t.Helper()
	client = u.dial(t)
	if secure != nil {
		client = tls.Client(client, secure)
	}
	io.WriteString(client, upgradeText+early)
	r = bufio.NewReader(client)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo" || !strings.EqualFold(res.Header.Get("Connection"), "upgrade") {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	up = <-far
	t.Cleanup(func() { up.Close() })
	return client, r, up
}

func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != want {
		t.Errorf("%q, %v; want %q", buf, err, want)
	}
}

func TestTunnel(t *testing.T) {
	ca := newAuthority(t)
	for _, secure := range []*tls.Config{nil, {RootCAs: ca.pool(), ServerName: "a.example"}} {
		serve, far := switches(t, "ws")
		var changes []func(*snapshot.Listener)
		if secure != nil {
			changes = append(changes, withTLS(ca.server(t, servertls.Settings{}, []string{"a.example"})))
		}
		u := start(t, serve, changes...)
		client, r, up := tunnelTo(t, u, far, secure, "early")
		eventually(t, "it is counted", func() bool { return u.spec.Series.Connections().Upgraded == 1 })
		expect(t, up, "early")
		for range 3 {
			io.WriteString(client, "ping")
			expect(t, up, "ping")
			io.WriteString(up, "pong")
			expect(t, r, "pong")
		}
		// One side ends, the other goes on until it ends as well.
		client.(interface{ CloseWrite() error }).CloseWrite()
		if b, err := io.ReadAll(up); err != nil || len(b) > 0 {
			t.Errorf("%q %v", b, err)
		}
		io.WriteString(up, "last words")
		up.Close()
		if b, err := io.ReadAll(r); err != nil || string(b) != "last words" {
			t.Errorf("%q %v", b, err)
		}
		eventually(t, "the connection is closed", func() bool { return u.open() == 0 })
	}
}

func TestTunnelsBreakBothWays(t *testing.T) {
	for _, side := range []string{"client", "upstream"} {
		serve, far := switches(t, "ws")
		u := start(t, serve)
		client, r, up := tunnelTo(t, u, far, nil, "")
		if side == "client" {
			client.(*net.TCPConn).SetLinger(0)
			client.Close()
			io.Copy(io.Discard, up)
		} else {
			up.SetLinger(0)
			up.Close()
			io.Copy(io.Discard, r)
		}
		eventually(t, "the connection is closed", func() bool { return u.open() == 0 })
	}
}

func TestTunnelsThatFallSilent(t *testing.T) {
	serve, far := switches(t, "ws")
	u := start(t, serve, limits(func(l *snapshot.Limits) { l.StreamIdleTimeout = shortly }))
	_, r, up := tunnelTo(t, u, far, nil, "")
	if _, err := io.ReadAll(r); err != nil && !isReset(err) {
		t.Error(err)
	}
	if _, err := io.ReadAll(up); err != nil && !isReset(err) {
		t.Error(err)
	}
}

func TestTunnelsHalfOpen(t *testing.T) {
	serve, far := switches(t, "ws")
	u := start(t, serve, limits(func(l *snapshot.Limits) { l.StreamIdleTimeout = shortly }))
	client, r, _ := tunnelTo(t, u, far, nil, "")
	client.(*net.TCPConn).CloseWrite() // and the upstream never ends its side
	if _, err := io.ReadAll(r); err != nil && !isReset(err) {
		t.Error(err)
	}
}

func TestCloseRoutes(t *testing.T) {
	serve, far := switches(t, "ws")
	u := start(t, serve)
	_, r, up := tunnelTo(t, u, far, nil, "")
	eventually(t, "it is listed", func() bool { u.mu.Lock(); defer u.mu.Unlock(); return len(u.tunnels) == 1 })
	u.CloseRoutes(func(_, route string) bool { return route != "ws" })
	io.WriteString(up, "still here")
	expect(t, r, "still here")
	asked := ""
	u.CloseRoutes(func(listener, route string) bool { asked = listener + " " + route; return true })
	if asked != "public ws" {
		t.Error(asked)
	}
	if b, err := io.ReadAll(r); err != nil && !isReset(err) || len(b) > 0 {
		t.Errorf("%q %v", b, err)
	}
	if b, err := io.ReadAll(up); err != nil && !isReset(err) || len(b) > 0 {
		t.Errorf("upstream: %q %v", b, err)
	}
	eventually(t, "nothing is left of it", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return len(u.tunnels) == 0 && len(u.connections) == 0 && u.spec.Series.Connections().Upgraded == 0
	})
}

func TestTunnelsSurviveReloadAndEndWithTheDrain(t *testing.T) {
	serve, far := switches(t, "ws")
	u := start(t, serve)
	client, r, up := tunnelTo(t, u, far, nil, "")
	next := *u.spec
	u.reload(&next)
	ctx, cancel := context.WithCancel(t.Context())
	u.Stop()
	drained := make(chan error, 1)
	go func() { drained <- u.Drain(ctx) }()
	io.WriteString(client, "ping")
	expect(t, up, "ping")
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if b, err := io.ReadAll(r); err != nil && !isReset(err) || len(b) > 0 {
		t.Errorf("%q %v", b, err)
	}
}

func TestUpgradesThatCannotBe(t *testing.T) {
	got := make(chan error, 1)
	serve := func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
		got <- w.Write(&http.Response{StatusCode: 101, Header: http.Header{}, Body: http.NoBody})
		w.Abort()
	}
	u := start(t, serve)
	c := u.dial(t)
	io.WriteString(c, upgradeText)
	if b, err := io.ReadAll(c); err == nil && strings.Contains(string(b), "101") {
		t.Errorf("%q", b)
	}
	if err := <-got; err == nil || !strings.Contains(err.Error(), "http_upgrade_failed") {
		t.Error(err)
	}
	f := u.frames(t)
	if s := f.get("/"); !strings.HasPrefix(s, "reset") {
		t.Error(s)
	}
	<-got
}

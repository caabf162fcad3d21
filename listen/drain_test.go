package listen

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/proxy"
)

func TestDrainFinishesWhatIsOpen(t *testing.T) {
	var hold atomic.Pointer[chan struct{}]
	each(t, func(ctx context.Context, x *exchange.Exchange, w proxy.Writer) {
		if x.In.URL.Path == "/slow" {
			<-*hold.Load()
		}
		tell(ctx, x, w)
	}, func(t *testing.T, u *up, c *http.Client, url string) {
		release := make(chan struct{})
		hold.Store(&release)
		if status, _ := get(t, c, url); status != 200 {
			t.Fatal(status)
		}
		eventually(t, "no request is open", func() bool { return u.proxy.busy.Load() == 0 })
		type result struct {
			res *http.Response
			err error
		}
		done := make(chan result)
		go func() { res, err := c.Get(url + "/slow"); done <- result{res, err} }()
		eventually(t, "a request is open", func() bool { return u.proxy.busy.Load() == 1 })
		u.Stop()
		drained := make(chan error, 1)
		go func() { drained <- u.Drain(t.Context()) }()
		close(release)
		r := <-done
		if r.err != nil {
			t.Fatal(r.err)
		}
		defer r.res.Body.Close()
		if body, err := io.ReadAll(r.res.Body); err != nil || !strings.Contains(string(body), "/slow") {
			t.Errorf("%q %v", body, err)
		}
		if r.res.ProtoMajor == 1 && !r.res.Close {
			t.Error("no Connection: close")
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if res, err := c.Get(url); err == nil {
			res.Body.Close()
			t.Error("a request after the drain")
		}
	})
}

func TestDrainClosesWhatIsIdle(t *testing.T) {
	ca := newAuthority(t)
	u := start(t, tell)
	var clients []io.Reader
	for _, sent := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""} {
		c := u.dial(t)
		io.WriteString(c, sent)
		r := bufio.NewReader(c)
		if sent != "" {
			read(t, r, "GET")
		}
		clients = append(clients, r)
	}
	h2 := u.frames(t)
	if got := h2.get("/"); got != "200" {
		t.Fatal(got)
	}
	next := *u.spec
	next.TLS = ca.server(t, servertls.Settings{}, []string{"a.example"})
	u.reload(&next)
	clients = append(clients, u.dial(t)) // before its handshake
	eventually(t, "all are open", func() bool { return u.open() == 4 })
	eventually(t, "all are idle", func() bool { return u.spec.Series.Connections().Idle == 4 })
	if err := u.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	for _, c := range clients {
		if b, err := io.ReadAll(c); err != nil && !isReset(err) || len(b) > 0 {
			t.Errorf("%q %v", b, err)
		}
	}
	if !sawGoAway(h2) {
		t.Error("no GOAWAY")
	}
	if err := u.Drain(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
}

func sawGoAway(f *frames) bool {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return false
		}
		if g, ok := frame.(*http2.GoAwayFrame); ok {
			return g.ErrCode == http2.ErrCodeNo
		}
	}
}

func TestDrainServesLateFirstRequests(t *testing.T) {
	u := start(t, tell)
	a, b := u.dial(t), u.dial(t)
	eventually(t, "both are open", func() bool { return u.open() == 2 })
	u.Stop()
	drained := make(chan error, 1)
	go func() { drained <- u.Drain(t.Context()) }()
	io.WriteString(a, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(a), nil); err == nil { // if it was in time
		res.Body.Close()
		if res.StatusCode != 200 || !res.Close {
			t.Errorf("%d, close %v", res.StatusCode, res.Close)
		}
	}
	io.WriteString(b, http2.ClientPreface)
	f := &frames{Framer: http2NewFramer(b), Conn: b, t: t}
	f.WriteSettings()
	_ = sawGoAway(f)
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainThatTakesTooLong(t *testing.T) {
	each(t, func(ctx context.Context, x *exchange.Exchange, w proxy.Writer) {
		<-ctx.Done()
		w.Abort()
	}, func(t *testing.T, u *up, c *http.Client, url string) {
		failed := make(chan error, 1)
		go func() {
			res, err := c.Get(url)
			if err == nil {
				res.Body.Close()
			}
			failed <- err
		}()
		eventually(t, "a request is open", func() bool { return u.proxy.busy.Load() == 1 })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := u.Drain(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if <-failed == nil {
			t.Error("it was answered")
		}
	})
}

// A listener that is gone from the configuration is served as it was until it is forgotten, on old connections and new.
func TestListenersThatHaveGone(t *testing.T) {
	each(t, tell, func(t *testing.T, u *up, c *http.Client, url string) {
		if status, _ := get(t, c, url); status != 200 {
			t.Fatal(status)
		}
		other := *u.spec
		other.Name = "other"
		u.reload(&other)
		for range 2 {
			if status, body := get(t, c, url); status != 200 || !strings.HasSuffix(body, "listener=public") {
				t.Errorf("%d %s", status, body)
			}
			c.CloseIdleConnections()
		}
		if status, _ := get(t, c, url); status != 200 {
			t.Fatal(status)
		}
		u.Rename("other")
		if status, body := get(t, c, url); status != 200 || !strings.HasSuffix(body, "listener=other") {
			t.Errorf("%d %s on a connection that is older than the name", status, body)
		}
		c.CloseIdleConnections()
		u.Rename("public")
		last, _ := u.holder.Listener("public")
		u.holder.Forget("public", last)
		if res, err := c.Get(url); err == nil {
			res.Body.Close()
			t.Errorf("after it was forgotten: %d", res.StatusCode)
		}
		u.Rename("other")
	})
}

// HTTP/1.1 takes new limits with the next request, HTTP/2 with the next connection.
func TestNewLimits(t *testing.T) {
	u := start(t, tell)
	old := u.dial(t)
	r := bufio.NewReader(old)
	oldFrames := u.frames(t)
	if got := oldFrames.get("/0123456789"); got != "200" {
		t.Fatal(got)
	}
	const short, long = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /0123456789 HTTP/1.1\r\nHost: a\r\n\r\n"
	io.WriteString(old, long)
	if res, _ := read(t, r, "GET"); res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	next := *u.spec
	next.Limits.URIBytes = 10
	u.reload(&next)
	io.WriteString(old, short) // the limits may have been asked for before the reload
	if res, _ := read(t, r, "GET"); res.StatusCode != 200 {
		t.Errorf("short: %d", res.StatusCode)
	}
	io.WriteString(old, long)
	if res, _ := read(t, r, "GET"); res.StatusCode != 414 || !res.Close {
		t.Errorf("long: %d, close %v", res.StatusCode, res.Close)
	}
	if res, _ := u.talk(t, long); res.StatusCode != 414 {
		t.Errorf("a new connection: %d", res.StatusCode)
	}
	oldFrames.send(3, true, ":path", "/0123456789")
	if got := oldFrames.outcome(3); got != "200" {
		t.Errorf("old h2: %s", got)
	}
	if got := u.frames(t).get("/0123456789"); got != "414" {
		t.Errorf("new h2: %s", got)
	}
}

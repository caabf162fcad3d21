package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/proxy"
	"github.com/sluice-gateway/sluice/snapshot"
)

func small(l *snapshot.Limits) { l.HeaderBytes, l.HeaderCount, l.URIBytes = 2048, 10, 100 }

func TestRequestLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name   string
		path   string
		fields []string
		want   int
	}{
		{"within", "/" + long(99), []string{"a", long(500), "b", long(500)}, 200},
		{"target", "/" + long(100), nil, 414},
		{"target far over", "/" + long(2000), nil, 414},
		{"one field", "/", []string{"a", long(2048)}, 431},
		{"fields together", "/", []string{"a", long(800), "b", long(800), "c", long(800)}, 431},
		{"far over", "/", []string{"a", long(100 << 10)}, 431},
		{"count", "/", []string{"a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6", "g", "7", "h", "8", "i", "9", "j", "10", "k", "11"}, 431},
		{"repeats count", "/", []string{"a", "1", "a", "2", "a", "3", "a", "4", "a", "5", "a", "6", "a", "7", "a", "8", "a", "9", "a", "10", "a", "11"}, 431},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := start(t, tell, limits(small))
			text := "GET " + c.path + " HTTP/1.1\r\nHost: a\r\n"
			for i := 0; i < len(c.fields); i += 2 {
				text += c.fields[i] + ": " + c.fields[i+1] + "\r\n"
			}
			if res, body := u.talk(t, text+"\r\n"); res.StatusCode != c.want {
				t.Errorf("http1: %d %s", res.StatusCode, body)
			}
			f := u.frames(t)
			header := request(append([]string{":path", c.path}, c.fields...)...)
			first := header[:min(len(header), 16<<10)]
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: len(first) == len(header), EndStream: true})
			for rest := header[len(first):]; len(rest) > 0; {
				n := min(len(rest), 16<<10)
				f.WriteContinuation(1, n == len(rest), rest[:n])
				rest = rest[n:]
			}
			// x/net gives up on a block that is over twice what it reads: a connection error.
			if got := f.outcome(1); got != fmt.Sprint(c.want) && (c.name != "far over" || got == "200") {
				t.Errorf("http2: %s", got)
			}
		})
	}
}

func TestNoLimits(t *testing.T) {
	each(t, tell, func(t *testing.T, u *up, c *http.Client, url string) {
		r, _ := http.NewRequest("GET", url+"/"+strings.Repeat("x", 20<<10), nil)
		for i := range 200 {
			r.Header.Set(fmt.Sprint("X-", i), strings.Repeat("y", 1000))
		}
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("%d", res.StatusCode)
		}
	}, limits(func(l *snapshot.Limits) { *l = snapshot.Limits{} }))
}

func TestHTTP2ThatHTTP1CouldMisread(t *testing.T) {
	for _, c := range []struct {
		name   string
		change []string
		want   string
	}{
		{"good", []string{":path", "/a?b=c", "x-a", "b"}, "200"},
		{"method with a space", []string{":method", "GET /admin HTTP/1.1"}, "400"},
		{"method with CR LF", []string{":method", "GET / HTTP/1.1\r\nX: y"}, "reset PROTOCOL_ERROR"},
		{"path with a space", []string{":path", "/a HTTP/1.1"}, "400"},
		{"query with a space", []string{":path", "/a?b c"}, "400"},
		{"path with CR LF", []string{":path", "/a\r\nX: y"}, "reset PROTOCOL_ERROR"},
		{"path with NUL", []string{":path", "/a\x00"}, "reset PROTOCOL_ERROR"},
		{"path with a fragment", []string{":path", "/a#b"}, "400"},
		{"path without a slash", []string{":path", "a"}, "reset PROTOCOL_ERROR"},
		{"authority with CR LF", []string{":authority", "a\r\nX: y"}, "reset PROTOCOL_ERROR"},
		{"value with CR LF", []string{"x-a", "b\r\nx: y"}, "reset PROTOCOL_ERROR"},
		{"value with LF", []string{"x-a", "b\nx: y"}, "reset PROTOCOL_ERROR"},
		{"value with CR", []string{"x-a", "b\rx: y"}, "reset PROTOCOL_ERROR"},
		{"value with NUL", []string{"x-a", "b\x00"}, "reset PROTOCOL_ERROR"},
		{"name with CR LF", []string{"x-a\r\nx", "b"}, "reset PROTOCOL_ERROR"},
		{"name with a colon", []string{"x:a", "b"}, "reset PROTOCOL_ERROR"},
		{"name with a space", []string{"x a", "b"}, "reset PROTOCOL_ERROR"},
		{"name in upper case", []string{"X-A", "b"}, "reset PROTOCOL_ERROR"},
		{"a host of another name", []string{"host", "b.example"}, "reset PROTOCOL_ERROR"},
		{"the same host", []string{"host", "a.example"}, "200"},
		{"connection", []string{"connection", "close"}, "400"},
		{"transfer-encoding", []string{"transfer-encoding", "chunked"}, "400"},
		{"upgrade", []string{"upgrade", "websocket"}, "400"},
		{"extended CONNECT", []string{":protocol", "websocket", ":method", "CONNECT"}, "reset PROTOCOL_ERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := start(t, func(ctx context.Context, x *exchange.Exchange, w proxy.Writer) {
				for name, values := range x.In.Header {
					if strings.ContainsAny(name+strings.Join(values, ""), "\r\n\x00") {
						t.Errorf("%q: %q came through", name, values)
					}
				}
				tell(ctx, x, w)
			})
			f := u.frames(t)
			f.send(1, true, c.change...)
			if got := f.outcome(1); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestHTTP2ContinuationFlood(t *testing.T) {
	u := start(t, tell, limits(small))
	f := u.frames(t)
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: request(), EndStream: true})
	sent := 0
	for flood := block("x", strings.Repeat("y", 8000)); ; sent += len(flood) {
		if err := f.WriteContinuation(1, false, flood); err != nil {
			break // the gateway hung up
		}
		if sent > 64<<20 {
			t.Fatal("64 MiB of CONTINUATION frames were read")
		}
	}
	eventually(t, "the connection is closed", func() bool { return u.open() == 0 })
	if u.proxy.calls.Load() > 0 {
		t.Error("it was served")
	}
}

func TestHTTP2RapidReset(t *testing.T) {
	release := make(chan struct{})
	u := start(t, func(ctx context.Context, x *exchange.Exchange, w proxy.Writer) {
		<-release
		w.Abort()
	}, limits(func(l *snapshot.Limits) { l.Streams = 10 }))
	defer close(release)
	f := u.frames(t)
	flood := &frames{Framer: http2NewFramer(f.Conn), Conn: f.Conn, t: t}
	go func() {
		for id := uint32(1); id < 20000; id += 2 {
			flood.send(id, true)
			if flood.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
				return
			}
		}
	}()
	if got := f.outcome(1 << 30); got != "goaway ENHANCE_YOUR_CALM" && got != "closed" {
		t.Errorf("%s", got)
	}
	if n := u.proxy.busy.Load(); n > 10 {
		t.Errorf("%d requests at once", n)
	}
}

func TestStreamsLimit(t *testing.T) {
	release := make(chan struct{})
	u := start(t, func(ctx context.Context, x *exchange.Exchange, w proxy.Writer) {
		<-release
		tell(ctx, x, w)
	}, limits(func(l *snapshot.Limits) { l.Streams = 2 }))
	f := u.frames(t)
	for id := uint32(1); id <= 5; id += 2 {
		f.send(id, true)
	}
	if got := f.outcome(5); !strings.HasPrefix(got, "reset ") {
		t.Errorf("the third stream: %s", got)
	}
	close(release)
}

func TestConnectionLimit(t *testing.T) {
	u := start(t, tell, limits(func(l *snapshot.Limits) { l.Connections = 2 }))
	c := u.client(t, nil, protoHTTP1)
	a, b := u.dial(t), u.dial(t)
	eventually(t, "two are open", func() bool { return u.open() == 2 })
	third := u.dial(t)
	if _, err := io.ReadAll(third); err != nil && !isReset(err) {
		t.Errorf("the third is not closed: %v", err)
	}
	a.Close()
	eventually(t, "one is gone", func() bool { return u.open() == 1 })
	if status, _ := get(t, c, "http://a"); status != 200 {
		t.Errorf("%d", status)
	}
	_ = b
}

// shortly is a limit that a test waits for.
const shortly = 50 * time.Millisecond

func TestTimesThatRunOut(t *testing.T) {
	ca := newAuthority(t)
	server := ca.server(t, servertls.Settings{}, []string{"a.example"})
	for _, c := range []struct {
		name   string
		change func(*snapshot.Listener)
		send   string
	}{
		{"nothing is sent", limits(func(l *snapshot.Limits) { l.IdleTimeout = shortly }), ""},
		{"half a preface", limits(func(l *snapshot.Limits) { l.HeaderTimeout = shortly }), "PRI * HT"},
		{"half a header", limits(func(l *snapshot.Limits) { l.HeaderTimeout = shortly }), "GET / HTTP/1.1\r\nHost"},
		{"idle after an answer", limits(func(l *snapshot.Limits) { l.IdleTimeout = shortly }), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"idle after a preface", limits(func(l *snapshot.Limits) { l.IdleTimeout = shortly }), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
		{"no handshake", func(s *snapshot.Listener) { s.TLS, s.Limits.HeaderTimeout = server, shortly }, ""},
		{"half a handshake", func(s *snapshot.Listener) { s.TLS, s.Limits.HeaderTimeout = server, shortly }, "\x16\x03\x01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := start(t, tell, c.change)
			conn := u.dial(t)
			io.WriteString(conn, c.send)
			if _, err := io.ReadAll(conn); err != nil && !isReset(err) {
				t.Errorf("it was not closed: %v", err)
			}
		})
	}
}

func TestBodiesThatStall(t *testing.T) {
	got := make(chan error, 1)
	serve := func(_ context.Context, x *exchange.Exchange, w proxy.Writer) {
		_, err := io.ReadAll(x.In.Body)
		got <- err
		if w.Write(answer(408, "")) != nil {
			w.Abort()
		}
	}
	stalls := limits(func(l *snapshot.Limits) { l.StallTimeout = shortly })
	check := func(t *testing.T) {
		t.Helper()
		if f, ok := errors.AsType[*failure.Error](<-got); !ok || f.Kind != failure.ClientStalled || f.Source != failure.Client {
			t.Errorf("%v", f)
		}
	}
	t.Run("http1", func(t *testing.T) {
		u := start(t, serve, stalls)
		if res, _ := u.talk(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"); res.StatusCode != 408 {
			t.Errorf("%d", res.StatusCode)
		}
		check(t)
	})
	t.Run("http2", func(t *testing.T) {
		u := start(t, serve, stalls)
		f := u.frames(t)
		f.send(1, false, ":method", "POST")
		f.WriteData(1, false, []byte("ab"))
		if got := f.outcome(1); got != "408" {
			t.Errorf("%s", got)
		}
		check(t)
	})
	t.Run("grpc may be silent longer", func(t *testing.T) {
		u := start(t, serve, limits(func(l *snapshot.Limits) { l.StallTimeout, l.StreamIdleTimeout = shortly, 4*shortly }))
		f := u.frames(t)
		began := time.Now()
		f.send(1, false, ":method", "POST", "content-type", "application/grpc+proto")
		if got := f.outcome(1); got != "408" && !strings.HasPrefix(got, "reset") {
			t.Errorf("%s", got)
		}
		check(t)
		if time.Since(began) < 4*shortly {
			t.Error("it was not allowed to be")
		}
	})
}

func TestMalformedChunksAreTheClientsMistake(t *testing.T) {
	got := make(chan error, 1)
	u := start(t, func(_ context.Context, x *exchange.Exchange, w proxy.Writer) {
		_, err := io.ReadAll(x.In.Body)
		got <- err
		_ = w.Write(answer(400, ""))
	})
	u.talk(t, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	if f, ok := errors.AsType[*failure.Error](<-got); !ok || f.Code() != 400 {
		t.Errorf("%v", f)
	}
}

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }
func (endless) Close() error               { return nil }

func TestReadersThatStall(t *testing.T) {
	got := make(chan error, 1)
	serve := func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
		got <- w.Write(&http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: endless{}})
		w.Abort()
	}
	check := func(t *testing.T) {
		if f, ok := errors.AsType[*failure.Error](<-got); !ok || f.Kind != failure.ClientStalled {
			t.Errorf("%v", f)
		}
	}
	stalls := limits(func(l *snapshot.Limits) { l.StallTimeout = shortly })
	t.Run("http1", func(t *testing.T) {
		u := start(t, serve, stalls)
		io.WriteString(u.dial(t), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		check(t)
	})
	t.Run("http2 window", func(t *testing.T) {
		u := start(t, serve, stalls)
		f := u.frames(t)
		f.send(1, true)
		f.outcome(1)
		go io.Copy(io.Discard, f.Conn) // the connection moves, the window never opens
		check(t)
	})
	t.Run("http2 small answer, no window", func(t *testing.T) {
		u := start(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) { got <- w.Write(answer(200, "hello")) }, stalls)
		c := u.dial(t)
		io.WriteString(c, http2.ClientPreface)
		f := &frames{Framer: http2NewFramer(c), Conn: c, t: t}
		f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		f.send(1, true)
		if s := f.outcome(1); s != "200" {
			t.Errorf("%s", s)
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
		if s := f.outcome(1); !strings.HasPrefix(s, "reset") {
			t.Errorf("the stream goes on: %s", s)
		}
	})
}

// silent bodies wait until they are closed.
type silentBody struct {
	closed chan struct{}
	once   *sync.Once
}

func (b silentBody) Read([]byte) (int, error) { <-b.closed; return 0, io.ErrClosedPipe }
func (b silentBody) Close() error             { b.once.Do(func() { close(b.closed) }); return nil }

func TestStreamsThatFallSilent(t *testing.T) {
	for _, kind := range []string{"text/event-stream; charset=utf-8", "application/grpc"} {
		got := make(chan error, 1)
		each(t, func(_ context.Context, x *exchange.Exchange, w proxy.Writer) {
			got <- w.Write(&http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {kind}}, ContentLength: -1,
				Body: silentBody{make(chan struct{}), new(sync.Once)}})
			w.Abort()
		}, func(t *testing.T, u *up, c *http.Client, url string) {
			r, w := io.Pipe()
			defer w.Close()
			res, err := c.Post(url, kind, r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if _, err := io.ReadAll(res.Body); err == nil {
				t.Error("a clean end")
			}
			if f, ok := errors.AsType[*failure.Error](<-got); !ok || f.Source != failure.Gateway || f.Kind != failure.HTTPResponseIncomplete {
				t.Errorf("%v", f)
			}
		}, limits(func(l *snapshot.Limits) { l.StreamIdleTimeout = shortly }))
	}
}

// vanish: a client that goes away, at each stage, leaves nothing: end and goleak look.
func TestClientsThatVanish(t *testing.T) {
	ca := newAuthority(t)
	server := ca.server(t, servertls.Settings{}, []string{"a.example"})
	before := files(t)
	const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
	h2 := http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	post := string(request(":method", "POST"))
	h2post := h2 + "\x00\x00" + string(rune(len(post))) + "\x01\x04\x00\x00\x00\x01" + post
	for _, c := range []struct {
		name, send string
		tls        bool
		asks       bool // it got as far as a request
	}{
		{"at once", "", false, false},
		{"mid preface", "PRI * HT", false, false},
		{"after the preface", h2, false, false},
		{"mid header", "GET / HTTP/1.1\r\nHo", false, false},
		{"mid body", head + "abc", false, true},
		{"mid body h2", h2post, false, true},
		{"mid handshake", "\x16\x03\x01\x02\x00\x01", true, false},
		{"before the handshake", "", true, false},
		{"garbage for a handshake", "GET / HTTP/1.1\r\n\r\n", true, false},
	} {
		for _, hard := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, " hard=", hard), func(t *testing.T) {
				ended := make(chan error, 1)
				u := start(t, func(_ context.Context, x *exchange.Exchange, w proxy.Writer) {
					_, err := io.ReadAll(x.In.Body)
					ended <- err
					w.Abort()
				})
				if c.tls {
					tlsSpec := *u.spec
					tlsSpec.TLS = server
					u.reload(&tlsSpec)
				}
				conn := u.dial(t)
				io.WriteString(conn, c.send)
				if c.asks {
					eventually(t, "it is asked for", func() bool { return u.proxy.calls.Load() == 1 })
				}
				if hard {
					conn.(*net.TCPConn).SetLinger(0)
				}
				conn.Close()
				if c.asks {
					if err := <-ended; err == nil {
						t.Error("half a body was taken for a whole one")
					}
				}
				eventually(t, "the connection is gone", func() bool { return u.open() == 0 })
			})
		}
	}
	eventually(t, "no file is left open", func() bool { return files(t) <= before })
}

func TestClientsThatVanishMidAnswer(t *testing.T) {
	got := make(chan error, 1)
	each(t, func(ctx context.Context, _ *exchange.Exchange, w proxy.Writer) {
		err := w.Write(&http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: endless{}})
		<-ctx.Done() // the request ends with its client
		got <- err
		w.Abort()
	}, func(t *testing.T, u *up, c *http.Client, url string) {
		res, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		io.CopyN(io.Discard, res.Body, 100<<10)
		res.Body.Close()
		if f, ok := errors.AsType[*failure.Error](<-got); !ok || f.Kind != failure.ClientGone || f.Source != failure.Client {
			t.Errorf("%v", f)
		}
	})
}

func TestClientsThatVanishWhileWaiting(t *testing.T) {
	each(t, func(ctx context.Context, _ *exchange.Exchange, w proxy.Writer) {
		<-ctx.Done()
		w.Abort()
	}, func(t *testing.T, u *up, c *http.Client, url string) {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
		done := make(chan error)
		go func() { _, err := c.Do(r); done <- err }()
		eventually(t, "it is asked for", func() bool { return u.proxy.busy.Load() == 1 })
		cancel()
		if err := <-done; err == nil {
			t.Error("no error")
		}
		eventually(t, "the request ends", func() bool { return u.proxy.busy.Load() == 0 })
	})
}

// A client that sends on and on and reads nothing must not hold the connection with answers it will not take.
func TestUnreadAnswersOfAPipeline(t *testing.T) {
	u := start(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
		_ = w.Write(answer(200, strings.Repeat("x", 2000)))
	},
		limits(func(l *snapshot.Limits) { l.StallTimeout = shortly }))
	c := u.dial(t)
	go func() {
		for {
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				return
			}
		}
	}()
	eventually(t, "the connection came", func() bool { return u.proxy.calls.Load() > 0 })
	eventually(t, "the connection is closed", func() bool { return u.open() == 0 })
	c.Close()
}

func TestRestOfABodyThatNobodyRead(t *testing.T) {
	u := start(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) { _ = w.Write(answer(403, "no")) },
		limits(func(l *snapshot.Limits) { l.StallTimeout = shortly }))
	c := u.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
	if res, _ := read(t, bufio.NewReader(c), "POST"); res.StatusCode != 403 {
		t.Errorf("%d", res.StatusCode)
	}
	eventually(t, "the connection is closed", func() bool { return u.open() == 0 })
}

// What follows an early answer is the body still, whatever it looks like.
func TestRestOfABodyIsNoRequest(t *testing.T) {
	u := start(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) { _ = w.Write(answer(403, "no")) })
	for _, c := range []struct{ framing, rest string }{
		{"Content-Length: 34", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r"},       // and one byte more is never sent
		{"Content-Length: 500000", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"}, // more than is worth reading
		{"Transfer-Encoding: chunked", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		before := u.proxy.calls.Load()
		conn := u.dial(t)
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+c.framing+"\r\n\r\n")
		r := bufio.NewReader(conn)
		if res, _ := read(t, r, "POST"); res.StatusCode != 403 {
			t.Errorf("%s: %d", c.framing, res.StatusCode)
		}
		io.WriteString(conn, c.rest)
		conn.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(r); err != nil && !isReset(err) || len(b) > 0 {
			t.Errorf("%s: %q %v", c.framing, b, err)
		}
		if n := u.proxy.calls.Load() - before; n != 1 {
			t.Errorf("%s: %d requests", c.framing, n)
		}
	}
}

// A rest that is worth reading saves the connection.
func TestRestOfABodyBeforeTheNextRequest(t *testing.T) {
	u := start(t, tell)
	conn := u.dial(t)
	r := bufio.NewReader(conn)
	for i, framing := range []string{"Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"} {
		io.WriteString(conn, fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: a\r\n%s", i, framing))
		if res, body := read(t, r, "POST"); res.StatusCode != 200 || !strings.Contains(body, fmt.Sprintf(" /%d ", i)) {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	}
}

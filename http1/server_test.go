package http1

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// relay forwards everything to one transport, as a gateway would.
func relay(tr *Transport) Handler {
	return handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		res, err := tr.RoundTrip(ctx, r, &Call{Inform: func(s int, h http.Header) { w.Inform(s, h) }})
		if err != nil {
			f := failure.From(err)
			w.Write(text(f.Code(), string(f.Kind)))
			return
		}
		w.Write(res)
	})
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// writes serves every request with what f returns.
func writes(f func(r *http.Request) *http.Response) Handler {
	return handlerFunc(func(_ context.Context, r *http.Request, w *Writer) { w.Write(f(r)) })
}

func TestFramingOfAnswers(t *testing.T) {
	body := func(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
	h := func(kv ...string) http.Header {
		h := http.Header{"Date": {"x"}}
		for i := 0; i < len(kv); i += 2 {
			h[kv[i]] = []string{kv[i+1]}
		}
		return h
	}
	tests := []struct {
		name, request string
		res           http.Response
		want          string
	}{
		{"length", get, http.Response{StatusCode: 200, Header: h(), Body: body("abc"), ContentLength: 3}, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 3\r\n\r\nabc"},
		{"no body", get, http.Response{StatusCode: 404, Header: h()}, "HTTP/1.1 404 Not Found\r\nDate: x\r\nContent-Length: 0\r\n\r\n"},
		{"chunked", get, http.Response{StatusCode: 200, Header: h(), Body: body("abc"), ContentLength: -1}, "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{"forgotten length", get, http.Response{StatusCode: 200, Header: h(), Body: body("abc")}, "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"},
		{"empty after all", get, http.Response{StatusCode: 200, Header: h(), Body: body("")}, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n"},
		{"trailers", get, http.Response{StatusCode: 200, Header: h(), Body: body("abc"), ContentLength: 3, Trailer: http.Header{"X": {"y"}}},
			"HTTP/1.1 200 OK\r\nDate: x\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"},
		{"framing fields are ours", get, http.Response{StatusCode: 200, Header: h("Content-Length", "99", "Connection", "close", "Transfer-Encoding", "gzip", "transfer-encoding", "x", "Keep-Alive", "1"), Body: body("abc"), ContentLength: 3},
			"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 3\r\n\r\nabc"},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", http.Response{StatusCode: 200, Header: h(), Body: body("abc"), ContentLength: 3}, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 3\r\n\r\n"},
		{"HEAD of unknown length", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", http.Response{StatusCode: 200, Header: h(), ContentLength: -1}, "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n"},
		{"204", get, http.Response{StatusCode: 204, Header: h(), Body: body("abc"), ContentLength: 3}, "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n"},
		{"304", get, http.Response{StatusCode: 304, Header: h()}, "HTTP/1.1 304 Not Modified\r\nDate: x\r\n\r\n"},
		{"304 with a length", get, http.Response{StatusCode: 304, Header: h(), ContentLength: 5}, "HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 5\r\n\r\n"},
		{"HTTP/1.0 is never chunked", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", http.Response{StatusCode: 200, Header: h(), Body: body("abc"), ContentLength: -1, Trailer: http.Header{"X": {"y"}}},
			"HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\nabc"},
		{"too short", get, http.Response{StatusCode: 200, Header: h(), Body: body("abc"), ContentLength: 9}, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 9\r\n\r\nabc!"},
		{"too long", get, http.Response{StatusCode: 200, Header: h(), Body: body("abc"), ContentLength: 2}, "!"},
		{"split", get, http.Response{StatusCode: 200, Header: h("X", "a\r\nb: c"), Body: body("abc"), ContentLength: 3}, "!"},
		{"interim", get, http.Response{StatusCode: 103, Header: h()}, "!"},
		{"unasked upgrade", get, http.Response{StatusCode: 101, Header: h("Upgrade", "x")}, "!"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, dial := serve(t, writes(func(*http.Request) *http.Response { res := tt.res; return &res }))
			c := dial()
			say(t, c, strings.Replace(tt.request, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
			b, err := io.ReadAll(c)
			got := strings.Replace(string(b), "Connection: close\r\n", "", 1)
			want := strings.Replace(tt.want, "Connection: close\r\n", "", 1)
			if broken := strings.HasSuffix(want, "!"); broken {
				want = want[:len(want)-1]
				if err == nil {
					t.Error("a clean end of a broken answer")
				}
				if !strings.HasPrefix(want, got) { // a reset may destroy what was sent
					t.Errorf("got  %q\nwant %q", got, want)
				}
				return
			}
			if got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestClientGoneCancels(t *testing.T) {
	begun, ended := make(chan bool), make(chan error)
	_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		begun <- true
		<-derived.Done()
		ended <- ctx.Err()
	}))
	for range 3 {
		c := dial()
		say(t, c, get)
		<-begun
		c.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

func TestClientGoneCancelsTheUpstreamRequest(t *testing.T) {
	for _, wrap := range []bool{false, true} {
		tr, heardIt, closed := waitingEndpoint(t)
		_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
			if wrap {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Hour)
				defer cancel()
			}
			_, err := tr.RoundTrip(ctx, r, &Call{})
			if f := failure.From(err); f == nil || f.Kind != failure.ClientGone {
				t.Errorf("got %v", err)
			}
		}))
		c := dial()
		say(t, c, get)
		<-heardIt
		c.Close()
		<-closed
	}
}

func TestServerContextBreaksOff(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), scopeKey{}, nil))
	begun := make(chan bool)
	s := &Server{Handler: handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		begun <- true
		<-ctx.Done()
	})}
	defer s.Shutdown()
	_, silent := tcpPair(t)
	a, busy := tcpPair(t)
	over := make(chan bool, 2)
	for _, c := range []net.Conn{silent, busy} {
		go s.Adopt(ctx, c, func() { over <- true })
	}
	say(t, a, get)
	<-begun
	cancel()
	<-over
	<-over
}

// tcpPair is a connection and its other end.
func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestDrain(t *testing.T) {
	begun, release := make(chan bool), make(chan bool)
	s := &Server{Handler: handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		if r.URL.Path == "/slow" {
			begun <- true
			<-release
		}
		w.Write(text(200, "ok"))
	})}
	start := func() (net.Conn, *bufio.Reader, chan bool) {
		a, b := tcpPair(t)
		over := make(chan bool)
		go s.Adopt(context.Background(), b, func() { close(over) })
		return a, bufio.NewReader(a), over
	}
	_, silentBr, silentOver := start()
	idle, idleBr, idleOver := start()
	say(t, idle, get)
	answerOf(t, idleBr, "GET")
	half, halfBr, halfOver := start()
	say(t, half, "GET / HTTP/1.1\r\nHo")
	busy, busyBr, busyOver := start()
	say(t, busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	s.Shutdown()
	<-silentOver
	ends(t, silentBr)
	<-idleOver
	ends(t, idleBr)
	say(t, half, "st: a\r\n\r\n")
	release <- true
	for br, over := range map[*bufio.Reader]chan bool{halfBr: halfOver, busyBr: busyOver} {
		if res, body := answerOf(t, br, "GET"); body != "ok" || !res.Close {
			t.Errorf("got %q close=%v", body, res.Close)
		}
		ends(t, br)
		<-over
	}
	late, lateBr, lateOver := start()
	<-lateOver
	ends(t, lateBr)
	late.Close()
}

func TestLimitsOfTime(t *testing.T) {
	short := 20 * time.Millisecond
	t.Run("slow head is 408", func(t *testing.T) {
		_, dial := serve(t, handlerFunc(echo), func(l *Limits) { l.HeaderTimeout = short })
		for _, part := range []string{"G", "GET / HTTP/1.1\r\nHost: a\r\n"} {
			c := dial()
			br := bufio.NewReader(c)
			say(t, c, part)
			if res, _ := answerOf(t, br, "GET"); res.StatusCode != 408 || !res.Close {
				t.Errorf("got %d", res.StatusCode)
			}
			ends(t, br)
		}
	})
	t.Run("idle is silence", func(t *testing.T) {
		_, dial := serve(t, handlerFunc(echo), func(l *Limits) { l.IdleTimeout = short })
		c := dial()
		br := bufio.NewReader(c)
		ends(t, br)
		c = dial()
		br = bufio.NewReader(c)
		say(t, c, get)
		answerOf(t, br, "GET")
		ends(t, br)
	})
	t.Run("slow body is 408", func(t *testing.T) {
		_, dial := serve(t, handlerFunc(echo), func(l *Limits) { l.StallTimeout = short })
		c := dial()
		say(t, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
		if res, body := answerOf(t, bufio.NewReader(c), "POST"); res.StatusCode != 408 || !res.Close {
			t.Errorf("got %d %q", res.StatusCode, body)
		}
	})
	t.Run("slow reader is broken off", func(t *testing.T) {
		result := make(chan error, 1)
		_, dial := serve(t, handlerFunc(func(_ context.Context, _ *http.Request, w *Writer) {
			result <- w.Write(&http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(zeros{})})
		}), func(l *Limits) { l.StallTimeout = short })
		say(t, dial(), get)
		if err := <-result; !isTimeout(err) {
			t.Errorf("got %v", err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestParkedConnectionsWake(t *testing.T) {
	s, dial := serve(t, handlerFunc(echo))
	conns := make([]net.Conn, 20)
	for i := range conns {
		conns[i] = dial()
	}
	parked := func() bool {
		n := 0
		for _, a := range s.all() {
			if a.parked.Load() {
				n++
			}
		}
		return n == len(conns)
	}
	for range 3 {
		waitFor(t, parked)
		for _, c := range conns {
			say(t, c, get)
		}
		for _, c := range conns {
			answerOf(t, bufio.NewReader(c), "GET")
		}
	}
	waitFor(t, parked)
	for _, c := range conns {
		c.Close()
	}
	waitFor(t, func() bool { return s.Conns() == 0 })
}

func TestHalfClosedClientIsAnsweredWhatItAsked(t *testing.T) {
	_, dial := serve(t, handlerFunc(echo))
	for range 20 {
		c := dial()
		say(t, c, get+get)
		c.(*net.TCPConn).CloseWrite()
		br := bufio.NewReader(c)
		answerOf(t, br, "GET")
		answerOf(t, br, "GET")
		ends(t, br)
	}
}

func TestHandlerThatWritesNothingBreaksOff(t *testing.T) {
	_, dial := serve(t, handlerFunc(func(context.Context, *http.Request, *Writer) {}))
	c := dial()
	say(t, c, get)
	if b, err := io.ReadAll(c); err == nil || len(b) > 0 {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestTruncatedAnswerIsNeverClean(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		for _, version := range []string{"1.1", "1.0"} {
			tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
				heard(br)
				io.WriteString(c, answer)
			})
			_, dial := serve(t, relay(tr))
			c := dial()
			say(t, c, "GET / HTTP/"+version+"\r\nHost: a\r\n\r\n")
			if b, err := io.ReadAll(c); err == nil {
				t.Errorf("HTTP/%s: a clean end after %q", version, b)
			}
		}
	}
}

func TestRelayKeepsAnswersApart(t *testing.T) {
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for r := heard(br); r != nil; r = heard(br) {
			b, _ := io.ReadAll(r.Body)
			id := r.Header.Get("X-Id")
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(b), b)
		}
	})
	_, dial := serve(t, relay(tr))
	failed := make(chan error, 8)
	for g := range cap(failed) {
		c := dial()
		go func() {
			br := bufio.NewReader(c)
			for i := range 100 {
				id := fmt.Sprintf("%d-%d", g, i)
				body := strings.Repeat(id+" ", i*i)
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
				res, err := http.ReadResponse(br, nil)
				if err != nil {
					failed <- err
					return
				}
				b, err := io.ReadAll(res.Body)
				if err != nil || string(b) != body || res.Header.Get("X-Id") != id {
					failed <- fmt.Errorf("%s got %s, %d bytes of %d, %v", id, res.Header.Get("X-Id"), len(b), len(body), err)
					return
				}
			}
			failed <- nil
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

func TestServerSentEventsAreFlushed(t *testing.T) {
	next := make(chan string)
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		heard(br)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for s := range next {
			fmt.Fprintf(c, "%x\r\n%s\r\n", len(s), s)
		}
		io.WriteString(c, "0\r\n\r\n")
	})
	_, dial := serve(t, relay(tr), func(l *Limits) { l.StallTimeout = patience })
	c := dial()
	say(t, c, get)
	res, err := http.ReadResponse(bufio.NewReader(c), nil) // the head comes before any event
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		want := fmt.Sprintf("data: %d\n\n", i)
		next <- want
		got := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	close(next)
	if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

const upgradeHead = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

func TestTunnel(t *testing.T) {
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		r := heard(br)
		if r == nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\nhello", r.Header.Get("Upgrade"))
		io.Copy(c, br)
		io.WriteString(c, "bye")
	})
	_, dial := serve(t, relay(tr))
	c := dial()
	br := bufio.NewReader(c)
	say(t, c, upgradeHead+"early")
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "websocket" || res.Header.Get("Connection") != "upgrade" {
		t.Fatalf("got %v, %v", res, err)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "helloearly" {
		t.Fatalf("got %q, %v", got, err)
	}
	big := strings.Repeat("0123456789", 100_000)
	go func() {
		io.WriteString(c, big)
		c.(*net.TCPConn).CloseWrite()
	}()
	b, err := io.ReadAll(br)
	if err != nil || string(b) != big+"bye" {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	waitFor(t, func() bool { open, _ := tr.Conns(); return open == 0 })
}

func TestTunnelEndsWhenIdle(t *testing.T) {
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		heard(br)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
		br.ReadByte()
	})
	counted := make(chan int64, 2)
	_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		res, err := tr.RoundTrip(ctx, r, &Call{})
		if err != nil {
			t.Error(err)
			return
		}
		w.Write(res)
		counted <- w.BytesRead()
	}), func(l *Limits) { l.StreamIdleTimeout = 20 * time.Millisecond })
	c := dial()
	br := bufio.NewReader(c)
	say(t, c, upgradeHead+"12345")
	if _, err := http.ReadResponse(br, nil); err != nil {
		t.Fatal(err)
	}
	io.ReadAll(br)
	if n := <-counted; n != 5 {
		t.Errorf("counted %d bytes", n)
	}
}

func TestRelayedStreamFallsSilent(t *testing.T) {
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		heard(br)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n")
		br.ReadByte()
	})
	written := make(chan error, 1)
	_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		res, err := tr.RoundTrip(ctx, r, &Call{})
		if err == nil {
			err = w.Write(res)
		}
		w.Abort()
		written <- err
	}), func(l *Limits) { l.StreamIdleTimeout = 20 * time.Millisecond })
	c := dial()
	say(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if all, err := io.ReadAll(c); err == nil {
		t.Errorf("a clean end after %q", all)
	}
	if err := <-written; !errors.Is(err, errFellSilent) {
		t.Errorf("got %v", err)
	}
}

func TestRefusedUpgradeIsAnAnswer(t *testing.T) {
	tr := endpoint(t, answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"))
	_, dial := serve(t, relay(tr))
	c := dial()
	br := bufio.NewReader(c)
	for range 2 {
		say(t, c, upgradeHead)
		if res, body := answerOf(t, br, "GET"); res.StatusCode != 403 || body != "no" {
			t.Errorf("got %d %q", res.StatusCode, body)
		}
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLSBothSides(t *testing.T) {
	cert := selfSigned(t)
	backend := &Server{Handler: handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		if r.TLS == nil {
			t.Error("no TLS state")
		}
		echo(ctx, r, w)
	})}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan bool)
	go func() {
		c, _ := ln.Accept()
		backend.ServeConn(context.Background(), c)
		close(over)
	}()
	tr := &Transport{StallTimeout: patience, Dial: func(ctx context.Context) (net.Conn, error) {
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
		return d.DialContext(ctx, "tcp", ln.Addr().String())
	}}
	for i := range 20 {
		sent := strings.Repeat("x", i*5000)
		_, body, err := fetch(tr, ask("POST", "/", sent))
		if err != nil || body != fmt.Sprintf("POST / host=origin body=%q", sent) {
			t.Fatalf("%d: got %.50q, %v", i, body, err)
		}
	}
	if open, idle := tr.Conns(); open != 1 || idle != 1 {
		t.Errorf("%d open, %d idle", open, idle)
	}
	ln.Close()
	backend.Shutdown()
	<-over
	waitFor(t, func() bool { tr.tidyNow(); open, _ := tr.Conns(); return open == 0 })
	tr.Retire()
}

func (t *Transport) tidyNow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeIdle(func(d *dialed) bool { return !d.in.sock.quiet() })
}

func TestPipeConversation(t *testing.T) {
	a, b := net.Pipe()
	s := &Server{Handler: handlerFunc(echo)}
	over := make(chan bool)
	go func() { s.ServeConn(context.Background(), b); close(over) }()
	br := bufio.NewReader(a)
	for range 3 {
		say(t, a, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		if _, body := answerOf(t, br, "POST"); body != `POST / host=a body="abc"` {
			t.Errorf("got %q", body)
		}
	}
	s.Shutdown()
	<-over
}

// pattern is n bytes in which every place is known.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>16) ^ byte(i>>8) ^ byte(i)
	}
	return b
}

func TestLargeAnswersAndUploads(t *testing.T) {
	want := pattern(6<<20 + 123)
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for r := heard(br); r != nil; r = heard(br) {
			b, _ := io.ReadAll(r.Body)
			if len(b) == 0 {
				b = want
			}
			switch r.URL.Path {
			case "/length":
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(b))
				c.Write(b)
			case "/chunked":
				io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
				for ; len(b) > 0; b = b[min(len(b), 100_000):] {
					p := b[:min(len(b), 100_000)]
					fmt.Fprintf(c, "%x\r\n%s\r\n", len(p), p)
				}
				io.WriteString(c, "0\r\n\r\n")
			case "/close":
				io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				c.Write(b)
				return
			}
		}
	})
	_, dial := serve(t, relay(tr))
	c := dial()
	br := bufio.NewReader(c)
	for _, path := range []string{"/length", "/chunked", "/close"} {
		say(t, c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, body := answerOf(t, br, "GET"); body != string(want) {
			t.Errorf("GET %s: %d bytes, not what was sent", path, len(body))
		}
		go fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(want), want)
		if _, body := answerOf(t, br, "POST"); body != string(want) {
			t.Errorf("POST %s: %d bytes, not what was sent", path, len(body))
		}
	}
}

func TestLargeAnswerCutShort(t *testing.T) {
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		heard(br)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 4<<20)
		c.Write(pattern(3 << 20))
	})
	result := make(chan error, 1)
	_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		res, err := tr.RoundTrip(ctx, r, &Call{})
		if err == nil {
			err = w.Write(res)
		}
		result <- err
	}))
	c := dial()
	say(t, c, get)
	n, err := io.Copy(io.Discard, c)
	if err == nil {
		t.Errorf("a clean end after %d bytes", n)
	}
	if f := failure.From(<-result); f == nil || f.Kind != failure.HTTPResponseIncomplete {
		t.Errorf("got %v", f)
	}
}

func TestLargeAnswerToAClientThatLeavesOrStalls(t *testing.T) {
	for _, stall := range []bool{false, true} {
		tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
			heard(br)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 1<<40)
			for b := pattern(1 << 20); ; {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		})
		result := make(chan error, 1)
		_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
			res, err := tr.RoundTrip(ctx, r, &Call{})
			if err == nil {
				err = w.Write(res)
			}
			result <- err
		}), func(l *Limits) { l.StallTimeout = 50 * time.Millisecond })
		c := dial()
		say(t, c, get)
		io.ReadFull(c, make([]byte, 2<<20))
		if !stall {
			c.Close()
		}
		if err := <-result; err == nil || stall && !isTimeout(err) {
			t.Errorf("stall=%v: got %v", stall, err)
		}
	}
}

// TestEarlyAnswerToAnUpload has the endpoint refuse while the client is still sending, or is silent in the middle.
func TestEarlyAnswerToAnUpload(t *testing.T) {
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		for _, framing := range []string{"Content-Length: 10000000\r\n", "Transfer-Encoding: chunked\r\n"} {
			for range 20 {
				tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
					if _, err := http.ReadRequest(br); err == nil {
						io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
						io.Copy(io.Discard, br)
					}
				})
				var read int64
				done := make(chan bool)
				_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
					defer close(done)
					relay(tr).ServeRequest(ctx, r, w)
					read = w.BytesRead()
				}))
				c := dial()
				br := bufio.NewReader(c)
				say(t, c, "POST / HTTP/1.1\r\nHost: a\r\n"+expect+framing+"\r\n1\r\na\r\n")
				res, body := answerOf(t, br, "POST")
				if res.StatusCode == 100 {
					res, body = answerOf(t, br, "POST")
				}
				if res.StatusCode != 413 || body != "no" {
					t.Fatalf("got %d %q", res.StatusCode, body)
				}
				c.(*net.TCPConn).CloseWrite()
				ends(t, br)
				if <-done; read > 6 {
					t.Errorf("%d body bytes were read", read)
				}
			}
		}
	}
}

func TestInterimAnswersReachTheClient(t *testing.T) {
	tr := endpoint(t, answering("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	_, dial := serve(t, relay(tr))
	for _, tt := range []struct{ version, want string }{
		{"1.1", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"}, {"1.0", "HTTP/1.1 200 OK\r\n"},
	} {
		c := dial()
		say(t, c, "GET / HTTP/"+tt.version+"\r\nHost: a\r\nConnection: close\r\n\r\n")
		if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), tt.want) {
			t.Errorf("got %q", b)
		}
	}
}

// TestTunnelToAnyBody joins a client with something that is no connection of the engine's.
func TestTunnelToAnyBody(t *testing.T) {
	var sent, received int64
	done := make(chan bool)
	_, dial := serve(t, handlerFunc(func(_ context.Context, _ *http.Request, w *Writer) {
		near, far := net.Pipe()
		go io.Copy(far, far)
		if err := w.Write(&http.Response{StatusCode: 101, Header: http.Header{"Upgrade": {"websocket"}}, Body: near}); err != nil {
			t.Error(err)
		}
		far.Close()
		sent, received = w.BytesWritten(), w.BytesRead()
		close(done)
	}))
	c := dial()
	br := bufio.NewReader(c)
	say(t, c, upgradeHead+"12345")
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "12345" {
		t.Errorf("got %q, %v", got, err)
	}
	c.Close()
	<-done
	if sent != 5 || received != 5 {
		t.Errorf("counted %d down, %d up", sent, received)
	}
}

func TestUpgradeWithAnUnreadBodyIsNone(t *testing.T) {
	_, dial := serve(t, handlerFunc(func(_ context.Context, _ *http.Request, w *Writer) {
		near, far := net.Pipe()
		far.Close()
		if err := w.Write(&http.Response{StatusCode: 101, Header: http.Header{"Upgrade": {"websocket"}}, Body: near}); err == nil {
			t.Error("the body would have become part of the tunnel")
		}
	}))
	c := dial()
	say(t, c, strings.Replace(upgradeHead, "\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc", 1))
	if b, err := io.ReadAll(c); len(b) > 0 || err == nil {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestTLSRefusalIsReadable(t *testing.T) {
	near, far := tcpPair(t)
	s := &Server{Handler: handlerFunc(echo)}
	over := make(chan bool)
	go s.Adopt(context.Background(), tls.Server(far, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}), func() { close(over) })
	c := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	say(t, c, "GET / HTTP/3.0\r\n\r\n")
	go io.WriteString(c, strings.Repeat("x", 100_000)) // still sending
	br := bufio.NewReader(c)
	if res, _ := answerOf(t, br, "GET"); res.StatusCode != 505 {
		t.Errorf("got %d", res.StatusCode)
	}
	if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil {
		t.Errorf("the end is not a TLS end: %q, %v", rest, err)
	}
	c.Close()
	<-over
	s.Shutdown()
}

func TestEmptyLineInPieces(t *testing.T) {
	for _, n := range []int{1, 2} {
		_, dial := serve(t, handlerFunc(echo))
		c := dial()
		for _, b := range strings.Repeat("\r\n", n) + get {
			say(t, c, string(b))
		}
		want := []int{200, 400}[n-1]
		if res, _ := answerOf(t, bufio.NewReader(c), "GET"); res.StatusCode != want {
			t.Errorf("%d empty lines: got %d, want %d", n, res.StatusCode, want)
		}
	}
}

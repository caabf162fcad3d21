package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/http1"
)

func server1(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestAnswersThatDoNotBegin(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		kind  failure.Kind
	}{
		{"closed before the head", saysRaw(""), failure.ConnectionTerminated},
		{"reset before the head", func(c net.Conn) { readHead(bufio.NewReader(c)); resets(c) }, failure.ConnectionTerminated},
		{"closed within the head", saysRaw("HTTP/1.1 200 OK\r\nA: b\r\n"), failure.HTTPResponseIncomplete},
		{"garbage", saysRaw("SSH-2.0-OpenSSH\r\n\r\n"), failure.HTTPProtocolError},
		{"malformed field", saysRaw("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), failure.HTTPProtocolError},
		{"two lengths", saysRaw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), failure.HTTPProtocolError},
		{"a head too large", saysRaw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeaderBytes) + "\r\n\r\n"), failure.HTTPResponseHeaderSize},
		{"1xx without end", saysRaw(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxInformed+1)), failure.HTTPProtocolError},
		{"a switch not asked for", saysRaw("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), failure.HTTPUpgradeFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newTransport(t, Options{Address: raw(t, c.serve)}).RoundTrip(t.Context(), get(t))
			wantFailure(t, err, c.kind, false)
		})
	}
}

func TestAnswersThatBreakOff(t *testing.T) {
	for _, c := range []struct {
		name, text string
		kind       failure.Kind
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", failure.HTTPResponseIncomplete},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", failure.HTTPResponseIncomplete},
		{"chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n12345", failure.HTTPResponseIncomplete},
		{"no size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nzz\r\n", failure.HTTPProtocolError},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := mustTrip(t, newTransport(t, Options{Address: raw(t, saysRaw(c.text))}), get(t))
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if string(got) != "12345" {
				t.Errorf("read %q", got)
			}
			wantFailure(t, err, c.kind, false)
		})
	}
}

func TestSilenceEndsWithTheContext(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		arrived := make(chan struct{}, 1)
		address := raw(t, func(c net.Conn) {
			if readHead(bufio.NewReader(c)) == nil {
				arrived <- struct{}{}
			}
			silent(c)
		})
		if http2 {
			address = server2(t, func(_ http.ResponseWriter, r *http.Request) { arrived <- struct{}{}; <-r.Context().Done() })
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		_, err := newTransport(t, Options{Address: address, HTTP2: http2}).RoundTrip(ctx, get(t))
		if http2 {
			wantFailure(t, err, failure.HTTPResponseTimeout, false)
		} else if f := failure.From(err); f.Kind != failure.ClientGone || f.Source != failure.Client {
			t.Errorf("%v, want client_gone", err)
		}
	}
}

func TestTheRequestAsWritten(t *testing.T) {
	got := make(chan string, 1)
	address := raw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		var head strings.Builder
		for {
			line, err := r.ReadString('\n')
			if head.WriteString(line); err != nil || line == "\r\n" {
				break
			}
		}
		got <- head.String()
		io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	r := request(t, "GET", "")
	r.URL.Opaque, r.URL.RawQuery, r.Host = "/a%2Fb//", "q=%zz;&", "orders.test"
	r.Header = http.Header{"Te": {"trailers"}, "X-Twice": {"1", "2"}}
	mustTrip(t, newTransport(t, Options{Address: address}), &Trip{Request: r}).Body.Close()
	want := "GET /a%2Fb//?q=%zz;& HTTP/1.1\r\nHost: orders.test\r\nConnection: te\r\nTE: trailers\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n"
	if text := <-got; text != want {
		t.Errorf("sent %q,\nwant %q", text, want)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		var remotes sync.Map
		note := func(w http.ResponseWriter, r *http.Request) {
			remotes.Store(r.RemoteAddr, true)
			io.WriteString(w, "hello")
		}
		address := server1(t, note)
		if http2 {
			address = server2(t, note)
		}
		tr := newTransport(t, Options{Address: address, HTTP2: http2})
		for i := range 5 {
			trip := get(t)
			read(t, mustTrip(t, tr, trip))
			if trip.Reused != (i > 0) {
				t.Errorf("http2 %v: trip %d says reused: %v", http2, i, trip.Reused)
			}
		}
		n := 0
		remotes.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("http2 %v: %d connections for 5 requests in turn", http2, n)
		}
	}
}

// A server may close an idle connection at the moment it is used again. Reading may be repeated; what changes something
// may not, unless nothing of it was sent.
func TestStaleConnections(t *testing.T) {
	var served atomic.Int32
	address := raw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if readHead(r) == nil {
			served.Add(1)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		readHead(r) // the second request is read, and closed upon
	})
	tr := newTransport(t, Options{Address: address})
	read(t, mustTrip(t, tr, get(t)))
	trip := get(t)
	read(t, mustTrip(t, tr, trip))
	if trip.Reused || served.Load() != 2 {
		t.Errorf("reused %v, served %d", trip.Reused, served.Load())
	}
	_, err := tr.RoundTrip(t.Context(), &Trip{Request: request(t, "POST", "body")})
	wantFailure(t, err, failure.ConnectionTerminated, false)
	if served.Load() != 2 {
		t.Error("a POST was repeated")
	}
}

func TestInformationalAnswers(t *testing.T) {
	hints := func(w http.ResponseWriter, _ *http.Request) {
		for _, link := range []string{"a", "b"} {
			w.Header().Set("Link", link)
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header().Del("Link")
		io.WriteString(w, "ok")
	}
	for _, http2 := range []bool{false, true} {
		address := server1(t, hints)
		if http2 {
			address = server2(t, hints)
		}
		tr := newTransport(t, Options{Address: address, HTTP2: http2})
		var got []string
		trip := get(t)
		trip.Inform = func(status int, h http.Header) { got = append(got, fmt.Sprint(status, h["Link"])) }
		read(t, mustTrip(t, tr, trip))
		if fmt.Sprint(got) != "[103 [a] 103 [b]]" {
			t.Errorf("http2 %v: %v", http2, got)
		}
		read(t, mustTrip(t, tr, get(t))) // nobody to inform
	}
}

func TestNobodyIsInformedAfterwards(t *testing.T) {
	w := &watch{trip: &Trip{Call: http1.Call{Inform: func(int, http.Header) { t.Error("informed of a request that is over") }}}}
	w.inform(100, nil)
	w.inform(101, nil)
	w.seal()
	w.inform(103, nil)
}

func TestTrailers(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", "got "+r.Trailer.Get("X-Sent"))
	}
	for _, http2 := range []bool{false, true} {
		address := server1(t, echo)
		if http2 {
			address = server2(t, echo)
		}
		r := request(t, "POST", "body")
		r.ContentLength = -1
		r.Trailer = http.Header{"X-Sent": {"yes"}}
		res := mustTrip(t, newTransport(t, Options{Address: address, HTTP2: http2}), &Trip{Request: r})
		if text := read(t, res); text != "body" {
			t.Errorf("%q", text)
		}
		if got := res.Trailer.Get("X-Sum"); got != "got yes" {
			t.Errorf("http2 %v: trailer %q", http2, got)
		}
	}
}

func upgrade(t *testing.T) *Trip {
	r := request(t, "GET", "")
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "WebSocket")
	return &Trip{Request: r}
}

func TestUpgrade(t *testing.T) {
	address := raw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		readHead(r)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(c, r)
	})
	tr := newTransport(t, Options{Address: address, Max: 1, Pending: 1})
	res := mustTrip(t, tr, upgrade(t))
	tunnel := res.Body.(io.ReadWriteCloser)
	if _, err := io.WriteString(tunnel, "hello"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(tunnel, buf); err != nil || string(buf) != "hello" {
		t.Fatalf("%q %v", buf, err)
	}
	// The tunnel holds its connection until it is closed.
	late := get(t)
	late.AnswerBy = time.Now()
	_, err := tr.RoundTrip(t.Context(), late)
	wantFailure(t, err, failure.ConnectionLimitReached, true)
	tunnel.Close()
	mustTrip(t, tr, upgrade(t)).Body.Close()
}

func TestAnUpgradeToSomethingElseIsRefused(t *testing.T) {
	address := raw(t, saysRaw("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"))
	_, err := newTransport(t, Options{Address: address}).RoundTrip(t.Context(), upgrade(t))
	wantFailure(t, err, failure.HTTPUpgradeFailed, false)
}

func TestAnEarlyAnswerIsSeen(t *testing.T) {
	refuse := func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}
	for _, http2 := range []bool{false, true} {
		address := server1(t, refuse)
		if http2 {
			address = server2(t, refuse)
		}
		body, writer := io.Pipe()
		r := request(t, "POST", "x")
		r.Body, r.ContentLength = body, -1
		res := mustTrip(t, newTransport(t, Options{Address: address, HTTP2: http2}), &Trip{Request: r})
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%d", res.StatusCode)
		}
		res.Body.Close()
		writer.Close()
	}
}

func TestConnectionLimits(t *testing.T) {
	inside := make(chan struct{})
	release := make(chan struct{})
	address := server1(t, func(w http.ResponseWriter, _ *http.Request) {
		inside <- struct{}{}
		<-release
	})
	tr := newTransport(t, Options{Address: address, Max: 2, Pending: 1}).(*http1Transport)
	var all sync.WaitGroup
	var answered atomic.Int32
	ask := func() {
		all.Go(func() {
			if res, err := tr.RoundTrip(t.Context(), get(t)); err == nil {
				res.Body.Close()
				answered.Add(1)
			} else {
				t.Error(err)
			}
		})
	}
	ask()
	ask()
	<-inside
	<-inside
	ask() // waits
	eventually(t, "the third waits", func() bool { return tr.pool.Waiting() == 1 })

	_, err := tr.RoundTrip(t.Context(), get(t))
	wantFailure(t, err, failure.ConnectionLimitReached, true)
	if f := failure.From(err); f.Code() != 503 || f.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", f.Code(), f.Header)
	}

	close(release)
	<-inside
	all.Wait()
	if open, idle := tr.pool.Conns(); answered.Load() != 3 || open != idle {
		t.Errorf("%d answered; %d connections open and %d of them idle", answered.Load(), open, idle)
	}
}

// After CloseIdle, a connection that is in use closes when it is returned.
func TestCloseIdle(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		var open atomic.Int32
		release := make(chan struct{})
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				w.(http.Flusher).Flush()
				<-release
			}
		}))
		if http2 {
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
		}
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		tr := newTransport(t, Options{Address: s.Listener.Addr().String(), HTTP2: http2})
		slow := get(t)
		slow.Request.URL.Path = "/slow"
		res := mustTrip(t, tr, slow)
		if http2 {
			read(t, mustTrip(t, tr, get(t))) // shares the connection
		} else {
			read(t, mustTrip(t, tr, get(t)))
			eventually(t, "two connections", func() bool { return open.Load() == 2 })
		}
		tr.CloseIdle()
		eventually(t, "the idle one is closed", func() bool { return open.Load() == 1 })
		close(release)
		read(t, res)
		eventually(t, "the busy one is closed on return", func() bool { return open.Load() == 0 })
	}
}

func TestFailuresAreNamedFromWhatTheyWrap(t *testing.T) {
	f := tripFailure(t.Context(), fmt.Errorf("wrapped: %w", io.EOF), connected)
	wantFailure(t, f, failure.ConnectionTerminated, true)
	if same := tripFailure(t.Context(), f, written); same != f {
		t.Error("a failure was named twice")
	}
	if same := bodyFailure(f); same != f {
		t.Error("a failure was named twice")
	}
	wantFailure(t, tripFailure(t.Context(), errors.New("odd"), written), failure.HTTPProtocolError, false)
	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	wantFailure(t, tripFailure(over, over.Err(), connected), failure.HTTPResponseTimeout, false)
	wantFailure(t, tripFailure(over, over.Err(), unconnected), failure.ConnectionTimeout, true)
}

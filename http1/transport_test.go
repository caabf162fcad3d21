package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// endpoint is a raw TCP endpoint. speak is called with each connection and its number, and closes nothing itself.
func endpoint(t *testing.T, speak func(n int, c net.Conn, br *bufio.Reader)) *Transport {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				speak(n, c, bufio.NewReader(c))
			})
		}
	})
	tr := &Transport{
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", ln.Addr().String())
		},
		StallTimeout: patience, IdleTimeout: patience, StreamIdleTimeout: patience,
	}
	t.Cleanup(func() {
		tr.Retire()
		ln.Close()
		open.Wait()
		if n, _ := tr.Conns(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
	return tr
}

// heard reads one request; nil when the other side has closed.
func heard(br *bufio.Reader) *http.Request {
	r, err := http.ReadRequest(br)
	if err != nil {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(strings.NewReader(string(b)))
	return r
}

// answers speaks one fixed answer to every request.
func answering(answer string) func(int, net.Conn, *bufio.Reader) {
	return func(_ int, c net.Conn, br *bufio.Reader) {
		for heard(br) != nil {
			io.WriteString(c, answer)
		}
	}
}

// waitingEndpoint never answers. It tells of each request that has come, and of the end of each connection after one.
func waitingEndpoint(t *testing.T) (tr *Transport, arrived, closed chan bool) {
	t.Helper()
	arrived, closed = make(chan bool), make(chan bool)
	tr = endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		if heard(br) == nil {
			return
		}
		arrived <- true
		br.ReadByte()
		closed <- true
	})
	return tr, arrived, closed
}

func ask(method, target, body string) *http.Request {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		panic(err)
	}
	r := &http.Request{Method: method, URL: u, Host: "origin", Header: http.Header{}, Body: http.NoBody}
	if body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	return r
}

// fetch makes one round trip and reads the answer.
func fetch(tr *Transport, r *http.Request) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, err := tr.RoundTrip(ctx, r, &Call{})
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func TestTransportUsesConnectionsAgain(t *testing.T) {
	tr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
		for i := 1; ; i++ {
			r := heard(br)
			if r == nil {
				return
			}
			b, _ := io.ReadAll(r.Body)
			s := fmt.Sprintf("conn %d request %d %s %s %s", n, i, r.Method, r.RequestURI, b)
			switch i % 3 {
			case 0:
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
			case 1:
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(s), s)
			case 2:
				fmt.Fprintf(c, "HTTP/1.1 204 No Content\r\nX: %s\r\n\r\n", s)
			}
		}
	})
	for i := 1; i <= 9; i++ {
		code, body, err := fetch(tr, ask("POST", fmt.Sprintf("/%d?q", i), "data"))
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("conn 1 request %d POST /%d?q data", i, i)
		if i%3 == 2 && code != 204 || i%3 != 2 && body != want {
			t.Fatalf("got %d %q, want %q", code, body, want)
		}
	}
	if open, idle := tr.Conns(); open != 1 || idle != 1 {
		t.Errorf("%d open, %d idle", open, idle)
	}
}

// TestMisbehavingEndpoints is the table of answers that are none, or that leave a connection nobody may use again.
func TestMisbehavingEndpoints(t *testing.T) {
	many := strings.Repeat("X: y\r\n", 300)
	tests := []struct {
		name, answer string
		kind         failure.Kind // of RoundTrip or of the body; "" is a good answer
		body         string
	}{
		{"nothing", "", failure.ConnectionTerminated, ""},
		{"garbage", "hello\r\n\r\n", failure.HTTPProtocolError, ""},
		{"garbage without end", "\x00\x01", failure.HTTPProtocolError, ""},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", failure.HTTPProtocolError, ""},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", failure.HTTPProtocolError, ""},
		{"two digits", "HTTP/1.1 20 OK\r\n\r\n", failure.HTTPProtocolError, ""},
		{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", failure.HTTPProtocolError, ""},
		{"code 000", "HTTP/1.1 000 OK\r\n\r\n", failure.HTTPProtocolError, ""},
		{"code 600", "HTTP/1.1 600 OK\r\n\r\n", failure.HTTPProtocolError, ""},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-Le", failure.HTTPResponseIncomplete, ""},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", failure.HTTPProtocolError, ""},
		{"two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", failure.HTTPProtocolError, ""},
		{"both framings", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", failure.HTTPProtocolError, ""},
		{"unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", failure.HTTPProtocolError, ""},
		{"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", failure.HTTPProtocolError, ""},
		{"obs-fold", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", failure.HTTPProtocolError, ""},
		{"truncated", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", failure.HTTPResponseIncomplete, "abc"},
		{"truncated chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", failure.HTTPResponseIncomplete, "abc"},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", failure.HTTPResponseIncomplete, "abc"},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", failure.HTTPProtocolError, "abc"},
		{"bytes behind the body", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", failure.HTTPProtocolError, ""},
		{"bytes behind the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "", "abc"},
		{"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n", "", ""},
		{"204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison", failure.HTTPProtocolError, ""},
		{"204 with chunks", "HTTP/1.1 204 No Content\r\n\r\n6\r\npoison\r\n0\r\n\r\n", failure.HTTPProtocolError, ""},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "", "abc"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "", "abc"},
		{"no reason", "HTTP/1.1 200\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "", "abc"},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nabc", "", "abc"},
		{"101 unasked", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", failure.HTTPUpgradeFailed, ""},
		{"1xx with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nabc", failure.HTTPProtocolError, ""},
		{"endless 1xx", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 40), failure.HTTPProtocolError, ""},
		{"only 1xx", "HTTP/1.1 103 Early Hints\r\n\r\n", failure.HTTPResponseIncomplete, ""},
		{"too many fields", "HTTP/1.1 200 OK\r\n" + many + "Content-Length: 0\r\n\r\n", failure.HTTPResponseHeaderSize, ""},
		{"endless head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100<<10), failure.HTTPResponseHeaderSize, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
				if heard(br) == nil {
					return
				}
				if n > 1 {
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
					heard(br)
					return
				}
				io.WriteString(c, tt.answer)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, br)
			})
			_, body, err := fetch(tr, ask("POST", "/", "x"))
			if (err == nil) != (tt.kind == "") || err != nil && failure.From(err).Kind != tt.kind || body != tt.body {
				t.Errorf("got %q, %v; want %q, kind %q", body, err, tt.body, tt.kind)
			}
			if f := failure.From(err); f != nil && (f.RetrySafe || f.Source != failure.Upstream) {
				t.Errorf("%#v", f)
			}
			if _, idle := tr.Conns(); idle != 0 {
				t.Error("the connection went back into the pool")
			}
			if _, body, err := fetch(tr, ask("POST", "/", "x")); body != "good" || err != nil {
				t.Errorf("afterwards: %q, %v", body, err)
			}
		})
	}
}

func TestBytesNobodyAskedForAreNoAnswer(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		read, poisoned := make(chan bool), make(chan bool)
		tr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
			for heard(br) != nil {
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
				if n == 1 {
					<-read // the connection is in the pool
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
					poisoned <- true
				}
			}
		})
		for _, want := range []string{"1", "2", "2"} {
			_, body, err := fetch(tr, ask(method, "/", "x"))
			if err != nil || body != want {
				t.Fatalf("%s: got %q, %v; want %q", method, body, err, want)
			}
			if want == "1" {
				read <- true
				<-poisoned
			}
		}
	}
}

func TestStaleConnections(t *testing.T) {
	closed := make(chan bool)
	start := func(t *testing.T) *Transport {
		return endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
			for i := 1; heard(br) != nil; i++ {
				if n == 1 && i == 2 {
					return // closed with the request in hand, unanswered
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
				if n == 1 && t.Name() == "TestStaleConnections/closed_while_idle" {
					c.Close()
					closed <- true
				}
			}
		})
	}
	t.Run("closed while idle", func(t *testing.T) {
		tr := start(t)
		fetch(tr, ask("GET", "/", ""))
		<-closed
		if _, body, err := fetch(tr, ask("POST", "/", "x")); body != "2" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	})
	for _, tt := range []struct{ method, body, want string }{{"GET", "", "2"}, {"PUT", "x", "2"}, {"POST", "x", ""}, {"POST", "", ""}} {
		t.Run("closed on "+tt.method+tt.body, func(t *testing.T) {
			tr := start(t)
			fetch(tr, ask("GET", "/", ""))
			_, body, err := fetch(tr, ask(tt.method, "/", tt.body))
			if body != tt.want || (tt.want == "") != (err != nil) {
				t.Errorf("got %q, %v; want %q", body, err, tt.want)
			}
			if f := failure.From(err); f != nil && (f.Kind != failure.ConnectionTerminated || f.RetrySafe) {
				t.Errorf("%#v", f)
			}
		})
	}
}

func TestDialFailures(t *testing.T) {
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	ln.Close()
	tests := []struct {
		dial func(context.Context) (net.Conn, error)
		kind failure.Kind
	}{
		{func(context.Context) (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }, failure.ConnectionRefused},
		{func(context.Context) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}, failure.DNSError},
		{func(context.Context) (net.Conn, error) { return nil, &net.DNSError{Err: "slow", IsTimeout: true} }, failure.DNSTimeout},
		{func(context.Context) (net.Conn, error) { return nil, context.DeadlineExceeded }, failure.ConnectionTimeout},
		{func(context.Context) (net.Conn, error) { return nil, &failure.Error{Kind: failure.TLSProtocolError} }, failure.TLSProtocolError},
	}
	for _, tt := range tests {
		tr := &Transport{Dial: tt.dial, MaxConns: 1}
		for range 2 { // the second finds the place free again
			_, _, err := fetch(tr, ask("POST", "/", "x"))
			if f := failure.From(err); f.Kind != tt.kind || tt.kind != failure.TLSProtocolError && !f.RetrySafe {
				t.Errorf("got %#v, want %s", f, tt.kind)
			}
		}
	}
}

func TestConnectionLimitAndQueue(t *testing.T) {
	release := make(chan bool)
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for heard(br) != nil {
			<-release
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	tr.MaxConns, tr.Pending = 1, 2
	results := make(chan error, 3)
	for range 3 {
		go func() {
			_, _, err := fetch(tr, ask("GET", "/", ""))
			results <- err
		}()
	}
	waitFor(t, func() bool { tr.mu.Lock(); defer tr.mu.Unlock(); return len(tr.waiting) == 2 })
	_, _, err := fetch(tr, ask("GET", "/", ""))
	if f := failure.From(err); f == nil || f.Kind != failure.ConnectionLimitReached || !f.RetrySafe {
		t.Errorf("got %v", err)
	}
	for range 3 {
		release <- true
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if open, idle := tr.Conns(); open != 1 || idle != 1 {
		t.Errorf("%d open, %d idle", open, idle)
	}
}

// A thousand requests that wait for a connection must not hold a thousand blocks.
func TestWaitingHoldsNoBlock(t *testing.T) {
	const requests = 200
	block := make(chan bool)
	tr := &Transport{Dial: func(context.Context) (net.Conn, error) {
		<-block
		return nil, errors.New("nobody is there")
	}, MaxConns: requests / 2}
	var done sync.WaitGroup
	before := inUse()
	for range requests {
		done.Go(func() { fetch(tr, ask("GET", "/", "")) })
	}
	waitFor(t, func() bool { open, _ := tr.Conns(); return open+tr.Waiting() == requests })
	if each := (inUse() - before) / requests; each > blockSize/4 {
		t.Errorf("each of them holds %d bytes", each)
	}
	close(block)
	done.Wait()
}

// inUse is the memory that something still refers to. Of what lies in a sync.Pool the second collection lets go.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestQueueIsLeftOnCancel(t *testing.T) {
	release := make(chan bool)
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for heard(br) != nil {
			<-release
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	tr.MaxConns = 1
	first := make(chan error)
	go func() { _, _, err := fetch(tr, ask("GET", "/", "")); first <- err }()
	waitFor(t, func() bool { open, _ := tr.Conns(); return open == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	second := make(chan error)
	go func() { _, err := tr.RoundTrip(ctx, ask("GET", "/", ""), &Call{}); second <- err }()
	waitFor(t, func() bool { tr.mu.Lock(); defer tr.mu.Unlock(); return len(tr.waiting) == 1 })
	cancel()
	if f := failure.From(<-second); f.Kind != failure.ClientGone {
		t.Errorf("got %v", f)
	}
	release <- true
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// waitFor waits for a condition that must come about.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for end := time.After(patience); !ok(); {
		select {
		case <-look.C:
		case <-end:
			t.Fatal("the condition did not come about")
		}
	}
}

func TestCancelInterruptsAtOnce(t *testing.T) {
	for _, stage := range []string{"before the answer", "in the head", "in the body"} {
		t.Run(stage, func(t *testing.T) {
			heardIt := make(chan bool)
			tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
				heard(br)
				switch stage {
				case "in the head":
					io.WriteString(c, "HTTP/1.1 200 OK\r\nConte")
				case "in the body":
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
				}
				heardIt <- true
				br.ReadByte() // until the transport closes
			})
			tr.StallTimeout = 0
			ctx, cancel := context.WithCancel(context.Background())
			go func() { <-heardIt; cancel() }()
			res, err := tr.RoundTrip(ctx, ask("GET", "/", ""), &Call{})
			if err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			if f := failure.From(err); f == nil || f.Kind != failure.ClientGone || f.Source != failure.Client {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnswerBy(t *testing.T) {
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		heard(br)
		br.ReadByte()
	})
	for _, body := range []string{"", "small"} {
		_, err := tr.RoundTrip(context.Background(), ask("GET", "/", body), &Call{AnswerBy: time.Now().Add(20 * time.Millisecond)})
		if f := failure.From(err); f == nil || f.Kind != failure.HTTPResponseTimeout {
			t.Errorf("got %v", err)
		}
	}
	r := ask("POST", "/", "streamed")
	r.ContentLength = -1
	_, err := tr.RoundTrip(context.Background(), r, &Call{AnswerBy: time.Now().Add(20 * time.Millisecond)})
	if f := failure.From(err); f == nil || f.Kind != failure.HTTPResponseTimeout {
		t.Errorf("streamed: got %v", err)
	}
}

func TestBodyStallIsATimeout(t *testing.T) {
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		heard(br)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
		br.ReadByte()
	})
	tr.StallTimeout = 20 * time.Millisecond
	_, body, err := fetch(tr, ask("GET", "/", ""))
	if f := failure.From(err); body != "abc" || f == nil || f.Kind != failure.HTTPResponseTimeout {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestInterimAnswersAreToldAndTrailersKept(t *testing.T) {
	tr := endpoint(t, answering("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+
		"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\nX-More: 7\r\n\r\n"))
	var told []string
	for range 2 {
		res, err := tr.RoundTrip(context.Background(), ask("GET", "/", ""), &Call{Inform: func(status int, h http.Header) {
			told = append(told, fmt.Sprint(status, h.Get("Link")))
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := res.Trailer["X-Sum"]; !ok {
			t.Error("the trailer was not announced")
		}
		b, err := io.ReadAll(res.Body)
		if string(b) != "abc" || err != nil || res.Trailer.Get("X-Sum") != "6" || res.Trailer.Get("X-More") != "7" {
			t.Errorf("got %q, %v, %v", b, err, res.Trailer)
		}
	}
	if fmt.Sprint(told) != "[103</a> 103</a>]" {
		t.Errorf("told %v", told)
	}
}

func TestStreamedUpload(t *testing.T) {
	const size = 5 << 20
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for {
			r := heard(br)
			if r == nil {
				return
			}
			n, _ := io.Copy(io.Discard, r.Body)
			s := fmt.Sprintln(n, r.TransferEncoding, r.Trailer)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
		}
	})
	for _, length := range []int64{size, -1} {
		r := ask("POST", "/", strings.Repeat("x", size))
		r.ContentLength = length
		want := fmt.Sprintln(size, "[] map[]")
		if length < 0 {
			r.Trailer = http.Header{"X-Sum": {"1"}}
			want = fmt.Sprintln(size, "[chunked] map[X-Sum:[1]]")
		}
		if _, body, err := fetch(tr, r); body != want || err != nil {
			t.Errorf("got %q, %v; want %q", body, err, want)
		}
	}
	if open, idle := tr.Conns(); open != 1 || idle != 1 {
		t.Errorf("%d open, %d idle: a finished upload did not return its connection", open, idle)
	}
}

func TestEarlyAnswer(t *testing.T) {
	tr := endpoint(t, func(n int, c net.Conn, br *bufio.Reader) {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno%d", n)
		io.Copy(io.Discard, r.Body)
	})
	for i := range 2 {
		pr, pw := io.Pipe() // a body that never ends by itself
		go func() {
			for {
				if _, err := pw.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}()
		r := ask("POST", "/", "")
		r.Body, r.ContentLength = pr, -1
		code, body, err := fetch(tr, r)
		if code != 413 || body != fmt.Sprint("no", i+1) || err != nil {
			t.Errorf("got %d %q, %v", code, body, err)
		}
		if _, idle := tr.Conns(); idle != 0 {
			t.Error("pooled after an early answer")
		}
	}
}

func TestBrokenUploadIsNeverWhole(t *testing.T) {
	seen := make(chan error, 1)
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		r, err := http.ReadRequest(br)
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
		}
		seen <- err
	})
	cause := errors.New("the client broke off")
	for _, length := range []int64{-1, 1 << 20} {
		r := ask("POST", "/", "")
		r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("some"), &failing{cause})), length
		if _, _, err := fetch(tr, r); !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
		if err := <-seen; err == nil {
			t.Error("the endpoint took it for whole")
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestRefusesToWrite(t *testing.T) {
	tr := &Transport{Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("must not be dialed") }}
	edit := []func(*http.Request){
		func(r *http.Request) { r.Method = "G T" },
		func(r *http.Request) { r.Method = "" },
		func(r *http.Request) { r.Method = "CONNECT" },
		func(r *http.Request) { r.Host = "a\r\nX: y" },
		func(r *http.Request) { r.Host, r.URL.Host = "", "" },
		func(r *http.Request) { r.Header["X"] = []string{"a\r\nb: c"} },
		func(r *http.Request) { r.Header["X"] = []string{"a\nb"} },
		func(r *http.Request) { r.Header["X"] = []string{"a\x00b"} },
		func(r *http.Request) { r.Header["X y"] = []string{"a"} },
		func(r *http.Request) { r.Header["X:y"] = []string{"a"} },
		func(r *http.Request) { r.Header[""] = []string{"a"} },
		func(r *http.Request) { r.URL.Opaque = "/a b" },
		func(r *http.Request) { r.URL.Opaque = "/a\r\nX: y" },
		func(r *http.Request) { r.URL.Opaque = "a" },
		func(r *http.Request) { r.URL.Opaque, r.URL.RawQuery = "/a", "b c" },
	}
	for i, f := range edit {
		r := ask("GET", "/", "")
		f(r)
		_, err := tr.RoundTrip(context.Background(), r, &Call{})
		if e := failure.From(err); e == nil || e.Source != failure.Gateway || strings.Contains(err.Error(), "must not") {
			t.Errorf("%d: got %v", i, err)
		}
	}
}

func TestWritesTheTargetAsGiven(t *testing.T) {
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for r := heard(br); r != nil; r = heard(br) {
			s := r.RequestURI + " " + r.Host + " " + r.Header.Get("Te") + " " + strings.Join(r.Header["Content-Length"], ",") + strings.Join(r.TransferEncoding, ",")
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
		}
	})
	r := ask("GET", "/ignored?a=b", "")
	r.URL.Opaque = "/x%2Fy//z"
	r.Header = http.Header{"Connection": {"te, keep-alive"}, "Te": {"gzip"}, "Content-Length": {"99"}, "Transfer-Encoding": {"chunked"}, "Keep-Alive": {"1"}, "Host": {"evil"}}
	if _, body, err := fetch(tr, r); body != "/x%2Fy//z?a=b origin trailers " || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	r = ask("GET", "/a?", "")
	if _, body, _ := fetch(tr, r); body != "/a? origin  " {
		t.Errorf("got %q", body)
	}
	if _, body, _ := fetch(tr, ask("POST", "/a", "")); body != "/a origin  0" {
		t.Errorf("got %q", body)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	tr := endpoint(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	tr.IdleTimeout = 20 * time.Millisecond
	if _, _, err := fetch(tr, ask("GET", "/", "")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { open, _ := tr.Conns(); return open == 0 })
}

// TestCloseBesideARead closes answers from another goroutine while they are read: in the middle of bytes in hand, and
// between two waits. Nobody may then touch what the next answer is read into.
func TestCloseBesideARead(t *testing.T) {
	piece := strings.Repeat("x", 1000)
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for r := heard(br); r != nil; r = heard(br) {
			if r.URL.Path == "/short" {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nshort")
				continue
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			for range 200 {
				if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(piece), piece); err != nil {
					return
				}
			}
			io.WriteString(c, "0\r\n\r\n")
		}
	})
	for i := range 50 {
		res, err := tr.RoundTrip(context.Background(), ask("GET", "/long", ""), &Call{})
		if err != nil {
			t.Fatal(err)
		}
		var read sync.WaitGroup
		begun := make(chan struct{})
		read.Go(func() {
			p := make([]byte, 700)
			for n := 0; ; n++ {
				if _, err := res.Body.Read(p); err != nil {
					return
				}
				if n == i {
					close(begun)
				}
			}
		})
		<-begun
		res.Body.Close()
		read.Wait()
		if code, body, err := fetch(tr, ask("GET", "/short", "")); err != nil || code != 200 || body != "short" {
			t.Fatalf("the next answer: %d %q %v", code, body, err)
		}
	}
}

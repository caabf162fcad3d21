package http1

// Conversations: raw bytes of a client against the server half, and raw bytes of an endpoint against the transport.

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
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/failure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second // how long a test waits for what must come; never a pass

// handlerFunc is a Handler whose failures are rendered plainly.
type handlerFunc func(ctx context.Context, r *http.Request, w *Writer)

func (f handlerFunc) ServeRequest(ctx context.Context, r *http.Request, w *Writer) { f(ctx, r, w) }

func (f handlerFunc) ServeFailure(_ context.Context, _ *http.Request, e *failure.Error, w *Writer) {
	w.Write(text(e.Code(), e.Detail))
}

func text(status int, s string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(s)), ContentLength: int64(len(s))}
}

// echo answers with what it understood of the request.
func echo(_ context.Context, r *http.Request, w *Writer) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		f := failure.From(err)
		w.Write(text(f.Code(), string(f.Kind)+" "+f.Detail))
		return
	}
	s := fmt.Sprintf("%s %s host=%s body=%q", r.Method, r.RequestURI, r.Host, b)
	for name, v := range r.Trailer {
		s += fmt.Sprintf(" trailer %s=%q", name, v)
	}
	w.Write(text(200, s))
}

// serve starts a server on loopback and returns a function that dials it.
func serve(t *testing.T, h Handler, limits ...func(*Limits)) (*Server, func() net.Conn) {
	t.Helper()
	l := DefaultLimits()
	for _, f := range limits {
		f(&l)
	}
	s := &Server{Handler: h, Limits: func() *Limits { return &l }}
	return s, listenFor(t, s)
}

func listenFor(t *testing.T, s *Server) func() net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			open.Add(1)
			go s.Adopt(ctx, c, open.Done)
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.Shutdown()
		open.Wait()
		cancel()
	})
	return func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { c.Close() })
		return c
	}
}

func say(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// answerOf reads one response off br to the given method.
func answerOf(t *testing.T, br *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("reading an answer: %v", err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading an answer's body: %v", err)
	}
	return res, string(b)
}

// ends checks that the server closes c, and that nothing more comes before.
func ends(t *testing.T, br *bufio.Reader) {
	t.Helper()
	rest, err := io.ReadAll(br)
	if len(rest) > 0 {
		t.Fatalf("unexpected bytes before the end: %q", rest)
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Fatal("the connection stayed open")
	}
}

func TestServesOneAfterAnother(t *testing.T) {
	_, dial := serve(t, handlerFunc(echo))
	c := dial()
	br := bufio.NewReader(c)
	for i := range 10 {
		say(t, c, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
		res, body := answerOf(t, br, "GET")
		if want := fmt.Sprintf(`GET /%d host=a body=""`, i); body != want || res.StatusCode != 200 {
			t.Fatalf("got %d %q, want %q", res.StatusCode, body, want)
		}
		if res.Header.Get("Date") == "" {
			t.Fatal("no Date")
		}
	}
}

func TestAnswersPipelinedRequestsInOrder(t *testing.T) {
	_, dial := serve(t, handlerFunc(echo))
	c := dial()
	br := bufio.NewReader(c)
	var all strings.Builder
	for i := range 200 {
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\nGET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i, i)
	}
	go io.WriteString(c, all.String())
	for i := range 200 {
		for _, want := range []string{fmt.Sprintf(`POST /%d host=a body="abc"`, i), fmt.Sprintf(`GET /%d host=a body=""`, i)} {
			if _, body := answerOf(t, br, "GET"); body != want {
				t.Fatalf("got %q, want %q", body, want)
			}
		}
	}
}

func TestRequestInPieces(t *testing.T) {
	_, dial := serve(t, handlerFunc(echo))
	c := dial()
	br := bufio.NewReader(c)
	message := "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
		"3\r\nabc\r\n0000a;ext=1\r\n0123456789\r\n0\r\nX-Sum: 7\r\n\r\n"
	for range 2 {
		for i := range len(message) {
			say(t, c, message[i:i+1])
		}
		if _, body := answerOf(t, br, "POST"); body != `POST /p host=a body="abc0123456789" trailer X-Sum=["7"]` {
			t.Fatalf("got %q", body)
		}
	}
}

// TestRefuses is the table of messages that are none. Each is followed by a request that must never be served.
func TestRefuses(t *testing.T) {
	const ok = "Host: a\r\n"
	big := strings.Repeat("x", 70<<10)
	tests := []struct {
		name, message string
		status        int
	}{
		{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
		{"bare LF in the middle", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
		{"bare CR", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400},
		{"CR in a value", "GET / HTTP/1.1\r\n" + ok + "X: a\rb\r\n\r\n", 400},
		{"NUL in a value", "GET / HTTP/1.1\r\n" + ok + "X: a\x00b\r\n\r\n", 400},
		{"control in a value", "GET / HTTP/1.1\r\n" + ok + "X: a\x01b\r\n\r\n", 400},
		{"DEL in a value", "GET / HTTP/1.1\r\n" + ok + "X: a\x7fb\r\n\r\n", 400},
		{"obs-fold", "GET / HTTP/1.1\r\n" + ok + "X: a\r\n b\r\n\r\n", 400},
		{"obs-fold with a tab", "GET / HTTP/1.1\r\n" + ok + "X: a\r\n\tb\r\n\r\n", 400},
		{"folded first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
		{"space before colon", "GET / HTTP/1.1\r\n" + ok + "X : a\r\n\r\n", 400},
		{"tab before colon", "GET / HTTP/1.1\r\n" + ok + "Content-Length\t: 3\r\n\r\nabc", 400},
		{"no colon", "GET / HTTP/1.1\r\n" + ok + "nonsense\r\n\r\n", 400},
		{"empty name", "GET / HTTP/1.1\r\n" + ok + ": a\r\n\r\n", 400},
		{"name with a slash", "GET / HTTP/1.1\r\n" + ok + "a/b: c\r\n\r\n", 400},
		{"name beyond ASCII", "GET / HTTP/1.1\r\n" + ok + "\xc3\xa4: c\r\n\r\n", 400},
		{"both framings", "POST / HTTP/1.1\r\n" + ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"both framings, other order", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
		{"two lengths", "POST / HTTP/1.1\r\n" + ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
		{"two equal lengths", "POST / HTTP/1.1\r\n" + ok + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
		{"a list of lengths", "POST / HTTP/1.1\r\n" + ok + "Content-Length: 3, 3\r\n\r\nabc", 400},
		{"signed length", "POST / HTTP/1.1\r\n" + ok + "Content-Length: +3\r\n\r\nabc", 400},
		{"negative length", "POST / HTTP/1.1\r\n" + ok + "Content-Length: -3\r\n\r\nabc", 400},
		{"hexadecimal length", "POST / HTTP/1.1\r\n" + ok + "Content-Length: 0x3\r\n\r\nabc", 400},
		{"empty length", "POST / HTTP/1.1\r\n" + ok + "Content-Length:\r\n\r\nabc", 400},
		{"overflowing length", "POST / HTTP/1.1\r\n" + ok + "Content-Length: 18446744073709551619\r\n\r\nabc", 400},
		{"length with inner space", "POST / HTTP/1.1\r\n" + ok + "Content-Length: 1 1\r\n\r\nabc", 400},
		{"unknown coding", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400},
		{"coding list", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
		{"chunked twice in a list", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400},
		{"chunked twice", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"identity", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400},
		{"xchunked", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
		{"quoted chunked", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400},
		{"chunked with vertical tab", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400},
		{"empty coding", "POST / HTTP/1.1\r\n" + ok + "Transfer-Encoding:\r\n\r\n", 400},
		{"coding in HTTP/1.0", "POST / HTTP/1.0\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two Hosts", "GET / HTTP/1.1\r\n" + ok + "Host: b\r\n\r\n", 400},
		{"two equal Hosts", "GET / HTTP/1.1\r\n" + ok + ok + "\r\n", 400},
		{"Host with userinfo", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
		{"Host with space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"Host with bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400},
		{"Host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400},
		{"Host open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
		{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"bad Host beside absolute-form", "GET http://b/ HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"absolute-form with userinfo", "GET http://u:p@b/ HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"absolute-form of another scheme", "GET ftp://b/ HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"absolute-form without authority", "GET http:///x HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"relative target", "GET x HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"asterisk to GET", "GET * HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"fragment", "GET /a#b HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"broken escape", "GET /%zz HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"target beyond ASCII", "GET /\xc3\xa4 HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"target with a tab", "GET /a\tb HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"CONNECT to a path", "CONNECT / HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"CONNECT without port", "CONNECT a HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"method of no token", "G(T / HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"no method", " / HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"two spaces", "GET  / HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"tab for space", "GET\t/ HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"trailing space", "GET / HTTP/1.1 \r\n" + ok + "\r\n", 400},
		{"HTTP/0.9", "GET /\r\n\r\n", 400},
		{"lower-case version", "GET / http/1.1\r\n" + ok + "\r\n", 400},
		{"version without minor", "GET / HTTP/1\r\n" + ok + "\r\n", 400},
		{"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		{"HTTP/2.0", "GET / HTTP/2.0\r\n" + ok + "\r\n", 505},
		{"HTTP/1.2", "GET / HTTP/1.2\r\n" + ok + "\r\n", 505},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"other expectation", "POST / HTTP/1.1\r\n" + ok + "Expect: a-lot\r\nContent-Length: 3\r\n\r\nabc", 417},
		{"announced framing trailer", "POST / HTTP/1.1\r\n" + ok + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"long target", "GET /" + big[:9<<10] + " HTTP/1.1\r\n" + ok + "\r\n", 414},
		{"endless target", "GET /" + big, 414},
		{"long value", "GET / HTTP/1.1\r\n" + ok + "X: " + big + "\r\n\r\n", 431},
		{"endless value", "GET / HTTP/1.1\r\n" + ok + "X: " + big + big, 431},
		{"many fields", "GET / HTTP/1.1\r\n" + ok + strings.Repeat("X: y\r\n", 100) + "\r\n", 431},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			served := make(chan string, 1)
			_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
				served <- r.RequestURI
				echo(ctx, r, w)
			}))
			c := dial()
			go io.WriteString(c, tt.message+"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
			br := bufio.NewReader(c)
			res, _ := answerOf(t, br, "GET")
			if res.StatusCode != tt.status || !res.Close {
				t.Errorf("got %d (close=%v), want %d and close", res.StatusCode, res.Close, tt.status)
			}
			ends(t, br)
			select {
			case target := <-served:
				t.Errorf("%s was served", target)
			default:
			}
		})
	}
}

// TestRefusesBodies is the table of chunked bodies that are none: the head is fine, the Handler sees the fault.
func TestRefusesBodies(t *testing.T) {
	for _, body := range []string{
		"3\nabc\r\n0\r\n\r\n", "3\r\nabc0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nabc\n0\r\n\r\n", "x\r\nabc\r\n", "\r\nabc\r\n",
		" 3\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n", "-3\r\nabc\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n", "3\r\r\nabc\r\n0\r\n\r\n",
		"ffffffffffffffff\r\nabc\r\n", "10000000000000003\r\nabc\r\n0\r\n\r\n", "0000000000000003\r\nabc\r\n0\r\n\r\n",
		"3;" + strings.Repeat("x", 300) + "\r\nabc\r\n0\r\n\r\n", "3;a=\x00\r\nabc\r\n0\r\n\r\n", "3;a\nb\r\nabc\r\n0\r\n\r\n", "3 ;a\r\nabc\r\n0\r\n\r\n", ";a\r\nabc\r\n",
		strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\na\r\n", 30) + "0\r\n\r\n",
		"0\r\nContent-Length: 3\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nHost: b\r\n\r\n", "0\r\nConnection: x\r\n\r\n", "0\r\nTrailer: x\r\n\r\n",
		"0\r\nX : y\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\nX: y\n\r\n", "0\n\r\n", "0\r\nX: " + strings.Repeat("x", 66<<10) + "\r\n\r\n",
	} {
		name := body
		if len(name) > 24 {
			name = name[:24]
		}
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			var served atomic.Int32
			_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
				served.Add(1)
				echo(ctx, r, w)
			}))
			c := dial()
			go io.WriteString(c, "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+body+"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
			br := bufio.NewReader(c)
			res, text := answerOf(t, br, "POST")
			if res.StatusCode != 400 && res.StatusCode != 431 || !res.Close {
				t.Errorf("got %d %.100q (close=%v), want 400 and close", res.StatusCode, text, res.Close)
			}
			ends(t, br)
			if n := served.Load(); n != 1 {
				t.Errorf("served %d requests", n)
			}
		})
	}
}

func TestAcceptsTheUnusual(t *testing.T) {
	tests := []struct{ name, message, want string }{
		{"empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", `GET / host=a body=""`},
		{"absolute-form", "GET http://B:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", `GET http://B:81/x?y host=B:81 body=""`},
		{"options asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", `OPTIONS * host=a body=""`},
		{"odd method", "m-search|~ / HTTP/1.1\r\nHost: a\r\n\r\n", `m-search|~ / host=a body=""`},
		{"odd query", "GET /?a=|{}\"<>^` HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", `GET /?a=|{}"<>^` + "`" + ` host=[::1]:80 body=""`},
		{"Chunked in another case", "PUT / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", `PUT / host=a body="0123456789"`},
		{"space around a value", "PUT / HTTP/1.1\r\nHost: \t a \t \r\nContent-Length:   3  \r\n\r\nabc", `PUT / host=a body="abc"`},
		{"obs-text", "GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\n\r\n", `GET / host=a body=""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, dial := serve(t, handlerFunc(echo))
			c := dial()
			say(t, c, tt.message)
			if _, body := answerOf(t, bufio.NewReader(c), "GET"); body != tt.want {
				t.Errorf("got %q, want %q", body, tt.want)
			}
		})
	}
}

func TestPersistence(t *testing.T) {
	tests := []struct {
		head  string
		close bool
		kept  string // the Connection field of an answer that does not close
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\n", false, ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", true, ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n", true, ""},
		{"GET / HTTP/1.0\r\n", true, ""},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", false, "keep-alive"},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n", true, ""},
		{"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n", true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.head, func(t *testing.T) {
			_, dial := serve(t, handlerFunc(echo))
			c := dial()
			br := bufio.NewReader(c)
			say(t, c, tt.head+"\r\n")
			res, _ := answerOf(t, br, "GET")
			if got := res.Header.Get("Connection"); res.Close != tt.close || got != tt.kept {
				t.Errorf("close=%v Connection: %q, want %v %q", res.Close, got, tt.close, tt.kept)
			}
			if tt.close {
				ends(t, br)
				return
			}
			say(t, c, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
			answerOf(t, br, "GET")
		})
	}
}

func TestExpectContinue(t *testing.T) {
	head := "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
	t.Run("answered when the body is read", func(t *testing.T) {
		_, dial := serve(t, handlerFunc(echo))
		c := dial()
		br := bufio.NewReader(c)
		say(t, c, head)
		if line, _ := br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q", line)
		}
		br.ReadString('\n')
		say(t, c, "hello")
		if _, body := answerOf(t, br, "POST"); body != `POST / host=a body="hello"` {
			t.Errorf("got %q", body)
		}
	})
	t.Run("not before a refusal", func(t *testing.T) {
		_, dial := serve(t, handlerFunc(func(_ context.Context, _ *http.Request, w *Writer) { w.Write(text(401, "no")) }))
		c := dial()
		br := bufio.NewReader(c)
		say(t, c, head)
		if res, _ := answerOf(t, br, "POST"); res.StatusCode != 401 || !res.Close {
			t.Errorf("got %d close=%v", res.StatusCode, res.Close)
		}
		ends(t, br)
	})
	t.Run("not for a body that is here", func(t *testing.T) {
		_, dial := serve(t, handlerFunc(echo))
		c := dial()
		br := bufio.NewReader(c)
		say(t, c, head+"hello")
		if res, body := answerOf(t, br, "POST"); res.StatusCode != 200 || body != `POST / host=a body="hello"` {
			t.Errorf("got %d %q", res.StatusCode, body)
		}
	})
}

func TestUnreadBodyIsDrainedOrCloses(t *testing.T) {
	_, dial := serve(t, handlerFunc(func(_ context.Context, _ *http.Request, w *Writer) { w.Write(text(200, "ok")) }))
	for _, tt := range []struct {
		size  int
		close bool
	}{{100 << 10, false}, {3 << 20, true}} {
		c := dial()
		br := bufio.NewReader(c)
		go io.WriteString(c, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", tt.size, strings.Repeat("x", tt.size)))
		res, body := answerOf(t, br, "POST")
		if body != "ok" || res.Close != tt.close {
			t.Errorf("%d bytes: got %q close=%v, want close=%v", tt.size, body, res.Close, tt.close)
		}
		if tt.close {
			continue
		}
		say(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		answerOf(t, br, "GET")
	}
}

package http1

// Differential fuzzing: whatever the engine accepts, net/http accepts with the same meaning, and what the engine writes,
// net/http reads back. The whole halves run, over a connection in memory, so that pipelining and body ends are compared
// as well as heads.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// script is a connection whose peer says fixed bytes, in pieces of at most piece bytes, and closes.
type script struct {
	in    []byte
	piece int
	out   bytes.Buffer
}

func (c *script) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), max(c.piece, 1))], c.in)
	c.in = c.in[n:]
	return n, nil
}
func (c *script) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *script) Close() error                     { return nil }
func (c *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *script) SetDeadline(time.Time) error      { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }

// meaning is what a message says, framing resolved.
type meaning struct {
	Line, Host   string
	URL          string
	Header       http.Header
	Length       int64
	Body         string
	Trailer      http.Header
	Close        bool
	Code         int
	TransferCode []string
}

func trailerOf(t http.Header) http.Header {
	out := http.Header{}
	for k, v := range t {
		if len(v) > 0 {
			out[k] = append([]string(nil), v...)
		}
	}
	return out
}

// fieldsOf is h without what net/http adds to or takes from it.
func fieldsOf(h http.Header) http.Header {
	h = h.Clone()
	delete(h, "Connection")
	delete(h, "Trailer") // announces nothing without chunks; net/http then leaves it where it is
	if p := h["Pragma"]; len(p) > 0 && p[0] == "no-cache" {
		delete(h, "Cache-Control")
	}
	return h
}

func meaningOfRequest(r *http.Request) (meaning, error) {
	b, err := io.ReadAll(r.Body)
	return meaning{
		Line: r.Method + " " + r.RequestURI + " " + r.Proto, Host: r.Host, Header: fieldsOf(r.Header), Length: r.ContentLength,
		URL:  fmt.Sprintf("%q %q %q %q %v", r.URL.Scheme, r.URL.Host, r.URL.Path, r.URL.RawQuery, r.URL.ForceQuery),
		Body: string(b), Trailer: trailerOf(r.Trailer), Close: r.Close, TransferCode: r.TransferEncoding,
	}, err
}

func FuzzServerParse(f *testing.F) {
	for _, s := range []string{
		get, "\r\n" + get + get, "POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get,
		"POST / HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nX: y\r\n\r\n" + get,
		"GET http://a/?b HTTP/1.1\r\nHost: c\r\nConnection: close, te\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
		"GET /%2f%41 HTTP/1.0\r\nX: \t y \r\nx: z\r\nConnection: keep-alive\r\n\r\n" + get, "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
	} {
		f.Add([]byte(s), 7)
		f.Add([]byte(s), 1<<16)
	}
	var got []meaning
	var kept []string
	s := &Server{Handler: handlerFunc(func(_ context.Context, r *http.Request, w *Writer) {
		m, err := meaningOfRequest(r)
		if err != nil {
			w.Write(text(400, "body"))
			return
		}
		got = append(got, m)
		kept = append(kept, m.Line+m.Body)
		w.Write(text(200, fmt.Sprint(len(got))))
	})}
	f.Cleanup(s.Shutdown)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		got, kept = nil, nil
		c := &script{in: data, piece: piece}
		s.ServeConn(context.Background(), c)
		ref := bufio.NewReader(bytes.NewReader(data))
		for i, m := range got {
			if b, err := ref.Peek(2); err == nil && string(b) == "\r\n" {
				ref.Discard(2) // the one empty line
			}
			r, err := http.ReadRequest(ref)
			if err != nil {
				t.Fatalf("request %d accepted here, refused by net/http: %v\n%q", i, err, data)
			}
			want, err := meaningOfRequest(r)
			if err != nil || !reflect.DeepEqual(m, want) {
				t.Fatalf("request %d means\n%+v here and\n%+v to net/http (%v)\n%q", i, m, want, err, data)
			}
			if m.Line+m.Body != kept[i] {
				t.Fatalf("strings of request %d changed after it", i)
			}
			recompose(t, r, m)
		}
		answersAreInOrder(t, c.out.Bytes(), got)
	})
}

// answersAreInOrder checks that net/http reads one answer for each request, and at most one refusal behind them.
func answersAreInOrder(t *testing.T, out []byte, got []meaning) {
	br := bufio.NewReader(bytes.NewReader(out))
	for i := 0; ; {
		method := "GET"
		if i < len(got) {
			method, _, _ = strings.Cut(got[i].Line, " ")
		}
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err == io.ErrUnexpectedEOF && br.Buffered() == 0 && i >= len(got) {
			return
		}
		if err != nil {
			t.Fatalf("answer %d cannot be read: %v\n%q", i, err, out)
		}
		if res.StatusCode == 100 {
			continue
		}
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("answer %d: %v\n%q", i, err, out)
		}
		if i < len(got) && method != "HEAD" && string(b) != fmt.Sprint(i+1) {
			t.Fatalf("answer %d is %q\n%q", i, b, out)
		}
		i++
	}
}

// recompose checks that a request written by the transport reads back as it was.
func recompose(t *testing.T, r *http.Request, m meaning) {
	r.Body = io.NopCloser(strings.NewReader(m.Body))
	if r.Host == "" || r.Method == "CONNECT" {
		return
	}
	c := &script{in: []byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"), piece: 1 << 16}
	tr := &Transport{Dial: func(context.Context) (net.Conn, error) { return c, nil }}
	if _, err := tr.RoundTrip(context.Background(), r, &Call{}); err != nil {
		t.Fatalf("cannot be written: %v", err)
	}
	back, err := http.ReadRequest(bufio.NewReader(&c.out))
	if err != nil {
		t.Fatalf("what was written cannot be read: %v\n%q", err, c.out.Bytes())
	}
	again, err := meaningOfRequest(back)
	for _, name := range []string{"Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Upgrade", "Expect"} {
		delete(m.Header, name)
		delete(again.Header, name)
	}
	if err != nil || again.Body != m.Body || !reflect.DeepEqual(again.Header, m.Header) || !reflect.DeepEqual(again.Trailer, m.Trailer) {
		t.Fatalf("wrote\n%+v, read back\n%+v (%v)", m, again, err)
	}
}

func FuzzResponseParse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nuntil close", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 404 \r\nX : y\r\n\r\n",
	} {
		f.Add([]byte(s), 7, false)
		f.Add([]byte(s), 1<<16, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, piece int, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		c := &script{in: data, piece: piece}
		tr := &Transport{Dial: func(context.Context) (net.Conn, error) { return c, nil }}
		defer tr.Retire()
		r := ask(method, "/", "")
		res, err := tr.RoundTrip(context.Background(), r, &Call{})
		if err != nil {
			return
		}
		b, err := io.ReadAll(res.Body)
		if err != nil {
			res.Body.Close()
			return
		}
		br := bufio.NewReader(bytes.NewReader(data))
		for {
			want, err := http.ReadResponse(br, r)
			if err != nil {
				t.Fatalf("accepted here, refused by net/http: %v\n%q", err, data)
			}
			if want.StatusCode < 200 {
				continue
			}
			wb, err := io.ReadAll(want.Body)
			if err != nil || string(wb) != string(b) || want.StatusCode != res.StatusCode || want.Status != res.Status ||
				!reflect.DeepEqual(fieldsOf(want.Header), fieldsOf(res.Header)) || !reflect.DeepEqual(trailerOf(want.Trailer), trailerOf(res.Trailer)) || want.Close != res.Close {
				t.Fatalf("means\n%+v %q here and\n%+v %q to net/http (%v)\n%q", res, b, want, wb, err, data)
			}
			rewrite(t, want, string(wb), method)
			return
		}
	})
}

// rewrite checks that an answer written by the server reads back as it was.
func rewrite(t *testing.T, res *http.Response, body, method string) {
	out := *res
	out.Body, out.Trailer = io.NopCloser(strings.NewReader(body)), trailerOf(res.Trailer)
	if method != "HEAD" && out.ContentLength >= 0 {
		out.ContentLength = int64(len(body))
	}
	c := &script{in: []byte(method + " / HTTP/1.1\r\nHost: a\r\n\r\n"), piece: 1 << 16}
	s := &Server{Handler: handlerFunc(func(_ context.Context, _ *http.Request, w *Writer) {
		if err := w.Write(&out); err != nil {
			t.Errorf("cannot be written: %v", err)
		}
	})}
	s.ServeConn(context.Background(), c)
	s.Shutdown()
	back, err := http.ReadResponse(bufio.NewReader(&c.out), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("what was written cannot be read: %v\n%q", err, c.out.Bytes())
	}
	b, err := io.ReadAll(back.Body)
	if method == "HEAD" {
		body = ""
	}
	h, g := fieldsOf(res.Header), fieldsOf(back.Header)
	for _, name := range []string{"Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Upgrade", "Expect"} {
		delete(h, name)
		delete(g, name)
	}
	if _, ok := h["Date"]; !ok {
		delete(g, "Date")
	}
	if err != nil || string(b) != body || back.StatusCode != res.StatusCode || !reflect.DeepEqual(h, g) ||
		method != "HEAD" && !reflect.DeepEqual(trailerOf(back.Trailer), out.Trailer) {
		t.Fatalf("wrote\n%+v %q, read back\n%+v %q (%v)", res, body, back, b, err)
	}
}

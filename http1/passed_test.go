package http1

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
)

// relayed is what a client gets of an answer of which reads are read; nil: it was refused.
func relayed(t *testing.T, answer []byte, piece int, method string, reads []string, edit func(http.Header)) *http.Response {
	t.Helper()
	origin := &script{in: answer, piece: piece}
	tr := &Transport{Dial: func(context.Context) (net.Conn, error) { return origin, nil }}
	defer tr.Retire()
	broken := false
	client := &script{in: []byte(method + " / HTTP/1.1\r\nHost: a\r\n\r\n"), piece: 1 << 16}
	s := &Server{Handler: handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		res, err := tr.RoundTrip(ctx, r, &Call{Reads: reads})
		if err == nil {
			edit(res.Header)
			err = w.Write(res)
		}
		broken = err != nil
	})}
	s.ServeConn(context.Background(), client)
	s.Shutdown()
	if broken {
		return nil
	}
	res, err := http.ReadResponse(bufio.NewReader(&client.out), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("what was written cannot be read: %v\n%q", err, client.out.Bytes())
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("what was written breaks off: %v\n%q", err, client.out.Bytes())
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	delete(res.Header, "Date") // ours, if the origin has none
	return res
}

func untouched(http.Header) {}

func TestFieldsThatNobodyReadsArePassedOn(t *testing.T) {
	const answer = "HTTP/1.1 200 Fine\r\nserver: origin\r\nSet-Cookie: a=1\r\nX-Read:  seen \r\nset-cookie: b=2\r\nX-Set: theirs\r\n" +
		"Date: Thu, 26 Nov 2026 00:00:00 GMT\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
	var header http.Header
	res := relayed(t, []byte(answer), 1<<16, "GET", []string{"X-Read", "X-Set"}, func(h http.Header) {
		header = h.Clone()
		h["X-Set"] = []string{"ours"}
	})
	if res == nil {
		t.Fatal("refused")
	}
	if want := (http.Header{"X-Read": {"seen"}, "X-Set": {"theirs"}}); !reflect.DeepEqual(header, want) {
		t.Errorf("the caller saw %v, want %v", header, want)
	}
	want := http.Header{"Server": {"origin"}, "Set-Cookie": {"a=1", "b=2"}, "X-Read": {"seen"}, "X-Set": {"ours"}, "Content-Length": {"2"}}
	if !reflect.DeepEqual(res.Header, want) {
		t.Errorf("the client got %v, want %v", res.Header, want)
	}
}

// TestDateIsWrittenOnce: the origin's is kept, and a missing one added, though it is not in the header.
func TestDateIsWrittenOnce(t *testing.T) {
	for date, want := range map[string]string{"Date: theirs\r\n": "theirs", "": "GMT"} {
		tr := endpoint(t, answering("HTTP/1.1 200 OK\r\n"+date+"Content-Length: 0\r\n\r\n"))
		_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
			res, err := tr.RoundTrip(ctx, r, &Call{Reads: []string{}})
			if err != nil {
				t.Error(err)
				return
			}
			w.Write(res)
		}))
		c := dial()
		io.WriteString(c, get)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Header["Date"]; len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%q: %v", date, got)
		}
		c.Close()
	}
}

// An answer that needs all its fields read has them in its header.
func TestFieldsThatAreNeededAreRead(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nX: y\r\nConnection: x\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\nTrailer: Z\r\n\r\n0\r\nZ: z\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nX: y\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 407 No\r\nX: y\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 426 Upgrade Required\r\nX: y\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
	} {
		tr := endpoint(t, answering(answer))
		res, err := tr.RoundTrip(context.Background(), ask("GET", "/", ""), &Call{Reads: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		if res.Header.Get("X") != "y" {
			t.Errorf("%q: %v", answer, res.Header)
		}
		res.Body.Close()
	}
}

// FuzzPassing: whatever of an answer is read, the client gets the same, and what is refused is refused.
func FuzzPassing(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nx-a: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\nX: y\r\n\r\n", "HTTP/1.0 200 OK\r\nDate: x\r\n\r\nuntil close",
		"HTTP/1.1 407 No\r\nProxy-Authenticate: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Type: text/event-stream\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nConnection: x-a, close\r\nX-A: b\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nX-Read: a\r\nX-READ: b\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(s), 7, false)
		f.Add([]byte(s), 1<<16, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, piece int, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		all := relayed(t, data, piece, method, nil, untouched)
		some := relayed(t, data, piece, method, []string{"X-Read", "Date"}, untouched)
		if all == nil || some == nil {
			if all != some {
				t.Fatalf("refused if %v is read\n%q", map[bool]string{true: "all", false: "some"}[all == nil], data)
			}
			return
		}
		a, _ := io.ReadAll(all.Body)
		s, _ := io.ReadAll(some.Body)
		if all.Status != some.Status || string(a) != string(s) || !reflect.DeepEqual(all.Header, some.Header) || !reflect.DeepEqual(all.Trailer, some.Trailer) {
			t.Fatalf("the client gets\n%+v %q if all is read, and\n%+v %q\n%q", all, a, some, s, data)
		}
	})
}

func TestLinesBesideTheHeader(t *testing.T) {
	tr := endpoint(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for r := heard(br); r != nil; r = heard(br) {
			body, _ := io.ReadAll(r.Body)
			s := r.Host + " " + string(body) + " " + r.Header.Get("X-A") + r.Header.Get("X-B") + r.Header.Get("X-C")
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
		}
	})
	r := ask("POST", "/", "")
	r.Header["X-A"], r.ContentLength = []string{"a"}, 4
	call := &Call{Host: "instead", Body: io.NopCloser(strings.NewReader("body")), Lines: []byte("X-B: b\r\nX-C: c\r\n")}
	res, err := tr.RoundTrip(context.Background(), r, call)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); string(body) != "instead body abc" {
		t.Errorf("%q", body)
	}
	for _, lines := range []string{"X", "X: y", "X: y\r", "X: y\n", "X: y\r\n\r\n", "\r\n", " X: y\r\n", "X: y\r\n\tz\r\n", "X: y\rZ: z\r\n", "X: \x00\r\n"} {
		if _, err := tr.RoundTrip(context.Background(), ask("GET", "/", ""), &Call{Lines: []byte(lines)}); err == nil {
			t.Errorf("%q was sent", lines)
		}
	}
}

package desync

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// manners are what an origin does behind its last byte.
type manners int

const (
	stays  manners = iota // and serves the next request, if one comes
	closes                // the connection
	resets                // it
	hangs                 // until the gateway has had enough
)

// outcomes beside a status.
const broken = 0 // the client's connection ends before its answer does

// misdeed is an answer as it must not be, and what becomes of it. ID stands for the id of the request.
type misdeed struct {
	name   string
	answer string
	then   manners
	want   int
	reused bool   // the connection is good for another request
	method string // POST unless it says otherwise: not repeated
}

const (
	ok      = "HTTP/1.1 200 OK\r\nX-Id: ID\r\n"
	sized   = ok + "Content-Length: 5\r\n\r\n"
	chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	// second is what must never be taken for the answer to another request.
	second = "HTTP/1.1 200 OK\r\nX-Id: evil\r\nContent-Length: 5\r\n\r\nevil\n"
)

var misdeeds = []misdeed{
	// Nothing, or the beginning of something.
	{name: "close instead of an answer", then: closes, want: 502},
	{name: "reset instead of an answer", then: resets, want: 502},
	{name: "close instead of an answer to a GET", then: closes, want: 502, method: "GET"},
	{name: "reset instead of an answer to a GET", then: resets, want: 502, method: "GET"},
	{name: "silence", then: hangs, want: 504},
	{name: "status line cut, close", answer: "HTTP/1.1 20", then: closes, want: 502},
	{name: "status line cut, reset", answer: "HTTP/1.1 20", then: resets, want: 502},
	{name: "status line cut, silence", answer: "HTTP/1.1 20", then: hangs, want: 504},
	{name: "head cut, close", answer: ok, then: closes, want: 502},
	{name: "head cut, reset", answer: ok, then: resets, want: 502},
	{name: "head cut, silence", answer: ok, then: hangs, want: 504},
	{name: "interim answer, close", answer: "HTTP/1.1 100 Continue\r\n\r\n", then: closes, want: 502},
	{name: "interim answer, reset", answer: "HTTP/1.1 103 Early Hints\r\n\r\n", then: resets, want: 502},
	{name: "interim answer, silence", answer: "HTTP/1.1 102 Processing\r\n\r\n", then: hangs, want: 504},

	// What is no answer.
	{name: "garbage", answer: "garbage\r\n\r\n", want: 502},
	{name: "binary garbage", answer: "\x00\x01\x02\xff\xfe\r\n\r\n", want: 502},
	{name: "HTTP 0.9", answer: "<html>hello</html>", then: closes, want: 502},
	{name: "a request", answer: "GET / HTTP/1.1\r\nHost: h\r\n\r\n", want: 502},
	{name: "HTTP/2 settings", answer: "\x00\x00\x00\x04\x00\x00\x00\x00\x00", want: 502},
	{name: "TLS alert", answer: "\x15\x03\x01\x00\x02\x02\x46", want: 502},
	{name: "empty line in front", answer: "\r\n" + sized + "abcd$", want: 502},
	{name: "version of another protocol", answer: "ICY/1.1 200 OK\r\n\r\n", want: 502},
	{name: "version 2.0", answer: "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "version 1.2", answer: "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "version in small letters", answer: "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "status of two digits", answer: "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "status of four digits", answer: "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "status 000", answer: "HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "status 999", answer: "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "status with a sign", answer: "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "status in letters", answer: "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "reason with a control", answer: "HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", want: 502},

	// Lines and fields.
	{name: "bare LFs", answer: "HTTP/1.1 200 OK\nContent-Length: 0\n\n", want: 502},
	{name: "field ended by LF", answer: ok + "X: a\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "field ended by CR", answer: ok + "X: a\rContent-Length: 0\r\n\r\n", want: 502},
	{name: "field folded", answer: ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "space before the colon", answer: ok + "Content-Length : 0\r\n\r\n", want: 502},
	{name: "name empty", answer: ok + ": a\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "line without a colon", answer: ok + "X\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "NUL in a value", answer: ok + "X: a\x00b\r\nContent-Length: 0\r\n\r\n", want: 502},
	{name: "field of two megabytes", answer: ok + "X: " + strings.Repeat("a", 2<<20) + "\r\n\r\n", want: 502},
	{name: "field without end", answer: ok + "X: " + strings.Repeat("a", 4<<20), then: hangs, want: 502},
	{name: "fields without end", answer: ok + strings.Repeat("X: a\r\n", 400_000), then: hangs, want: 502},
	{name: "fifty thousand fields", answer: ok + strings.Repeat("X: a\r\n", 50_000) + "\r\n", want: 502},
	{name: "status line without end", answer: "HTTP/1.1 200 " + strings.Repeat("a", 4<<20), then: hangs, want: 502},

	// Interim answers.
	{name: "interim answers without end", answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 10_000), then: hangs, want: 502},
	{name: "100 without end", answer: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 10_000), then: hangs, want: 502},
	{name: "interim answer with a length", answer: "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nevil\n" + second, want: 502},
	{name: "interim answer with chunks", answer: "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, want: 502},
	{name: "switch unasked", answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + second, want: 502},
	{name: "switch without a word to what", answer: "HTTP/1.1 101 Switching Protocols\r\n\r\n" + second, want: 502},
	{name: "interim answers, then one", answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 3) + sized + "abcd$", want: 200, reused: true},

	// Framing.
	{name: "two lengths that differ", answer: ok + "Content-Length: 5\r\nContent-Length: 62\r\n\r\nabcd$" + second, want: 502},
	{name: "two lengths that agree", answer: ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcd$", want: 502},
	{name: "list of lengths", answer: ok + "Content-Length: 5, 5\r\n\r\nabcd$", want: 502},
	{name: "length with a minus", answer: ok + "Content-Length: -5\r\n\r\nabcd$", want: 502},
	{name: "length in hexadecimal", answer: ok + "Content-Length: 0x5\r\n\r\nabcd$", want: 502},
	{name: "length beyond 64 bits", answer: ok + "Content-Length: 18446744073709551621\r\n\r\nabcd$", want: 502},
	{name: "length empty", answer: ok + "Content-Length:\r\n\r\nabcd$", want: 502},
	{name: "length and chunks", answer: ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcd$\r\n0\r\n\r\n", want: 502},
	{name: "chunks twice", answer: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: 502},
	{name: "coding that is not known", answer: ok + "Transfer-Encoding: gzip\r\n\r\nabcd$", then: closes, want: 502},
	{name: "chunks in HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nX-Id: ID\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: 502},

	// Bodies that stop short.
	{name: "length not reached, close", answer: sized + "abc", then: closes, want: broken},
	{name: "length not reached, reset", answer: sized + "abc", then: resets, want: broken},
	{name: "length not begun, close", answer: sized, then: closes, want: broken},
	{name: "much of a great length, close", answer: ok + "Content-Length: 9000000\r\n\r\n" + strings.Repeat("a", 1<<20), then: closes, want: broken},
	{name: "chunk not reached, close", answer: chunked + "5\r\nabc", then: closes, want: broken},
	{name: "chunk not reached, reset", answer: chunked + "5\r\nabc", then: resets, want: broken},
	{name: "chunk without its end, close", answer: chunked + "5\r\nabcd$", then: closes, want: broken},
	{name: "chunks without the last, close", answer: chunked + "5\r\nabcd$\r\n", then: closes, want: broken},
	{name: "chunks without the last, reset", answer: chunked + "5\r\nabcd$\r\n", then: resets, want: broken},
	{name: "last chunk without its end, close", answer: chunked + "5\r\nabcd$\r\n0\r\n", then: closes, want: broken},
	{name: "trailers cut, close", answer: chunked + "5\r\nabcd$\r\n0\r\nX: a\r\n", then: closes, want: broken},
	{name: "size line cut, close", answer: chunked + "5\r\nabcd$\r\n1", then: closes, want: broken},
	{name: "body to the end of the connection, reset", answer: ok + "\r\nabcd$", then: resets, want: broken},

	// Chunks that lie.
	{name: "chunk less than its data", answer: chunked + "3\r\nabcd$\r\n0\r\n\r\n", want: broken},
	{name: "chunk more than its data", answer: chunked + "6\r\nabcd$\r\n0\r\n\r\n", want: broken},
	{name: "chunk of no size", answer: chunked + "\r\nabcd$\r\n0\r\n\r\n", want: broken},
	{name: "chunk size with a minus", answer: chunked + "-5\r\nabcd$\r\n0\r\n\r\n", want: broken},
	{name: "chunk size with a prefix", answer: chunked + "0x5\r\nabcd$\r\n0\r\n\r\n", want: broken},
	{name: "chunk size beyond 64 bits", answer: chunked + "10000000000000005\r\nabcd$\r\n0\r\n\r\n", want: broken},
	{name: "chunk ended by LF", answer: chunked + "5\nabcd$\r\n0\r\n\r\n", want: broken},
	{name: "extensions without end", answer: chunked + strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\na\r\n", 100) + "0\r\n\r\n", want: broken},
	{name: "extension line without end", answer: chunked + "5;" + strings.Repeat("a", 1<<20), then: hangs, want: broken},
	{name: "trailer that frames", answer: chunked + "5\r\nabcd$\r\n0\r\nContent-Length: 5\r\n\r\n", want: broken},
	{name: "trailers without end", answer: chunked + "5\r\nabcd$\r\n0\r\n" + strings.Repeat("X: a\r\n", 400_000), then: hangs, want: broken},

	// More than was asked for.
	{name: "bytes behind a length", answer: sized + "abcd$" + second, want: 502},
	{name: "byte behind a length", answer: sized + "abcd$!", want: 502},
	{name: "bytes behind a length of 0", answer: ok + "Content-Length: 0\r\n\r\n" + second, want: 502},
	{name: "bytes behind the last chunk", answer: chunked + "5\r\nabcd$\r\n0\r\n\r\n" + second, want: 200},
	{name: "body of a 204", answer: "HTTP/1.1 204 No Content\r\nX-Id: ID\r\n\r\n" + second, want: 502},
	{name: "body of a 204 with a length", answer: "HTTP/1.1 204 No Content\r\nX-Id: ID\r\nContent-Length: 57\r\n\r\n" + second, want: 502},
	{name: "body of a 204 in chunks", answer: "HTTP/1.1 204 No Content\r\nX-Id: ID\r\nTransfer-Encoding: chunked\r\n\r\n39\r\n" + second + "\r\n0\r\n\r\n", want: 502},
	{name: "body of a 304", answer: "HTTP/1.1 304 Not Modified\r\nX-Id: ID\r\nContent-Length: 57\r\n\r\n" + second, want: 502, method: "GET"},
	{name: "body of an answer to HEAD", answer: ok + "Content-Length: 57\r\n\r\n" + second, want: 502, method: "HEAD"},
	{name: "chunks of an answer to HEAD", answer: chunked + "5\r\nabcd$\r\n0\r\n\r\n", want: 502, method: "HEAD"},
	{name: "204 that announces chunks and sends none", answer: "HTTP/1.1 204 No Content\r\nX-Id: ID\r\nTransfer-Encoding: chunked\r\n\r\n", want: 204},
	{name: "204 that announces a length and sends nothing", answer: "HTTP/1.1 204 No Content\r\nX-Id: ID\r\nContent-Length: 57\r\n\r\n", want: 204},

	// Good answers, by which the test knows its own measure.
	{name: "an answer", answer: sized + "abcd$", want: 200, reused: true},
	{name: "an answer in chunks", answer: chunked + "5\r\nabcd$\r\n0\r\nX: a\r\n\r\n", want: 200, reused: true},
	{name: "an answer to the end of the connection", answer: ok + "\r\nabcd$", then: closes, want: 200},
	{name: "an answer that says close, and stays", answer: ok + "Connection: close\r\nContent-Length: 5\r\n\r\nabcd$", want: 200},
	{name: "an answer, and a close unsaid", answer: sized + "abcd$", then: closes, want: 200},
	{name: "an answer, and a reset unsaid", answer: ok + "Content-Length: 0\r\n\r\n", then: resets, want: 200},
	{name: "an answer of HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nX-Id: ID\r\nContent-Length: 5\r\n\r\nabcd$", want: 200},
	{name: "a 204", answer: "HTTP/1.1 204 No Content\r\nX-Id: ID\r\n\r\n", want: 204, reused: true},
	{name: "an answer to HEAD", answer: ok + "Content-Length: 57\r\n\r\n", want: 200, reused: true, method: "HEAD"},
}

// Silence is cut short where it is the point.
const wronged = `
listeners:
  - {name: plain, address: "127.0.0.1:0"}
routes:
  - {name: hanging, match: {path: /hanging/*}, service: origin, timeout: 300ms, filters: [{rewrite: {stripPrefix: /hanging}}]}
  - {name: all, match: {path: /*}, service: origin, timeout: 8s}
services:
  - {name: origin, endpoints: [{url: "http://%s"}], connections: {max: 1, maxIdle: 1, pending: 4}}
`

// TestMisbehavingUpstreams has the origin answer as none may. The client gets a 502, a 504 or a connection that breaks;
// the next one gets its own answer, on another connection unless the first is beyond doubt.
func TestMisbehavingUpstreams(t *testing.T) {
	origin := newOrigin(t)
	gateway := gatewaytest.Start(t, fmt.Sprintf(wronged, origin.Addr()))
	for i, m := range misdeeds {
		t.Run(m.name, func(t *testing.T) {
			c, err := Dial(gateway.Addr("plain"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			origin.Misbehave(m.do)
			m.provoke(t, c, fmt.Sprintf("bad-%d", i))
			next, err := Dial(gateway.Addr("plain"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			for _, id := range []string{fmt.Sprintf("next-%d", i), fmt.Sprintf("again-%d", i)} {
				if err := next.Get(id); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
			m.audit(t, origin, i)
		})
	}
}

// do is the origin's part.
func (m *misdeed) do(c net.Conn, id string) (goOn bool) {
	_, _ = io.WriteString(c, strings.ReplaceAll(m.answer, "ID", id)) // the gateway may have had enough
	switch m.then {
	case stays:
		return true
	case resets:
		_ = c.(*net.TCPConn).SetLinger(0)
	case hangs:
		_, _ = io.Copy(io.Discard, c)
	}
	return false
}

// provoke is the client's part.
func (m *misdeed) provoke(t *testing.T, c *Client, id string) {
	t.Helper()
	method, path := m.method, "/bad/"
	if method == "" {
		method = "POST"
	}
	if m.then == hangs && m.want == 504 {
		path = "/hanging/bad/"
	}
	m.ask(t, c, method, path+id, id)
}

// ask sends a request and judges the answer.
func (m *misdeed) ask(t *testing.T, c *Client, method, path, id string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: h\r\nX-Id: %s\r\n\r\n", method, path, id); err != nil {
		t.Fatal(err)
	}
	a, err := c.Final(method)
	switch {
	case m.want == broken && err == nil:
		t.Errorf("a whole answer: %d %.200q", a.Status, a.Body)
	case m.want == broken:
	case err != nil:
		t.Errorf("%v instead of %d", err, m.want)
	case a.Status != m.want:
		t.Errorf("%d instead of %d: %.300s", a.Status, m.want, a.Body)
	case a.Status < 500 && a.Head.one("X-Id") != id:
		t.Errorf("%s got the answer to %q", id, a.Head.one("X-Id"))
	case strings.Contains(fmt.Sprint(a.Head.fields, string(a.Body)), tabu):
		t.Errorf("what was no answer came through: %v %q", a.Head.fields, a.Body)
	}
}

// audit looks at which connections the requests came on.
func (m *misdeed) audit(t *testing.T, origin *Origin, i int) {
	t.Helper()
	got, breaches := origin.Take()
	want := []string{fmt.Sprintf("bad-%d", i), fmt.Sprintf("next-%d", i), fmt.Sprintf("again-%d", i)}
	if m.method == "GET" && m.answer == "" {
		// Nothing came back, and it may be repeated: once for the connection, which had waited, and once by the service's policy.
		want = slices.Insert(want, 0, want[0], want[0])
	}
	if !slices.Equal(ids(got), want) || len(breaches) > 0 {
		t.Fatalf("the origin got %q instead of %q; %q", ids(got), want, breaches)
	}
	n := len(got)
	if reused := got[n-3].Conn == got[n-2].Conn; reused != m.reused {
		t.Errorf("the connection is used again: %v", reused)
	}
	if got[n-2].Conn != got[n-1].Conn {
		t.Error("a good connection is not used again")
	}
}

// TestUpstreamSpeaksLater has the origin send an answer that nobody asked for, on a connection that is back in the pool,
// and then say no more: whoever used that connection would take it for its own.
func TestUpstreamSpeaksLater(t *testing.T) {
	const rounds = 100
	origin := newOrigin(t)
	gateway := gatewaytest.Start(t, fmt.Sprintf(wronged, origin.Addr()))
	c, err := Dial(gateway.Addr("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range rounds {
		answered, said := make(chan struct{}), make(chan struct{})
		origin.Misbehave(func(c net.Conn, id string) bool {
			_, _ = io.WriteString(c, strings.ReplaceAll(sized+"abcd$", "ID", id))
			<-answered
			_, _ = io.WriteString(c, second)
			close(said)
			_, _ = io.Copy(io.Discard, c)
			return false
		})
		m := misdeed{want: 200}
		m.ask(t, c, "GET", fmt.Sprintf("/bad/bad-%d", i), fmt.Sprintf("bad-%d", i))
		close(answered)
		<-said
		for _, next := range []string{"next", "again"} {
			if err := c.Get(fmt.Sprintf("%s-%d", next, i)); err != nil {
				t.Fatal(err)
			}
		}
		m.audit(t, origin, i)
	}
}

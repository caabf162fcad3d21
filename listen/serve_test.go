package listen

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/proxy"
	"github.com/sluice-gateway/sluice/snapshot"
)

// engines are the four ways to come in.
var engines = []struct {
	name, protocol string
	tls            bool
}{
	{"http1", protoHTTP1, false}, {"http1 tls", protoHTTP1, true}, {"h2c", protoHTTP2, false}, {"h2 tls", protoHTTP2, true},
}

// each runs a test over all engines, with a client and the scheme and host to ask for.
func each(t *testing.T, serve serve, test func(t *testing.T, u *up, c *http.Client, url string), change ...func(*snapshot.Listener)) {
	ca := newAuthority(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			changes, url := change, "http://a.example"
			var config *tls.Config
			if e.tls {
				changes = append(changes[:len(changes):len(changes)], withTLS(ca.server(t, servertls.Settings{}, []string{"a.example"})))
				config, url = &tls.Config{RootCAs: ca.pool()}, "https://a.example"
			}
			u := start(t, serve, changes...)
			test(t, u, u.client(t, config, e.protocol), url)
		})
	}
}

func TestServe(t *testing.T) {
	each(t, tell, func(t *testing.T, u *up, c *http.Client, url string) {
		for range 3 {
			status, body := get(t, c, url+"/a/b?c=d")
			tls := strings.HasPrefix(url, "https")
			if status != 200 || !strings.Contains(body, " /a/b?c=d peer=127.0.0.1 ") || !strings.HasSuffix(body, "listener=public") ||
				strings.Contains(body, "tls=true") != tls {
				t.Errorf("%d %s", status, body)
			}
		}
		if n := u.open(); n != 1 {
			t.Errorf("%d connections for three requests in a row", n)
		}
		eventually(t, "the connection is idle", func() bool { n := u.spec.Series.Connections(); return n.Open == 1 && n.Idle == 1 })
	})
}

func TestEchoBodies(t *testing.T) {
	each(t, echo, func(t *testing.T, u *up, c *http.Client, url string) {
		for _, size := range []int{0, 1, 4 << 10, 100 << 10, 3 << 20} {
			sent := strings.Repeat("x", size)
			for _, body := range []io.Reader{strings.NewReader(sent), iotest.OneByteReader(strings.NewReader(sent[:min(size, 1000)]))} {
				res, err := c.Post(url, "text/plain", body)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(got) != sent && string(got) != sent[:min(size, 1000)] {
					t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
				}
			}
		}
	})
}

func TestHeadersOfAnswers(t *testing.T) {
	res := func(status int, length int64, body string, header http.Header) *http.Response {
		return &http.Response{StatusCode: status, ContentLength: length, Header: header, Body: io.NopCloser(strings.NewReader(body))}
	}
	for _, c := range []struct {
		name, method string
		res          func() *http.Response
		length       int64
		body         string
	}{
		{"known", "GET", func() *http.Response { return res(200, 5, "hello", http.Header{}) }, 5, "hello"},
		{"unknown", "GET", func() *http.Response { return res(200, -1, "hello", http.Header{}) }, -1, "hello"},
		{"empty", "GET", func() *http.Response { return &http.Response{StatusCode: 200, Header: http.Header{}} }, 0, ""},
		{"head", "HEAD", func() *http.Response { return res(200, 5, "", http.Header{}) }, 5, ""},
		{"head by field", "HEAD", func() *http.Response { return res(200, 0, "", http.Header{"Content-Length": {"7"}}) }, 7, ""},
		{"head unknown", "HEAD", func() *http.Response { return res(200, -1, "", http.Header{}) }, -1, ""},
		{"no content", "GET", func() *http.Response { return res(204, 0, "", http.Header{"Content-Length": {"0"}}) }, 0, ""},
		{"not modified", "GET", func() *http.Response { return res(304, 9, "", http.Header{}) }, 9, ""},
		{"framing fields of the upstream", "GET", func() *http.Response {
			return res(200, 2, "ok", http.Header{"Content-Length": {"99"}, "Trailer": {"X"}})
		}, 2, "ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
				if err := w.Write(c.res()); err != nil {
					t.Error(err)
				}
				if w.Written() != int64(len(c.body)) {
					t.Errorf("Written %d", w.Written())
				}
			}, func(t *testing.T, u *up, client *http.Client, url string) {
				r, _ := http.NewRequest(c.method, url, nil)
				got, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer got.Body.Close()
				body, _ := io.ReadAll(got.Body)
				if got.StatusCode == 204 {
					if got.Header["Content-Length"] != nil {
						t.Error("a 204 with a Content-Length")
					}
				} else if got.StatusCode != 304 && got.ContentLength != c.length || string(body) != c.body {
					t.Errorf("length %d, body %q", got.ContentLength, body)
				}
				if got.Header["Content-Type"] != nil {
					t.Errorf("a Content-Type was made up: %q", got.Header["Content-Type"])
				}
			})
		})
	}
}

func TestTrailers(t *testing.T) {
	each(t, func(_ context.Context, x *exchange.Exchange, w proxy.Writer) {
		_, _ = io.ReadAll(x.In.Body)
		res := &http.Response{StatusCode: 200, ContentLength: -1, Header: http.Header{"X-Sum": {"of the head"}, "X-None": {"head"}},
			Trailer: http.Header{"X-Sum": nil, "X-None": nil}}
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader("body"), atEnd(func() {
			res.Trailer = http.Header{"X-Sum": {"1", "2"}, "X-Late": {x.In.Trailer.Get("X-Asked")}}
		})))
		if err := w.Write(res); err != nil {
			t.Error(err)
		}
	}, func(t *testing.T, u *up, c *http.Client, url string) {
		r, _ := http.NewRequest("POST", url, struct{ io.Reader }{strings.NewReader("in")})
		r.Trailer = http.Header{"X-Asked": {"yes"}}
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "body" {
			t.Errorf("%q %v", body, err)
		}
		if got := res.Trailer["X-Sum"]; len(got) != 2 {
			t.Errorf("announced trailer: %q", got)
		}
		if got := res.Trailer.Get("X-Late"); got != "yes" {
			t.Errorf("trailer that was not announced, with the request's own in it: %q", got)
		}
		if got := res.Trailer["X-None"]; len(got) != 0 {
			t.Errorf("a field of the head was sent as a trailer: %q", got)
		}
	})
}

// atEnd is an empty reader that does something first.
type atEnd func()

func (f atEnd) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestInform(t *testing.T) {
	each(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
		_ = w.Inform(103, http.Header{"Link": {"</a.css>"}})
		_ = w.Inform(103, http.Header{"Link": {"</b.css>"}})
		_ = w.Write(answer(200, "ok"))
		_ = w.Inform(103, http.Header{"Link": {"</late.css>"}})
	}, func(t *testing.T, u *up, c *http.Client, url string) {
		var links []string
		r, _ := http.NewRequest("GET", url, nil)
		res, err := c.Do(r.WithContext(traceInform(t.Context(), &links)))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		io.Copy(io.Discard, res.Body)
		if strings.Join(links, " ") != "</a.css> </b.css>" || res.Header["Link"] != nil {
			t.Errorf("informed of %q, final %q", links, res.Header)
		}
	})
}

func TestInformIsNotForHTTP10(t *testing.T) {
	u := start(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
		_ = w.Inform(103, http.Header{"Link": {"</a.css>"}})
		res := answer(200, "ok")
		res.ContentLength = -1
		_ = w.Write(res)
	})
	c := u.dial(t)
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	all, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 200") || strings.Contains(string(all), "chunked") || !strings.HasSuffix(string(all), "\r\n\r\nok") {
		t.Errorf("%q %v", all, err)
	}
}

func TestAbortIsNeverACleanEnd(t *testing.T) {
	for _, length := range []int64{-1, 100} {
		each(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
			err := w.Write(&http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: length,
				Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF)))})
			if err != io.ErrUnexpectedEOF {
				t.Errorf("the body's error came back as %v", err)
			}
			w.Abort()
		}, func(t *testing.T, u *up, c *http.Client, url string) {
			res, err := c.Get(url)
			if err != nil {
				return // the head did not make it: not clean either
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("a clean end after %q", body)
			}
		})
	}
}

func TestAbortOnHTTP10IsAReset(t *testing.T) {
	u := start(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
		_ = w.Write(&http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1,
			Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF)))})
		w.Abort()
	})
	c := u.dial(t)
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if all, err := io.ReadAll(c); err == nil {
		t.Errorf("a clean end after %q", all)
	}
}

func TestBodiesOfTheWrongLength(t *testing.T) {
	for _, body := range []string{"abc", "abcdefgh"} {
		each(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
			res := answer(200, body)
			res.ContentLength = 5
			if err := w.Write(res); err == nil || !strings.Contains(err.Error(), "http_response_incomplete") {
				t.Errorf("%q for 5 bytes: %v", body, err)
			}
			w.Abort()
		}, func(t *testing.T, u *up, c *http.Client, url string) {
			res, err := c.Get(url)
			if err != nil {
				return
			}
			defer res.Body.Close()
			if got, err := io.ReadAll(res.Body); err == nil && string(got) != "abcde" {
				t.Errorf("a clean end after %q", got)
			}
		})
	}
}

func TestStreamsAreFlushedAsTheyArrive(t *testing.T) {
	for _, length := range []int64{-1, 9} {
		steps := make(chan string)
		each(t, func(_ context.Context, _ *exchange.Exchange, w proxy.Writer) {
			r, wr := io.Pipe()
			go func() {
				for range 3 {
					io.WriteString(wr, <-steps)
				}
				wr.Close()
			}()
			if err := w.Write(&http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: length, Body: r}); err != nil {
				t.Error(err)
			}
		}, func(t *testing.T, u *up, c *http.Client, url string) {
			if length >= 0 {
				go func() { steps <- "abc" }()
			}
			res, err := c.Get(url) // with no length the head comes alone
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if length < 0 {
				steps <- "abc"
			}
			buf := make([]byte, 3)
			for i := range 3 {
				if i > 0 {
					steps <- "abc"
				}
				if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != "abc" {
					t.Fatalf("step %d: %q %v", i, buf, err)
				}
			}
			if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
				t.Errorf("%q %v", rest, err)
			}
		})
	}
}

func TestPipelining(t *testing.T) {
	u := start(t, tell)
	c := u.dial(t)
	io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	r := bufio.NewReader(c)
	for _, path := range []string{"/1", "/2"} {
		if _, body := read(t, r, "GET"); !strings.Contains(body, " "+path+" ") {
			t.Errorf("want %s: %s", path, body)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	for _, reads := range []bool{true, false} {
		u := start(t, func(_ context.Context, x *exchange.Exchange, w proxy.Writer) {
			if reads {
				_, _ = io.ReadAll(x.In.Body)
			}
			_ = w.Write(answer(403, "no"))
		})
		c := u.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if reads {
			io.WriteString(c, "ab")
		}
		if err != nil || strings.Contains(line, " 100 ") != reads {
			t.Errorf("reads %v: %q %v", reads, line, err)
		}
	}
}

func TestOptionsAsterisk(t *testing.T) {
	u := start(t, tell)
	if res, body := u.talk(t, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"); res.StatusCode != 200 || !strings.Contains(body, "HTTP/1.1 * ") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestProtocolsThatAreOff(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	t.Run("http1 only", func(t *testing.T) {
		u := start(t, tell, func(s *snapshot.Listener) { s.HTTP2 = false })
		if res, _ := u.talk(t, preface); res.StatusCode/100 != 4 && res.StatusCode/100 != 5 {
			t.Errorf("%d", res.StatusCode)
		}
	})
	t.Run("http2 only", func(t *testing.T) {
		u := start(t, tell, func(s *snapshot.Listener) { s.HTTP1 = false })
		c := u.dial(t)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if b, _ := io.ReadAll(c); len(b) > 0 {
			t.Errorf("%q", b)
		}
		if status, _ := get(t, u.client(t, nil, protoHTTP2), "http://a"); status != 200 {
			t.Errorf("%d", status)
		}
	})
}

func TestPrefaceInPieces(t *testing.T) {
	u := start(t, tell)
	c := u.dial(t)
	for _, piece := range []string{"P", "RI * HT", "TP/2.0\r\n\r\nSM\r\n\r", "\n"} {
		io.WriteString(c, piece)
	}
	f := &frames{Framer: http2NewFramer(c), Conn: c, t: t}
	f.WriteSettings()
	if status := f.get("/"); status != "200" {
		t.Errorf("%s", status)
	}
	// What begins like it and is not is HTTP/1.1's to refuse or serve.
	u2 := start(t, tell)
	c2 := u2.dial(t)
	io.WriteString(c2, "PR")
	io.WriteString(c2, "OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, body := read(t, bufio.NewReader(c2), "GET"); res.StatusCode != 200 || !strings.HasPrefix(body, "HTTP/1.1") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	u := start(t, tell, func(s *snapshot.Listener) { s.Address = "unix:" + path })
	for _, protocol := range []string{protoHTTP1, protoHTTP2} {
		if status, body := get(t, u.client(t, nil, protocol), "http://a"); status != 200 || !strings.Contains(body, "peer=127.0.0.1") {
			t.Errorf("%d %s", status, body)
		}
	}
}

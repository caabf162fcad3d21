package compress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var usual = Config{Algorithms: []string{"zstd", "br", "gzip"}, MinBytes: 1024, Types: []string{"text/*", "application/json", "*+json"}}

func build(t testing.TB, c Config) *Filter {
	t.Helper()
	f, err := New(filter.Env{}, c)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Filter)
}

// source is a body that knows whether it was closed.
type source struct {
	io.Reader
	closed bool
}

func (s *source) Close() error {
	s.closed = true
	return nil
}

func response(body string, fields ...string) *http.Response {
	r := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/plain"}}, ContentLength: int64(len(body)),
		Body: &source{Reader: strings.NewReader(body)}}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

func run(t testing.TB, f *Filter, method, accept string, r *http.Response) *http.Response {
	t.Helper()
	x := &exchange.Exchange{In: &http.Request{Method: method, Header: http.Header{}}, Response: r}
	if accept != "" {
		x.In.Header.Set("Accept-Encoding", accept)
	}
	if err := f.OnResponse(context.Background(), x); err != nil {
		t.Fatal(err)
	}
	return r
}

// decoder undoes a coding as it arrives.
func decoder(t testing.TB, coding string, r io.Reader) io.Reader {
	t.Helper()
	switch coding {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		return z
	case "br":
		return brotli.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(z.Close)
		return z
	}
	t.Fatalf("no coding %q", coding)
	return nil
}

func text(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "{\"id\":%d,\"name\":\"item\"}\n", random.IntN(1e6))
	}
	return b.String()[:n]
}

var codings = []string{"gzip", "br", "zstd"}

func TestRoundTrip(t *testing.T) {
	for _, level := range []string{"fastest", "default", "best"} {
		c := usual
		c.Level, c.MinBytes = level, 0
		f := build(t, c)
		for _, coding := range codings {
			for _, n := range []int{0, 1, 1000, piece - 1, piece, piece + 1, 5*piece + 7} {
				for _, known := range []bool{true, false} {
					body := text(n)
					r := response(body)
					from := r.Body.(*source)
					if !known {
						r.ContentLength = -1
						from.Reader = iotest.DataErrReader(from.Reader)
					}
					run(t, f, "GET", coding, r)
					if got := r.Header.Get("Content-Encoding"); got != coding || r.ContentLength != -1 {
						t.Fatalf("Content-Encoding %q, length %d", got, r.ContentLength)
					}
					encoded, err := io.ReadAll(r.Body)
					if err != nil {
						t.Fatal(err)
					}
					if n > 1000 && len(encoded) > n/2 {
						t.Errorf("%s of %d bytes: %d", coding, n, len(encoded))
					}
					if got, err := io.ReadAll(decoder(t, coding, bytes.NewReader(encoded))); err != nil || string(got) != body {
						t.Errorf("%s of %d bytes, known %v: %d bytes back, %v", coding, n, known, len(got), err)
					}
					if err := r.Body.Close(); err != nil || !from.closed {
						t.Errorf("closed %v, %v", from.closed, err)
					}
				}
			}
		}
	}
}

func TestWhatIsWrittenComesOutAtOnce(t *testing.T) {
	for _, coding := range codings {
		reader, writer := io.Pipe()
		r := response("")
		r.Body, r.ContentLength = reader, -1
		run(t, build(t, usual), "GET", coding, r)
		var decode io.Reader
		for i, message := range []string{"one\n", "two\n", strings.Repeat("x", piece), "four\n"} {
			done := make(chan error, 1)
			go func() {
				_, err := io.WriteString(writer, message)
				done <- err
			}()
			if decode == nil {
				decode = decoder(t, coding, r.Body)
			}
			got := make([]byte, len(message)) // nothing more is written: a coding that holds it back would block here
			if _, err := io.ReadFull(decode, got); err != nil || string(got) != message {
				t.Fatalf("%s: message %d: %v", coding, i, err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		writer.Close()
		if rest, err := io.ReadAll(decode); err != nil || len(rest) != 0 {
			t.Errorf("%s: %d bytes more, %v", coding, len(rest), err)
		}
		r.Body.Close()
	}
}

func TestABrokenSourceIsABrokenBody(t *testing.T) {
	broken := errors.New("reset")
	for _, coding := range codings {
		r := response("")
		r.Body, r.ContentLength = &source{Reader: io.MultiReader(strings.NewReader(text(5000)), iotest.ErrReader(broken))}, 9000
		run(t, build(t, usual), "GET", coding, r)
		encoded, err := io.ReadAll(r.Body)
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", coding, err)
		}
		if got, err := io.ReadAll(decoder(t, coding, bytes.NewReader(encoded))); err == nil {
			t.Errorf("%s: the %d bytes that came have a clean end", coding, len(got))
		}
		r.Body.Close()
	}
}

func TestClosedEarly(t *testing.T) {
	f := build(t, usual)
	for _, coding := range codings {
		for _, read := range []int{0, 10} {
			r := response(text(1 << 20))
			from := r.Body.(*source)
			run(t, f, "GET", coding, r)
			if _, err := io.ReadFull(r.Body, make([]byte, read)); err != nil {
				t.Fatal(err)
			}
			if err := r.Body.Close(); err != nil || !from.closed {
				t.Errorf("closed %v, %v", from.closed, err)
			}
			if _, err := r.Body.Read(make([]byte, 1)); err == nil {
				t.Error("read from a closed body")
			}
			r.Body.Close() // twice does no harm: the encoder is another's by now
		}
		r := run(t, f, "GET", coding, response(text(5000)))
		if got, err := io.ReadAll(decoder(t, coding, r.Body)); err != nil || string(got) != text(5000) {
			t.Errorf("%s after one that was broken off: %v", coding, err)
		}
		r.Body.Close()
	}
}

func TestConcurrent(t *testing.T) {
	f := build(t, usual)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			body := text(10_000 + i*1000)
			r := run(t, f, "GET", codings[i%3], response(body))
			encoded, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := io.ReadAll(decoder(t, codings[i%3], bytes.NewReader(encoded))); err != nil || string(got) != body {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	group.Wait()
}

func TestHead(t *testing.T) {
	r := run(t, build(t, usual), "GET", "gzip", response(text(5000),
		"ETag", `"v1"`, "Content-Length", "5000", "Accept-Ranges", "bytes", "Content-Digest", "x", "Vary", "Origin"))
	r.Body.Close()
	want := http.Header{"Content-Type": {"text/plain"}, "Content-Encoding": {"gzip"}, "Vary": {"Origin", "Accept-Encoding"}, "Etag": {`W/"v1"`}}
	if !reflect.DeepEqual(r.Header, want) {
		t.Errorf("got  %v\nwant %v", r.Header, want)
	}
	r = run(t, build(t, usual), "GET", "gzip", response(text(5000), "ETag", `W/"v1"`, "Vary", "accept-encoding"))
	r.Body.Close()
	if r.Header.Get("ETag") != `W/"v1"` || len(r.Header["Vary"]) != 1 {
		t.Errorf("%v", r.Header)
	}
}

func TestNotEncoded(t *testing.T) {
	f, long := build(t, usual), text(5000)
	status := func(code int) *http.Response {
		r := response(long)
		r.StatusCode = code
		return r
	}
	empty := response(long)
	empty.Body = http.NoBody
	bare := response(long)
	bare.Header = http.Header{}
	for _, c := range []struct {
		name, method, accept string
		r                    *http.Response
		varies               bool
	}{
		{"not accepted", "GET", "deflate", response(long), true},
		{"not asked for", "GET", "", response(long), true},
		{"HEAD", "HEAD", "gzip", response(long), true},
		{"short", "GET", "gzip", response(text(1023)), false},
		{"partial", "GET", "gzip", status(206), false},
		{"no content", "GET", "gzip", status(204), false},
		{"not modified", "GET", "gzip", status(304), false},
		{"switching", "GET", "gzip", status(101), false},
		{"no body", "GET", "gzip", empty, false},
		{"no type", "GET", "gzip", bare, false},
		{"another type", "GET", "gzip", response(long, "Content-Type", "image/png"), false},
		{"events", "GET", "gzip", response(long, "Content-Type", "text/event-stream; charset=utf-8"), false},
		{"gRPC", "GET", "gzip", response(long, "Content-Type", "application/grpc+json"), false},
		{"encoded", "GET", "gzip", response(long, "Content-Encoding", "br"), false},
		{"a range", "GET", "gzip", response(long, "Content-Range", "bytes 0-1/2"), false},
		{"no-transform", "GET", "gzip", response(long, "Cache-Control", "public, no-transform"), false},
	} {
		before, length := c.r.Body, c.r.ContentLength
		run(t, f, c.method, c.accept, c.r)
		if c.r.Body != before || c.r.ContentLength != length {
			t.Errorf("%s: encoded", c.name)
		}
		if varies := c.r.Header.Get("Vary") != ""; varies != c.varies {
			t.Errorf("%s: varies %v", c.name, varies)
		}
	}
}

func TestChoose(t *testing.T) {
	f := build(t, usual)
	for accept, want := range map[string]string{
		"gzip":                              "gzip",
		"gzip, br":                          "br",
		"gzip, deflate, br, zstd":           "zstd",
		"x-gzip":                            "gzip",
		"GZIP":                              "gzip",
		"gzip;q=1.0, br;q=0.9, zstd;q=0.8":  "gzip",
		"gzip;q=0.001":                      "gzip",
		"gzip;q=0":                          "",
		"gzip; Q=0.5":                       "gzip",
		"*":                                 "zstd",
		"*;q=0":                             "",
		"*, zstd;q=0":                       "br",
		"gzip, *;q=0":                       "gzip",
		"identity":                          "",
		"identity, gzip;q=0.5":              "",
		"identity;q=0.5, gzip;q=0.5":        "gzip",
		"identity;q=0, gzip":                "gzip",
		"gzip;q=2":                          "",
		"gzip;q=1.001":                      "gzip",
		"gzip;q=0.1234":                     "",
		"gzip;q=":                           "",
		"gzip;x=1":                          "",
		"gzip;q=-1":                         "",
		", ,gzip ;q=0.5,":                   "gzip",
		strings.Repeat("a,", 100) + "gzip":  "",
		"deflate;q=1, gzip;q=0.3, br;q=0.3": "br",
	} {
		got := ""
		if c := choose(f.codings, []string{accept}); c != nil {
			got = c.name
		}
		if got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
	if c := choose(f.codings, []string{"br;q=0.5", "gzip"}); c.name != "gzip" {
		t.Errorf("of two lines: %s", c.name)
	}
}

func TestErrors(t *testing.T) {
	for want, c := range map[string]Config{
		"algorithms: none is left":     {},
		"algorithms: \"lzma\" is no":   {Algorithms: []string{"gzip", "lzma"}},
		"level: \"most\" is no level":  {Algorithms: []string{"gzip"}, Level: "most"},
		"types: \"text\" is no":        {Algorithms: []string{"gzip"}, Types: []string{"text"}},
		"types: \"*/*\" is no":         {Algorithms: []string{"gzip"}, Types: []string{"*/*"}},
		"types: \"text/a;b\" is no":    {Algorithms: []string{"gzip"}, Types: []string{"text/a;b"}},
		"types: \"/*\" is no media ty": {Algorithms: []string{"gzip"}, Types: []string{"/*"}},
	} {
		if _, err := New(filter.Env{}, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q in it", c, err, want)
		}
	}
	if typ := Type(); typ.Name != "compress" || typ.Repeat || typ.Phase != filter.Respond {
		t.Errorf("%+v", typ)
	}
}

func BenchmarkBody(b *testing.B) {
	body := text(16 << 10)
	for _, coding := range codings {
		b.Run(coding, func(b *testing.B) {
			f := build(b, usual)
			buf := make([]byte, 32<<10)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := run(b, f, "GET", coding, response(body))
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buf); err != nil {
					b.Fatal(err)
				}
				r.Body.Close()
			}
		})
	}
}

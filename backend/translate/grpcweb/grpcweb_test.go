package grpcweb

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// service answers with what it is told to, after it has read the call.
type service struct {
	answer *http.Response
	err    error
	got    *http.Request
	body   []byte
}

func (*service) Forwards() bool { return true }

func (s *service) Answer(_ context.Context, x *exchange.Exchange) error {
	s.got = x.Out
	var err error
	if s.body, err = io.ReadAll(x.Out.Body); err != nil {
		return err
	}
	x.Response = s.answer
	return s.err
}

func frames(messages ...string) []byte {
	var b []byte
	for _, m := range messages {
		b = append(wire.AppendHeader(b, 0, len(m)), m...)
	}
	return b
}

func end(lines string) string {
	return string(wire.AppendHeader(nil, wire.Trailers, len(lines))) + lines
}

func answered(body []byte, trailer http.Header) *http.Response {
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/grpc+proto"}, "X-Own": {"1"}, "Trailer": {"Grpc-Status"}},
		Body: io.NopCloser(bytes.NewReader(body)), Trailer: trailer,
	}
}

func call(contentType string, body io.Reader) *exchange.Exchange {
	h := http.Header{"Content-Type": {contentType}, "X-Grpc-Web": {"1"}, "Accept": {"*/*"}, "Grpc-Timeout": {"1S"}}
	return &exchange.Exchange{
		Start: time.Now(),
		In:    &http.Request{Method: http.MethodPost, Header: h},
		Out:   &http.Request{Method: http.MethodPost, Header: h.Clone(), Body: io.NopCloser(body), ContentLength: 7},
	}
}

func TestBinary(t *testing.T) {
	s := &service{answer: answered(frames("one", "", "two"), http.Header{
		"Grpc-Status": {"5"}, "Grpc-Message": {"no%20such"}, "X-Last": {"a", "b"},
	})}
	x := call("application/grpc-web+proto", bytes.NewReader(frames("hello")))
	if err := (&Translator{Limit: 100}).Answer(t.Context(), x, s); err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Content-Type": {"application/grpc+proto"}, "Te": {"trailers"}, "Grpc-Timeout": {"1S"}}
	if diff := cmp.Diff(want, s.got.Header); diff != "" {
		t.Error("the service got", diff)
	}
	if got := string(s.body); got != string(frames("hello")) || s.got.ContentLength != 7 {
		t.Errorf("the service got %q", got)
	}
	want = http.Header{"Content-Type": {"application/grpc-web+proto"}, "X-Own": {"1"}}
	if diff := cmp.Diff(want, x.Response.Header); diff != "" {
		t.Error("the client got", diff)
	}
	body, err := io.ReadAll(x.Response.Body)
	wantBody := string(frames("one", "", "two")) + end("grpc-status: 5\r\ngrpc-message: no such\r\nx-last: a\r\nx-last: b\r\n")
	if err != nil || string(body) != wantBody || x.Response.Trailer != nil {
		t.Errorf("%q, %v, want %q", body, err, wantBody)
	}
}

func TestText(t *testing.T) {
	s := &service{answer: answered(frames("one", "two!"), http.Header{"Grpc-Status": {"0"}})}
	sent := base64.StdEncoding.EncodeToString(frames("hello")[:4]) + base64.StdEncoding.EncodeToString(frames("hello")[4:])
	x := call("application/grpc-web-text", iotest.OneByteReader(strings.NewReader(sent)))
	if err := (&Translator{}).Answer(t.Context(), x, s); err != nil {
		t.Fatal(err)
	}
	if string(s.body) != string(frames("hello")) || s.got.Header.Get("Content-Type") != "application/grpc" || s.got.ContentLength != -1 {
		t.Errorf("the service got %q", s.body)
	}
	body, err := io.ReadAll(iotest.OneByteReader(x.Response.Body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(&decoder{from: bytes.NewReader(body)})
	if want := string(frames("one", "two!")) + end("grpc-status: 0\r\n"); err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if x.Response.Header.Get("Content-Type") != "application/grpc-web-text" {
		t.Error(x.Response.Header)
	}
}

// TestTextIsDecodableAtEachMessage reads a stream whose second message comes late: the first must be whole by then.
func TestTextIsDecodableAtEachMessage(t *testing.T) {
	r, w := io.Pipe()
	s := &service{answer: &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/grpc"}}, Body: r, Trailer: http.Header{"Grpc-Status": {"0"}},
	}}
	x := call("application/grpc-web-text+proto", http.NoBody)
	if err := (&Translator{}).Answer(t.Context(), x, s); err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, b := range frames("one") { // in pieces of every awkward size
			w.Write([]byte{b})
		}
	}()
	var text []byte
	buf := make([]byte, 64)
	for want := base64.StdEncoding.EncodedLen(len(frames("one"))); len(text) < want; {
		n, err := x.Response.Body.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, buf[:n]...)
	}
	if got, err := base64.StdEncoding.DecodeString(string(text)); err != nil || string(got) != string(frames("one")) {
		t.Errorf("%q, %v", got, err)
	}
	w.Close()
	if _, err := io.ReadAll(x.Response.Body); err != nil {
		t.Error(err)
	}
}

func TestEnds(t *testing.T) {
	gone := &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionTerminated}
	half := frames("one", "two")[:10]
	for _, test := range []struct {
		name   string
		answer *http.Response
		want   string
		broken bool
	}{
		{"trailers only", &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{
			"Content-Type": {"application/grpc"}, "Grpc-Status": {"7"}, "Grpc-Message": {"no"},
		}}, end("grpc-status: 7\r\ngrpc-message: no\r\n"), false},
		{"no status", answered(frames("one"), nil),
			string(frames("one")) + end("grpc-status: 13\r\ngrpc-message: the service ended its answer without a status\r\n"), false},
		{"an error page", &http.Response{StatusCode: 503, Body: io.NopCloser(strings.NewReader("<html>")), Header: http.Header{
			"Content-Type": {"text/html"}, "Content-Length": {"6"},
		}}, end("grpc-status: 14\r\ngrpc-message: the service answered with HTTP status 503\r\n"), false},
		{"another type", &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("{}")), Header: http.Header{
			"Content-Type": {"application/json"},
		}}, end("grpc-status: 2\r\ngrpc-message: the service did not answer with gRPC\r\n"), false},
		{"half a message", answered(half, http.Header{"Grpc-Status": {"0"}}), "", true},
		{"unknown flags", answered([]byte{0x80, 0, 0, 0, 0}, http.Header{"Grpc-Status": {"0"}}), "", true},
		{"too large", answered([]byte{0, 0, 1, 0, 0}, http.Header{"Grpc-Status": {"0"}}), "", true},
		{"broken off between messages", &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/grpc"}},
			Body: io.NopCloser(io.MultiReader(bytes.NewReader(frames("one")), iotest.ErrReader(gone)))},
			string(frames("one")) + end("grpc-status: 14\r\ngrpc-message: Bad Gateway\r\n"), false},
		{"broken off inside one", &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/grpc"}},
			Body: io.NopCloser(io.MultiReader(bytes.NewReader(half), iotest.ErrReader(gone)))}, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := call("application/grpc-web", http.NoBody)
			if err := (&Translator{Limit: 1000}).Answer(t.Context(), x, &service{answer: test.answer}); err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(x.Response.Body)
			if test.broken {
				if f := failure.From(err); err == nil || f.Source != failure.Upstream {
					t.Errorf("%q, %v", body, err)
				}
				return
			}
			if err != nil || string(body) != test.want || x.Response.StatusCode != 200 || x.Response.Header["Grpc-Status"] != nil {
				t.Errorf("%q, %v, want %q", body, err, test.want)
			}
			if _, there := x.Response.Header["Content-Length"]; there {
				t.Error("a Content-Length of the service's own")
			}
		})
	}
}

func TestBrokenCalls(t *testing.T) {
	for _, test := range []struct {
		name, contentType, body string
		want                    int
	}{
		{"half a prefix", "application/grpc-web", "\x00\x00", 400},
		{"half a message", "application/grpc-web", "\x00\x00\x00\x00\x05one", 400},
		{"a hostile length", "application/grpc-web", "\x00\xff\xff\xff\xff", 413},
		{"unknown flags", "application/grpc-web", "\x80\x00\x00\x00\x00", 400},
		{"no base64", "application/grpc-web-text", "AAAA*AAA", 400},
		{"half a group", "application/grpc-web-text", "AAAAAA", 400},
		{"a line break", "application/grpc-web-text", "AAAA\nAAA", 400},
		{"padding inside a group", "application/grpc-web-text", "AA=A", 400},
		{"padding alone", "application/grpc-web-text", "====", 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := call(test.contentType, strings.NewReader(test.body))
			err := (&Translator{Limit: 100}).Answer(t.Context(), x, &service{answer: answered(nil, nil)})
			if f := failure.From(err); err == nil || f.Source != failure.Client || f.Code() != test.want {
				t.Error(err)
			}
		})
	}
	x := call("application/grpc-web", http.NoBody)
	x.In.Method = http.MethodGet
	if f := failure.From((&Translator{}).Answer(t.Context(), x, &service{})); f.Code() != 405 || f.Header.Get("Allow") != "POST" {
		t.Error("GET: ", f)
	}
	x = call("application/grpc-web", http.NoBody)
	refused := &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionRefused}
	if err := (&Translator{}).Answer(t.Context(), x, &service{answer: nil, err: refused}); !errors.Is(err, refused) {
		t.Error(err)
	}
}

func TestFailures(t *testing.T) {
	for _, test := range []struct {
		contentType string
		failure     failure.Error
		want        string
	}{
		{"application/grpc-web", failure.Error{Kind: failure.DestinationNotFound}, "grpc-status: 12\r\ngrpc-message: Not Found\r\n"},
		{"application/grpc-web+proto", failure.Error{Kind: failure.HTTPRequestDenied, Status: 401, Detail: "Über"},
			"grpc-status: 16\r\ngrpc-message: %C3%9Cber\r\n"},
		{"application/grpc-web-text", failure.Error{Kind: failure.DestinationUnavailable}, "grpc-status: 14\r\ngrpc-message: Service Unavailable\r\n"},
	} {
		x := call(test.contentType, http.NoBody)
		x.Failure = &test.failure
		res := (&Translator{}).RenderFailure(x, http.Header{"Proxy-Status": {"sluice"}})
		var from io.Reader = res.Body
		if strings.Contains(test.contentType, "text") {
			from = &decoder{from: res.Body}
		}
		body, err := io.ReadAll(from)
		if err != nil || string(body) != end(test.want) || res.Header.Get("Content-Type") != test.contentType || res.StatusCode != 200 {
			t.Errorf("%s: %q, %v", test.contentType, body, err)
		}
	}
}

func TestTakes(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc-web": true, "application/grpc-web+json": true, "application/grpc-web-text": true,
		"application/grpc-web-text+proto": true, "application/grpc-web; charset=x": true, "application/grpc-web+proto;x=y": true,
		"application/grpc": false, "application/grpc+web": false, "application/grpc-webs": false, "application/grpc-web-texts": false,
		"": false, "application/json": false,
	} {
		x := &exchange.Exchange{In: &http.Request{Header: http.Header{"Content-Type": {contentType}}}}
		if got := (&Translator{}).Takes(x); got != want {
			t.Errorf("%q: %t", contentType, got)
		}
	}
}

// FuzzDecoder compares the stream decoder, fed in awkward pieces, with what decodes each padded run by itself.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("AAAAAAA="), 1)
	f.Add([]byte("AA==AAA=AAAA"), 3)
	f.Add([]byte("A\nAA"), 5)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		if len(text) > 3*chunk {
			return
		}
		got, err := io.ReadAll(&decoder{from: &pieces{text, 1 + piece&63}})
		want, ok := reference(text)
		if ok != (err == nil) || ok && !bytes.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q, %t", text, got, err, want, ok)
		}
	})
}

// reference decodes group by group.
func reference(text []byte) (out []byte, ok bool) {
	for len(text) > 0 {
		if len(text) < 4 || bytes.ContainsAny(text[:4], "\r\n") {
			return nil, false
		}
		group, err := base64.StdEncoding.Strict().DecodeString(string(text[:4]))
		if err != nil {
			return nil, false
		}
		out, text = append(out, group...), text[4:]
	}
	return out, true
}

type pieces struct {
	left []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(p.size, len(p.left))])
	p.left = p.left[n:]
	return n, nil
}

// FuzzAnswer feeds hostile answers: what comes out is frames that end with one of trailers, or an error.
func FuzzAnswer(f *testing.F) {
	f.Add(frames("one", "two"), 3, true)
	f.Add([]byte{0x80, 0, 0, 0, 1, 1}, 1, false)
	f.Fuzz(func(t *testing.T, body []byte, piece int, text bool) {
		contentType := "application/grpc-web"
		if text {
			contentType += "-text"
		}
		x := call(contentType, http.NoBody)
		from := answered(nil, http.Header{"Grpc-Status": {"0"}})
		from.Body = io.NopCloser(&pieces{body, 1 + piece&63})
		if err := (&Translator{Limit: 1 << 16}).Answer(t.Context(), x, &service{answer: from}); err != nil {
			t.Fatal(err)
		}
		var out io.Reader = x.Response.Body
		if text {
			out = &decoder{from: out}
		}
		got, err := io.ReadAll(out)
		if err == nil && string(got) != string(body)+end("grpc-status: 0\r\n") {
			t.Errorf("%q became %q", body, got)
		}
		var scan wire.Scanner
		if whole := scan.Pass(body) == nil && scan.Between(); err != nil && whole && len(body) < 1<<16 {
			t.Errorf("%q is refused: %v", body, err)
		}
	})
}

package connect

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

const echo = `syntax = "proto3";
package test;
message Note { string text = 1; int64 count = 2; }
service Echo {
  rpc Say(Note) returns (Note);
  rpc Look(Note) returns (Note) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Talk(stream Note) returns (stream Note);
}`

func methods(t testing.TB) *Methods {
	t.Helper()
	set, err := schema.FromProtos([]string{"echo.proto"}, nil, func(name string) ([]byte, error) {
		if name != "echo.proto" {
			return nil, fs.ErrNotExist
		}
		return []byte(echo), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewMethods(schema.Static(set), jsonwire.Options{})
}

func note(text string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), text))
}

// service answers with what it is told to, after it has read the call.
type service struct {
	answer *http.Response
	got    *http.Request
	body   string
}

func (*service) Forwards() bool { return true }

func (s *service) Answer(_ context.Context, x *exchange.Exchange) error {
	s.got = x.Out
	body, err := io.ReadAll(x.Out.Body)
	if err != nil {
		return err
	}
	if n := x.Out.ContentLength; n >= 0 && n != int64(len(body)) {
		return errors.New("the body is not as long as it says")
	}
	s.body, x.Response = string(body), s.answer
	return nil
}

func frame(flags byte, message string) string {
	return string(wire.AppendHeader(nil, flags, len(message))) + message
}

func answered(body string, trailer http.Header, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/grpc+proto"}, "X-Own": {"1"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader(body)), Trailer: trailer}
}

func fine() http.Header { return http.Header{"Grpc-Status": {"0"}} }

func ask(method, target, contentType, body string, header ...string) *exchange.Exchange {
	h := http.Header{}
	if contentType != "" {
		h["Content-Type"] = []string{contentType}
	}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	out := &http.Request{Method: method, Header: h.Clone(), URL: &url.URL{Opaque: u.Path, RawQuery: u.RawQuery}, Body: http.NoBody}
	if body != "" {
		out.Body, out.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	return &exchange.Exchange{In: &http.Request{Method: method, Header: h, URL: u}, Out: out, Path: u.Path}
}

// do is a call on its whole way: what the client is answered, a failure included.
func do(t *testing.T, c *Translator, x *exchange.Exchange, s *service) (res *http.Response, body string) {
	t.Helper()
	if !c.Takes(x) {
		t.Fatal("it is not taken for a call of Connect")
	}
	if err := c.Answer(t.Context(), x, s); err != nil {
		x.Fail(t.Context(), err)
		x.Response = c.RenderFailure(x, http.Header{})
	}
	b, err := io.ReadAll(x.Response.Body)
	if err != nil {
		return x.Response, "broken off: " + err.Error()
	}
	return x.Response, string(b)
}

func TestUnary(t *testing.T) {
	gz := func(s string) string { b, _ := pack("gzip", []byte(s)); return string(b) }
	for _, test := range []struct {
		name      string
		x         *exchange.Exchange
		answer    *http.Response
		sent      string // to the service
		sentType  string
		encoding  string // Grpc-Encoding of what was sent
		status    int
		body      string
		gotHeader http.Header
	}{
		{"proto", ask("POST", "/test.Echo/Say", "application/proto", note("hi"), "Connect-Timeout-Ms", "1500", "Connect-Protocol-Version", "1"),
			answered(frame(0, note("ho")), http.Header{"Grpc-Status": {"0"}, "X-Last": {"a", "b"}}),
			frame(0, note("hi")), "application/grpc+proto", "", 200, note("ho"),
			http.Header{"Content-Type": {"application/proto"}, "X-Own": {"1"}, "Trailer-X-Last": {"a", "b"}}},
		{"an empty message", ask("POST", "/test.Echo/Say", "application/proto", ""), answered(frame(0, ""), fine()),
			frame(0, ""), "application/grpc+proto", "", 200, "", http.Header{"Content-Type": {"application/proto"}, "X-Own": {"1"}}},
		{"compressed as it came", ask("POST", "/test.Echo/Say", "application/proto", "odd bytes", "Content-Encoding", "odd", "Accept-Encoding", "odd;q=0.5, gzip, *;q=0"),
			answered(frame(1, "packed"), fine(), "Grpc-Encoding", "odd"),
			frame(1, "odd bytes"), "application/grpc+proto", "odd", 200, "packed",
			http.Header{"Content-Type": {"application/proto"}, "X-Own": {"1"}, "Content-Encoding": {"odd"}}},
		{"json", ask("POST", "/test.Echo/Say", "application/json; charset=utf-8", `{"text":"hi"}`, "Connect-Protocol-Version", "1"),
			answered(frame(0, note("ho")), fine()), frame(0, note("hi")), "application/grpc+proto", "", 200, `{"text":"ho"}`,
			http.Header{"Content-Type": {"application/json"}, "X-Own": {"1"}}},
		{"compressed json", ask("POST", "/test.Echo/Say", "application/json", gz(`{"text":"hi"}`), "Connect-Protocol-Version", "1", "Content-Encoding", "gzip"),
			answered(frame(0, note("ho")), fine()), frame(0, note("hi")), "application/grpc+proto", "", 200, `{"text":"ho"}`,
			http.Header{"Content-Type": {"application/json"}, "X-Own": {"1"}}},
		{"get", ask("GET", "/test.Echo/Look?connect=v1&encoding=json&message=%7B%22text%22%3A%22hi%22%7D", "", ""),
			answered(frame(0, note("ho")), fine()), frame(0, note("hi")), "application/grpc+proto", "", 200, `{"text":"ho"}`,
			http.Header{"Content-Type": {"application/json"}, "X-Own": {"1"}}},
		{"get with base64", ask("GET", "/test.Echo/Look?base64=1&encoding=proto&message="+base64.RawURLEncoding.EncodeToString([]byte(note("??>")))+"&connect=v1", "", ""),
			answered(frame(0, note("ho")), fine()), frame(0, note("??>")), "application/grpc+proto", "", 200, note("ho"),
			http.Header{"Content-Type": {"application/proto"}, "X-Own": {"1"}}},
		{"an error", ask("POST", "/test.Echo/Say", "application/proto", note("hi")),
			answered("", http.Header{"Grpc-Status": {"5"}, "Grpc-Message": {"no%20such"}, "X-Last": {"a"}}, "Grpc-Encoding", "gzip"),
			frame(0, note("hi")), "application/grpc+proto", "", 404, `{"code":"not_found","message":"no such"}`,
			http.Header{"Content-Type": {"application/json"}, "X-Own": {"1"}, "Trailer-X-Last": {"a"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &service{answer: test.answer}
			res, body := do(t, &Translator{Methods: methods(t), Limit: 1000}, test.x, s)
			if s.got == nil {
				t.Fatal(body)
			}
			if s.body != test.sent || s.got.Header.Get("Content-Type") != test.sentType || s.got.Header.Get("Grpc-Encoding") != test.encoding ||
				s.got.Method != "POST" || s.got.URL.RawQuery != "" || s.got.Header.Get("Te") != "trailers" {
				t.Errorf("the service got %s %q, %v", s.got.Method, s.body, s.got.Header)
			}
			for name := range s.got.Header {
				if strings.HasPrefix(name, "Connect-") || strings.HasSuffix(name, "Accept-Encoding") && name[0] != 'G' {
					t.Error("the service got ", name)
				}
			}
			if test.name == "proto" && s.got.Header.Get("Grpc-Timeout") != "1501000u" {
				t.Error(s.got.Header)
			}
			if test.encoding != "" && s.got.Header.Get("Grpc-Accept-Encoding") != "odd, gzip" {
				t.Error(s.got.Header)
			}
			if res.StatusCode != test.status || body != test.body || res.ContentLength != int64(len(body)) {
				t.Errorf("%d %q", res.StatusCode, body)
			}
			if diff := cmp.Diff(test.gotHeader, res.Header); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestUnaryEnds is how calls end that do not end well: every one in an error that a client of Connect reads.
func TestUnaryEnds(t *testing.T) {
	gone := &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionTerminated}
	proto := func(header ...string) *exchange.Exchange {
		return ask("POST", "/test.Echo/Say", "application/proto", note("hi"), header...)
	}
	json := func(body string, header ...string) *exchange.Exchange {
		return ask("POST", "/test.Echo/Say", "application/json", body, append(header, "Connect-Protocol-Version", "1")...)
	}
	get := func(query string) *exchange.Exchange { return ask("GET", "/test.Echo/Look?connect=v1&"+query, "", "") }
	broken := answered("", nil)
	broken.Body = io.NopCloser(io.MultiReader(strings.NewReader(frame(0, "ab")[:6]), iotest.ErrReader(gone)))
	for _, test := range []struct {
		name   string
		x      *exchange.Exchange
		answer *http.Response
		status int
		code   string
	}{
		{"no message", proto(), answered("", fine()), 501, "unimplemented"},
		{"two messages", proto(), answered(frame(0, "")+frame(0, ""), fine()), 501, "unimplemented"},
		{"no status", proto(), answered(frame(0, ""), nil), 500, "internal"},
		{"a code beyond the known", proto(), answered("", http.Header{"Grpc-Status": {"77"}}), 500, "unknown"},
		{"trailers only", proto(), answered("", nil, "Grpc-Status", "16"), 401, "unauthenticated"},
		{"half a message", proto(), answered(frame(0, "abc")[:6], fine()), 502, "unavailable"},
		{"broken off", proto(), broken, 502, "unavailable"},
		{"too large an answer", proto(), answered(frame(0, strings.Repeat("a", 1001)), fine()), 502, "resource_exhausted"},
		{"an error page", proto(), &http.Response{StatusCode: 503, Header: http.Header{"Content-Type": {"text/html"}}, Body: http.NoBody}, 503, "unavailable"},
		{"another type", proto(), &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: http.NoBody}, 500, "unknown"},
		{"compressed without a name", proto(), answered(frame(1, "ab"), fine()), 502, "unavailable"},
		{"wrong wire form for json", json(`{}`), answered(frame(0, "\xff\xff"), fine()), 502, "unavailable"},
		{"a bomb for json", json(`{}`), answered(frame(1, bomb(t)), fine(), "Grpc-Encoding", "gzip"), 502, "resource_exhausted"},

		{"too large a call", ask("POST", "/test.Echo/Say", "application/proto", strings.Repeat("a", 1001)), nil, 413, "resource_exhausted"},
		{"a bomb", json(bomb(t), "Content-Encoding", "gzip"), nil, 413, "resource_exhausted"},
		{"no gzip", json(`{}`, "Content-Encoding", "gzip"), nil, 400, "invalid_argument"},
		{"an unknown coding of json", json(`{}`, "Content-Encoding", "odd"), nil, 501, "unimplemented"},
		{"no json", json(`{"text":`), nil, 400, "invalid_argument"},
		{"nothing for json", json(""), nil, 400, "invalid_argument"},
		{"json that does not fit", json(`{"count":"many"}`), nil, 400, "invalid_argument"},
		{"another version", proto("Connect-Protocol-Version", "2"), nil, 400, "invalid_argument"},
		{"a timeout in words", proto("Connect-Timeout-Ms", "soon"), nil, 400, "invalid_argument"},
		{"a long timeout", proto("Connect-Timeout-Ms", "12345678901"), nil, 400, "invalid_argument"},
		{"a negative timeout", proto("Connect-Timeout-Ms", "-1"), nil, 400, "invalid_argument"},
		{"no such method", ask("POST", "/test.Echo/Nothing", "application/proto", "a"), nil, 404, "unimplemented"},
		{"DELETE", ask("DELETE", "/test.Echo/Say", "application/proto", "a"), nil, 405, "unknown"},
		{"another charset", ask("POST", "/test.Echo/Say", "application/json; charset=latin1", "{}", "Connect-Protocol-Version", "1"), nil, 415, "unknown"},
		{"another kind of media", ask("POST", "/test.Echo/Say", "image/png", "{}", "Connect-Protocol-Version", "1"), nil, 415, "unknown"},
		{"a hostile codec", ask("POST", "/test.Echo/Say", "application/a b", "{}", "Connect-Protocol-Version", "1"), nil, 415, "unknown"},
		{"GET of a method with effects", ask("GET", "/test.Echo/Say?connect=v1&encoding=json&message=%7B%7D", "", ""), nil, 405, "unknown"},
		{"GET without an encoding", get("message=%7B%7D"), nil, 400, "invalid_argument"},
		{"GET without a message", get("encoding=json"), nil, 400, "invalid_argument"},
		{"GET with two messages", get("encoding=json&message=%7B%7D&message=%7B%7D"), nil, 400, "invalid_argument"},
		{"GET with broken base64", get("encoding=proto&base64=1&message=A*"), nil, 400, "invalid_argument"},
		{"GET with an odd base64", get("encoding=proto&base64=yes&message=AAAA"), nil, 400, "invalid_argument"},
		{"GET that cannot be parsed", get("encoding=proto&message=%zz"), nil, 400, "invalid_argument"},
		{"GET with an odd codec", get("encoding=a%2Fb&message=A"), nil, 415, "unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &service{answer: test.answer}
			res, body := do(t, &Translator{Methods: methods(t), Limit: 1000}, test.x, s)
			if res.StatusCode != test.status || !strings.HasPrefix(body, `{"code":"`+test.code+`"`) || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
			}
			if test.answer == nil && s.got != nil {
				t.Error("the service was asked")
			}
			if res.StatusCode == 405 && res.Header["Allow"] == nil && test.x.Failure.Header["Allow"] == nil {
				t.Error("405 without Allow")
			}
		})
	}
}

func bomb(t *testing.T) string {
	t.Helper()
	b, err := pack("gzip", make([]byte, 100_000))
	if err != nil || len(b) > 1000 {
		t.Fatal(len(b), err)
	}
	return string(b)
}

// TestTimeoutNotEarly: neither we nor the service give a call up before the client does, whose Connect-Timeout-Ms is what
// it has left, cut down to milliseconds.
func TestTimeoutNotEarly(t *testing.T) {
	for _, left := range []time.Duration{1, time.Millisecond - 1, time.Millisecond, 200*time.Millisecond - 1, 2 * time.Hour} {
		x := ask("POST", "/test.Echo/Say", "application/proto", "", "Connect-Timeout-Ms", strconv.FormatInt(left.Milliseconds(), 10))
		s := &service{answer: answered(frame(0, ""), fine())}
		do(t, &Translator{Methods: methods(t)}, x, s)
		given, ok := wire.ParseTimeout(s.got.Header.Get("Grpc-Timeout"))
		if !ok || given < left || given > left+2*time.Millisecond {
			t.Errorf("%v left: the service is given %v", left, given)
		}
	}
}

// TestSlowEnd: an answer that has begun and does not end is ended by the route's timeout.
func TestSlowEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		from := answered("", fine())
		from.Body = r
		x := ask("POST", "/test.Echo/Say", "application/proto", "a")
		res, body := do(t, &Translator{Timeout: time.Second}, x, &service{answer: from})
		if res.StatusCode != 504 || !strings.Contains(body, "deadline_exceeded") {
			t.Error(res.StatusCode, body)
		}
		w.Close()
	})
}

func TestStream(t *testing.T) {
	for _, test := range []struct{ name, codec, in, out, answer, want string }{
		{"proto", "proto", frame(0, note("a")) + frame(1, "x"), frame(0, note("a")) + frame(1, "x"),
			frame(0, note("b")) + frame(1, "y"), frame(0, note("b")) + frame(1, "y")},
		{"json", "json", frame(0, `{"text":"a"}`) + frame(0, `{}`), frame(0, note("a")) + frame(0, ""),
			frame(0, note("b")) + frame(0, ""), frame(0, `{"text":"b"}`) + frame(0, `{}`)},
		{"nothing", "proto", "", "", "", ""},
	} {
		for _, split := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
			x := ask("POST", "/test.Echo/Talk", "application/connect+"+test.codec, test.in, "Connect-Content-Encoding", "gzip", "Connect-Accept-Encoding", "gzip")
			if test.in != "" {
				x.Out.Body = io.NopCloser(split(strings.NewReader(test.in)))
			}
			from := answered("", http.Header{"Grpc-Status": {"9"}, "Grpc-Message": {"not now"}, "X-Last": {"z"}}, "Grpc-Encoding", "gzip")
			from.Body = io.NopCloser(split(strings.NewReader(test.answer)))
			s := &service{answer: from}
			res, body := do(t, &Translator{Methods: methods(t), Limit: 100}, x, s)
			want := test.want + frame(2, `{"error":{"code":"failed_precondition","message":"not now"},"metadata":{"x-last":["z"]}}`)
			if s.body != test.out || body != want || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/connect+"+test.codec ||
				res.Header.Get("Connect-Content-Encoding") != "gzip" || res.Header["Grpc-Encoding"] != nil {
				t.Errorf("%s: the service got %q, the client %q, %v", test.name, s.body, body, res.Header)
			}
		}
	}
}

func TestStreamEnds(t *testing.T) {
	gone := &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionTerminated}
	cut := answered("", nil)
	cut.Body = io.NopCloser(io.MultiReader(strings.NewReader(frame(0, "ab")), iotest.ErrReader(gone)))
	inside := answered("", nil)
	inside.Body = io.NopCloser(io.MultiReader(strings.NewReader(frame(0, "ab")[:6]), iotest.ErrReader(gone)))
	problem := func(code string) string { return `{"error":{"code":"` + code + `"` }
	for _, test := range []struct {
		name, codec, in string
		answer          *http.Response
		want            string
	}{
		{"fine", "proto", "", answered(frame(0, "ab"), fine()), frame(0, "ab") + frame(2, "{}")},
		{"no status", "proto", "", answered(frame(0, "ab"), nil), problem("internal")},
		{"trailers only", "proto", "", answered("", nil, "Grpc-Status", "7"), problem("permission_denied")},
		{"an error page", "proto", "", &http.Response{StatusCode: 502, Header: http.Header{}, Body: http.NoBody}, problem("unavailable")},
		{"cut between messages", "proto", "", cut, problem("unavailable")},
		{"cut inside one", "proto", "", inside, "broken off"},
		{"half a message", "proto", "", answered(frame(0, "ab")[:6], fine()), "broken off"},
		{"a flag", "proto", "", answered(frame(2, "{}"), fine()), "broken off"},
		{"too large", "proto", "", answered(frame(0, strings.Repeat("a", 101)), fine()), "broken off"},
		{"a wrong wire form", "json", "", answered(frame(0, note("a"))+frame(0, "\xff"), fine()), problem("unavailable")},

		{"half a call", "proto", frame(0, "ab")[:6], answered("", fine()), problem("internal")},
		{"a call with an end of its own", "proto", frame(2, "{}"), answered("", fine()), problem("internal")},
		{"a call too large", "proto", frame(0, strings.Repeat("a", 101)), answered("", fine()), problem("resource_exhausted")},
		{"half a call of json", "json", frame(0, "{}")[:6], answered("", fine()), problem("internal")},
		{"no json", "json", frame(0, "{}") + frame(0, "{"), answered("", fine()), problem("invalid_argument")},
		{"a call of json too large", "json", frame(0, strings.Repeat("a", 101)), answered("", fine()), problem("resource_exhausted")},
		{"json compressed without a name", "json", frame(1, "{}"), answered("", fine()), problem("internal")},
		{"no codec", "", "", nil, problem("unknown")},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := ask("POST", "/test.Echo/Talk", "application/connect+"+test.codec, test.in)
			_, body := do(t, &Translator{Methods: methods(t), Limit: 100}, x, &service{answer: test.answer})
			if !strings.Contains(body, test.want) {
				t.Errorf("%q", body)
			}
		})
	}
}

func TestDetails(t *testing.T) {
	info := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "type.googleapis.com/google.rpc.ErrorInfo")
	info = protowire.AppendBytes(protowire.AppendTag(info, 2, protowire.BytesType), []byte("\x0a\x01a"))
	status := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
	status = protowire.AppendBytes(protowire.AppendTag(status, 3, protowire.BytesType), info)
	x := ask("POST", "/test.Echo/Say", "application/proto", "")
	_, body := do(t, &Translator{}, x, &service{answer: answered("", http.Header{
		"Grpc-Status": {"3"}, "Grpc-Status-Details-Bin": {base64.RawStdEncoding.EncodeToString(status)},
	})})
	if want := `{"code":"invalid_argument","details":[{"type":"google.rpc.ErrorInfo","value":"CgFh"}]}`; body != want {
		t.Error(body)
	}
}

func TestCodings(t *testing.T) {
	message := strings.Repeat("a message of some length ", 100)
	for name := range codings {
		packed, err := pack(name, []byte(message))
		if err != nil || len(packed) > len(message)/2 {
			t.Errorf("%s: %d bytes, %v", name, len(packed), err)
		}
		plain, err := unpack(name, packed, len(message))
		if err != nil || string(plain) != message {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := unpack(name, packed, len(message)-1); !isTooLarge(err) {
			t.Errorf("%s over the limit: %v", name, err)
		}
		if _, err := unpack(name, packed[:len(packed)/2], 0); err == nil {
			t.Errorf("half of %s is let pass", name)
		}
		if !strings.Contains(acceptable, name) {
			t.Error(name, " is not named")
		}
	}
}

func TestTakes(t *testing.T) {
	for _, test := range []struct {
		x    *exchange.Exchange
		want bool
	}{
		{ask("POST", "/a.B/C", "application/proto", ""), true},
		{ask("POST", "/a.B/C", "application/json", "", "Connect-Protocol-Version", "1"), true},
		{ask("POST", "/a.B/C", "application/connect+json", ""), true},
		{ask("GET", "/a.B/C?connect=v1", "", ""), true},
		{ask("GET", "/a.B/C?x=1&connect=v1&y", "", ""), true},
		{ask("GET", "/a.B/C?xconnect=v1&connect=v1", "", ""), true},
		{ask("GET", "/a.B/C?xconnect=v1&connect=v12", "", ""), false},
		{ask("GET", "/a.B/C?connect=v2", "", "", "Connect-Protocol-Version", "1"), false},
		{ask("POST", "/a.B/C", "application/json", ""), false},
		{ask("POST", "/a.B/C", "application/grpc", "", "Connect-Protocol-Version", "1"), false},
		{ask("POST", "/a.B/C", "", ""), false},
	} {
		if got := (&Translator{}).Takes(test.x); got != test.want {
			t.Errorf("%s %s %v: %t", test.x.In.Method, test.x.In.URL, test.x.In.Header, got)
		}
	}
}

// FuzzQuery: whatever the query, a GET is refused as the client's mistake or reaches the service as one whole frame.
func FuzzQuery(f *testing.F) {
	f.Add("encoding=json&message=%7B%7D")
	f.Add("encoding=proto&base64=1&message=AAAA&compression=gzip")
	f.Fuzz(func(t *testing.T, query string) {
		x := ask("GET", "/test.Echo/Look", "", "")
		x.In.URL.RawQuery = query
		s := &service{answer: answered(frame(0, ""), fine())}
		err := (&Translator{Methods: methods(t), Limit: 1000}).Answer(t.Context(), x, s)
		if s.got == nil {
			if failure.From(err).Source != failure.Client {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		r := wire.Reader{From: strings.NewReader(s.body), Packed: true}
		if _, err := r.Only(); err != nil {
			t.Errorf("%q became %q: %v", query, s.body, err)
		}
	})
}

// FuzzStream: whatever the frames, what reaches the other side is whole frames of it, or an end that says that it is not.
func FuzzStream(f *testing.F) {
	f.Add([]byte(frame(0, "{}")), []byte(frame(0, note("a"))), true)
	f.Add([]byte(frame(1, "{}")), []byte(frame(3, "a")), false)
	f.Fuzz(func(t *testing.T, in, out []byte, json bool) {
		codec := "proto"
		if json {
			codec = "json"
		}
		x := ask("POST", "/test.Echo/Talk", "application/connect+"+codec, string(in), "Connect-Content-Encoding", "gzip")
		s := &service{answer: answered(string(out), fine(), "Grpc-Encoding", "gzip")}
		err := (&Translator{Methods: methods(t), Limit: 1 << 12}).Answer(t.Context(), x, s)
		if err != nil {
			if failure.From(err).Source != failure.Client {
				t.Errorf("%q: %v", in, err)
			}
			return
		}
		got, err := io.ReadAll(x.Response.Body)
		if err != nil {
			return
		}
		r := wire.Reader{From: bytes.NewReader(got), Packed: true, Allow: wire.EndStream}
		for {
			if _, err := r.Next(); err != nil {
				t.Fatalf("%q has no end: %v", got, err)
			}
			if r.Flags&wire.EndStream != 0 {
				break
			}
		}
	})
}

// FuzzDetails reads what a hostile service may send as details.
func FuzzDetails(f *testing.F) {
	f.Add([]byte("\x1a\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, status []byte) {
		for _, d := range detailsOf(status) {
			if _, err := base64.RawStdEncoding.DecodeString(d.Value); err != nil {
				t.Error(err)
			}
		}
	})
}

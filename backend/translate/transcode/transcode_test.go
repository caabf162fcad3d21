package transcode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// service stands where the gRPC service would: it keeps what it was asked, as JSON, and answers with what the test says.
type service struct {
	t     testing.TB
	set   *schema.Set
	err   error
	head  http.Header
	code  int // HTTP
	body  func() io.ReadCloser
	trail http.Header

	path   string
	header http.Header
	asked  []string
	failed error // of the request's body
}

func (*service) Forwards() bool { return true }

func (s *service) Answer(_ context.Context, x *exchange.Exchange) error {
	s.path, s.header = x.Out.URL.Opaque, maps.Clone(x.Out.Header)
	if x.Out.Method != "POST" || x.Out.URL.RawQuery != "" {
		s.t.Errorf("the service is asked %s ?%s", x.Out.Method, x.Out.URL.RawQuery)
	}
	frames := grpc.Reader{From: x.Out.Body}
	for {
		message, err := frames.Next()
		if err != nil {
			if err != io.EOF {
				s.failed = err
				return errors.New("the request broke off")
			}
			break
		}
		m := dynamicpb.NewMessage(s.set.Method(s.path).Input)
		if err := proto.Unmarshal(message, m); err != nil {
			s.t.Error(err)
		}
		text, err := protojson.Marshal(m)
		if err != nil {
			s.t.Error(err)
		}
		var b bytes.Buffer
		if err := json.Compact(&b, text); err != nil {
			s.t.Error(err)
		}
		s.asked = append(s.asked, b.String())
	}
	x.Out.Body.Close()
	if s.err != nil {
		return s.err
	}
	code := s.code
	if code == 0 {
		code = 200
	}
	x.Response = &http.Response{StatusCode: code, Header: s.head.Clone(), ContentLength: -1}
	x.Response.Body = &untilEnd{s.body(), x.Response, s.trail}
	return nil
}

// untilEnd sets the trailers of an answer when its body has ended, as x/net/http2 does.
type untilEnd struct {
	io.ReadCloser
	of    *http.Response
	trail http.Header
}

func (b *untilEnd) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.of.Trailer = b.trail
	}
	return n, err
}

func newService(t testing.TB) *service {
	t.Helper()
	set, err := schema.FromProtos([]string{"testdata/shop.proto"}, nil, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return (&service{t: t, set: set}).says(0, "")
}

// says makes the service answer messages, given in JSON of shop.Order or what the method returns, one a line.
func (s *service) says(code grpc.Code, message string, messages ...[]byte) *service {
	var b []byte
	for _, m := range messages {
		b = append(grpc.AppendHeader(b, 0, len(m)), m...)
	}
	s.head = http.Header{"Content-Type": {"application/grpc"}}
	s.trail = http.Header{}
	grpc.Status{Code: code, Message: message}.Set(s.trail)
	s.body = func() io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
	return s
}

func (s *service) wire(name, text string) []byte {
	s.t.Helper()
	d, err := s.set.FindMessageByName("shop.Order")
	if name == "google.api.HttpBody" {
		d, err = s.set.FindMessageByName("google.api.HttpBody")
	}
	if err != nil {
		s.t.Fatal(err)
	}
	m := dynamicpb.NewMessage(d.Descriptor())
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		s.t.Fatal(err)
	}
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	return wire
}

func ask(method, target, body string) *exchange.Exchange {
	x := new(exchange.Exchange)
	x.Reset()
	path, query, _ := strings.Cut(target, "?")
	in := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}, Body: http.NoBody}
	if body != "" {
		in.Body, in.ContentLength = io.NopCloser(iotest.OneByteReader(strings.NewReader(body))), int64(len(body))
		in.Header.Set("Content-Type", "application/json")
	}
	x.In, x.Path, x.Start = in, path, time.Now()
	x.Out = &http.Request{Method: method, URL: &url.URL{Opaque: path, RawQuery: query}, Header: in.Header.Clone(), Body: in.Body, ContentLength: in.ContentLength}
	return x
}

func read(t *testing.T, x *exchange.Exchange) string {
	t.Helper()
	body, err := io.ReadAll(x.Response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if n := x.Response.ContentLength; n >= 0 && n != int64(len(body)) {
		t.Errorf("%d bytes, %d declared", len(body), n)
	}
	x.Response.Body.Close()
	return string(body)
}

func translator(s *service, o Options) *Translator {
	o.MessageBytes = 1000
	return New(schema.Static(s.set), o)
}

// What the path, the query and the body say becomes one message.
func TestRequests(t *testing.T) {
	for _, test := range []struct{ method, target, body, call, want string }{
		{"GET", "/v1/orders/7", "", "Get", `{"id":"7"}`},
		{"HEAD", "/v1/orders/7", "", "Get", `{"id":"7"}`},
		{"GET", "/v1/orders/a%2Fb%20c", "", "Get", `{"id":"a/b c"}`},
		{"GET", "/v1/shelves/1%2F2/orders/3", "", "Get", `{"name":"shelves/1%2F2/orders/3"}`},
		{"POST", "/v1/orders/7:get", `{"view":"FULL","id":"other"}`, "Get", `{"id":"7","view":"FULL"}`},
		{"POST", "/v1/orders/7:get", "", "Get", `{"id":"7"}`},
		{"POST", "/v1/orders/7:get?view=FULL", "{}", "Get", `{"id":"7"}`},
		{"GET", "/v1/orders/7?view=FULL&filter.text=a+b&filter.inner.text=%C3%A4&filter.tags=x&filter.tags=y&numbers=1&numbers=-2", "", "Get",
			`{"id":"7","view":"FULL","filter":{"text":"a b","inner":{"text":"ä"},"tags":["x","y"]},"numbers":[1,-2]}`},
		{"GET", "/v1/orders/7?view=1&mask=a,b_c.d_e&labels[a]=1&labels[b]=2&since=2024-01-02T03:04:05Z&open=false&token=AP8", "", "Get",
			`{"id":"7","view":"FULL","mask":"a,bC.dE","labels":{"a":"1","b":"2"},"since":"2024-01-02T03:04:05Z","open":false,"token":"AP8="}`},
		{"GET", "/v1/orders/7?id=8&&", "", "Get", `{"id":"7"}`},
		{"GET", "/v1/orders/7?", "", "Get", `{"id":"7"}`},
		{"POST", "/v1/orders", `{"id":"1","total":"9007199254740993","lines":[{"sku":"a"},{"count":2}]}`, "Create",
			`{"id":"1","total":"9007199254740993","lines":[{"sku":"a"},{"count":2}]}`},
		{"PATCH", "/v1/orders/7?updateMask=total", `{"total":5}`, "Update", `{"order":{"id":"7","total":"5"},"updateMask":"total"}`},
		{"PATCH", "/v1/orders/7?order.total=9&update_mask=total", `{"total":5}`, "Update", `{"order":{"id":"7","total":"5"},"updateMask":"total"}`},
		{"DELETE", "/v1/orders/7", "ignored", "Delete", `{"id":"7"}`},
		{"GET", "/v1/files/a/b", "", "File", `{"id":"a/b"}`},
		{"PUT", "/v1/files", "raw", "Store", `{"contentType":"application/json","data":"cmF3"}`},
		{"BREW", "/v1/any", "", "Options", `{}`},
		{"POST", "/shop.Orders/Plain", `{"id":"7"}`, "Plain", `{"id":"7"}`},
	} {
		s := newService(t)
		s.says(0, "", nil)
		x := ask(test.method, test.target, test.body)
		if err := translator(s, Options{}).Answer(t.Context(), x, s); err != nil {
			t.Errorf("%s %s: %v", test.method, test.target, err)
			continue
		}
		read(t, x)
		if s.path != "/shop.Orders/"+test.call || len(s.asked) != 1 || s.asked[0] != test.want {
			t.Errorf("%s %s calls %s %s\nwant %s %s", test.method, test.target, s.path, s.asked, test.call, test.want)
		}
		if s.header.Get("Content-Type") != "application/grpc" || s.header.Get("Te") != "trailers" {
			t.Errorf("%s %s: the fields are %v", test.method, test.target, s.header)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/v1/nothing", "", 404, "no operation"},
		{"PUT", "/v1/orders/7", "", 405, "another method"},
		{"POST", "/v1/orders", `{"foo":1}`, 400, "The body does not fit: field foo: the message shop.Order has no such field."},
		{"POST", "/v1/orders", `{"lines":[{"count":"x"}]}`, 400, "field lines[0].count: `x` is no int32"},
		{"POST", "/v1/orders", `{"view":"HALF"}`, 400, "no value of the enum shop.View"},
		{"POST", "/v1/orders", `{"id":"` + strings.Repeat("a", 1001) + `"}`, 413, "over the limit of 1000"},
		{"POST", "/v1/orders", strings.Repeat(" ", 4001), 413, "over the limit of 4000"},
		{"POST", "/v1/orders", "{\"id\":\"\xff\"}", 400, "UTF-8"},
		{"POST", "/v1/orders", `{`, 400, "ends"},
		{"PATCH", "/v1/orders/7", `{"total":{}}`, 400, "field order.total"},
		{"GET", "/v1/orders/7?foo=1", "", 400, "field foo: the message shop.GetRequest has no such field"},
		{"GET", "/v1/orders/7?filter.foo=1", "", 400, "field filter.foo"},
		{"GET", "/v1/orders/7?filter=1", "", 400, "no text stands for"},
		{"GET", "/v1/orders/7?view=FULL&view=FULL", "", 400, "twice"},
		{"GET", "/v1/orders/7?view=", "", 400, "field view"},
		{"GET", "/v1/orders/7?numbers=a", "", 400, "field numbers: `a` is no int32"},
		{"GET", "/v1/orders/7?labels=a", "", 400, "name[key]=value"},
		{"GET", "/v1/orders/7?labels[a]=x", "", 400, "field labels"},
		{"GET", "/v1/orders/7?name[a]=x", "", 400, "name[key]=value"},
		{"GET", "/v1/orders/7?name=%ff", "", 400, "UTF-8"},
		{"GET", "/v1/orders/7?name=%zz", "", 400, "percent-encoded"},
		{"GET", "/v1/orders/%ff", "", 400, "The path does not fit: field id"},
		{"GET", "/v1/orders/7?" + strings.Repeat("numbers=1&", 1001), "", 400, "more than 1000"},
		{"GET", "/v1/orders/7?" + strings.Repeat("filter.", 200) + "text=1", "", 400, "too deep"},
	} {
		s := newService(t)
		x := ask(test.method, test.target, test.body)
		err := translator(s, Options{}).Answer(t.Context(), x, s)
		f := failure.From(err)
		if err == nil || f.Code() != test.status || f.Source != failure.Client || !strings.Contains(f.Detail, test.want) {
			t.Errorf("%s %.60s: %v, want %d %s", test.method, test.target, err, test.status, test.want)
		}
		if s.path != "" {
			t.Errorf("%s %.60s: the service was asked", test.method, test.target)
		}
		if test.status == 405 && f.Header.Get("Allow") != "DELETE, GET, PATCH, HEAD" {
			t.Errorf("Allow: %s", f.Header.Get("Allow"))
		}
	}
}

func TestUnknownFieldsCanBeDiscarded(t *testing.T) {
	s := newService(t)
	s.says(0, "", nil)
	o := Options{}
	o.JSON.DiscardUnknown = true
	for target, body := range map[string]string{"/v1/orders": `{"foo":{"a":[1]},"id":"1"}`, "/v1/orders/1:get": `{"foo":1}`} {
		if err := translator(s, o).Answer(t.Context(), ask("POST", target, body), s); err != nil {
			t.Error(err)
		}
	}
	if err := translator(s, o).Answer(t.Context(), ask("GET", "/v1/orders/1?foo=1", ""), s); err != nil || s.asked[2] != `{"id":"1"}` {
		t.Errorf("%v %v", s.asked, err)
	}
}

func TestUnaryAnswers(t *testing.T) {
	s := newService(t)
	order := s.wire("shop.Order", `{"id":"7","total":5,"lines":[{"sku":"a"}]}`)
	file := s.wire("google.api.HttpBody", `{"contentType":"text/plain\r\nX: y","data":"aGk="}`)
	for _, test := range []struct {
		name, method, target string
		code                 grpc.Code
		message              string
		messages             [][]byte
		status               int
		contentType, want    string
	}{
		{"a message", "GET", "/v1/orders/7", 0, "", [][]byte{order}, 200, "application/json", `{"id":"7","total":"5","lines":[{"sku":"a"}]}`},
		{"an empty one", "GET", "/v1/orders/7", 0, "", [][]byte{nil}, 200, "application/json", `{}`},
		{"response_body", "PATCH", "/v1/orders/7", 0, "", [][]byte{order}, 200, "application/json", `[{"sku":"a"}]`},
		{"response_body, absent", "PATCH", "/v1/orders/7", 0, "", [][]byte{nil}, 200, "application/json", `[]`},
		{"a file", "GET", "/v1/files/a", 0, "", [][]byte{file}, 200, "text/plainX: y", "hi"},
		{"a file of nothing", "GET", "/v1/files/a", 0, "", [][]byte{nil}, 200, "application/octet-stream", ""},
		{"an error", "GET", "/v1/orders/7", grpc.NotFound, `no "order"`, nil, 404, "application/json", `{"code":5,"message":"no \"order\"","details":[]}`},
		{"an error after a message", "GET", "/v1/orders/7", grpc.Aborted, "", [][]byte{order}, 409, "application/json", `{"code":10,"message":"","details":[]}`},
		{"a code beyond all", "GET", "/v1/orders/7", 77, "", nil, 500, "application/json", `{"code":77,"message":"","details":[]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := ask(test.method, test.target, "")
			answer := s.says(test.code, test.message, test.messages...)
			answer.trail.Set("X-More", "yes")
			answer.head.Set("X-First", "one")
			if err := translator(s, Options{}).Answer(t.Context(), x, answer); err != nil {
				t.Fatal(err)
			}
			h := x.Response.Header
			body := read(t, x)
			if x.Response.StatusCode != test.status || h.Get("Content-Type") != test.contentType || body != test.want {
				t.Errorf("%d %s %s\nwant %d %s %s", x.Response.StatusCode, h.Get("Content-Type"), body, test.status, test.contentType, test.want)
			}
			if h.Get("X-First") != "one" || h.Get("Grpc-Trailer-X-More") != "yes" || h.Get("Grpc-Status") != "" || x.Response.Trailer != nil {
				t.Errorf("the fields are %v, trailers %v", h, x.Response.Trailer)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	s := newService(t)
	head := http.Header{"Content-Type": {"application/grpc"}}
	ok := http.Header{"Grpc-Status": {"0"}}
	for name, test := range map[string]struct {
		code   int
		head   http.Header
		body   string
		trail  http.Header
		status int
		want   string
	}{
		"another type":   {200, http.Header{"Content-Type": {"text/html"}}, "<p>", nil, 502, "is not gRPC"},
		"an HTTP error":  {500, http.Header{}, "", nil, 502, "did not answer as gRPC"},
		"503":            {503, http.Header{}, "", nil, 503, "did not answer as gRPC"},
		"no message":     {200, head, "", ok, 502, "no message"},
		"only a status":  {200, http.Header{"Content-Type": {"application/grpc"}, "Grpc-Status": {"0"}}, "", nil, 502, "no message"},
		"two messages":   {200, head, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ok, 502, "not gRPC"},
		"half a message": {200, head, "\x00\x00\x00\x00\x05ab", ok, 502, "broke off"},
		"no status":      {200, head, "\x00\x00\x00\x00\x00", nil, 502, "without a status"},
		"too large":      {200, head, "\x00\x00\x00\x10\x00", ok, 502, "over the limit of 1000"},
		"compressed":     {200, head, "\x01\x00\x00\x00\x00", ok, 502, "not gRPC"},
		"rubbish":        {200, head, "\x00\x00\x00\x00\x01\xff", ok, 502, "cannot be read"},
		"a wrong flag":   {200, head, "\x80\x00\x00\x00\x00", ok, 502, "not gRPC"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := &service{t: t, set: s.set, code: test.code, head: test.head, trail: test.trail,
				body: func() io.ReadCloser { return io.NopCloser(strings.NewReader(test.body)) }}
			x := ask("GET", "/v1/orders/7", "")
			err := translator(s, Options{}).Answer(t.Context(), x, answer)
			f := failure.From(err)
			if err == nil || x.Response != nil || f.Code() != test.status || f.Source != failure.Upstream || !strings.Contains(f.Detail, test.want) {
				t.Errorf("%v, want %d %s", err, test.status, test.want)
			}
		})
	}
}

func TestStatusDetails(t *testing.T) {
	known, err := anypb.New(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "id", Description: "no"}}})
	if err != nil {
		t.Fatal(err)
	}
	details, err := proto.Marshal(&rpcstatus.Status{Code: 3, Message: "bad", Details: []*anypb.Any{known, {TypeUrl: "x/no.Such", Value: []byte("abc")}}})
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t)
	s.says(0, "")
	grpc.Status{Code: 3, Message: "bad", Details: details}.Set(s.head) // trailers only
	x := ask("GET", "/v1/orders/7", "")
	if err := translator(s, Options{}).Answer(t.Context(), x, s); err != nil {
		t.Fatal(err)
	}
	var have, want any
	body := read(t, x)
	if err := json.Unmarshal([]byte(body), &have); err != nil {
		t.Fatal(err, body)
	}
	json.Unmarshal([]byte(`{"code":3,"message":"bad","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest",
		"fieldViolations":[{"field":"id","description":"no"}]},{"@type":"x/no.Such","value":"YWJj"}]}`), &want)
	a, _ := json.Marshal(have)
	b, _ := json.Marshal(want)
	if x.Response.StatusCode != 400 || string(a) != string(b) {
		t.Errorf("%d %s\nwant %s", x.Response.StatusCode, a, b)
	}
}

func TestServerStreams(t *testing.T) {
	s := newService(t)
	one, two := s.wire("", `{"id":"1"}`), s.wire("", `{"id":"2"}`)
	for _, test := range []struct {
		name, target, accept string
		code                 grpc.Code
		messages             [][]byte
		contentType, want    string
	}{
		{"lines", "/v1/orders/7/watch", "", 0, [][]byte{one, two}, "application/x-ndjson", "{\"result\":{\"id\":\"1\"}}\n{\"result\":{\"id\":\"2\"}}\n"},
		{"an error in lines", "/v1/orders/7/watch", "*/*", 10, [][]byte{one}, "application/x-ndjson", "{\"result\":{\"id\":\"1\"}}\n{\"error\":{\"code\":10,\"message\":\"gone\",\"details\":[]}}\n"},
		{"nothing", "/v1/orders/7/watch", "", 0, nil, "application/x-ndjson", ""},
		{"events", "/v1/orders/7/watch", "text/event-stream", 0, [][]byte{one, two}, "text/event-stream", "data: {\"id\":\"1\"}\n\ndata: {\"id\":\"2\"}\n\n"},
		{"an error in events", "/v1/orders/7/watch", "text/event-stream", 10, [][]byte{one}, "text/event-stream", "data: {\"id\":\"1\"}\n\nevent: error\ndata: {\"code\":10,\"message\":\"gone\",\"details\":[]}\n\n"},
		{"files", "/v1/stream/x", "", 0, [][]byte{s.wire("google.api.HttpBody", `{"contentType":"text/plain","data":"aGk="}`), s.wire("google.api.HttpBody", `{"data":"IQ=="}`)}, "text/plain", "hi!"},
		{"no files", "/v1/stream/x", "", 0, nil, "application/octet-stream", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.says(test.code, map[bool]string{true: "gone"}[test.code != 0], test.messages...)
			s.trail.Set("X-More", "yes")
			x := ask("GET", test.target, "")
			x.In.Header.Set("Accept", test.accept)
			x.In.Header.Set("Te", "trailers")
			if err := translator(s, Options{}).Answer(t.Context(), x, s); err != nil {
				t.Fatal(err)
			}
			if body := read(t, x); x.Response.StatusCode != 200 || x.Response.Header.Get("Content-Type") != test.contentType || body != test.want {
				t.Errorf("%d %s %q\nwant %s %q", x.Response.StatusCode, x.Response.Header.Get("Content-Type"), body, test.contentType, test.want)
			}
			if x.Response.Trailer.Get("Grpc-Trailer-X-More") != "yes" {
				t.Errorf("the trailers are %v", x.Response.Trailer)
			}
		})
	}
}

// A stream that breaks off is broken off, never ended as if it were whole.
func TestStreamsThatBreakOff(t *testing.T) {
	s := newService(t)
	one := "\x00\x00\x00\x00\x03\x0a\x011"
	for name, test := range map[string]struct {
		body  io.Reader
		trail http.Header
	}{
		"the connection": {io.MultiReader(strings.NewReader(one), iotest.ErrReader(errors.New("reset"))), nil},
		"no status":      {strings.NewReader(one), nil},
		"half a message": {strings.NewReader(one + "\x00\x00"), http.Header{"Grpc-Status": {"0"}}},
		"rubbish":        {strings.NewReader(one + "\x00\x00\x00\x00\x01\xff"), http.Header{"Grpc-Status": {"0"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s.says(0, "")
			s.trail = test.trail
			s.body = func() io.ReadCloser { return io.NopCloser(test.body) }
			x := ask("GET", "/v1/orders/7/watch", "")
			if err := translator(s, Options{}).Answer(t.Context(), x, s); err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(x.Response.Body)
			x.Response.Body.Close()
			if f := failure.From(err); err == nil || f.Source != failure.Upstream && name != "the connection" || string(body) != "{\"result\":{\"id\":\"1\"}}\n" {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

func TestClientStreams(t *testing.T) {
	for _, test := range []struct{ name, method, target, body, want, failed string }{
		{"lines", "POST", "/v1/orders:load", "{\"id\":\"1\"}\n{\"id\":\"2\"}\n", `{"id":"1"} {"id":"2"}`, ""},
		{"no line ends", "POST", "/v1/orders:load", `{"id":"}{\""}{"id":"2"}`, `{"id":"}{\""} {"id":"2"}`, ""},
		{"nothing", "POST", "/v1/orders:load", " \n", "", ""},
		{"a wrong one", "POST", "/v1/orders:load", "{\"id\":\"1\"}\n{\"foo\":1}\n", `{"id":"1"}`, "field foo"},
		{"cut short", "POST", "/v1/orders:load", "{\"id\":\"1\"}\n{\"id\":", `{"id":"1"}`, "ends"},
		{"something else", "POST", "/v1/orders:load", "5 6", "", "not an object"},
		{"closed too often", "POST", "/v1/orders:load", "}", "", "not an object"},
		{"too long", "POST", "/v1/orders:load", `{"id":"` + strings.Repeat("a", 5000) + `"}`, "", "over the limit"},
		{"raw", "PUT", "/v1/files/x", "raw", `{"id":"x","file":{"contentType":"application/json","data":"cg=="}}`, ""},
		{"both ways", "POST", "/v1/orders:talk", "{\"id\":\"1\"}\n{\"id\":\"2\"}", `{"id":"1"} {"id":"2"}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newService(t)
			s.says(0, "", nil)
			x := ask(test.method, test.target, test.body)
			err := translator(s, Options{}).Answer(t.Context(), x, s)
			if test.failed != "" {
				if f := failure.From(err); err == nil || f.Source != failure.Client || !strings.Contains(f.Detail, test.failed) {
					t.Errorf("%v, want %s", err, test.failed)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if asked := strings.Join(s.asked, " "); !strings.HasPrefix(asked, test.want) || asked != test.want && test.name != "raw" {
				t.Errorf("asked %s\nwant %s", asked, test.want)
			}
			if x.Response != nil {
				read(t, x)
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	s := newService(t)
	s.says(0, "", nil)
	x := ask("GET", "/v1/orders/7", "")
	for name, value := range map[string]string{
		"Authorization": "a", "Grpc-Metadata-Foo": "b", "Grpc-Metadata-X-Consumer-Name": "root", "Grpc-Metadata-X-Forwarded-For": "1.2.3.4", "Accept": "x",
		"Grpc-Metadata-Grpc-Timeout": "1n", "Grpc-Metadata-X_request_id": "z", "Grpc-Metadata-X-Mirror": "sluice", "Grpc-Metadata-Authorization": "other", "Grpc-Encoding": "gzip",
	} {
		x.Out.Header.Set(name, value)
	}
	if err := translator(s, Options{Timeout: 2 * time.Second}).Answer(t.Context(), x, s); err != nil {
		t.Fatal(err)
	}
	read(t, x)
	want := http.Header{"Authorization": {"a"}, "Foo": {"b"}, "Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Grpc-Timeout": {"2000000u"}}
	if !maps.EqualFunc(s.header, want, func(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }) {
		t.Errorf("%v\nwant %v", s.header, want)
	}
}

func TestDeadlines(t *testing.T) {
	s := newService(t)
	for sent, want := range map[string]string{"1S": "1S", "90S": "30000000u", "x": "", "": "30000000u"} {
		s.says(0, "", nil)
		x := ask("GET", "/v1/orders/7", "")
		if sent != "" {
			x.Out.Header.Set("Grpc-Timeout", sent)
		}
		err := translator(s, Options{Timeout: 30 * time.Second}).Answer(t.Context(), x, s)
		if (err != nil) != (want == "") || err == nil && s.header.Get("Grpc-Timeout") != want {
			t.Errorf("%q: %v %v", sent, s.header, err)
		}
	}
	// A service that begins its answer and never ends it.
	s.says(0, "")
	r, w := io.Pipe()
	defer w.Close()
	s.body = func() io.ReadCloser { return r }
	x := ask("GET", "/v1/orders/7", "")
	x.Out.Header.Set("Grpc-Timeout", "1m")
	if err := translator(s, Options{}).Answer(t.Context(), x, s); failure.From(err).Kind != failure.HTTPResponseTimeout {
		t.Error(err)
	}
}

func TestNotKnownYet(t *testing.T) {
	s := newService(t)
	tr := New(new(schema.Schema), Options{})
	if err := tr.Answer(t.Context(), ask("GET", "/v1/orders/7", ""), s); failure.From(err).Code() != 503 {
		t.Error(err)
	}
}

func TestCheckNamesWrongRules(t *testing.T) {
	const bad = `syntax = "proto3"; package p; import "google/api/annotations.proto"; message M { string a = 1; map<string,string> m = 2; M n = 3; }
service S {
  rpc A(M) returns (M) { option (google.api.http) = {get: "/v1/{nope}"}; }
  rpc B(M) returns (M) { option (google.api.http) = {get: "v1"}; }
  rpc C(M) returns (M) { option (google.api.http) = {get: "/v1/{m}"}; }
  rpc D(M) returns (M) { option (google.api.http) = {post: "/v1/d" body: "nope"}; }
  rpc E(M) returns (M) { option (google.api.http) = {get: "/v1/e" response_body: "nope"}; }
  rpc F(M) returns (M) { option (google.api.http) = {get: "/v1/f/{a}"}; }
  rpc G(M) returns (M) { option (google.api.http) = {get: "/v1/f/{n.a}"}; }
  rpc H(M) returns (M) { option (google.api.http) = {}; }
  rpc I(M) returns (M) { option (google.api.http) = {get: "/v1/{n}"}; }
}`
	set, err := schema.FromProtos([]string{"a.proto"}, nil, func(name string) ([]byte, error) {
		if name == "a.proto" {
			return []byte(bad), nil
		}
		return nil, os.ErrNotExist
	})
	if err != nil {
		t.Fatal(err)
	}
	all := errors.Join(New(schema.Static(set), Options{}).Check()...).Error()
	for _, want := range []string{"p.S/A: path /v1/{nope}: field nope", "p.S/B: path v1: it does not begin", "p.S/C: ", "p.S/D: body: ", "p.S/E: response_body: ", "p.S/G: GET /v1/f/{n.a} is there already", "p.S/H: ", "p.S/I: "} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
	if strings.Contains(all, "p.S/F") {
		t.Error("F is right")
	}
}

// Whatever is asked is answered or refused, and what reaches the service can be read.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/v1/orders/7", "view=FULL&labels[a]=1", "")
	f.Add("POST", "/v1/orders:load", "", "{\"id\":\"1\"}\n{\"id\":\"2\"}")
	f.Add("PATCH", "/v1/orders/7", "updateMask=a", `{"total":"5"}`)
	s := newService(f)
	tr := translator(s, Options{OpenAPI: "/openapi.json"})
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		if path, err := exchange.CanonicalPath(path); err == nil {
			x := ask(method, path, body)
			x.Out.URL.RawQuery = query
			s.t, s.asked = t, nil
			s.says(0, "", nil)
			if err := tr.Answer(t.Context(), x, s); err == nil {
				read(t, x)
			} else if f := failure.From(err); f.Kind == failure.ProxyInternalError {
				t.Error(err)
			}
		}
	})
}

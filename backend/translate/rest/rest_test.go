package rest

import (
	"bytes"
	"compress/gzip"
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

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
	"github.com/sluice-gateway/sluice/backend/translate/transcode"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// service stands where the REST service would.
type service struct {
	asked  string // GET /path?query
	sent   string
	header http.Header
	status int
	media  string
	says   io.Reader
}

func (*service) Forwards() bool { return true }

func (s *service) Answer(_ context.Context, x *exchange.Exchange) error {
	s.asked = x.Out.Method + " " + x.Out.URL.Opaque
	if q := x.Out.URL.RawQuery; q != "" {
		s.asked += "?" + q
	}
	body, err := io.ReadAll(x.Out.Body)
	if err != nil {
		return err
	}
	s.sent, s.header = string(body), maps.Clone(x.Out.Header)
	x.Response = &http.Response{StatusCode: s.status, Header: http.Header{"Content-Type": {s.media}, "X-Its": {"own"}}, Body: io.NopCloser(s.says), ContentLength: -1}
	return nil
}

func shop(t testing.TB) *schema.Set {
	t.Helper()
	set, err := schema.FromProtos([]string{"../transcode/testdata/shop.proto"}, nil, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// call is a gRPC request of a method with a message in JSON.
func call(t testing.TB, set *schema.Set, method, text string) *exchange.Exchange {
	t.Helper()
	m := dynamicpb.NewMessage(set.Method("shop.Orders/" + method).Input)
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return callBytes("/shop.Orders/"+method, append(grpc.AppendHeader(nil, 0, len(wire)), wire...))
}

func callBytes(path string, body []byte) *exchange.Exchange {
	x := new(exchange.Exchange)
	x.Reset()
	x.In = &http.Request{Method: "POST", URL: &url.URL{Path: path}, Header: http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "X-Meta": {"data"}}}
	x.Path, x.Start = path, time.Now()
	x.Out = &http.Request{Method: "POST", URL: &url.URL{Opaque: path}, Header: x.In.Header.Clone(), Body: io.NopCloser(bytes.NewReader(body))}
	return x
}

// answers are the messages of a gRPC answer, in JSON, and its status.
func answers(t testing.TB, set *schema.Set, method string, x *exchange.Exchange) (messages []string, status grpc.Status, err error) {
	t.Helper()
	r := x.Response
	defer r.Body.Close()
	if r.StatusCode != 200 || !grpc.Is(r.Header) {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	frames := grpc.Reader{From: r.Body}
	for {
		var wire []byte
		if wire, err = frames.Next(); err != nil {
			break
		}
		m := dynamicpb.NewMessage(set.Method("shop.Orders/" + method).Output)
		if err := proto.Unmarshal(wire, m); err != nil {
			t.Fatal(err)
		}
		text, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		json.Compact(&b, text)
		messages = append(messages, b.String())
	}
	if err == io.EOF {
		err = nil
	}
	status, found := grpc.StatusOf(r.Header)
	if !found {
		status, found = grpc.StatusOf(r.Trailer)
	}
	if !found && err == nil {
		t.Error("there is no status")
	}
	return messages, status, err
}

func translator(set *schema.Set) *Translator {
	return New(schema.Static(set), Options{MessageBytes: 1000, Timeout: time.Minute})
}

func TestRequests(t *testing.T) {
	set := shop(t)
	for _, test := range []struct{ method, message, asked, sent string }{
		{"Get", `{"id":"7"}`, "GET /v1/orders/7", ""},
		{"Get", `{"id":"a/b c?"}`, "GET /v1/orders/a%2Fb%20c%3F", ""},
		{"Get", `{"id":"7","view":"FULL","numbers":[1,2],"filter":{"inner":{"text":"ä&"},"tags":["x","y"]},"labels":{"a b":"1"},"since":"2024-01-01T00:00:00Z","open":true}`,
			"GET /v1/orders/7?filter.inner.text=%C3%A4%26&filter.tags=x&filter.tags=y&labels%5Ba+b%5D=1&numbers=1&numbers=2&open=true&since=2024-01-01T00%3A00%3A00Z&view=FULL", ""},
		{"Create", `{"id":"1","total":"5","lines":[{"sku":"<a>"}]}`, "POST /v1/orders", `{"id":"1","lines":[{"sku":"<a>"}],"total":"5"}`},
		{"Create", `{}`, "POST /v1/orders", `{}`},
		{"Update", `{"order":{"id":"7","total":"5"},"updateMask":"total"}`, "PATCH /v1/orders/7?updateMask=total", `{"total":"5"}`},
		{"File", `{"id":"a/b%2Fc d"}`, "GET /v1/files/a/b%2Fc%20d", ""},
		{"Store", `{"contentType":"text/plain","data":"aGk="}`, "PUT /v1/files", "hi"},
		{"Plain", `{"id":"7"}`, "POST /shop.Orders/Plain", `{"id":"7"}`},
	} {
		s := &service{status: 200, media: "application/json", says: strings.NewReader("")}
		if err := translator(set).Answer(t.Context(), call(t, set, test.method, test.message), s); err != nil {
			t.Errorf("%s: %v", test.method, err)
		}
		if s.asked != test.asked || s.sent != test.sent {
			t.Errorf("%s %s asks %s %s\nwant %s %s", test.method, test.message, s.asked, s.sent, test.asked, test.sent)
		}
		if s.header.Get("Te") != "" || s.header.Get("X-Meta") != "data" || s.header.Get("Accept") != "application/json" || strings.HasPrefix(s.header.Get("Content-Type"), "application/grpc") {
			t.Errorf("%s: the fields are %v", test.method, s.header)
		}
	}
}

func TestCallsThatAreRefused(t *testing.T) {
	set := shop(t)
	frame := func(flags byte, text string) []byte { return append(grpc.AppendHeader(nil, flags, len(text)), text...) }
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, "\x0a\x017")
	z.Close()
	for name, test := range map[string]struct {
		x        *exchange.Exchange
		encoding string
		code     grpc.Code
	}{
		"no value for the path":      {call(t, set, "Get", `{}`), "", grpc.InvalidArgument},
		"dot segments":               {call(t, set, "Get", `{"id":".."}`), "", grpc.InvalidArgument},
		"dot segments below":         {call(t, set, "File", `{"id":"a/../../secret"}`), "", grpc.InvalidArgument},
		"a client that streams":      {call(t, set, "Load", `{}`), "", grpc.Unimplemented},
		"no message":                 {callBytes("/shop.Orders/Get", nil), "", grpc.Internal},
		"two messages":               {callBytes("/shop.Orders/Get", append(frame(0, ""), frame(0, "")...)), "", grpc.Internal},
		"half a message":             {callBytes("/shop.Orders/Get", frame(0, "abc")[:6]), "", grpc.Internal},
		"a wrong flag":               {callBytes("/shop.Orders/Get", frame(2, "abc")), "", grpc.Internal},
		"a wrong message":            {callBytes("/shop.Orders/Get", frame(0, "\xff")), "", grpc.InvalidArgument},
		"invalid UTF-8":              {callBytes("/shop.Orders/Get", frame(0, "\x0a\x01\xff")), "", grpc.InvalidArgument},
		"too large":                  {callBytes("/shop.Orders/Get", frame(0, strings.Repeat("a", 1001))), "", grpc.ResourceExhausted},
		"compressed otherwise":       {callBytes("/shop.Orders/Get", frame(1, "abc")), "snappy", grpc.Unimplemented},
		"compressed and not said so": {callBytes("/shop.Orders/Get", frame(1, "abc")), "", grpc.Internal},
		"no gzip":                    {callBytes("/shop.Orders/Get", frame(1, "abc")), "gzip", grpc.InvalidArgument},
		"gzip":                       {callBytes("/shop.Orders/Get", frame(1, zipped.String())), "gzip", grpc.OK},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{status: 200, media: "application/json", says: strings.NewReader("{}")}
			if test.encoding != "" {
				test.x.In.Header.Set("Grpc-Encoding", test.encoding)
			}
			if err := translator(set).Answer(t.Context(), test.x, s); err != nil {
				t.Fatal(err)
			}
			_, status, err := answers(t, set, "Get", test.x)
			if err != nil || status.Code != test.code || status.Code != grpc.OK && (status.Message == "" || s.asked != "") {
				t.Errorf("%v %q, asked %q, %v; want %v", status.Code, status.Message, s.asked, err, test.code)
			}
		})
	}
	x := callBytes("/shop.Orders/Nothing", nil)
	if err := translator(set).Answer(t.Context(), x, new(service)); failure.From(err).Code() != 404 {
		t.Error(err)
	}
}

func TestAnswers(t *testing.T) {
	set := shop(t)
	details := `{"code":9,"message":"no","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"r"}]}`
	for _, test := range []struct {
		name, method string
		status       int
		media, body  string
		want         string // messages
		code         grpc.Code
		message      string
		details      int
	}{
		{"a message", "Get", 200, "application/json", `{"id":"7","total":5,"more":{}}`, `{"id":"7","total":"5"}`, 0, "", 0},
		{"nothing", "Get", 204, "", "", "{}", 0, "", 0},
		{"response_body", "Update", 200, "application/json; charset=utf-8", `[{"sku":"a"}]`, `{"lines":[{"sku":"a"}]}`, 0, "", 0},
		{"a file", "File", 200, "text/plain", "hi", `{"contentType":"text/plain","data":"aGk="}`, 0, "", 0},
		{"a problem", "Get", 404, "application/problem+json", `{"title":"Not Found","detail":"no order 7"}`, "", grpc.NotFound, "no order 7", 0},
		{"a problem with a title", "Get", 409, "application/problem+json", `{"title":"Busy"}`, "", grpc.Aborted, "Busy", 0},
		{"HTML", "Get", 503, "text/html", `<p>`, "", grpc.Unavailable, "Service Unavailable", 0},
		{"broken JSON", "Get", 400, "application/json", `{`, "", grpc.InvalidArgument, "Bad Request", 0},
		{"a status", "Get", 400, "application/json", details, "", grpc.FailedPrecondition, "no", 1},
		{"a status of OK", "Get", 400, "application/json", `{"code":0,"message":"x"}`, "", grpc.InvalidArgument, "Bad Request", 0},
		{"a redirect", "Get", 302, "", "", "", grpc.Unknown, "Found", 0},
		{"lines", "Watch", 200, "application/x-ndjson", "{\"id\":\"1\"}\n{\"id\":\"2\"}\n", `{"id":"1"} {"id":"2"}`, 0, "", 0},
		{"an array", "Watch", 200, "application/json", ` [ {"id":"1"} , {"id":"2"}]`, `{"id":"1"} {"id":"2"}`, 0, "", 0},
		{"an empty array", "Watch", 200, "application/json", `[]`, ``, 0, "", 0},
		{"no lines", "Watch", 200, "application/json", "", ``, 0, "", 0},
		{"one object", "Watch", 200, "application/json", `{"id":"1"}`, `{"id":"1"}`, 0, "", 0},
		{"a wrong line", "Watch", 200, "application/json", "{\"id\":\"1\"}\n{\"total\":\"x\"}", `{"id":"1"}`, grpc.Internal, "The service's answer does not fit the message.", 0},
		{"files", "Files", 200, "text/plain", "hi", `{"contentType":"text/plain","data":"aGk="}`, 0, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &service{status: test.status, media: test.media, says: strings.NewReader(test.body)}
			x := call(t, set, test.method, `{`+map[bool]string{true: `"order":{"id":"7"}`, false: `"id":"7"`}[test.method == "Update"]+`}`)
			if err := translator(set).Answer(t.Context(), x, s); err != nil {
				t.Fatal(err)
			}
			messages, status, err := answers(t, set, test.method, x)
			if err != nil || strings.Join(messages, " ") != test.want || status.Code != test.code || status.Message != test.message {
				t.Errorf("%s, %v %q, %v\nwant %s, %v %q", messages, status.Code, status.Message, err, test.want, test.code, test.message)
			}
			var rpc rpcstatus.Status
			if err := proto.Unmarshal(status.Details, &rpc); err != nil || len(rpc.Details) != test.details {
				t.Errorf("details %v, %v", &rpc, err)
			}
			if test.details > 0 && !rpc.Details[0].MessageIs((*errdetails.ErrorInfo)(nil)) {
				t.Errorf("details %v", &rpc)
			}
			if x.Response.Header.Get("X-Its") != "own" {
				t.Errorf("the fields are %v", x.Response.Header)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	set := shop(t)
	for name, test := range map[string]struct {
		method, media string
		body          io.Reader
		want          string
	}{
		"another type":     {"Get", "text/html", strings.NewReader("<p>"), "does not fit"},
		"another message":  {"Get", "application/json", strings.NewReader(`{"total":"x"}`), "does not fit"},
		"half":             {"Get", "application/json", strings.NewReader(`{"id":`), "does not fit"},
		"too long":         {"Get", "application/json", strings.NewReader(strings.Repeat(" ", 5000)), "over the limit"},
		"broken off":       {"Get", "application/json", iotest.ErrReader(&failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Detail: "cut"}), "cut"},
		"a stream of HTML": {"Watch", "text/html", strings.NewReader("<p>"), "no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			x := call(t, set, test.method, `{"id":"7"}`)
			err := translator(set).Answer(t.Context(), x, &service{status: 200, media: test.media, says: test.body})
			if f := failure.From(err); err == nil || x.Response != nil || f.Code() != 502 || !strings.Contains(f.Detail, test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	for name, body := range map[string]io.Reader{
		"an array without an end": strings.NewReader(`[{"id":"1"}`),
		"a stream broken off":     io.MultiReader(strings.NewReader(`{"id":"1"}`), iotest.ErrReader(errors.New("reset"))),
	} {
		t.Run(name, func(t *testing.T) {
			x := call(t, set, "Watch", `{"id":"7"}`)
			if err := translator(set).Answer(t.Context(), x, &service{status: 200, media: "application/json", says: body}); err != nil {
				t.Fatal(err)
			}
			if messages, _, err := answers(t, set, "Watch", x); err == nil || len(messages) != 1 {
				t.Errorf("%v, %v", messages, err)
			}
		})
	}
}

// A service that begins its answer and never ends it.
func TestDeadline(t *testing.T) {
	set := shop(t)
	r, w := io.Pipe()
	defer w.Close()
	x := call(t, set, "Get", `{"id":"7"}`)
	x.Out.Header.Set("Grpc-Timeout", "1m")
	s := &service{status: 200, media: "application/json", says: r}
	s2 := &closing{s, r}
	if err := translator(set).Answer(t.Context(), x, s2); failure.From(err).Kind != failure.HTTPResponseTimeout {
		t.Error(err)
	}
}

type closing struct {
	*service
	body io.ReadCloser
}

func (c *closing) Answer(ctx context.Context, x *exchange.Exchange) error {
	if err := c.service.Answer(ctx, x); err != nil {
		return err
	}
	x.Response.Body = c.body
	return nil
}

// What gRPC is made into here, and back into gRPC there, is the same message.
func TestThereAndBack(t *testing.T) {
	set := shop(t)
	there := translator(set)
	back := transcode.New(schema.Static(set), transcode.Options{})
	for method, message := range map[string]string{
		"Get":    `{"id":"a/b","view":"FULL","mask":"a,bC","filter":{"text":"x y","inner":{"tags":["1","2"]}},"numbers":[-1,2],"labels":{"k":"9007199254740993"},"since":"2024-01-02T03:04:05.600Z","open":false,"token":"AP8="}`,
		"Create": `{"id":"1","total":"-5","lines":[{"sku":"a","count":1},{}],"view":"FULL"}`,
		"Update": `{"order":{"id":"7","total":"5"},"updateMask":"total"}`,
		"File":   `{"id":"a/b%2Fc/d e"}`,
		"Store":  `{"contentType":"text/plain","data":"aGk="}`,
		"Plain":  `{"id":"7","numbers":[1]}`,
	} {
		x := call(t, set, method, message)
		end := &end{t: t, set: set}
		if err := there.Answer(t.Context(), x, &via{back, end}); err != nil {
			t.Errorf("%s: %v", method, err)
			continue
		}
		if end.asked != "/shop.Orders/"+method+" "+message {
			t.Errorf("%s arrives as\n%s\nwant %s", method, end.asked, message)
		}
	}
}

// via hands an exchange to another translator, as if it had come from outside.
type via struct {
	back *transcode.Translator
	end  *end
}

func (*via) Forwards() bool { return true }

func (v *via) Answer(ctx context.Context, x *exchange.Exchange) error {
	inner := new(exchange.Exchange)
	inner.Reset()
	inner.In = x.Out
	inner.Out = x.Out.Clone(ctx)
	inner.Path, inner.Start = x.Out.URL.Opaque, x.Start
	err := v.back.Answer(ctx, inner, v.end)
	x.Response = inner.Response
	return err
}

// end is the gRPC service behind both.
type end struct {
	t     *testing.T
	set   *schema.Set
	asked string
}

func (*end) Forwards() bool { return true }

func (e *end) Answer(_ context.Context, x *exchange.Exchange) error {
	frames := grpc.Reader{From: x.Out.Body}
	wire, err := frames.Only()
	if err != nil {
		return err
	}
	m := dynamicpb.NewMessage(e.set.Method(x.Out.URL.Opaque).Input)
	if err := proto.Unmarshal(wire, m); err != nil {
		return err
	}
	text, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	json.Compact(&b, text)
	e.asked = x.Out.URL.Opaque + " " + b.String()
	x.Response = &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/grpc"}},
		Body: io.NopCloser(strings.NewReader("\x00\x00\x00\x00\x00")), Trailer: http.Header{"Grpc-Status": {"0"}}}
	return nil
}

// Whatever a client sends is carried or refused.
func FuzzCall(f *testing.F) {
	f.Add("/shop.Orders/Get", []byte("\x00\x00\x00\x00\x03\x0a\x017"))
	set := shop(f)
	tr := translator(set)
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		x := callBytes(path, body)
		err := tr.Answer(t.Context(), x, &service{status: 200, media: "application/json", says: strings.NewReader("{}")})
		if err == nil {
			x.Response.Body.Close()
		} else if failure.From(err).Kind == failure.ProxyInternalError {
			t.Error(err)
		}
	})
}

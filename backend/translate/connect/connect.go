// Package connect lets clients of the Connect protocol, browsers among them, call a service of gRPC:
// https://connectrpc.com/docs/protocol, version 1.
//
//	unary      POST, application/proto | application/json, the bare message; a GET with it in the query
//	           ◀── the bare message, trailers as Trailer- fields; or a JSON error under the status of its code
//	streaming  POST, application/connect+proto | +json, messages in frames
//	           ◀── messages in frames, the end and its error in one more, marked 0x02
//
// A message goes to the service in the codec it came in, compressed as it came, unread. JSON is the exception where the
// methods of the service are known: services of gRPC speak protobuf, so it is converted, each way, by the method's types;
// without them it goes as application/grpc+json.
//
// A call is Connect's by its Content-Type, application/proto or application/connect+…, or by the field
// Connect-Protocol-Version, or by connect=v1 in the query of a GET. Plain application/json without that field is not: it
// is the transcoder's, which takes the same message at the same path and differs in how it tells errors.
//
// The answer of a unary call is held until the service's trailers say how it ended, since the status code depends on it:
// so messages are bounded, in both directions. A stream that the service breaks off between two messages ends with the
// error that says so; one broken off inside a message is broken off.
package connect

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/backend/translate"
	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// Translator carries Connect to gRPC.
type Translator struct {
	Methods *Methods // nil: they are not known
	Limit   int      // the largest message, either way, packed and unpacked; 0: none but 4 GiB

	// Timeout is the route's, and holds for all of a unary call's answer, not only until that begins; 0: none.
	Timeout time.Duration
}

var _ translate.Translator = (*Translator)(nil)

const (
	streaming = "application/connect+"
	versioned = "Connect-Protocol-Version"
)

// Takes implements translate.Translator.
func (t *Translator) Takes(x *exchange.Exchange) bool { return Is(x.In) }

// Is tells a call of Connect.
func Is(in *http.Request) bool {
	if in.Method == http.MethodGet {
		return asksVersion(in.URL.RawQuery)
	}
	contentType := first(in.Header, "Content-Type")
	if strings.HasPrefix(contentType, streaming) {
		return true
	}
	if strings.HasPrefix(contentType, "application/grpc") {
		return false
	}
	return in.Header[versioned] != nil || contentType == "application/proto"
}

// asksVersion looks for connect=v1 without taking the query apart.
func asksVersion(query string) bool {
	const parameter = "connect=v1"
	for i := strings.Index(query, parameter); i >= 0; {
		after := query[i+len(parameter):]
		if (i == 0 || query[i-1] == '&') && (after == "" || after[0] == '&') {
			return true
		}
		next := strings.Index(after, parameter)
		if next < 0 {
			return false
		}
		i += len(parameter) + next
	}
	return false
}

// call is one call on its way.
type call struct {
	*Translator
	ctx      context.Context
	x        *exchange.Exchange
	stream   bool
	codec    string
	method   *method       // nil: messages pass as they are
	timeout  time.Duration // the client's; 0: none
	encoding string        // of the client's messages; empty: none
	accept   string        // what those of the answer may be in
}

// Answer implements translate.Translator.
func (t *Translator) Answer(ctx context.Context, x *exchange.Exchange, next backend.Backend) error {
	c := &call{Translator: t, ctx: ctx, x: x}
	if err := c.read(); err != nil {
		return err
	}
	if c.stream {
		return c.answerStream(next)
	}
	return c.answerUnary(next)
}

// read understands the head of the call and makes that of gRPC from it.
func (c *call) read() error {
	in, out := c.x.In, c.x.Out
	if v := first(in.Header, versioned); v != "" && v != "1" {
		return refuse(wire.InvalidArgument, "connect-protocol-version must be 1.")
	}
	method, err := c.lookUp()
	if err != nil {
		return err
	}
	if err := c.readMethod(method); err != nil {
		return err
	}
	if method != nil && c.codec == "json" {
		c.method = method
		if _, known := codings[c.encoding]; !known && c.encoding != "" {
			return refuse(wire.Unimplemented, "The message is compressed in a way that cannot be read here: "+acceptable+" can.")
		}
		c.accept = intersect(c.accept)
	}
	if c.timeout, err = timeoutOf(in.Header); err != nil {
		return err
	}
	c.writeHead(out)
	return nil
}

// lookUp finds the method. It is nil if none are known.
func (c *call) lookUp() (*method, error) {
	if c.Methods == nil {
		return nil, nil
	}
	path, _, _ := strings.Cut(c.x.Out.URL.Opaque, "?")
	m, known := c.Methods.method(path)
	switch {
	case !known:
		return nil, errNotYet
	case m == nil:
		return nil, errNoMethod
	}
	return m, nil
}

var (
	errNotYet = &failure.Error{Kind: failure.DestinationUnavailable, Detail: "The service has not told its methods yet."}

	errNoMethod = &failure.Error{Source: failure.Client, Kind: failure.HTTPRequestError, Status: http.StatusNotFound,
		Detail: "The service has no such method."}
)

// readMethod tells a GET from a POST, and refuses all else.
func (c *call) readMethod(method *method) error {
	in := c.x.In
	switch {
	case in.Method == http.MethodGet:
		if method == nil || !method.NoSideEffects {
			return notAllowed(http.MethodPost)
		}
		return c.readQuery(in.URL.RawQuery)
	case in.Method != http.MethodPost && method != nil && method.NoSideEffects:
		return notAllowed(http.MethodGet + ", " + http.MethodPost)
	case in.Method != http.MethodPost:
		return notAllowed(http.MethodPost)
	}
	return c.readContentType()
}

func notAllowed(allow string) error {
	return &failure.Error{Source: failure.Client, Kind: failure.HTTPRequestError, Status: http.StatusMethodNotAllowed,
		Detail: "The method is not called this way.", Header: http.Header{"Allow": {allow}}}
}

func (c *call) readContentType() error {
	h := c.x.In.Header
	contentType, parameters, err := mime.ParseMediaType(first(h, "Content-Type"))
	if charset := parameters["charset"]; err != nil || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return errContentType
	}
	prefix, encoding, accept := "", "Content-Encoding", "Accept-Encoding"
	if c.codec, c.stream = strings.CutPrefix(contentType, streaming); c.stream {
		prefix = "Connect-"
	} else if c.codec, _ = strings.CutPrefix(contentType, "application/"); c.codec == contentType {
		return errContentType
	}
	if !isToken(c.codec) {
		return errContentType
	}
	c.encoding = codingOf(first(h, prefix+encoding))
	c.accept = acceptOf(h[prefix+accept])
	return nil
}

var errContentType = &failure.Error{Source: failure.Client, Kind: failure.HTTPRequestError, Status: http.StatusUnsupportedMediaType,
	Detail: "The content type is none of a call."}

// isToken refuses what could not stand after application/grpc+ as one name.
func isToken(codec string) bool {
	for i := range len(codec) {
		c := codec[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return codec != ""
}

// ofTheClient are fields that speak of the message between the client and us.
var ofTheClient = [...]string{
	versioned, "Connect-Timeout-Ms", "Connect-Content-Encoding", "Connect-Accept-Encoding",
	"Content-Encoding", "Accept-Encoding", "Accept", "Grpc-Timeout", "Grpc-Encoding", "Grpc-Accept-Encoding",
}

func (c *call) writeHead(out *http.Request) {
	for _, name := range ofTheClient {
		delete(out.Header, name)
	}
	codec := c.codec
	if c.method != nil {
		codec = "proto"
	} else if c.encoding != "" {
		out.Header["Grpc-Encoding"] = []string{c.encoding}
	}
	if c.accept != "" {
		out.Header["Grpc-Accept-Encoding"] = []string{c.accept}
	}
	if c.timeout > 0 {
		out.Header["Grpc-Timeout"] = []string{wire.FormatTimeout(c.timeout)}
	}
	out.Header["Content-Type"] = []string{"application/grpc+" + codec}
	out.Header["Te"] = []string{"trailers"}
	out.Method = http.MethodPost
	out.URL.RawQuery, out.URL.ForceQuery = "", false
}

// timeoutOf reads Connect-Timeout-Ms, at most ten digits. 0: there is none. Clients cut what is left of their time down to
// whole milliseconds, so it is up only when the next one is: an answer before that would meet the client's own deadline on
// its way, between the head and the body at worst.
func timeoutOf(h http.Header) (time.Duration, error) {
	v := first(h, "Connect-Timeout-Ms")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil || len(v) > 10 {
		return 0, refuse(wire.InvalidArgument, "connect-timeout-ms must be a number of at most ten digits.")
	}
	return time.Duration(n+1) * time.Millisecond, nil
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Package rest lets gRPC clients call a service that speaks HTTP and JSON, by the rules of google.api.http read the other
// way: the path and the query are made of the message's fields, the body of the rest.
//
//	POST /shop.Orders/Get  08 07 ─▶ GET /v1/orders/7 ─▶ service
//	08 07 …, grpc-status 0       ◀─ {"id":"7",…}     ◀─
//
// A method's first rule counts; one without a rule is POST /package.Service/Method with all of the message as its body.
// Unary methods and server streams are carried; a service streams by a JSON value a line, or by an array. A client that
// streams is told UNIMPLEMENTED.
//
// A status that is no success becomes a code of gRPC's. The message is taken from a problem (RFC 9457) or from a
// google.rpc.Status in JSON, of which the details are passed, too.
package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/backend/translate"
	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/httprule"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// Options are how a route is translated.
type Options struct {
	JSON         jsonwire.Options // of requests; what a service answers beyond the message is passed over
	MessageBytes int              // the largest message, each way; 0: no limit
	Timeout      time.Duration    // the route's, for unary calls as a whole; 0: none
}

// jsonRatio is how much longer JSON may be than the message it stands for.
const jsonRatio = 4

// Translator is the translation of one route.
type Translator struct {
	options Options
	methods schema.Derived[*methods]
}

var _ translate.Translator = (*Translator)(nil)

// New makes a translator for the methods of a schema.
func New(s *schema.Schema, o Options) *Translator {
	t := &Translator{options: o}
	t.methods = schema.Derived[*methods]{From: s, Build: func(set *schema.Set) *methods { return newMethods(set, &t.options) }}
	return t
}

// Check compiles the methods and returns what is wrong with their rules.
func (t *Translator) Check() []error {
	if m, known := t.methods.Get(); known {
		return m.mistakes
	}
	return nil
}

// Takes implements translate.Translator.
func (t *Translator) Takes(x *exchange.Exchange) bool { return grpc.Is(x.In.Header) }

// RenderFailure implements translate.Translator: the proxy tells gRPC clients itself.
func (t *Translator) RenderFailure(*exchange.Exchange, http.Header) *http.Response { return nil }

// Answer implements translate.Translator.
func (t *Translator) Answer(ctx context.Context, x *exchange.Exchange, next backend.Backend) error {
	all, known := t.methods.Get()
	if !known {
		return &failure.Error{Source: failure.Upstream, Kind: failure.DestinationUnavailable, Detail: "The methods are not known yet."}
	}
	m := all.byPath[x.Out.URL.Opaque]
	if m == nil {
		return failure.Request(http.StatusNotFound, "The service has no such method.")
	}
	if m.method.ClientStreaming {
		refuse(x, nil, grpc.Status{Code: grpc.Unimplemented, Message: "Clients cannot stream to a service that speaks HTTP and JSON."})
		return nil
	}
	status, err := t.send(x, m)
	if err != nil {
		return err
	}
	if status.Code != grpc.OK {
		refuse(x, nil, status)
		return nil
	}
	limit := t.limit(x)
	if err := next.Answer(ctx, x); err != nil {
		return err
	}
	return t.receive(x, m, limit)
}

// limit is until when a unary call must be over: the client's own deadline, where it is the shorter.
func (t *Translator) limit(x *exchange.Exchange) time.Duration {
	limit := t.options.Timeout
	if v := x.Out.Header["Grpc-Timeout"]; len(v) == 1 {
		if own, ok := grpc.ParseTimeout(v[0]); ok && (limit == 0 || own < limit) {
			return own
		}
	}
	return limit
}

// methods is what a set of methods looks like from the service's side.
type methods struct {
	byPath   map[string]*method
	mistakes []error
	status   *jsonwire.Codec // of google.rpc.Status
}

type method struct {
	method    *schema.Method
	verb      string // GET
	template  *httprule.Template
	variables []jsonwire.Param
	body      string // "*", the name of a field in JSON, or none
	input     *jsonwire.Codec
	output    *jsonwire.Codec
	answer    *jsonwire.Field // response_body
	rawIn     bool
	rawOut    bool
	status    *jsonwire.Codec
}

func newMethods(set *schema.Set, o *Options) *methods {
	all := &methods{byPath: make(map[string]*method)}
	answers := o.JSON
	answers.DiscardUnknown = true
	asking, answering := jsonwire.New(set, jsonwire.Options{}), jsonwire.New(set, answers)
	if d, err := set.FindMessageByName("google.rpc.Status"); err == nil {
		all.status = answering.For(d.Descriptor())
	}
	for _, m := range set.Methods() {
		one := &method{method: m, input: asking.For(m.Input), output: answering.For(m.Output), status: all.status}
		if err := one.compile(); err != nil {
			all.mistakes = append(all.mistakes, errors.New(m.Name+": "+err.Error()))
			continue
		}
		all.byPath[m.Path] = one
	}
	return all
}

const httpBody = "google.api.HttpBody"

func (m *method) compile() (err error) {
	rule := &annotations.HttpRule{Pattern: &annotations.HttpRule_Post{Post: m.method.Path}, Body: "*"}
	if len(m.method.Rules) > 0 {
		rule = m.method.Rules[0]
	}
	var path string
	if m.verb, path = schema.PatternOf(rule); m.verb == httprule.Any {
		m.verb = http.MethodPost
	}
	if m.template, err = httprule.Parse(path); err != nil {
		return errors.New("path " + path + ": " + err.Error())
	}
	for _, v := range m.template.Variables {
		p, err := m.input.Param(v.Field)
		if err != nil {
			return errors.New("path " + path + ": " + err.Error())
		}
		m.variables = append(m.variables, p)
	}
	if err := m.compileBody(rule); err != nil {
		return err
	}
	m.rawOut = m.method.Output.FullName() == httpBody
	if name := rule.GetResponseBody(); name != "" {
		if m.answer, err = m.output.Field(name); err != nil {
			return errors.New("response_body: " + err.Error())
		}
	}
	return nil
}

func (m *method) compileBody(rule *annotations.HttpRule) error {
	m.body = rule.GetBody()
	m.rawIn = m.body == "*" && m.method.Input.FullName() == httpBody
	if m.body == "" || m.body == "*" {
		return nil
	}
	f, err := m.input.Field(m.body)
	if err != nil {
		return errors.New("body: " + err.Error())
	}
	m.body = f.Descriptor().JSONName()
	m.rawIn = f.Message() != nil && f.Message().Descriptor().FullName() == httpBody
	return nil
}

// refuse answers with a status and no message.
func refuse(x *exchange.Exchange, header http.Header, s grpc.Status) {
	if header == nil {
		header = make(http.Header, 4)
	}
	header["Content-Type"] = mediaGRPC
	s.Set(header)
	x.Response = &http.Response{StatusCode: http.StatusOK, Header: header, Body: http.NoBody}
}

var mediaGRPC = []string{"application/grpc"}

// receive makes the service's answer a gRPC one.
func (t *Translator) receive(x *exchange.Exchange, m *method, limit time.Duration) error {
	r := x.Response
	header := metadata(r.Header)
	if r.StatusCode < 200 || r.StatusCode > 299 {
		status := t.statusOf(x, m, limit)
		refuse(x, header, status)
		return nil
	}
	if m.method.ServerStreaming {
		return t.stream(x, m, header)
	}
	body, err := t.read(x, limit)
	r.Body.Close()
	if err != nil {
		x.Response = nil
		return err
	}
	frame, err := m.frame(nil, body, r.Header)
	if err == nil && t.options.MessageBytes > 0 && len(frame)-grpc.HeaderBytes > t.options.MessageBytes {
		err = errors.New("the message is over the limit of " + strconv.Itoa(t.options.MessageBytes) + " bytes")
	}
	if err != nil {
		x.Response = nil
		return broken("The service's answer does not fit the message.", err)
	}
	header["Content-Type"] = mediaGRPC
	x.Response = &http.Response{
		StatusCode: http.StatusOK, Header: header, ContentLength: -1,
		Body: io.NopCloser(bytes.NewReader(frame)), Trailer: http.Header{"Grpc-Status": {"0"}},
	}
	return nil
}

func broken(detail string, err error) *failure.Error {
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: detail, Err: err}
}

// read reads the whole answer, within the bounds of size and time.
func (t *Translator) read(x *exchange.Exchange, limit time.Duration) ([]byte, error) {
	body := x.Response.Body
	if body == nil {
		return nil, nil
	}
	var late atomic.Bool
	if limit > 0 {
		closed := make(chan struct{})
		timer := time.AfterFunc(limit-time.Since(x.Start), func() {
			defer close(closed)
			late.Store(true)
			body.Close()
		})
		defer func() {
			if !timer.Stop() {
				<-closed // once the exchange is over, the body's memory is another answer's
			}
		}()
	}
	from := io.Reader(body)
	most := int64(t.options.MessageBytes) * jsonRatio
	if most > 0 {
		from = io.LimitReader(body, most+1)
	}
	data, err := io.ReadAll(from)
	switch {
	case late.Load():
		return nil, &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseTimeout, Detail: "The service did not end its answer in time.", Err: err}
	case err != nil:
		return nil, err
	case most > 0 && int64(len(data)) > most:
		return nil, broken("The service's answer is over the limit.", nil)
	}
	return data, nil
}

// frame appends the message that an answer's body means.
func (m *method) frame(to, body []byte, header http.Header) (_ []byte, err error) {
	start := len(to)
	to = append(to, make([]byte, grpc.HeaderBytes)...)
	switch {
	case m.rawOut:
		to = appendRaw(to, first(header, "Content-Type"), body)
	case len(bytes.TrimSpace(body)) == 0:
	case !isJSON(header):
		return to, errors.New("it is no JSON, by its Content-Type")
	case m.answer != nil:
		to, err = m.answer.AppendWire(to, body)
	default:
		to, err = m.output.AppendWire(to, body)
	}
	if err != nil {
		return to, err
	}
	grpc.PutHeader(to[start:], 0)
	return to, nil
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// isJSON tells JSON by its type: application/json, application/x-ndjson and all that end in +json.
func isJSON(h http.Header) bool {
	media, _, _ := strings.Cut(first(h, "Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "ndjson") ||
		media == "application/jsonl"
}

// metadata are the fields of an HTTP answer that a gRPC client sees.
func metadata(h http.Header) http.Header {
	to := make(http.Header, len(h)+2)
	for name, values := range h {
		if !strings.HasPrefix(name, "Content-") && !strings.HasPrefix(name, "Grpc-") && name != "Trailer" && name != "Transfer-Encoding" &&
			name != "Connection" && name != "Keep-Alive" && name != "Upgrade" {
			to[name] = values
		}
	}
	return to
}

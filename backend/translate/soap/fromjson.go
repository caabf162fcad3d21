package soap

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/backend/translate"
	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// FromJSON lets clients that speak HTTP with JSON call a SOAP service. `POST /operation` with the input as JSON; where the
// input is a flat list of simple values, `GET /operation?name=value` too.
type FromJSON struct {
	Options
	port  *wsdl.Port
	calls map[string]*call
	frame frame
}

// Options are what a route says about a translation, in either direction.
type Options struct {
	Segments     int            // of the path before the operation, where no filter has rewritten it
	Path         string         // of the endpoint at the service
	Headers      []string       // XML, checked
	Token        *UsernameToken // nil: none
	MessageBytes int            // of one message, each way
	OpenAPI      string         // where Document is served; empty: nowhere
	Document     []byte
}

// call is one operation, ready to be called.
type call struct {
	*wsdl.Operation
	query  bool // may be called by GET
	action []string
	allow  []string
}

var _ translate.Translator = (*FromJSON)(nil)

// NewFromJSON makes the translator of a port.
func NewFromJSON(port *wsdl.Port, o Options) *FromJSON {
	f := &FromJSON{Options: o, port: port, calls: make(map[string]*call), frame: newFrame(port.Version)}
	for _, op := range port.Operations {
		c := &call{Operation: op, query: isFlat(op.Input), allow: []string{"POST"}}
		if c.query {
			c.allow = []string{"GET, HEAD, POST"}
		}
		c.action = []string{`"` + op.Action + `"`}
		f.calls[op.Name] = c
	}
	return f
}

// isFlat reports whether a message is simple values only, so that a query can say it.
func isFlat(m *wsdl.Message) bool {
	if len(m.Roots) == 0 {
		return true
	}
	if len(m.Roots) > 1 {
		return false
	}
	t := m.Roots[0].Type
	if t.AnyType || t.Any || t.Simple != nil || t.Abstract || t.Array {
		return false
	}
	for _, a := range t.Attrs {
		if a.Required && a.Fixed == "" {
			return false
		}
	}
	return !slices.ContainsFunc(t.Fields, func(f *xsd.Field) bool { return !f.Type.IsSimple() })
}

// Takes all but SOAP itself, which passes through untouched.
func (f *FromJSON) Takes(x *exchange.Exchange) bool { return !speaksSOAP(x.In) }

// speaksSOAP reports whether a client sends an envelope or asks for the description.
func speaksSOAP(r *http.Request) bool {
	if r.Method == http.MethodPost {
		return isSOAP(r.Header)
	}
	return r.Method == http.MethodGet && asksForDescription(r.URL.RawQuery)
}

func isSOAP(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) != 1 {
		return false
	}
	kind, _, _ := strings.Cut(values[0], ";")
	kind = strings.TrimRight(kind, " \t")
	return strings.EqualFold(kind, "text/xml") || strings.EqualFold(kind, "application/soap+xml")
}

// RenderFailure leaves it at problem+json.
func (*FromJSON) RenderFailure(*exchange.Exchange, http.Header) *http.Response { return nil }

// Answer calls an operation.
func (f *FromJSON) Answer(ctx context.Context, x *exchange.Exchange, next backend.Backend) error {
	if f.OpenAPI != "" && x.Path == f.OpenAPI {
		return document(x, f.Document, "application/json")
	}
	c, err := f.find(x)
	if err != nil {
		return err
	}
	t := threads.Get().(*thread)
	defer t.release()
	text, err := f.input(x, c, t)
	if err != nil {
		return err
	}
	body, err := f.envelope(c, t, text)
	if err != nil {
		return refuse(err)
	}
	f.address(x, c, body)
	if err := next.Answer(ctx, x); err != nil {
		return err
	}
	return f.result(x, c, t)
}

// find is the operation that the path names: what follows the route's own segments.
func (f *FromJSON) find(x *exchange.Exchange) (*call, error) {
	name := operationName(x, f.Segments)
	c := f.calls[name]
	if c == nil {
		return nil, &failure.Error{Source: failure.Client, Kind: failure.DestinationNotFound,
			Detail: fmt.Sprintf("There is no operation '%s'.", clip(name))}
	}
	switch x.In.Method {
	case http.MethodPost:
		return c, nil
	case http.MethodGet, http.MethodHead:
		if c.query {
			return c, nil
		}
	}
	refused := failure.Denied(http.StatusMethodNotAllowed, "This operation is called by "+c.allow[0]+".")
	refused.Header = http.Header{"Allow": c.allow}
	return nil, refused
}

func operationName(x *exchange.Exchange, segments int) string {
	rest := x.Out.URL.Opaque
	if rest == x.Path { // no filter has cut the route's own part
		for ; segments > 0; segments-- {
			_, after, found := strings.Cut(rest[1:], "/")
			if !found {
				return ""
			}
			rest = "/" + after
		}
	}
	name, err := url.PathUnescape(strings.TrimPrefix(rest, "/"))
	if err != nil {
		return ""
	}
	return name
}

// input is the JSON of the call: the body, or what the query says.
func (f *FromJSON) input(x *exchange.Exchange, c *call, t *thread) ([]byte, error) {
	if x.In.Method != http.MethodPost {
		return t.fromQuery(c, x.Out.URL.RawQuery)
	}
	if err := checkJSON(x.In.Header); err != nil {
		return nil, err
	}
	text, err := t.read(x.Out.Body, f.MessageBytes)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, failure.Request(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is over the limit of %d bytes.", f.MessageBytes))
	case err != nil:
		return nil, err
	case blank(text):
		return []byte("{}"), nil
	}
	return text, nil
}

func checkJSON(h http.Header) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return failure.Request(http.StatusUnsupportedMediaType, "A compressed body cannot be translated.")
	}
	kind := h.Get("Content-Type")
	if kind == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(kind)
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return failure.Request(http.StatusUnsupportedMediaType, "The body must be application/json.")
	}
	return nil
}

// fromQuery writes the parameters as JSON strings: the schema says which of them are numbers.
func (t *thread) fromQuery(c *call, raw string) ([]byte, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, failure.Request(http.StatusBadRequest, "The query is not well-formed.")
	}
	o := &object{b: t.text[:0]}
	for name, all := range values {
		o.key("", name)
		if i, known := fieldOf(c, name); len(all) == 1 && !(known && i.Many) {
			o.b = appendString(o.b, []byte(all[0]))
			continue
		}
		for n, v := range all {
			o.b = appendString(append(o.b, "[,"[min(n, 1)]), []byte(v))
		}
		o.b = append(o.b, ']')
	}
	t.text = o.end()
	return t.text, nil
}

func fieldOf(c *call, key string) (*xsd.Field, bool) {
	if len(c.Input.Roots) == 0 {
		return nil, false
	}
	typ := c.Input.Roots[0].Type
	i, known := typ.FieldByKey(key)
	if !known {
		return nil, false
	}
	return typ.Fields[i], true
}

// envelope writes the call. The bytes belong to the exchange: an attempt may still be reading them when it has ended.
func (f *FromJSON) envelope(c *call, t *thread, text []byte) ([]byte, error) {
	w := &t.writer
	if err := w.doc.parseJSON(text); err != nil {
		return nil, err
	}
	w.start(make([]byte, 0, len(f.frame.open)+len(text)*2+512), f.MessageBytes)
	w.out = append(w.out, f.frame.open...)
	if len(f.Headers) > 0 || f.Token != nil {
		w.out = append(w.out, "<soapenv:Header>"...)
		for _, h := range f.Headers {
			w.out = append(w.out, h...)
		}
		if f.Token != nil {
			w.out = f.Token.append(w.out)
		}
		w.out = append(w.out, "</soapenv:Header>"...)
	}
	w.out = append(w.out, f.frame.body...)
	if len(c.Input.Roots) == 0 && (w.doc.values[0].kind != jsonObject || w.doc.values[0].count > 0) {
		return nil, fault("this operation has no input: send {}")
	}
	if err := w.message(c.Input); err != nil {
		return nil, within("", err)
	}
	return append(w.out, f.frame.end...), nil
}

// refuse makes a failure of what is wrong with the client's message.
func refuse(err error) error {
	if errors.Is(err, errTooLarge) {
		return failure.Request(http.StatusRequestEntityTooLarge, "The message is over the limit when it is translated.")
	}
	return failure.Request(http.StatusBadRequest, sentence("The input does not fit", err))
}

// sentence is words about an error, with a field's name in straight quotes: it also goes into a header.
func sentence(words string, err error) string {
	return words + ": " + strings.ReplaceAll(strings.TrimSuffix(err.Error(), "."), "`", "'") + "."
}

// address makes Out the call: one POST to the endpoint, whose answer is not compressed, cached or cut.
func (f *FromJSON) address(x *exchange.Exchange, c *call, body []byte) {
	out := x.Out
	out.Method = http.MethodPost
	out.URL.Opaque, out.URL.RawQuery, out.URL.ForceQuery = splitPath(f.Path, out.URL.Opaque)
	out.Body, out.ContentLength, out.Trailer = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	for _, name := range notForService {
		delete(out.Header, name)
	}
	out.Header["Accept-Encoding"] = identity
	if f.port.Version == wsdl.SOAP12 {
		kind := contentType(wsdl.SOAP12)
		if c.Action != "" {
			kind += `; action=` + c.action[0]
		}
		out.Header["Content-Type"], out.Header["Accept"] = []string{kind}, accept12
		return
	}
	out.Header["Content-Type"], out.Header["Accept"] = content11, accept11
	out.Header["Soapaction"] = c.action
}

var (
	identity  = []string{"identity"}
	content11 = []string{contentType(wsdl.SOAP11)}
	accept11  = []string{"text/xml"}
	accept12  = []string{"application/soap+xml"}
	// notForService are fields about a body and an answer that are no more.
	notForService = []string{
		"Content-Encoding", "Content-Language", "Content-Md5", "Content-Digest", "Content-Range", "Range", "If-Match", "If-None-Match",
		"If-Modified-Since", "If-Unmodified-Since", "If-Range", "Expect", "Trailer", "Accept-Language",
	}
)

func splitPath(path, otherwise string) (string, string, bool) {
	if path == "" {
		return otherwise, "", false
	}
	path, query, found := strings.Cut(path, "?")
	return path, query, found && query == ""
}

// result makes the service's envelope the client's answer.
func (f *FromJSON) result(x *exchange.Exchange, c *call, t *thread) error {
	res := x.Response
	data, err := t.readAnswer(res, f.MessageBytes)
	if err != nil {
		return err
	}
	if c.OneWay && res.StatusCode/100 == 2 && blank(data) {
		setBody(res, http.StatusAccepted, "", nil)
		return nil
	}
	if err := isEnvelope(res, data); err != nil {
		return err
	}
	text, status, kind, err := f.translate(x, c, t, data)
	if err != nil {
		return bad(err)
	}
	setBody(res, status, kind, text)
	return nil
}

// isEnvelope refuses answers that are not SOAP before anybody tries to read them as such. A status that says to come back
// later is kept.
func isEnvelope(res *http.Response, data []byte) error {
	encoding := res.Header.Get("Content-Encoding")
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	xmlish := kind == "" || strings.HasSuffix(kind, "/xml") || strings.HasSuffix(kind, "+xml")
	if (res.StatusCode/100 == 2 || res.StatusCode >= 400) && xmlish && !blank(data) && (encoding == "" || encoding == "identity") {
		return nil
	}
	f := &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError,
		Detail: fmt.Sprintf("The service answered with status %d and no SOAP envelope.", res.StatusCode)}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.Status = res.StatusCode
		if after := res.Header["Retry-After"]; after != nil {
			f.Header = http.Header{"Retry-After": after}
		}
	}
	return f
}

// bad is an answer of the service that cannot be understood.
func bad(err error) error {
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError,
		Detail: sentence("The service's answer does not fit its description", err)}
}

// translate reads the envelope. A fault whose detail is not what the description says is read again, as any XML.
func (f *FromJSON) translate(x *exchange.Exchange, c *call, t *thread, data []byte) (text []byte, status int, kind string, err error) {
	r := &t.reader
	start, err := r.open(data)
	if err != nil {
		return nil, 0, "", err
	}
	if isFault(start.Name.Space, start.Name.Local) {
		found, err := r.fault(start, c.Faults)
		if err != nil {
			if start, err = r.open(data); err == nil {
				found, err = r.fault(start, nil)
			}
		}
		if err == nil {
			err = r.finish()
		}
		if err != nil {
			return nil, 0, "", err
		}
		return r.problem(nil, found, x.RequestID), found.status(), "application/problem+json", nil
	}
	if x.Response.StatusCode >= 400 {
		return nil, 0, "", fmt.Errorf("its status is %d and it holds no fault", x.Response.StatusCode)
	}
	if c.OneWay {
		return nil, http.StatusAccepted, "", r.rest(start)
	}
	if len(c.Output.Roots) == 0 {
		return []byte("{}"), http.StatusOK, "application/json", r.rest(start)
	}
	roots, err := r.message(c.Output, start)
	if err != nil {
		return nil, 0, "", within("", err)
	}
	return r.showMessage(make([]byte, 0, len(data)), c.Output, roots), http.StatusOK, "application/json", nil
}

// open begins an envelope and returns the first start tag of its Body; none if that is empty.
func (r *reader) open(data []byte) (start xml.StartElement, err error) {
	r.reset(data)
	if _, err := r.envelope(false); err != nil {
		return start, err
	}
	start, open, err := r.next()
	if err == nil && !open {
		return start, r.finish()
	}
	return start, ended(err)
}

// rest reads over a Body that nobody needs: it must be whole all the same.
func (r *reader) rest(start xml.StartElement) error {
	if start.Name.Local == "" {
		return nil // open has read all
	}
	if err := r.skip(); err != nil {
		return err
	}
	return r.finish()
}

func isFault(space, local string) bool {
	return local == "Fault" && (space == envelope11 || space == envelope12)
}

func setBody(res *http.Response, status int, kind string, body []byte) {
	res.StatusCode = status
	h := res.Header
	for _, name := range notForClient {
		delete(h, name)
	}
	if kind != "" {
		h["Content-Type"] = []string{kind}
	}
	if status >= 400 {
		h["Cache-Control"] = []string{"no-store"}
	}
	res.Trailer, res.ContentLength, res.Body = nil, int64(len(body)), io.NopCloser(bytes.NewReader(body))
}

// notForClient are fields about the service's own bytes.
var notForClient = []string{
	"Content-Type", "Content-Length", "Content-Encoding", "Content-Md5", "Content-Digest", "Repr-Digest", "Etag", "Last-Modified",
	"Accept-Ranges", "Content-Range", "Content-Disposition", "Content-Location", "Trailer", "Soapaction", "Allow",
}

func document(x *exchange.Exchange, body []byte, kind string) error {
	if x.In.Method != http.MethodGet && x.In.Method != http.MethodHead {
		refused := failure.Denied(http.StatusMethodNotAllowed, "This document is read by GET.")
		refused.Header = http.Header{"Allow": {"GET, HEAD"}}
		return refused
	}
	x.Response = &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	return nil
}

// thread is what one translation needs besides its results; it is used again.
type thread struct {
	writer writer
	reader reader
	text   []byte
}

var threads = sync.Pool{New: func() any { return new(thread) }}

// keep is how much memory an idle thread may hold on to.
const keep = 256 << 10

func (t *thread) release() {
	t.writer.out, t.writer.doc.text, t.reader.xml = nil, nil, nil
	if cap(t.text) > keep || cap(t.reader.text) > keep || cap(t.reader.items)*itemSize > keep || cap(t.writer.doc.values)*valueSize > keep {
		return
	}
	threads.Put(t)
}

// Rough sizes in memory, for keep.
const (
	itemSize  = 112
	valueSize = 32
)

// readAnswer takes all of a service's answer. What it returns is good until the next read.
func (t *thread) readAnswer(res *http.Response, limit int) ([]byte, error) {
	defer func() { _ = res.Body.Close() }()
	data, err := t.read(res.Body, limit)
	if errors.Is(err, errTooLarge) {
		return nil, bad(fmt.Errorf("it is over the limit of %d bytes", limit))
	}
	return data, err
}

// read takes all of a body, up to a limit. What it returns is good until the next read.
func (t *thread) read(body io.Reader, limit int) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	b := t.text[:0]
	if cap(b) == 0 {
		b = make([]byte, 0, 4<<10)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		t.text = b
		switch {
		case limit > 0 && len(b) > limit:
			return nil, errTooLarge
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, err
		}
	}
}

func (w *writer) start(out []byte, limit int) {
	if limit <= 0 {
		limit = 1 << 31
	}
	w.out, w.spaces, w.limit, w.around = out, w.spaces[:0], limit*2+(64<<10), ""
	w.heads, w.counts, w.lenient = w.heads[:0], w.counts[:0], false
}

// Package transform is the filter transform: it changes the body of the request that is forwarded, of the answer, or of
// both.
//
// A body is read whole, up to `maxBytes`, as what `from` says: JSON, XML or a form. Then the jq program of `jq`, if there is
// one, makes another document of it, and the outcome is written as what `to` says, or as `template` says: a text with
// references to the document, {body.items[0].id}, and to the request, {id}, {query.x}, {header.x}, {consumer}. XML and JSON
// become each other as docs/tasks/transform.md shows. What was not touched keeps its digits.
//
// Nothing passes untransformed that was meant to be transformed. A request of another type is a 415, one that cannot be read
// or does not fit the program a 400, one that is too long a 413. An answer with a 2xx status that is of another type, coded,
// partial, malformed, too long, or does not fit is a 502. Answers of other statuses pass as they are, and so do messages
// without a body and the gateway's own failures.
//
// With an answer to transform, the service is asked for the whole and for no coding; a strong ETag becomes a weak one, and
// digests are dropped. Streams cannot be transformed: they have no end.
package transform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/template"
)

// Config changes the body of the request that is forwarded, of the answer, or of both.
type Config struct {
	// Request is what becomes of the client's body.
	Request *Body `yaml:"request"`
	// Response is what becomes of the answer's body, if its status is 2xx.
	Response *Body `yaml:"response"`
}

// Body is what becomes of one body: read, put through a program if there is one, and written.
type Body struct {
	// From is what the body is: json, xml, or form. One of another type is refused.
	From string `yaml:"from" default:"json" enum:"json,xml,form"`
	// JQ is a jq program that makes the document to write of the one that was read.
	JQ string `yaml:"jq"`
	// To is what is written: json, xml, or form.
	To string `yaml:"to" default:"json" enum:"json,xml,form"`
	// Template is a text to write in place of `to`, with references to the document ({body.x}) and to the request.
	Template string `yaml:"template"`
	// ContentType is the type of what is written. Absent: that of `to`, and application/json for a template.
	ContentType string `yaml:"contentType"`
	// Root is the name of the XML element around a document that has none of its own.
	Root string `yaml:"root" default:"root"`
	// MaxBytes bounds the body that is read, and the one that is written.
	MaxBytes filter.Size `yaml:"maxBytes" default:"1MiB" min:"1" max:"64MiB"`
	// Depth bounds how deep the body may be nested.
	Depth int `yaml:"depth" default:"64" min:"1" max:"512"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("transform", filter.Transform, New) }

// Filter is one transform.
type Filter struct {
	request, response *change
	captures          []string
}

var (
	_ filter.RequestFilter  = (*Filter)(nil)
	_ filter.ResponseFilter = (*Filter)(nil)
)

// New makes the filter.
func New(_ filter.Env, c Config) (filter.Filter, error) {
	if c.Request == nil && c.Response == nil {
		return nil, errors.New("write request or response: transform without either does nothing")
	}
	f := new(Filter)
	var errs [2]error
	f.request, errs[0] = f.change("request", c.Request)
	f.response, errs[1] = f.change("response", c.Response)
	return f, errors.Join(errs[:]...)
}

// Captures are the names of the segments that the route's pattern must bind.
func (f *Filter) Captures() []string { return f.captures }

// change is a Body made ready.
type change struct {
	Body
	program     *document.Program
	template    *template.Template
	contentType []string
}

var mediaTypes = map[string]string{"json": "application/json", "xml": "application/xml", "form": "application/x-www-form-urlencoded"}

func (f *Filter) change(key string, b *Body) (*change, error) {
	if b == nil {
		return nil, nil
	}
	c := &change{Body: *b}
	var errs []error
	wrong := func(at string, err error) {
		if err != nil {
			errs = append(errs, filter.Setting(key+"."+at, "%w", err))
		}
	}
	if b.JQ != "" {
		var err error
		c.program, err = document.NewProgram(b.JQ)
		wrong("jq", err)
	}
	if c.ContentType == "" {
		c.ContentType = mediaTypes[b.To]
	}
	media, _, err := mime.ParseMediaType(c.ContentType)
	if err != nil || !httpguts.ValidHeaderFieldValue(c.ContentType) {
		wrong("contentType", fmt.Errorf("%q is no media type", c.ContentType))
	}
	c.contentType = []string{c.ContentType}
	if _, err := document.AppendXML(nil, document.Value(`{"a":1,"b":2}`), b.Root); err != nil {
		wrong("root", err)
	}
	if b.Template != "" {
		c.template, err = f.parse(b.Template, template.PlaceOf(media))
		wrong("template", err)
	} else if b.JQ == "" && b.From == b.To {
		wrong("to", errors.New("the body would stay as it is: write to, jq or template"))
	}
	return c, errors.Join(errs...)
}

// parse reads a template. Which segments the route binds is checked when the route is known.
func (f *Filter) parse(text string, place template.Place) (*template.Template, error) {
	t, err := template.Parse(text, place)
	if err != nil {
		return nil, err
	}
	var captures []string
	for _, r := range t.References() {
		if r.IsExternal() && r.Root != "body" {
			captures = append(captures, r.Root)
		}
	}
	f.captures = append(f.captures, captures...)
	return t, t.Bind(captures, func(r *template.Reference) (int, bool) { return 0, r.Root == "body" }, nil)
}

// fits reports whether a message's Content-Type is what the change reads. None at all is taken at its word.
func (c *change) fits(h http.Header) bool {
	said := h["Content-Type"]
	if len(said) == 0 {
		return true
	}
	media, parameters, err := mime.ParseMediaType(said[0])
	if charset := strings.ToLower(parameters["charset"]); err != nil || charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return false
	}
	switch c.From {
	case "xml":
		return document.IsXML(media)
	case "form":
		return document.IsForm(media)
	}
	return document.IsJSON(media)
}

var (
	errTooLong = errors.New("the body is longer than maxBytes")
	errProgram = errors.New("the document does not fit the program or the form it is to be written in")
)

// apply makes the new body of the old one. The error is errTooLong, errProgram with a cause, what reading said, or what is
// wrong with the body.
func (c *change) apply(ctx context.Context, x *exchange.Exchange, body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, int64(c.MaxBytes)+1))
	if err != nil {
		return nil, err
	}
	if len(text) > int(c.MaxBytes) {
		return nil, errTooLong
	}
	v, err := c.read(text)
	if err != nil {
		return nil, err
	}
	if c.program != nil {
		if v, err = c.program.Run(ctx, v, int(c.MaxBytes)); err != nil {
			return nil, fmt.Errorf("%w: %w", errProgram, err)
		}
	}
	out, err := c.write(v, x)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProgram, err)
	}
	if len(out) > int(c.MaxBytes) {
		return nil, errTooLong
	}
	return out, nil
}

func (c *change) read(text []byte) (document.Value, error) {
	switch c.From {
	case "xml":
		return document.FromXML(text, c.Depth)
	case "form":
		return document.FromForm(text)
	}
	return document.Parse(text, c.Depth)
}

func (c *change) write(v document.Value, x *exchange.Exchange) ([]byte, error) {
	switch {
	case c.template != nil:
		return c.template.Append(nil, source{v, x})
	case c.To == "xml":
		return document.AppendXML(nil, v, c.Root)
	case c.To == "form":
		return document.AppendForm(nil, v)
	}
	return v, nil
}

// source finds what a template refers to.
type source struct {
	body document.Value
	x    *exchange.Exchange
}

func (s source) Find(r *template.Reference) template.Value {
	if r.IsExternal() && r.Slot != template.Captured {
		v, _ := s.body.Get(r.Path)
		return template.Of(v)
	}
	return template.FromRequest(s.x, r)
}

// OnRequest changes the body that will be forwarded.
func (f *Filter) OnRequest(ctx context.Context, x *exchange.Exchange) error {
	out := x.Out
	if f.response != nil {
		out.Header["Accept-Encoding"] = identity
		delete(out.Header, "Range")
		delete(out.Header, "If-Range")
	}
	c := f.request
	if c == nil || out.Body == nil || out.Body == http.NoBody || out.ContentLength == 0 {
		return nil
	}
	if !c.fits(out.Header) || coded(out.Header) {
		return failure.Request(http.StatusUnsupportedMediaType, "The body must be "+c.From+", not compressed.")
	}
	if out.ContentLength > int64(c.MaxBytes) {
		return tooLarge
	}
	body, err := c.apply(ctx, x, out.Body)
	if err != nil {
		return refused(err)
	}
	out.Body, out.ContentLength, out.Trailer = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	out.Header["Content-Type"] = c.contentType
	dropDigests(out.Header)
	return nil
}

var (
	identity = []string{"identity"}
	tooLarge = failure.Request(http.StatusRequestEntityTooLarge, "The body is too long to be transformed.")
)

// refused is what a client is told of its body.
func refused(err error) error {
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f // it could not be received
	}
	switch {
	case errors.Is(err, errTooLong) || errors.Is(err, document.ErrResultTooLarge):
		return tooLarge
	case errors.Is(err, errProgram):
		return &failure.Error{Source: failure.Client, Kind: failure.HTTPRequestError, Detail: "The body is not what is expected here.", Err: err}
	}
	return failure.Request(http.StatusBadRequest, "The body cannot be read: "+err.Error()+".")
}

// OnResponse changes the body of the answer.
func (f *Filter) OnResponse(ctx context.Context, x *exchange.Exchange) error {
	c, res := f.response, x.Response
	if c == nil || x.Failure != nil || res.StatusCode < 200 || res.StatusCode > 299 ||
		res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusResetContent {
		return nil
	}
	if res.StatusCode == http.StatusPartialContent || !c.fits(res.Header) || coded(res.Header) {
		return bad("The answer is not whole, not "+c.From+", or compressed, and cannot be transformed.", nil)
	}
	if x.In.Method != http.MethodHead {
		if res.ContentLength > int64(c.MaxBytes) {
			return tooLong
		}
		body, err := c.apply(ctx, x, res.Body)
		if err != nil {
			return spoiled(err)
		}
		res.Body.Close()
		res.Body, res.ContentLength, res.Trailer = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		if len(body) == 0 {
			res.Body = http.NoBody
		}
	} else {
		res.ContentLength = -1 // nobody knows without the body
	}
	delete(res.Header, "Content-Length")
	res.Header["Content-Type"] = c.contentType
	dropDigests(res.Header)
	weaken(res.Header)
	return nil
}

var tooLong = &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseBodySize, Detail: "The answer is too long to be transformed."}

func bad(detail string, err error) error {
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: detail, Err: err}
}

// spoiled is what becomes of an answer that could not be transformed. Nothing of it is shown.
func spoiled(err error) error {
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f
	}
	switch {
	case errors.Is(err, errTooLong) || errors.Is(err, document.ErrResultTooLarge):
		return tooLong
	case errors.Is(err, errProgram):
		return &failure.Error{Kind: failure.ProxyConfiguration, Status: http.StatusBadGateway, Detail: "The answer does not fit its transform.", Err: err}
	}
	return bad("The answer cannot be read, and so not be transformed.", err)
}

func coded(h http.Header) bool {
	coding := h["Content-Encoding"]
	return len(coding) > 0 && !strings.EqualFold(coding[0], "identity")
}

// dropDigests removes what spoke of the body that was (RFC 9530), and the offer of its ranges.
func dropDigests(h http.Header) {
	for _, name := range [...]string{"Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges"} {
		delete(h, name)
	}
}

// weaken makes a strong validator weak: the bytes are others now (RFC 9110 section 8.8.1).
func weaken(h http.Header) {
	if tag := h["Etag"]; len(tag) > 0 && strings.HasPrefix(tag[0], `"`) {
		h["Etag"] = []string{"W/" + tag[0]}
	}
}

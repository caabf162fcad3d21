package soap

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/backend/translate"
	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// ToREST lets SOAP clients call a service that speaks HTTP with JSON. The description is served with our address. What
// fails is told as a fault, in the version of SOAP that the client speaks.
type ToREST struct {
	limit    int
	byRoot   map[xml.Name]*mapped
	byAction map[string]*mapped
	pages    map[string]*wsdl.Page
	frames   [2]frame // by version
}

// mapped is an operation and the request that it becomes.
type mapped struct {
	*wsdl.Operation
	*Mapping
}

var _ translate.Translator = (*ToREST)(nil)

// NewToREST makes the translator of some ports of a description. mappings are by the name of the operation; one that has none is
// DefaultMapping.
func NewToREST(m *wsdl.Model, ports []*wsdl.Port, mappings map[string]*Mapping, messageBytes int) *ToREST {
	t := &ToREST{
		limit: messageBytes, byRoot: make(map[xml.Name]*mapped), byAction: make(map[string]*mapped), pages: m.Pages(),
		frames: [2]frame{newFrame(wsdl.SOAP11), newFrame(wsdl.SOAP12)},
	}
	for _, port := range ports {
		for _, op := range port.Operations {
			how := mappings[op.Name]
			if how == nil {
				how = DefaultMapping(op.Name)
			}
			t.add(&mapped{op, how})
		}
	}
	return t
}

func (t *ToREST) add(m *mapped) {
	if len(m.Input.Roots) > 0 {
		if name := m.Input.Roots[0].Name; t.byRoot[name] == nil {
			t.byRoot[name] = m
		}
	}
	if m.Action != "" && t.byAction[m.Action] == nil {
		t.byAction[m.Action] = m
	}
}

// Takes envelopes and those who ask for the description. All else is HTTP already and passes through untouched.
func (*ToREST) Takes(x *exchange.Exchange) bool { return speaksSOAP(x.In) }

func asksForDescription(query string) bool {
	for _, name := range []string{"wsdl", "xsd"} {
		if len(query) >= len(name) && strings.EqualFold(query[:len(name)], name) && (len(query) == len(name) || query[len(name)] == '=') {
			return true
		}
	}
	return false
}

// versionOf is the SOAP that a request's content type is of.
func versionOf(h http.Header) wsdl.Version {
	kind := h.Get("Content-Type")
	if len(kind) >= len("application/") && strings.EqualFold(kind[:len("application/")], "application/") {
		return wsdl.SOAP12
	}
	return wsdl.SOAP11
}

// Answer carries one call.
func (t *ToREST) Answer(ctx context.Context, x *exchange.Exchange, next backend.Backend) error {
	if x.In.Method == http.MethodGet {
		return t.describe(x)
	}
	th := threads.Get().(*thread)
	defer th.release()
	op, version, text, err := t.call(x, th)
	if err != nil {
		return err
	}
	if err := op.request(x, &th.writer.doc, text); err != nil {
		return clientFault(err)
	}
	if err := next.Answer(ctx, x); err != nil {
		return err
	}
	return t.answer(x, op, version, th)
}

// describe serves the description, or a schema that it imports.
func (t *ToREST) describe(x *exchange.Exchange) error {
	page := t.pages[strings.ToLower(x.In.URL.RawQuery)]
	if page == nil {
		return &failure.Error{Source: failure.Client, Kind: failure.DestinationNotFound, Detail: "There is no such part of the description."}
	}
	return document(x, page.Append(nil, string(appendXML(nil, addressOf(x)))), "text/xml; charset=utf-8")
}

// addressOf is where the client found us.
func addressOf(x *exchange.Exchange) string {
	host := x.Host
	if x.Port != "" && !(x.Scheme == "http" && x.Port == "80" || x.Scheme == "https" && x.Port == "443") {
		host += ":" + x.Port
	}
	return x.Scheme + "://" + host + x.Path
}

// call reads the envelope: which operation it calls, and its input as JSON.
func (t *ToREST) call(x *exchange.Exchange, th *thread) (op *mapped, version wsdl.Version, text []byte, err error) {
	if encoding := x.In.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, 0, nil, failure.Request(http.StatusUnsupportedMediaType, "A compressed body cannot be translated.")
	}
	data, err := th.read(x.Out.Body, t.limit)
	if errors.Is(err, errTooLarge) {
		err = failure.Request(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is over the limit of %d bytes.", t.limit))
	}
	if err != nil {
		return nil, 0, nil, err
	}
	r := &th.reader
	r.reset(data)
	if version, err = r.envelope(true); err != nil {
		return nil, 0, nil, clientFault(err)
	}
	start, open, err := r.next()
	if err != nil {
		return nil, 0, nil, clientFault(ended(err))
	}
	if !open {
		start = xml.StartElement{}
	}
	if op = t.find(x.In.Header, start.Name); op == nil {
		return nil, 0, nil, clientFault(fmt.Errorf("there is no operation `%s`", clip(start.Name.Local)))
	}
	if text, err = input(r, op, start, open); err != nil {
		return nil, 0, nil, clientFault(within("", err))
	}
	return op, version, text, nil
}

func input(r *reader, op *mapped, start xml.StartElement, open bool) ([]byte, error) {
	if len(op.Input.Roots) == 0 {
		if open {
			return []byte("{}"), r.rest(start)
		}
		return []byte("{}"), r.finish()
	}
	if !open {
		return nil, errors.New("the Body is empty")
	}
	roots, err := r.message(op.Input, start)
	if err != nil {
		return nil, err
	}
	return r.showMessage(nil, op.Input, roots), nil
}

// find is the operation of a call: by its action where that fits what stands in the Body, else by what stands there.
func (t *ToREST) find(h http.Header, root xml.Name) *mapped {
	if op := t.byAction[actionOf(h)]; op != nil {
		if len(op.Input.Roots) == 0 || op.Input.Roots[0].Name == root {
			return op
		}
	}
	return t.byRoot[root]
}

// actionOf is the SOAPAction of 1.1 or the action parameter of 1.2.
func actionOf(h http.Header) string {
	if action := h["Soapaction"]; len(action) == 1 {
		return strings.Trim(action[0], `"`)
	}
	_, parameters, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return parameters["action"]
}

// clientFault is a mistake of the client's, with the code that SOAP has for it.
func clientFault(err error) error {
	f := failure.Request(http.StatusBadRequest, sentence("The call does not fit the description", err))
	f.Err = err
	var header *notUnderstood
	switch {
	case errors.As(err, &header):
		f.Detail = sentence("Refused", err)
	case errors.Is(err, errVersion):
		f.Detail = "Only SOAP 1.1 and 1.2 are spoken here."
	}
	return f
}

func codeOf(f *failure.Error) faultCode {
	var header *notUnderstood
	switch {
	case errors.As(f.Err, &header):
		return mustUnderstand
	case errors.Is(f.Err, errVersion):
		return versionMismatch
	case f.Code() < 500:
		return client
	}
	return server
}

// RenderFailure tells a failure as a fault, whoever failed: a filter, the service, we ourselves.
func (t *ToREST) RenderFailure(x *exchange.Exchange, header http.Header) *http.Response {
	f := x.Failure
	if x.In.Method != http.MethodPost {
		return nil // who asks for the description reads HTTP
	}
	reason := f.Detail
	if reason == "" {
		reason = http.StatusText(f.Code()) + "."
	}
	detail := string(f.Kind)
	version := versionOf(x.In.Header)
	if errors.Is(f.Err, errVersion) {
		version = wsdl.SOAP11 // SOAP 1.2 section 5.4.7: to a version unknown the oldest answers
	}
	return t.fault(version, codeOf(f), f.Code(), reason, "<error xmlns=\"urn:sluice:failure\">"+detail+"</error>", header)
}

// fault is the answer that holds a fault. SOAP 1.1 sends faults with 500 and 1.2 with 400 or 500; a status that tells HTTP
// what to do (log in, come back later) stays.
func (t *ToREST) fault(v wsdl.Version, code faultCode, status int, reason, detail string, header http.Header) *http.Response {
	switch {
	case slices.Contains(statusesOfHTTP, status):
	case v == wsdl.SOAP12 && code == client:
		status = http.StatusBadRequest
	default:
		status = http.StatusInternalServerError
	}
	body := t.frames[v].appendFault(nil, code, reason, detail)
	header["Content-Type"] = []string{contentType(v)}
	header["Cache-Control"] = []string{"no-store"}
	if status == http.StatusServiceUnavailable && header["Retry-After"] == nil {
		header["Retry-After"] = []string{"1"}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
}

var statusesOfHTTP = []int{
	http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
	http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
	http.StatusGatewayTimeout,
}

// answer makes the service's JSON the output message.
func (t *ToREST) answer(x *exchange.Exchange, op *mapped, v wsdl.Version, th *thread) error {
	res := x.Response
	data, err := th.readAnswer(res, t.limit)
	if err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		t.refused(x, v, data)
		return nil
	}
	if op.OneWay {
		setBody(res, http.StatusAccepted, "", nil)
		return nil
	}
	body, err := t.output(res, op, v, th, data)
	if err != nil {
		return bad(err)
	}
	setBody(res, http.StatusOK, contentType(v), body)
	return nil
}

// refused tells a status of the service as a fault. Its body is told only where it is meant for clients: a problem.
func (t *ToREST) refused(x *exchange.Exchange, v wsdl.Version, data []byte) {
	res := x.Response
	code := server
	if res.StatusCode >= 400 && res.StatusCode < 500 {
		code = client
	}
	reason := fmt.Sprintf("The service answered with status %d.", res.StatusCode)
	if text := problemText(res.Header, data); text != "" {
		reason = text
	}
	header := make(http.Header, 4)
	for _, name := range []string{"Www-Authenticate", "Retry-After", "Allow", "Set-Cookie"} {
		if values := res.Header[name]; values != nil {
			header[name] = values
		}
	}
	x.Response = t.fault(v, code, res.StatusCode, reason, `<status xmlns="urn:sluice:failure">`+strconv.Itoa(res.StatusCode)+`</status>`, header)
}

// problemText is what a problem document (RFC 9457) says to people.
func problemText(h http.Header, data []byte) string {
	if kind, _, _ := mime.ParseMediaType(h.Get("Content-Type")); kind != "application/problem+json" {
		return ""
	}
	var problem struct{ Title, Detail string }
	if json.Unmarshal(data, &problem) != nil {
		return ""
	}
	return cmp.Or(problem.Detail, problem.Title)
}

func (t *ToREST) output(res *http.Response, op *mapped, v wsdl.Version, th *thread, data []byte) ([]byte, error) {
	switch {
	case blank(data):
		data = []byte("{}")
	case !isJSON(res.Header):
		return nil, errors.New("it is not application/json")
	}
	w, f := &th.writer, &t.frames[v]
	data = op.wrapped(data)
	if err := w.doc.parseJSON(data); err != nil {
		return nil, err
	}
	w.start(make([]byte, 0, len(data)*2+512), t.limit)
	w.lenient = true
	w.out = append(append(w.out, f.open...), f.body...)
	if err := w.message(op.Output); err != nil {
		return nil, within("", err)
	}
	return append(w.out, f.end...), nil
}

func isJSON(h http.Header) bool {
	if encoding := h.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return false
	}
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// wrapped puts the answer where the mapping says, or where it must belong: in the only element that there is.
func (m *mapped) wrapped(data []byte) []byte {
	key := m.Mapping.Answer
	if key == "" {
		if first := bytes.TrimLeft(data, " \t\r\n"); first[0] == '{' {
			return data
		}
		if key = onlyField(m.Output); key == "" {
			return data
		}
	}
	o := &object{b: make([]byte, 0, len(data)+len(key)+8)}
	o.key("", key)
	o.b = append(o.b, data...)
	return o.end()
}

func onlyField(m *wsdl.Message) string {
	if len(m.Roots) != 1 {
		return ""
	}
	if t := m.Roots[0].Type; t.Simple == nil && !t.AnyType && len(t.Fields) == 1 && len(t.Attrs) == 0 {
		return t.Fields[0].Key
	}
	return ""
}

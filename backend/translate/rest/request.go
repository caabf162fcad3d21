package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/httprule"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// send makes x.Out the HTTP request that the client's message means. A status other than OK is the client's to know.
func (t *Translator) send(x *exchange.Exchange, m *method) (grpc.Status, error) {
	message, status, err := t.readMessage(x)
	if err != nil || status.Code != grpc.OK {
		return status, err
	}
	text, err := m.input.AppendJSON(nil, message)
	if err != nil {
		return invalid("The message cannot be read."), nil
	}
	var all any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return grpc.Status{}, err
	}
	fields, isObject := all.(map[string]any)
	if !isObject && m.method.Input.Fields().Len() == 1 { // a wrapper, which JSON writes as its one value
		fields = map[string]any{m.method.Input.Fields().Get(0).JSONName(): all}
	}
	path, problem := m.path(fields)
	if problem != "" {
		return invalid(problem), nil
	}
	body, contentType, err := m.bodyOf(all, fields)
	if err != nil {
		return grpc.Status{}, err
	}
	out := x.Out
	setHeader(out.Header, contentType)
	out.Method, out.URL.Opaque, out.URL.ForceQuery = m.verb, path, false
	out.URL.RawQuery = ""
	if m.body != "*" {
		out.URL.RawQuery = queryOf(fields, m.method.Input)
	}
	out.Body, out.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	return grpc.Status{}, nil
}

func invalid(message string) grpc.Status {
	return grpc.Status{Code: grpc.InvalidArgument, Message: message}
}

// readMessage reads the one message of the call.
func (t *Translator) readMessage(x *exchange.Exchange) ([]byte, grpc.Status, error) {
	encoding := first(x.In.Header, "Grpc-Encoding")
	if encoding != "" && encoding != "identity" && encoding != "gzip" {
		return nil, grpc.Status{Code: grpc.Unimplemented, Message: "Messages may be compressed with gzip, and with nothing else."}, nil
	}
	from := io.Reader(http.NoBody)
	if x.Out.Body != nil {
		from = x.Out.Body
	}
	frames := grpc.Reader{From: from, Limit: t.options.MessageBytes, Gzip: encoding == "gzip"}
	message, err := frames.Only()
	if large, ok := errors.AsType[*grpc.TooLargeError](err); ok {
		return nil, grpc.Status{Code: grpc.ResourceExhausted, Message: "The message is over the limit of " + strconv.Itoa(large.Limit) + " bytes."}, nil
	}
	switch err {
	case nil:
		return message, grpc.Status{}, nil
	case io.EOF, grpc.ErrHalfFrame, grpc.ErrFlags, grpc.ErrManyFrames, grpc.ErrCompression:
		return nil, grpc.Status{Code: grpc.Internal, Message: "The call does not have the one message that is due."}, nil
	}
	if _, ok := errors.AsType[*failure.Error](err); !ok {
		return nil, invalid("The message cannot be unpacked."), nil
	}
	return nil, grpc.Status{}, err
}

// path takes the variables of the path out of the fields. problem says why they make none.
func (m *method) path(fields map[string]any) (path, problem string) {
	var b strings.Builder
	t, v := m.template, 0
	for i := 0; i < len(t.Segments); {
		b.WriteByte('/')
		if v == len(t.Variables) || t.Variables[v].From != i {
			if t.Segments[i].Kind != httprule.Literal {
				return "", "The path has a place that no field fills."
			}
			b.WriteString(url.PathEscape(t.Segments[i].Literal))
			i++
			continue
		}
		variable := &t.Variables[v]
		name := strings.Join(variable.Field, ".")
		value := take(fields, m.variables[v].Names())
		text, ok := textOf(value, m.variables[v].Descriptor())
		if !ok || text == "" {
			return "", "The field " + name + " is empty, and the path needs it."
		}
		if !fits(t.Segments[variable.From:variable.To], text, variable.Multi(t)) {
			return "", "The field " + name + " does not have the form that the path needs."
		}
		b.WriteString(escape(text, variable.Multi(t)))
		i = variable.To
		v++
	}
	if b.Len() == 0 {
		b.WriteByte('/')
	}
	if t.Verb != "" {
		b.WriteString(":" + escape(t.Verb, false))
	}
	path, err := exchange.CanonicalPath(b.String())
	if err != nil || path != b.String() {
		return "", "The message's fields make no path." // dot segments and the like must not lead elsewhere
	}
	return path, ""
}

// take removes the value at a path of names, and is nil if there is none.
func take(fields map[string]any, names []string) any {
	for _, name := range names[:len(names)-1] {
		inner, ok := fields[name].(map[string]any)
		if !ok {
			return nil
		}
		fields = inner
	}
	last := names[len(names)-1]
	value := fields[last]
	delete(fields, last)
	return value
}

// textOf is a JSON value as text. A field that is not there has its default, if that is any text.
func textOf(value any, d protoreflect.FieldDescriptor) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i], _ = textOf(item, d)
		}
		return strings.Join(parts, ","), true
	case nil:
		return defaultText(d)
	}
	return "", false
}

func defaultText(d protoreflect.FieldDescriptor) (string, bool) {
	if d.IsList() || d.IsMap() || d.Message() != nil {
		return "", false
	}
	switch d.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return "", false
	case protoreflect.BoolKind:
		return "false", true
	case protoreflect.EnumKind:
		return string(d.Enum().Values().Get(0).Name()), true
	}
	return "0", true
}

// escape percent-encodes all but what google/api/http.proto leaves: unreserved characters, and of several segments the
// slashes between them. A %2F is one that was no separator when it came, and stays.
func escape(s string, multi bool) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~', multi && c == '/':
			b = append(b, c)
		case multi && strings.HasPrefix(s[i:], "%2F"):
			b = append(b, "%2F"...)
			i += 2
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// fits reports whether a value has the segments that its variable takes.
func fits(segments []httprule.Segment, value string, multi bool) bool {
	if !multi {
		return segments[0].Kind != httprule.Literal || segments[0].Literal == value
	}
	parts := strings.Split(value, "/")
	for i, s := range segments {
		switch s.Kind {
		case httprule.Rest:
			return true
		case httprule.Literal:
			if i >= len(parts) || parts[i] != s.Literal {
				return false
			}
		default:
			if i >= len(parts) || parts[i] == "" {
				return false
			}
		}
	}
	return len(parts) == len(segments)
}

// bodyOf takes the body out of the fields.
func (m *method) bodyOf(all any, fields map[string]any) (body []byte, contentType string, err error) {
	var value any
	switch m.body {
	case "":
		return nil, "", nil
	case "*":
		value = all // fields, unless the message is written as another value
	default:
		value = fields[m.body]
		delete(fields, m.body)
	}
	if m.rawIn {
		raw, _ := value.(map[string]any)
		data, _ := raw["data"].(string)
		contentType, _ = raw["contentType"].(string)
		body, err = base64.StdEncoding.DecodeString(data)
		return body, contentType, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if value == nil {
		value = map[string]any{}
	}
	err = e.Encode(value)
	return bytes.TrimRight(b.Bytes(), "\n"), "application/json", err
}

// queryOf writes what is left as parameters: a.b=1 for messages inside, one for each item of a list, a[key]=1 for maps. A
// list of messages has no such form; the rule should have made it the body.
func queryOf(fields map[string]any, message protoreflect.MessageDescriptor) string {
	var pairs []string
	var walk func(name string, value any, of protoreflect.MessageDescriptor)
	walk = func(name string, value any, of protoreflect.MessageDescriptor) {
		switch v := value.(type) {
		case map[string]any:
			for key, inner := range v {
				walkMember(walk, name, key, inner, of)
			}
		case []any:
			for _, item := range v {
				walk(name, item, of)
			}
		case string:
			pairs = append(pairs, url.QueryEscape(name)+"="+url.QueryEscape(v))
		case json.Number:
			pairs = append(pairs, url.QueryEscape(name)+"="+v.String())
		case bool:
			pairs = append(pairs, url.QueryEscape(name)+"="+strconv.FormatBool(v))
		}
	}
	walk("", fields, message)
	slices.SortStableFunc(pairs, func(a, b string) int { // equal messages ask equal questions; items keep their order
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return strings.Compare(nameA, nameB)
	})
	return strings.Join(pairs, "&")
}

// walkMember goes on with a member of an object: a field of a message, or an entry of a map, whose message is nil.
func walkMember(walk func(string, any, protoreflect.MessageDescriptor), name, key string, inner any, of protoreflect.MessageDescriptor) {
	if of == nil {
		walk(name+"["+key+"]", inner, nil)
		return
	}
	if name != "" {
		name += "."
	}
	name += key
	f := of.Fields().ByJSONName(key)
	if f == nil || f.IsMap() {
		walk(name, inner, nil)
		return
	}
	walk(name, inner, f.Message())
}

// setHeader makes metadata the fields of an HTTP request: all of it, under its own names, but for what is gRPC's.
func setHeader(h http.Header, contentType string) {
	for name := range h {
		if strings.HasPrefix(name, "Grpc-") && name != "Grpc-Timeout" {
			delete(h, name)
		}
	}
	delete(h, "Te")
	delete(h, "Content-Type")
	if contentType != "" {
		h["Content-Type"] = []string{headerValue(contentType)}
	}
	h["Accept"] = []string{"application/json"}
	h["Accept-Encoding"] = []string{"identity"}
}

// headerValue drops what a header field cannot carry.
func headerValue(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// Fields of google.api.HttpBody.
const rawType, rawData = 1, 2

func appendRaw(to []byte, contentType string, data []byte) []byte {
	if contentType != "" {
		to = protowire.AppendString(protowire.AppendTag(to, rawType, protowire.BytesType), strings.ToValidUTF8(contentType, ""))
	}
	if len(data) > 0 {
		to = protowire.AppendBytes(protowire.AppendTag(to, rawData, protowire.BytesType), data)
	}
	return to
}

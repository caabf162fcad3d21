package soap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
	"github.com/sluice-gateway/sluice/exchange"
)

// A Mapping is the request that a call of an operation becomes.
type Mapping struct {
	Method string
	Body   string // the field that is the body; "": what is not in the path
	Answer string // the field of the output that the answer is; "": the output itself
	parts  []part
}

// part is a piece of a path template: text, or the field that stands there.
type part struct {
	text  string
	field []string // the way to it; nil: text
	query bool     // it stands behind the question mark
}

// noBody, as Mapping.Body, sends none.
const noBody = "none"

// DefaultMapping posts the input to /operation.
func DefaultMapping(operation string) *Mapping {
	return &Mapping{Method: http.MethodPost, parts: []part{{text: "/" + url.PathEscape(operation)}}}
}

// NewMapping reads a mapping and holds it against its operation. The error begins with the key it is about.
func NewMapping(op *wsdl.Operation, method, path, body, answer string) (*Mapping, *MappingError) {
	m := DefaultMapping(op.Name)
	m.Body, m.Answer = body, answer
	if method != "" {
		m.Method = method
	}
	if path != "" {
		var err error
		if m.parts, err = template(path); err != nil {
			return nil, &MappingError{"path", err.Error()}
		}
	}
	for _, p := range m.parts {
		if p.field != nil {
			if err := isScalar(op.Input, p.field); err != nil {
				return nil, &MappingError{"path", err.Error()}
			}
		}
	}
	if body != "" && body != noBody && !hasField(op.Input, body) {
		return nil, &MappingError{"body", fmt.Sprintf("the input has no field `%s`%s", clip(body), fieldsOf(op.Input))}
	}
	if answer != "" && (op.OneWay || !hasField(op.Output, answer)) {
		return nil, &MappingError{"answer", fmt.Sprintf("the output has no field `%s`%s", clip(answer), fieldsOf(op.Output))}
	}
	return m, nil
}

// A MappingError is what is wrong with a mapping, and the key it is under.
type MappingError struct{ Key, Reason string }

func (e *MappingError) Error() string { return e.Key + ": " + e.Reason }

// template reads a path with {field} and {outer.inner} in it.
func template(path string) ([]part, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("a path begins with `/`")
	}
	var parts []part
	query := false
	for path != "" {
		text, rest, found := strings.Cut(path, "{")
		if strings.ContainsAny(text, "}#") {
			return nil, errors.New("a `}` without `{`, or a `#`")
		}
		if text != "" {
			parts = append(parts, part{text: text, query: query})
			query = query || strings.Contains(text, "?")
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" {
			return nil, errors.New("a `{` without `}`")
		}
		parts = append(parts, part{field: strings.Split(name, "."), query: query})
		path = after
	}
	return parts, nil
}

func rootType(m *wsdl.Message) *xsd.Type {
	if m == nil || len(m.Roots) != 1 {
		return nil
	}
	return m.Roots[0].Type
}

func hasField(m *wsdl.Message, key string) bool {
	t := rootType(m)
	if t == nil {
		return false
	}
	_, known := t.FieldByKey(key)
	return known || t.AnyType
}

func fieldsOf(m *wsdl.Message) string {
	t := rootType(m)
	if t == nil || len(t.Fields) == 0 || len(t.Fields) > 10 {
		return ""
	}
	var names []string
	for _, f := range t.Fields {
		names = append(names, f.Key)
	}
	return "; it has " + strings.Join(names, ", ")
}

// isScalar checks that a path's field is there, once, and simple.
func isScalar(m *wsdl.Message, way []string) error {
	t := rootType(m)
	for i, step := range way {
		if t != nil && t.AnyType {
			return nil
		}
		if t != nil {
			if a, known := t.AttrByKey(step); known && i == len(way)-1 && t.Attrs[a] != nil {
				return nil
			}
			if f, known := t.FieldByKey(step); known {
				field := t.Fields[f]
				if field.Many {
					return fmt.Errorf("`%s` may stand more than once, so it cannot stand in a path", clip(strings.Join(way[:i+1], ".")))
				}
				t = field.Type
				continue
			}
		}
		return fmt.Errorf("the input has no field `%s`", clip(strings.Join(way[:i+1], ".")))
	}
	if t.Simple == nil {
		return fmt.Errorf("`%s` is not a simple value", clip(strings.Join(way, ".")))
	}
	return nil
}

// request makes Out what the mapping says of the input.
func (m *Mapping) request(x *exchange.Exchange, d *jsonText, text []byte) error {
	if err := d.parseJSON(text); err != nil {
		return err
	}
	path, used, err := m.path(d)
	if err != nil {
		return err
	}
	out := x.Out
	var query string
	path, query, _ = strings.Cut(path, "?")
	if path, err = exchange.CanonicalPath(path); err != nil {
		return errors.New("a value cannot stand in the path")
	}
	var body []byte
	switch bodiless := m.Method == http.MethodGet || m.Method == http.MethodDelete || m.Method == http.MethodHead; {
	case m.Body == noBody:
	case m.Body != "":
		body = member(d, m.Body)
	case bodiless:
		query = joinQuery(query, d, used)
	default:
		body = without(d, used)
	}
	for _, name := range notForService {
		delete(out.Header, name)
	}
	delete(out.Header, "Soapaction")
	delete(out.Header, "Content-Type")
	if body != nil {
		out.Header["Content-Type"] = jsonType
	}
	out.Header["Accept"], out.Header["Accept-Encoding"] = jsonType, identity
	out.Method = m.Method
	out.URL.Opaque, out.URL.RawQuery, out.URL.ForceQuery = path, query, false
	out.Body, out.ContentLength, out.Trailer = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	if body == nil {
		out.Body = http.NoBody
	}
	return nil
}

var jsonType = []string{"application/json"}

// path fills the template. A value is escaped, so it stays one segment; an empty one would make another path.
func (m *Mapping) path(d *jsonText) (path string, used map[int32]bool, err error) {
	var b strings.Builder
	for _, p := range m.parts {
		if p.field == nil {
			b.WriteString(p.text)
			continue
		}
		v, top := find(d, p.field)
		text := ""
		if v > 0 && d.values[v].kind != jsonNull {
			text = d.str(v)
		}
		if !p.query && (text == "" || text == "." || text == "..") {
			return "", nil, &misfit{strings.Join(p.field, "."), "is part of the path and must not be empty or dots"}
		}
		if used == nil {
			used = make(map[int32]bool)
		}
		used[top] = true
		if p.query {
			b.WriteString(url.QueryEscape(text))
		} else {
			b.WriteString(url.PathEscape(text))
		}
	}
	return b.String(), used, nil
}

// find follows a way from the root. top is its first step.
func find(d *jsonText, way []string) (v, top int32) {
	for i, step := range way {
		if d.values[v].kind != jsonObject {
			return -1, top
		}
		next := int32(-1)
		_ = d.each(v, func(child int32) error {
			if d.key(child) == step {
				next = child
			}
			return nil
		})
		if next < 0 {
			return -1, top
		}
		if i == 0 {
			top = next
		}
		v = next
	}
	return v, top
}

func member(d *jsonText, key string) []byte {
	if v, _ := find(d, []string{key}); v > 0 {
		return bytes.Clone(d.raw(v))
	}
	return []byte("null")
}

// without is the input, less the members that are in the path already.
func without(d *jsonText, used map[int32]bool) []byte {
	if len(used) == 0 || d.values[0].kind != jsonObject {
		return bytes.Clone(d.raw(0))
	}
	o := &object{b: make([]byte, 0, len(d.text))}
	_ = d.each(0, func(child int32) error {
		if !used[child] {
			o.key("", d.key(child))
			o.b = append(o.b, d.raw(child)...)
		}
		return nil
	})
	return o.end()
}

// joinQuery writes what is not in the path as parameters: lists repeat their name, objects put theirs before a dot.
func joinQuery(query string, d *jsonText, used map[int32]bool) string {
	var b strings.Builder
	b.WriteString(query)
	_ = d.each(0, func(child int32) error {
		if !used[child] {
			parameter(&b, d, child, d.key(child))
		}
		return nil
	})
	return b.String()
}

func parameter(b *strings.Builder, d *jsonText, v int32, name string) {
	switch d.values[v].kind {
	case jsonObject:
		_ = d.each(v, func(child int32) error {
			parameter(b, d, child, name+"."+d.key(child))
			return nil
		})
	case jsonArray:
		_ = d.each(v, func(child int32) error {
			parameter(b, d, child, name)
			return nil
		})
	case jsonNull:
	default:
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(d.str(v)))
	}
}

package soap

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// OpenAPI describes the operations of a port as HTTP with JSON (OpenAPI 3.1). prefix is the route's path, whose {names}
// become parameters.
func OpenAPI(title string, port *wsdl.Port, prefix string) ([]byte, error) {
	s := &schemas{names: make(map[*xsd.Type]string), all: make(object31), taken: make(map[string]bool)}
	paths := make(object31)
	for _, op := range port.Operations {
		paths[prefix+"/"+op.Name] = s.operations(op, prefix)
	}
	s.finish()
	if title == "" {
		title = port.Service
	}
	return json.MarshalIndent(object31{
		"openapi": "3.1.0",
		"info":    object31{"title": title, "version": "1"},
		"paths":   paths,
		"components": object31{
			"schemas": s.all,
			"responses": object31{"problem": object31{
				"description": "The call failed; a fault of the service stands under `fault`.",
				"content":     object31{"application/problem+json": object31{"schema": object31{"type": "object"}}},
			}},
		},
	}, "", "  ")
}

type object31 = map[string]any

// schemas gives every complex type a place under components, so that types may hold each other.
type schemas struct {
	names map[*xsd.Type]string
	all   object31
	taken map[string]bool
	queue []*xsd.Type
}

func (s *schemas) operations(op *wsdl.Operation, prefix string) object31 {
	post := s.operation(op, prefix)
	post["operationId"] = op.Name
	if len(op.Input.Roots) > 0 {
		post["requestBody"] = object31{"required": true, "content": jsonContent(s.message(op.Input))}
	}
	all := object31{"post": post}
	if isFlat(op.Input) {
		get := s.operation(op, prefix)
		get["operationId"] = "get" + op.Name
		get["parameters"] = append(get["parameters"].([]any), s.parameters(op.Input)...)
		all["get"] = get
	}
	return all
}

func (s *schemas) operation(op *wsdl.Operation, prefix string) object31 {
	responses := object31{"default": object31{"$ref": "#/components/responses/problem"}}
	if op.OneWay {
		responses["202"] = object31{"description": "Accepted."}
	} else {
		responses["200"] = object31{"description": "The output.", "content": jsonContent(s.message(op.Output))}
	}
	o := object31{"responses": responses, "parameters": captures(prefix)}
	if op.Doc != "" {
		o["description"] = op.Doc
	}
	return o
}

func captures(prefix string) []any {
	all := []any{}
	for _, piece := range strings.Split(prefix, "{")[1:] {
		name, _, _ := strings.Cut(piece, "}")
		all = append(all, object31{"name": name, "in": "path", "required": true, "schema": object31{"type": "string"}})
	}
	return all
}

func (s *schemas) parameters(m *wsdl.Message) []any {
	if len(m.Roots) == 0 {
		return nil
	}
	var all []any
	for _, f := range m.Roots[0].Type.Fields {
		all = append(all, object31{"name": f.Key, "in": "query", "required": f.Required, "schema": s.field(f)})
	}
	return all
}

func jsonContent(schema any) object31 {
	return object31{"application/json": object31{"schema": schema}}
}

func (s *schemas) message(m *wsdl.Message) any {
	switch len(m.Roots) {
	case 0:
		return object31{"type": "object"}
	case 1:
		return s.ref(m.Roots[0].Type)
	}
	properties := make(object31)
	for _, root := range m.Roots {
		properties[root.Name.Local] = s.ref(root.Type)
	}
	return object31{"type": "object", "properties": properties}
}

// ref is the schema of a type: in place for simple ones, by reference for others.
func (s *schemas) ref(t *xsd.Type) any {
	if t.AnyType {
		return object31{}
	}
	if t.IsSimple() {
		return simpleSchema(t.Simple)
	}
	name, known := s.names[t]
	if !known {
		name = s.name(t)
		s.names[t] = name
		s.queue = append(s.queue, t)
	}
	return object31{"$ref": "#/components/schemas/" + name}
}

func (s *schemas) name(t *xsd.Type) string {
	base := strings.Map(func(r rune) rune {
		if r < 128 && (r == '_' || r == '-' || r == '.' || '0' <= r && r <= '9' || 'a' <= r|32 && r|32 <= 'z') {
			return r
		}
		return '_'
	}, t.Name.Local)
	if base == "" {
		base = "Type"
	}
	name := base
	for i := 2; s.taken[name]; i++ {
		name = fmt.Sprintf("%s%d", base, i)
	}
	s.taken[name] = true
	return name
}

func (s *schemas) finish() {
	for len(s.queue) > 0 {
		t := s.queue[0]
		s.queue = s.queue[1:]
		s.all[s.names[t]] = s.object(t)
	}
}

func (s *schemas) object(t *xsd.Type) any {
	properties, required := make(object31), []string{}
	for _, a := range t.Attrs {
		properties[a.Key] = simpleSchema(a.Type)
		if a.Required && a.Fixed == "" {
			required = append(required, a.Key)
		}
	}
	if t.Simple != nil {
		properties[textKey] = simpleSchema(t.Simple)
		required = append(required, textKey)
	}
	for _, f := range t.Fields {
		properties[f.Key] = s.field(f)
		if f.Required {
			required = append(required, f.Key)
		}
	}
	if len(t.Derived) > 0 {
		s.derived(t, properties)
	}
	o := object31{"type": "object", "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	if !t.Any && !t.AnyAttr && len(t.Derived) == 0 {
		o["additionalProperties"] = false
	}
	return o
}

func (s *schemas) derived(t *xsd.Type, properties object31) {
	var names []string
	for _, d := range t.Derived {
		names = append(names, d.Name.Local)
		s.ref(d)
	}
	if !t.Abstract {
		names = append(names, t.Name.Local)
	}
	slices.Sort(names)
	properties[typeKey] = object31{"type": "string", "enum": slices.Compact(names), "description": "Which of the derived types it is."}
}

func (s *schemas) field(f *xsd.Field) any {
	schema := s.ref(f.Type)
	if f.Nillable {
		schema = object31{"anyOf": []any{schema, object31{"type": "null"}}}
	}
	if !f.Many {
		return schema
	}
	list := object31{"type": "array", "items": schema}
	if f.Max > 0 {
		list["maxItems"] = f.Max
	}
	return list
}

func simpleSchema(s *xsd.Simple) object31 {
	o := make(object31)
	switch s.Kind {
	case xsd.Boolean:
		o["type"] = "boolean"
	case xsd.Integer:
		o["type"] = "integer"
	case xsd.Decimal, xsd.Float:
		o["type"] = "number"
	case xsd.List:
		o["type"], o["items"] = "array", simpleSchema(s.Item)
	case xsd.Union, xsd.Any:
	default:
		o["type"] = "string"
		if format := formats[s.Builtin]; format != "" {
			o["format"] = format
		}
	}
	if len(s.Enum) > 0 && o["type"] == "string" {
		o["enum"] = s.Enum
	}
	if s.Kind == xsd.Integer || s.Kind == xsd.Decimal {
		bound(o, "minimum", "exclusiveMinimum", s.Least, s.LeastOut)
		bound(o, "maximum", "exclusiveMaximum", s.Most, s.MostOut)
	}
	return o
}

func bound(o object31, in, out, value string, exclusive bool) {
	number, ok := xsd.AppendNumber(nil, value)
	if !ok || value == "" {
		return
	}
	if exclusive {
		in = out
	}
	o[in] = json.RawMessage(number)
}

var formats = map[string]string{
	"dateTime": "date-time", "date": "date", "time": "time", "duration": "duration", "anyURI": "uri", "base64Binary": "byte",
}

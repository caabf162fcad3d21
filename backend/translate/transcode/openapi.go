package transcode

import (
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The document is OpenAPI 3.1: an operation for each rule, a schema for each message and enum that is reached. It is made
// once for each set of methods, never for a request.

// object is a JSON object; json.Marshal sorts its keys, so equal methods make equal documents.
type object map[string]any

// maxQueryDepth is how deep messages are opened into parameters of a query. Deeper ones can be sent all the same.
const maxQueryDepth = 3

type openAPI struct {
	options *Options
	schemas object
}

func document(all []*operation, o *Options) []byte {
	d := openAPI{options: o, schemas: object{}}
	paths := object{}
	var tags []object
	for _, op := range all {
		path := openPath(op)
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		method := strings.ToLower(op.httpMethod)
		if !slices.Contains(openMethods, method) || item[method] != nil {
			continue // a custom method, or a form of path that OpenAPI cannot tell from another
		}
		item[method] = d.operation(op)
		service := op.method.Descriptor.Parent()
		if len(tags) == 0 || tags[len(tags)-1]["name"] != string(service.FullName()) {
			tags = append(tags, described(object{"name": string(service.FullName())}, service))
		}
	}
	d.schemas["google.rpc.Status"] = statusSchema
	text, err := json.MarshalIndent(object{
		"openapi":    "3.1.0",
		"info":       object{"title": o.Title, "version": "1"},
		"tags":       tags,
		"paths":      paths,
		"components": object{"schemas": d.schemas},
	}, "", "  ")
	if err != nil { // text, numbers and objects of them
		return []byte("{}")
	}
	return append(text, '\n')
}

var openMethods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

var statusSchema = object{
	"type": "object", "description": "How a call ended that did not succeed.",
	"properties": object{
		"code":    object{"type": "integer", "format": "int32", "description": "A code of google/rpc/code.proto."},
		"message": object{"type": "string"},
		"details": object{"type": "array", "items": object{"type": "object", "properties": object{"@type": object{"type": "string"}}, "additionalProperties": true}},
	},
}

// openPath is a template with its variables by name alone: OpenAPI has no patterns in paths.
func openPath(op *operation) string {
	var b strings.Builder
	t, v := op.template, 0
	for i := 0; i < len(t.Segments); {
		b.WriteByte('/')
		if v < len(t.Variables) && t.Variables[v].From == i {
			b.WriteString("{" + strings.Join(t.Variables[v].Field, ".") + "}")
			i = t.Variables[v].To
			v++
			continue
		}
		b.WriteString(t.Segments[i].String())
		i++
	}
	if b.Len() == 0 {
		b.WriteByte('/')
	}
	if t.Verb != "" {
		b.WriteString(":" + t.Verb)
	}
	return b.String()
}

func (d *openAPI) operation(op *operation) object {
	m := op.method
	o := described(object{
		"operationId": strings.ReplaceAll(m.Name, "/", "_") + "_" + strings.ToLower(op.httpMethod),
		"tags":        []string{string(m.Descriptor.Parent().FullName())},
		"responses": object{
			"200":     d.answer(op),
			"default": object{"description": "An error of the service.", "content": object{"application/json": object{"schema": reference("google.rpc.Status")}}},
		},
	}, m.Descriptor)
	if parameters := d.parameters(op); len(parameters) > 0 {
		o["parameters"] = parameters
	}
	if op.body != noBody {
		o["requestBody"] = object{"required": true, "content": d.body(op)}
	}
	return o
}

func (d *openAPI) body(op *operation) object {
	schema := d.message(op.method.Input)
	if op.bodyField != nil {
		schema = d.field(op.bodyField.Descriptor())
	}
	switch {
	case op.rawIn:
		return object{"*/*": object{"schema": object{}}}
	case op.method.ClientStreaming:
		return object{"application/x-ndjson": object{"schema": schema}}
	}
	return object{"application/json": object{"schema": schema}}
}

func (d *openAPI) answer(op *operation) object {
	schema := d.message(op.method.Output)
	if op.answer != nil {
		schema = d.field(op.answer.Descriptor())
	}
	content := object{"application/json": object{"schema": schema}}
	switch {
	case op.rawOut:
		content = object{"*/*": object{"schema": object{}}}
	case op.method.ServerStreaming:
		line := object{"type": "object", "properties": object{"result": schema, "error": reference("google.rpc.Status")}}
		content = object{"application/x-ndjson": object{"schema": line}, "text/event-stream": object{"schema": schema}}
	}
	return object{"description": "The answer.", "content": content}
}

func (d *openAPI) parameters(op *operation) []object {
	var all []object
	for i, p := range op.variables {
		v := op.template.Variables[i]
		parameter := object{"name": strings.Join(v.Field, "."), "in": "path", "required": true, "schema": d.field(p.Descriptor())}
		if v.Multi(op.template) {
			var form []string
			for _, s := range op.template.Segments[v.From:v.To] {
				form = append(form, s.String())
			}
			parameter["description"] = "Of the form " + strings.Join(form, "/") + "."
		}
		all = append(all, parameter)
	}
	if op.body != wholeBody {
		all = d.query(all, op, op.method.Input, nil)
	}
	return all
}

// query lists the fields that a query can set.
func (d *openAPI) query(all []object, op *operation, m protoreflect.MessageDescriptor, around []string) []object {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		name := f.JSONName()
		if d.options.JSON.ProtoNames {
			name = f.TextName()
		}
		names := append(slices.Clone(around), name)
		p, err := op.input.Param(names)
		switch {
		case err == nil && op.bound(p):
		case err == nil && p.IsMap():
			all = append(all, described(object{"name": strings.Join(names, ".") + "[key]", "in": "query", "schema": d.field(f.MapValue())}, f))
		case err == nil:
			all = append(all, described(object{"name": strings.Join(names, "."), "in": "query", "schema": d.field(f)}, f))
		case f.Message() != nil && !f.IsList() && !f.IsMap() && len(names) < maxQueryDepth && !covered(op, f, around):
			all = d.query(all, op, f.Message(), names)
		}
	}
	return all
}

// covered: the body is that field.
func covered(op *operation, f protoreflect.FieldDescriptor, around []string) bool {
	return op.bodyField != nil && len(around) == 0 && op.bodyField.Descriptor() == f
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// described adds what stands above a declaration, if the sources are known.
func described(o object, of protoreflect.Descriptor) object {
	comment := of.ParentFile().SourceLocations().ByDescriptor(of).LeadingComments
	if text := strings.Join(strings.Fields(comment), " "); text != "" {
		o["description"] = strings.ToValidUTF8(text, "")
	}
	return o
}

// wellKnown are the messages whose JSON is no object of their fields.
var wellKnown = map[protoreflect.FullName]object{
	"google.protobuf.Timestamp":   {"type": "string", "format": "date-time"},
	"google.protobuf.Duration":    {"type": "string", "examples": []string{"1.5s"}},
	"google.protobuf.FieldMask":   {"type": "string", "examples": []string{"name,items.price"}},
	"google.protobuf.Struct":      {"type": "object", "additionalProperties": true},
	"google.protobuf.Value":       {},
	"google.protobuf.ListValue":   {"type": "array", "items": object{}},
	"google.protobuf.Any":         {"type": "object", "properties": object{"@type": object{"type": "string"}}, "additionalProperties": true},
	"google.protobuf.DoubleValue": {"type": []string{"number", "null"}, "format": "double"},
	"google.protobuf.FloatValue":  {"type": []string{"number", "null"}, "format": "float"},
	"google.protobuf.Int64Value":  {"type": []string{"string", "null"}, "format": "int64"},
	"google.protobuf.UInt64Value": {"type": []string{"string", "null"}, "format": "uint64"},
	"google.protobuf.Int32Value":  {"type": []string{"integer", "null"}, "format": "int32"},
	"google.protobuf.UInt32Value": {"type": []string{"integer", "null"}, "format": "int64"},
	"google.protobuf.BoolValue":   {"type": []string{"boolean", "null"}},
	"google.protobuf.StringValue": {"type": []string{"string", "null"}},
	"google.protobuf.BytesValue":  {"type": []string{"string", "null"}, "format": "byte"},
}

// message is the schema of a message: itself, or a reference to where it is put.
func (d *openAPI) message(m protoreflect.MessageDescriptor) object {
	if o, special := wellKnown[m.FullName()]; special {
		return o
	}
	name := string(m.FullName())
	if d.schemas[name] == nil {
		properties := object{}
		d.schemas[name] = described(object{"type": "object", "properties": properties}, m) // before its fields: messages refer to themselves
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			name := f.JSONName()
			if d.options.JSON.ProtoNames {
				name = f.TextName()
			}
			properties[name] = d.field(f)
		}
	}
	return reference(name)
}

func (d *openAPI) field(f protoreflect.FieldDescriptor) object {
	switch {
	case f.IsMap():
		return described(object{"type": "object", "additionalProperties": d.value(f.MapValue())}, f)
	case f.IsList():
		return described(object{"type": "array", "items": d.value(f)}, f)
	}
	return described(d.value(f), f)
}

// value is a new object each time: whoever gets it may add to it.
func (d *openAPI) value(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		o := object{}
		for key, value := range d.message(f.Message()) {
			o[key] = value
		}
		return o
	case protoreflect.EnumKind:
		return d.enum(f.Enum())
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.BytesKind:
		return object{"type": "string", "format": "byte"}
	case protoreflect.FloatKind:
		return object{"type": "number", "format": "float"}
	case protoreflect.DoubleKind:
		return object{"type": "number", "format": "double"}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return object{"type": "integer", "format": "int32"}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return object{"type": "integer", "format": "int64"}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return object{"type": "string", "format": "uint64"}
	default:
		return object{"type": "string", "format": "int64"}
	}
}

func (d *openAPI) enum(e protoreflect.EnumDescriptor) object {
	if e.FullName() == "google.protobuf.NullValue" {
		return object{"type": "null"}
	}
	name := string(e.FullName())
	if d.schemas[name] == nil {
		o := object{"type": "string"}
		var names []string
		var numbers []int32
		for i := range e.Values().Len() {
			names = append(names, string(e.Values().Get(i).Name()))
			numbers = append(numbers, int32(e.Values().Get(i).Number()))
		}
		o["enum"] = names
		if d.options.JSON.EnumNumbers {
			o = object{"type": "integer", "enum": numbers}
		}
		d.schemas[name] = described(o, e)
	}
	return reference(name)
}

package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// object is a JSON Schema, or a part of one.
type object = map[string]any

// Schema is the JSON Schema (draft 2020-12) of one file, from the same structs and tags that Parse reads. filters are the
// filters that this binary ships: a pointer to a zero Config by name. The schema accepts what Parse accepts, but knows
// neither names nor references; keys that are not built yet are not in it.
func Schema(filters map[string]any) ([]byte, error) {
	s := &schemaWriter{definitions: object{
		"substitution": object{
			"description": "Replaced before it is read: ${NAME}, ${NAME:-default}, ${file:/path}.",
			"type":        "string", "pattern": `\$\{`},
	}}
	root := s.mapping(reflect.TypeFor[Config]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Sluice configuration"
	s.definitions["Filter"] = s.filters(filters)
	root["$defs"] = s.definitions
	if s.err != nil {
		return nil, s.err
	}
	text, err := json.MarshalIndent(root, "", "  ")
	return append(text, '\n'), err
}

type schemaWriter struct {
	definitions object
	err         error
}

func (s *schemaWriter) fail(err error) {
	if s.err == nil && err != nil {
		s.err = fmt.Errorf("schema: %w", err)
	}
}

// filters is an item of a filters list: one filter's name and its settings, or off.
func (s *schemaWriter) filters(filters map[string]any) object {
	properties := object{}
	for _, name := range slices.Sorted(maps.Keys(filters)) {
		t, err := settingsType(filters[name])
		if err != nil {
			s.fail(fmt.Errorf("filter %s: %w", name, err))
			continue
		}
		properties[name] = object{
			"description": typeComment(t),
			"anyOf":       []any{s.definition(t), offSchema},
		}
	}
	return object{
		"description": "One filter and its settings, or its removal.",
		"type":        "object", "properties": properties, "additionalProperties": false,
		"minProperties": 1, "maxProperties": 1,
	}
}

func settingsType(zero any) (reflect.Type, error) {
	t := reflect.TypeOf(zero)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("settings are a struct, not %T", zero)
	}
	return t, infoOf(t).err
}

var offSchema = object{"enum": []any{"off", false}}

// definition puts a struct's schema among the definitions, once, and refers to it. A struct without a name stands in place.
func (s *schemaWriter) definition(t reflect.Type) object {
	if t.Name() == "" {
		return s.structure(t)
	}
	name := strings.TrimPrefix(strings.ReplaceAll(typeKey(t), "/", "."), "config.")
	if _, known := s.definitions[name]; !known {
		s.definitions[name] = nil // a struct that contains itself ends here
		s.definitions[name] = s.structure(t)
	}
	return object{"$ref": "#/$defs/" + name}
}

func (s *schemaWriter) structure(t reflect.Type) object {
	whole := s.mapping(t)
	short := infoOf(t).short
	if short == nil {
		whole["type"] = []any{"object", "null"}
		return whole
	}
	return object{"description": whole["description"], "anyOf": []any{s.value(short.typ, short), whole}}
}

func (s *schemaWriter) mapping(t reflect.Type) object {
	info := infoOf(t)
	s.fail(info.err)
	properties, required := object{}, []any{}
	for _, f := range info.fields {
		properties[f.name] = s.field(t, f)
		if f.required && !f.hasDefault {
			required = append(required, f.name)
		}
	}
	whole := object{
		"description": typeComment(t), "type": "object", "properties": properties, "additionalProperties": false,
	}
	if len(required) > 0 {
		whole["required"] = required
	}
	return whole
}

func (s *schemaWriter) field(owner reflect.Type, f *field) object {
	schema := s.value(f.typ, f)
	if f.off {
		schema = object{"anyOf": []any{schema, offSchema}}
	}
	if f.filled {
		addMinimum(schema, f.typ)
	}
	if text := fieldComment(owner, f); text != "" {
		schema["description"] = text
	}
	if value, ok := defaultValue(f); ok {
		schema["default"] = value
	}
	return schema
}

// addMinimum says that a value must not be empty.
func addMinimum(schema object, t reflect.Type) {
	switch t.Kind() {
	case reflect.String:
		schema["minLength"] = 1
	case reflect.Slice:
		schema["minItems"] = 1
	case reflect.Map:
		schema["minProperties"] = 1
	}
}

func (s *schemaWriter) value(t reflect.Type, f *field) object {
	switch {
	case t == reflect.TypeFor[Filter]():
		return object{"$ref": "#/$defs/Filter"}
	case t == nodeType:
		return object{}
	case t.Kind() == reflect.Pointer:
		return s.value(t.Elem(), f)
	case isStruct(t):
		return s.definition(t)
	case t.Kind() == reflect.Slice && !isText(t):
		return s.list(t, f)
	case t.Kind() == reflect.Map:
		return object{"type": []any{"object", "null"}, "additionalProperties": s.value(t.Elem(), elementField(f))}
	}
	return scalarSchema(t, f)
}

func (s *schemaWriter) list(t reflect.Type, f *field) object {
	element := s.value(t.Elem(), elementField(f))
	list := object{"type": []any{"array", "null"}, "items": element}
	if f.one {
		return object{"anyOf": []any{list, element}}
	}
	return list
}

// What the notations look like; anything with a substitution in it is left to Parse.
const (
	durationPattern = `^(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$|\$\{`
	sizePattern     = `^[0-9]+(\.[0-9]+)?(B|[kKMGT]B|[KMGT]iB)?$|\$\{`
)

func scalarSchema(t reflect.Type, f *field) object {
	switch {
	case t == durationType:
		return object{"anyOf": []any{object{"type": "string", "pattern": durationPattern}, object{"const": 0}}}
	case isSize(t):
		return object{"anyOf": []any{object{"type": "string", "pattern": sizePattern}, numberSchema("integer", f)}}
	case isText(t) && t != prefixType:
		return object{"type": []any{"string", "number"}}
	case f.enum != nil:
		return orSubstitution(object{"enum": enumValues(t, f.enum)})
	}
	switch kindOf(t) {
	case reflect.Bool:
		return orSubstitution(object{"type": "boolean"})
	case reflect.Int64, reflect.Uint64:
		return orSubstitution(numberSchema("integer", f))
	case reflect.Float64:
		return orSubstitution(numberSchema("number", f))
	}
	return object{"type": "string"}
}

func orSubstitution(schema object) object {
	return object{"anyOf": []any{schema, object{"$ref": "#/$defs/substitution"}}}
}

func enumValues(t reflect.Type, words []string) []any {
	values := make([]any, len(words))
	for i, word := range words {
		values[i] = plainValue(t, word)
	}
	return values
}

func numberSchema(kind string, f *field) object {
	schema := object{"type": kind}
	for name, bound := range map[string]reflect.Value{"minimum": f.min, "maximum": f.max} {
		switch {
		case !bound.IsValid():
		case bound.CanInt(): // a size too, which would write itself as text
			schema[name] = bound.Int()
		default:
			schema[name] = bound.Interface()
		}
	}
	return schema
}

// defaultValue is a default as JSON.
func defaultValue(f *field) (value any, ok bool) {
	if !f.hasDefault || f.def == "{}" {
		return nil, false
	}
	t := f.typ
	if t.Kind() == reflect.Slice && !isText(t) {
		return enumValues(t.Elem(), words(f.def)), true
	}
	return plainValue(t, f.def), true
}

// plainValue is a word as JSON: a number or a boolean if the type is one.
func plainValue(t reflect.Type, word string) any {
	if t == durationType || isText(t) {
		return word
	}
	switch kindOf(t) {
	case reflect.Bool:
		return word == "true"
	case reflect.Int64, reflect.Uint64, reflect.Float64:
		if n, err := strconv.ParseFloat(word, 64); err == nil {
			return n
		}
	}
	return word
}

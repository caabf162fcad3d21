package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"time"
)

// structInfo is what the tags of a struct say. decode.go describes the tags.
type structInfo struct {
	fields []*field
	byName map[string]*field
	names  []string // of fields, in their order
	yet    []string // keys that the language has and this version lacks
	short  *field   // takes a scalar in place of the mapping
	err    error    // a mistake in the tags themselves
}

type field struct {
	name       string
	goName     string
	index      int
	typ        reflect.Type
	def        string
	hasDefault bool
	enum, yet  []string
	min, max   reflect.Value // invalid: unbounded
	required   bool
	filled     bool
	secret     bool
	off        bool
	one        bool
}

// anyField is for values that no struct field describes.
var anyField = &field{}

var structInfos sync.Map // reflect.Type → *structInfo

func infoOf(t reflect.Type) *structInfo {
	if known, ok := structInfos.Load(t); ok {
		return known.(*structInfo)
	}
	info := newStructInfo(t)
	structInfos.Store(t, info)
	return info
}

func newStructInfo(t reflect.Type) *structInfo {
	info := &structInfo{byName: make(map[string]*field)}
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Name == "_" {
			info.yet = append(info.yet, words(sf.Tag.Get("yet"))...)
		}
		if !sf.IsExported() {
			continue
		}
		f, err := newField(sf, i)
		if err != nil && info.err == nil {
			info.err = fmt.Errorf("%v.%s: %w", t, sf.Name, err)
		}
		switch {
		case f == nil:
		case sf.Tag.Get("short") == "true":
			info.short = f
		case f.name != "-":
			info.fields = append(info.fields, f)
			info.names = append(info.names, f.name)
			info.byName[f.name] = f
		}
	}
	return info
}

func newField(sf reflect.StructField, index int) (*field, error) {
	name, tagged := sf.Tag.Lookup("yaml")
	if !tagged || name == "" || strings.Contains(name, ",") {
		return nil, fmt.Errorf("the yaml tag must be the key and nothing else, not %q", name)
	}
	f := &field{
		name: name, goName: sf.Name, index: index, typ: sf.Type,
		enum: words(sf.Tag.Get("enum")), yet: words(sf.Tag.Get("yet")),
		required: sf.Tag.Get("required") == "true",
		filled:   sf.Tag.Get("required") == "true" || sf.Tag.Get("filled") == "true",
		secret:   sf.Tag.Get("secret") == "true" || sf.Type == secretType,
		off:      sf.Tag.Get("off") == "true",
		one:      sf.Tag.Get("one") == "true",
	}
	f.def, f.hasDefault = sf.Tag.Lookup("default")
	var err error
	if f.min, err = bound(sf, "min"); err == nil {
		f.max, err = bound(sf, "max")
	}
	if err == nil && f.off && sf.Type.Kind() != reflect.Pointer {
		err = fmt.Errorf("off is for pointers")
	}
	if err == nil && f.hasDefault {
		err = setDefault(reflect.New(sf.Type).Elem(), f)
	}
	return f, err
}

// bound parses min or max as a value of the field's own kind.
func bound(sf reflect.StructField, tag string) (reflect.Value, error) {
	text, ok := sf.Tag.Lookup(tag)
	if !ok {
		return reflect.Value{}, nil
	}
	v := reflect.New(scalarType(sf.Type)).Elem()
	if err := setText(v, text); err != nil {
		return reflect.Value{}, fmt.Errorf("%s: %w", tag, err)
	}
	return v, nil
}

// scalarType is the type of the values inside pointers, lists and maps.
func scalarType(t reflect.Type) reflect.Type {
	for !isText(t) && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map) {
		t = t.Elem()
	}
	return t
}

func words(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
	secretType   = reflect.TypeFor[Secret]()
	nodeType     = reflect.TypeFor[Node]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	customType   = reflect.TypeFor[customDecoder]()
)

// isText reports whether a type reads itself from text.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// isSize reports whether a type is a number of bytes: Size, or what a filter, which cannot import it, calls so.
func isSize(t reflect.Type) bool { return t.Kind() == reflect.Int64 && t.Name() == "Size" && isText(t) }

// isStruct reports whether a type is a mapping of known keys.
func isStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != nodeType && !isText(t) && !reflect.PointerTo(t).Implements(customType)
}

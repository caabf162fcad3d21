package config

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Reference is the body of the reference page, in Markdown: a section for every structure with a table of its keys, from
// the same structs, tags and comments as the schema. filters are as for Schema. A structure is described once, where it
// first occurs.
func Reference(filters map[string]any) []byte {
	w := &referenceWriter{seen: make(map[reflect.Type]bool)}
	w.section("The file", reflect.TypeFor[Config](), 2)
	w.out.WriteString("## Filters\n\n" +
		"An item of a `filters` list is a mapping of one filter's name to its settings, or to `off`.\n\n")
	for _, name := range slices.Sorted(maps.Keys(filters)) {
		if t, err := settingsType(filters[name]); err == nil {
			w.section("`"+name+"`", t, 3)
		}
	}
	return w.out.Bytes()
}

type referenceWriter struct {
	out  bytes.Buffer
	seen map[reflect.Type]bool
}

// section describes t, then the structures it names that are new.
func (w *referenceWriter) section(title string, t reflect.Type, depth int) {
	w.seen[t] = true
	info := infoOf(t)
	fmt.Fprintf(&w.out, "%s %s\n\n", strings.Repeat("#", depth), title)
	if text := typeComment(t); text != "" {
		if rest, ok := strings.CutPrefix(text, "Config "); ok {
			text = title + " " + rest // a filter by its name, not by its type's
		}
		fmt.Fprintf(&w.out, "%s\n\n", text)
	}
	if len(info.fields) == 0 {
		w.out.WriteString("No settings.\n\n")
		return
	}
	w.out.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	if info.short != nil {
		w.row("(a plain value)", t, info.short)
	}
	for _, f := range info.fields {
		w.row("`"+f.name+"`", t, f)
	}
	w.out.WriteString("\n")
	for _, f := range info.fields {
		if below := scalarType(f.typ); isStruct(below) && !w.seen[below] {
			w.section(structTitle(below, f), below, 3)
		}
	}
}

// structTitle is the heading of a structure: its type's name, which is the word of the glossary.
func structTitle(t reflect.Type, f *field) string {
	if t.Name() == "" {
		return f.name
	}
	return t.Name()
}

func (w *referenceWriter) row(key string, owner reflect.Type, f *field) {
	meaning := fieldComment(owner, f)
	if bounds := boundsText(f); bounds != "" {
		meaning += " " + bounds
	}
	fmt.Fprintf(&w.out, "| %s | %s | %s | %s |\n",
		key, cell(typeText(f.typ, f)), cell(defaultText(f)), cell(strings.TrimSpace(meaning)))
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func typeText(t reflect.Type, f *field) string {
	text := plainType(t, f)
	if f.off {
		text += " or `off`"
	}
	if f.one {
		text += ", or one alone"
	}
	return text
}

func plainType(t reflect.Type, f *field) string {
	switch {
	case t == reflect.TypeFor[Filter]():
		return "[filter](#filters)"
	case t == nodeType:
		return "anything"
	case t.Kind() == reflect.Pointer:
		return plainType(t.Elem(), f)
	case isStruct(t):
		title := structTitle(t, f)
		return fmt.Sprintf("[%s](#%s)", title, strings.ToLower(title))
	case t.Kind() == reflect.Slice && !isText(t):
		return "list of " + plainType(t.Elem(), f)
	case t.Kind() == reflect.Map:
		return "mapping of names to " + plainType(t.Elem(), f)
	case f.enum != nil:
		return "`" + strings.Join(f.enum, "` · `") + "`"
	case t == durationType:
		return "duration"
	case isSize(t):
		return "size"
	case t == prefixType:
		return "address or prefix"
	case isText(t):
		return "word or number"
	case f.secret:
		return "secret string"
	}
	switch kindOf(t) {
	case reflect.Bool:
		return "boolean"
	case reflect.Int64, reflect.Uint64:
		return "whole number"
	case reflect.Float64:
		return "number"
	}
	return "string"
}

func defaultText(f *field) string {
	list := scalarType(f.typ) != f.typ && f.typ.Kind() == reflect.Slice
	switch {
	case f.hasDefault && f.def == "{}":
		return "as below"
	case f.hasDefault && list:
		return "`[" + strings.Join(words(f.def), ", ") + "]`"
	case f.hasDefault:
		return "`" + f.def + "`"
	case f.required:
		return "required"
	}
	return ""
}

func boundsText(f *field) string {
	min, max := f.min.IsValid(), f.max.IsValid()
	switch {
	case min && max:
		return fmt.Sprintf("From %s to %s.", boundText(f.min), boundText(f.max))
	case min && !f.min.IsZero():
		return fmt.Sprintf("At least %s.", boundText(f.min))
	case max:
		return fmt.Sprintf("At most %s.", boundText(f.max))
	}
	return ""
}

package jsonwire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A Param is a field of a message, or of messages inside it, that is set from text: a variable of a path or a parameter
// of a query. What it appends stands beside the rest of the message: parsers merge messages that are given in parts, and
// of two values the last one counts.
type Param struct {
	path []*field
}

// Param finds a field by the names that lead to it, JSON's or the source's. The last one may be repeated; those before
// it are messages.
func (c *Codec) Param(names []string) (Param, error) {
	var p Param
	for i, name := range names {
		f := c.byName[name]
		if f == nil {
			return p, &Error{Field: strings.Join(names[:i+1], "."), Reason: "the message " + string(c.desc.FullName()) + " has no such field"}
		}
		p.path = append(p.path, f)
		if i == len(names)-1 {
			break
		}
		if f.message == nil || f.shape != single {
			return p, &Error{Field: strings.Join(names[:i+1], "."), Reason: "it is no message, so it has no fields"}
		}
		c = f.message
	}
	if last := p.last(); !last.fromText() {
		return p, &Error{Field: strings.Join(names, "."), Reason: "it is a message that no text stands for"}
	}
	return p, nil
}

func (p Param) last() *field { return p.path[len(p.path)-1] }

// Repeated reports whether each value adds to a list.
func (p Param) Repeated() bool { return p.last().shape == repeated }

// IsMap reports whether values have keys.
func (p Param) IsMap() bool { return p.last().shape == mapping }

// Names are those of JSON that lead to the field.
func (p Param) Names() []string {
	names := make([]string, len(p.path))
	for i, f := range p.path {
		names[i] = f.json
	}
	return names
}

// Descriptor is the field that is set.
func (p Param) Descriptor() protoreflect.FieldDescriptor { return p.last().desc }

// Same reports whether two params set the same field, or one a part of the other.
func (p Param) Same(other Param) bool {
	for i := range min(len(p.path), len(other.path)) {
		if p.path[i] != other.path[i] {
			return false
		}
	}
	return true
}

// Equal reports whether two params set the same field.
func (p Param) Equal(other Param) bool { return slices.Equal(p.path, other.path) }

// fromText: scalars, and messages that are written as one value.
func (f *field) fromText() bool {
	if f.shape == mapping {
		return f.val.fromText()
	}
	if f.message == nil {
		return true
	}
	switch f.message.form {
	case timestamp, duration, fieldMask, wrapper, structure, value, list:
		return true
	}
	return f.message.form == object && len(f.message.fields) == 0 // no text at all stands for a message of nothing
}

// AppendText appends the field with the value that a text means.
func (p Param) AppendText(to []byte, text string) ([]byte, error) { return p.append(to, "", text) }

// AppendEntry appends an entry of a map.
func (p Param) AppendEntry(to []byte, key, text string) ([]byte, error) {
	return p.append(to, key, text)
}

func (p Param) append(to []byte, key, text string) (_ []byte, err error) {
	to, opened := openAll(to, p.path[:len(p.path)-1])
	last := p.last()
	if last.shape == mapping {
		to, err = last.appendEntry(to, key, text)
	} else {
		to, err = last.appendText(to, text)
	}
	if err != nil {
		return to, within(err, p.name())
	}
	return closeAll(to, opened), nil
}

func (p Param) name() string { return strings.Join(p.Names(), ".") }

func (f *field) appendEntry(to []byte, key, text string) (_ []byte, err error) {
	to = append(append(to, f.bunch...), 0)
	body := len(to)
	if !utf8.ValidString(key) {
		return to, &Error{Reason: "the key is not valid UTF-8"}
	}
	var d decoder
	if to, err = d.mapKey(to, f.key, []byte(key)); err != nil {
		return to, err
	}
	if to, err = f.val.appendText(to, text); err != nil {
		return to, err
	}
	return fixLength(to, body), nil
}

func (f *field) appendText(to []byte, text string) (_ []byte, err error) {
	to = append(to, f.tag...)
	if f.message == nil {
		return f.scalarText(to, text)
	}
	to = append(to, 0)
	body := len(to)
	d := decoder{left: MaxDepth}
	switch c := f.message; c.form {
	case wrapper:
		to, err = c.fields[0].appendText(to, text)
	case timestamp:
		to, err = d.timestamp(to, text)
	case duration:
		to, err = d.duration(to, text)
	case fieldMask:
		to, err = maskText(to, text)
	case object:
		if text != "" {
			err = d.mismatch(f, []byte(text))
		}
	default:
		d.in, d.codecs = []byte(text), c.codecs
		if to, err = d.message(to, c); err == nil {
			err = d.end()
		}
	}
	if err != nil {
		return to, err
	}
	return fixLength(to, body), nil
}

// maskText also takes the names that the source has, which cannot be told from JSON's where there is no capital.
func maskText(to []byte, text string) ([]byte, error) {
	for path := range strings.SplitSeq(text, ",") {
		if path == "" {
			continue
		}
		if !strings.Contains(path, "_") {
			path = snakeCase(path)
		}
		if !protoreflect.FullName(path).IsValid() {
			return to, &Error{Reason: "`" + clip(path) + "` is no path of a field mask"}
		}
		to = protowire.AppendString(append(to, maskPaths<<3|2), path)
	}
	return to, nil
}

func (f *field) scalarText(to []byte, text string) ([]byte, error) {
	var d decoder
	switch f.kind {
	case protoreflect.StringKind:
		if !utf8.ValidString(text) {
			return to, &Error{Reason: "the value is not valid UTF-8"}
		}
		return protowire.AppendString(to, text), nil
	case protoreflect.BytesKind:
		return d.base64(to, []byte(text))
	case protoreflect.BoolKind:
		switch text {
		case "true", "1":
			return append(to, 1), nil
		case "false", "0":
			return append(to, 0), nil
		}
		return to, d.mismatch(f, []byte(text))
	case protoreflect.EnumKind:
		if v, ok := f.enum.byName[text]; ok {
			return appendInt(to, f.kind, int64(v)), nil
		}
		if v, err := strconv.ParseInt(text, 10, 32); err == nil {
			return appendInt(to, f.kind, v), nil
		}
		return to, d.mismatch(f, []byte(text))
	}
	if to, ok := special(to, f, []byte(text)); ok {
		return to, nil
	}
	return d.quoted(to, f, []byte(text))
}

// A Field is a field of a message, or of a message inside it, by itself: what body and response_body name.
type Field struct {
	codecs *Codecs
	around []*field // the messages that it stands in, from outside
	field  *field
}

// Field finds a field by the names that lead to it. Google's own rule wants a field of the message itself; others take
// any that lies inside, joined by dots.
func (c *Codec) Field(path string) (*Field, error) {
	f := &Field{codecs: c.codecs}
	for name := range strings.SplitSeq(path, ".") {
		if f.field != nil {
			if f.field.message == nil || f.field.shape != single {
				return nil, fmt.Errorf("%s leads into a field that is no message", path)
			}
			f.around = append(f.around, f.field)
			c = f.field.message
		}
		if f.field = c.byName[name]; f.field == nil {
			return nil, fmt.Errorf("the message %s has no field %s", c.desc.FullName(), name)
		}
	}
	return f, nil
}

// Descriptor is the field.
func (f *Field) Descriptor() protoreflect.FieldDescriptor { return f.field.desc }

// Covers reports whether a param sets the field or a part of it.
func (f *Field) Covers(p Param) bool {
	whole := len(f.around) + 1
	return len(p.path) >= whole && slices.Equal(p.path[:whole-1], f.around) && p.path[whole-1] == f.field
}

// Message is the codec of a field that is one message, nil for any other.
func (f *Field) Message() *Codec {
	if f.field.shape != single {
		return nil
	}
	return f.field.message
}

// AppendWire appends the field, tag and all, with a value that is given in JSON.
func (f *Field) AppendWire(to, json []byte) ([]byte, error) {
	to, opened := openAll(to, f.around)
	d := decoder{scanner: scanner{in: json}, codecs: f.codecs, left: MaxDepth}
	var oneofs bits
	to, err := d.field(to, f.field, &oneofs)
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return to, within(err, f.field.json)
	}
	return closeAll(to, opened), nil
}

// AppendBytes appends the field, a message, with a wire form that is known.
func (f *Field) AppendBytes(to, wire []byte) []byte {
	to, opened := openAll(to, f.around)
	return closeAll(protowire.AppendBytes(append(to, f.field.tag...), wire), opened)
}

// openAll begins the messages around a field; closeAll ends them, once their lengths are known.
func openAll(to []byte, around []*field) (_ []byte, opened []int) {
	for _, f := range around {
		to = append(append(to, f.tag...), 0)
		opened = append(opened, len(to))
	}
	return to, opened
}

func closeAll(to []byte, opened []int) []byte {
	for i := len(opened) - 1; i >= 0; i-- {
		to = fixLength(to, opened[i])
	}
	return to
}

// AppendJSON appends the field's value of a message that is given in wire form; if it is not there, its default.
func (f *Field) AppendJSON(to, wire []byte) ([]byte, error) {
	part, err := f.Extract(nil, wire)
	if err != nil {
		return to, err
	}
	e := encoder{codecs: f.codecs, left: MaxDepth}
	switch {
	case len(part) == 0 && f.field.shape == single && f.field.message != nil && f.field.message.form == value:
		return append(to, "null"...), nil
	case len(part) == 0 && f.field.shape == single && f.field.message != nil:
		return e.message(to, f.field.message, nil)
	case len(part) == 0:
		return e.absent(to, f.field), nil
	case f.field.shape == repeated:
		to, _, _, err = e.list(to, f.field, part)
	case f.field.shape == mapping:
		to, _, err = e.mapping(to, f.field, part)
	default:
		to, err = f.single(&e, to, part)
	}
	if err == errScattered { // a key of a map twice: nobody writes that
		err = errWire
	}
	return to, err
}

// Extract appends the occurrences of the field in a message, tags and all.
func (f *Field) Extract(to, wire []byte) (_ []byte, err error) {
	for _, outer := range f.around {
		var parts []byte
		if parts, err = outer.extract(nil, wire); err != nil {
			return to, err
		}
		wire = nil
		for len(parts) > 0 { // all parts of a message are one
			_, _, size := consumeTag(parts)
			v, n := protowire.ConsumeBytes(parts[size:])
			if n < 0 {
				return to, errWire
			}
			wire = append(wire, v...)
			parts = parts[size+n:]
		}
	}
	return f.field.extract(to, wire)
}

func (f *field) extract(to, wire []byte) ([]byte, error) {
	for len(wire) > 0 {
		n, kind, size := consumeTag(wire)
		if size < 0 {
			return to, errWire
		}
		rest := pass(wire[size:], n, kind)
		if rest == nil {
			return to, errWire
		}
		if n == f.desc.Number() && (kind == f.wire || kind == protowire.BytesType && f.packs()) {
			to = append(to, wire[:len(wire)-len(rest)]...)
		}
		wire = rest
	}
	return to, nil
}

// single writes the last value, or all parts of a message as one.
func (f *Field) single(e *encoder, to, part []byte) ([]byte, error) {
	var last scalar
	var whole []byte
	for len(part) > 0 {
		_, _, size := consumeTag(part)
		v, n := consume(f.field.wire, part[size:])
		if n < 0 {
			return to, errWire
		}
		part = part[size+n:]
		last = v
		if f.field.message != nil {
			whole = append(whole, v.bytes...)
		}
	}
	if f.field.message != nil {
		return e.message(to, f.field.message, whole)
	}
	return e.scalar(to, f.field, last)
}

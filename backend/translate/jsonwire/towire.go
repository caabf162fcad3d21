package jsonwire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// AppendWire appends the wire form of a message that is given in JSON. An error that the JSON is to blame for is an
// *Error.
func (c *Codec) AppendWire(to, json []byte) ([]byte, error) {
	d := decoder{scanner: scanner{in: json}, codecs: c.codecs, left: MaxDepth}
	to, err := d.message(to, c)
	if err == nil {
		err = d.end()
	}
	return to, err
}

// decoder is one pass over a JSON text.
type decoder struct {
	scanner
	codecs *Codecs
	left   int // how much deeper it may go
}

func (d *decoder) message(to []byte, c *Codec) ([]byte, error) {
	switch c.form {
	case object:
		return d.object(to, c)
	case rare:
		return d.rarely(to, c)
	default:
		return d.wellKnown(to, c)
	}
}

func (d *decoder) object(to []byte, c *Codec) ([]byte, error) {
	if !d.take('{') {
		return to, d.unexpected("an object")
	}
	if d.left--; d.left < 0 {
		return to, d.tooDeep()
	}
	var seen, oneofs bits
	first, next := true, 0
	for {
		more, err := d.more(&first, '}')
		if err != nil || !more {
			d.left++
			return to, err
		}
		name, err := d.key()
		if err != nil {
			return to, err
		}
		f := c.named(name, next)
		if f == nil {
			if err := d.unknown(c, name); err != nil {
				return to, err
			}
			continue
		}
		next = f.index + 1
		if seen.add(f.index) {
			return to, within(d.wrong("it is there twice"), f.json)
		}
		if to, err = d.field(to, f, &oneofs); err != nil {
			return to, within(err, f.json)
		}
	}
}

func (d *decoder) tooDeep() error {
	return d.wrong("values stand inside each other more than " + strconv.Itoa(MaxDepth) + " deep")
}

// named finds a field by either of its names. Clients keep to an order, so the one after the last is the likely one.
func (c *Codec) named(name []byte, likely int) *field {
	if likely < len(c.fields) && string(name) == c.fields[likely].json {
		return &c.fields[likely]
	}
	return c.byName[string(name)]
}

func (d *decoder) unknown(c *Codec, name []byte) error {
	if !d.codecs.options.DiscardUnknown {
		return within(d.wrong("the message "+string(c.desc.FullName())+" has no such field"), clip(name))
	}
	_, err := d.skip(d.left)
	return err
}

func clip[T string | []byte](s T) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(string(s[:64]), "") + "…"
	}
	return string(s)
}

// field reads a field's value. null is as good as not there, unless it is a value itself.
func (d *decoder) field(to []byte, f *field, oneofs *bits) ([]byte, error) {
	if d.peek() == 'n' && !f.takesNull() && d.literal("null") {
		return to, nil
	}
	switch f.shape {
	case repeated:
		return d.list(to, f)
	case mapping:
		return d.mapping(to, f)
	}
	if f.oneof >= 0 && oneofs.add(f.oneof) {
		return to, d.wrong("another field of the oneof " + string(f.desc.ContainingOneof().Name()) + " is set already")
	}
	to, _, err := d.tagged(to, f)
	return to, err
}

func (f *field) takesNull() bool {
	return f.enum != nil && f.enum.null || f.message != nil && f.message.form == value
}

func (d *decoder) list(to []byte, f *field) ([]byte, error) {
	if !d.take('[') {
		return to, d.unexpected("an array")
	}
	start := len(to)
	if f.packed {
		to = append(append(to, f.bunch...), 0)
	}
	body := len(to)
	first := true
	for i := 0; ; i++ {
		more, err := d.more(&first, ']')
		if err != nil {
			return to, err
		}
		if !more {
			break
		}
		if f.packed {
			to, _, err = d.value(to, f)
		} else {
			to, _, err = d.tagged(to, f)
		}
		if err != nil {
			return to, withinItem(err, i)
		}
	}
	if !f.packed {
		return to, nil
	}
	if len(to) == body {
		return to[:start], nil
	}
	return fixLength(to, body), nil
}

// tagged appends one value with its tag. known is false, and nothing appended, for an enum name that is passed over.
func (d *decoder) tagged(to []byte, f *field) (out []byte, known bool, err error) {
	start := len(to)
	to = append(to, f.tag...)
	if f.wire == protowire.BytesType && f.message != nil {
		to = append(to, 0)
		body := len(to)
		if to, err = d.message(to, f.message); err != nil {
			return to, false, err
		}
		return fixLength(to, body), true, nil
	}
	to, known, err = d.value(to, f)
	if err == nil && !known {
		to = to[:start]
	}
	return to, known, err
}

// fixLength writes the length of what begins at body into the byte before it, and makes room if one byte is not enough.
func fixLength(to []byte, body int) []byte {
	n := len(to) - body
	if n < 0x80 {
		to[body-1] = byte(n)
		return to
	}
	var length [10]byte
	encoded := protowire.AppendVarint(length[:0], uint64(n))
	to = append(to, encoded[1:]...)
	copy(to[body+len(encoded)-1:], to[body:body+n])
	copy(to[body-1:], encoded)
	return to
}

func (d *decoder) mapping(to []byte, f *field) ([]byte, error) {
	if !d.take('{') {
		return to, d.unexpected("an object")
	}
	if d.left--; d.left < 0 {
		return to, d.tooDeep()
	}
	var keys keySet
	first := true
	for {
		more, err := d.more(&first, '}')
		if err != nil || !more {
			d.left++
			return to, err
		}
		name, err := d.key()
		if err != nil {
			return to, err
		}
		start := len(to)
		to = append(append(to, f.bunch...), 0)
		body := len(to)
		if to, err = d.mapKey(to, f.key, name); err != nil {
			return to, within(err, "["+clip(name)+"]")
		}
		key := to[body:]
		if keys.add(key) {
			return to, within(d.wrong("the key is there twice"), "["+clip(name)+"]")
		}
		shown := len(key)
		var known bool
		if to, known, err = d.tagged(to, f.val); err != nil {
			return to, within(err, keyShown(to[body:body+shown]))
		}
		if !known {
			to = to[:start]
			continue
		}
		to = fixLength(to, body)
	}
}

// keyShown is a map's key for an error, from its wire form: the name itself has been read over by then.
func keyShown(key []byte) string {
	_, kind, n := protowire.ConsumeTag(key)
	switch kind {
	case protowire.BytesType:
		text, _ := protowire.ConsumeBytes(key[n:])
		return "[" + clip(text) + "]"
	case protowire.VarintType:
		v, _ := protowire.ConsumeVarint(key[n:])
		return "[" + strconv.FormatInt(int64(v), 10) + "]"
	}
	return "[…]"
}

// keySet finds keys that are there twice: by looking at all while they are few.
type keySet struct {
	few  [][]byte
	many map[string]struct{}
}

const fewKeys = 8

func (k *keySet) add(key []byte) (was bool) {
	if k.many != nil {
		_, was = k.many[string(key)]
		k.many[string(key)] = struct{}{}
		return was
	}
	for _, other := range k.few {
		if bytes.Equal(other, key) {
			return true
		}
	}
	if len(k.few) < fewKeys {
		k.few = append(k.few, bytes.Clone(key)) // what it lies in moves when lengths are fixed
		return false
	}
	k.many = make(map[string]struct{}, 4*fewKeys)
	for _, other := range k.few {
		k.many[string(other)] = struct{}{}
	}
	return k.add(key)
}

// mapKey appends the key of an entry, which JSON always writes as a string.
func (d *decoder) mapKey(to []byte, f *field, name []byte) ([]byte, error) {
	to = append(to, f.tag...)
	switch f.kind {
	case protoreflect.StringKind:
		return protowire.AppendBytes(to, name), nil
	case protoreflect.BoolKind:
		switch string(name) {
		case "true":
			return append(to, 1), nil
		case "false":
			return append(to, 0), nil
		}
		return to, d.wrong("a key of this map is true or false")
	}
	return d.quoted(to, f, name)
}

// quoted appends a number that stands in a string, without white space around it.
func (d *decoder) quoted(to []byte, f *field, text []byte) ([]byte, error) {
	if n := numberLength(text); n == 0 || n != len(text) {
		return to, d.mismatch(f, text)
	}
	return d.numeric(to, f, text)
}

func (d *decoder) mismatch(f *field, text []byte) error {
	return d.wrong("`" + clip(text) + "` is no " + f.kindName())
}

func (f *field) kindName() string {
	if f.enum != nil {
		return "value of the enum " + string(f.desc.Enum().FullName())
	}
	return f.kind.String()
}

// value appends one value of a scalar, without a tag.
func (d *decoder) value(to []byte, f *field) (out []byte, known bool, err error) {
	c := d.peek()
	switch f.kind {
	case protoreflect.StringKind:
		text, err := d.string()
		return protowire.AppendBytes(to, text), true, err
	case protoreflect.BytesKind:
		text, err := d.string()
		if err != nil {
			return to, false, err
		}
		to, err = d.base64(to, text)
		return to, true, err
	case protoreflect.BoolKind:
		switch {
		case d.literal("true"):
			return append(to, 1), true, nil
		case d.literal("false"):
			return append(to, 0), true, nil
		}
		return to, false, d.unexpected("true or false")
	case protoreflect.EnumKind:
		return d.enum(to, f, c)
	}
	if c == '"' {
		text, err := d.string()
		if err != nil {
			return to, false, err
		}
		if to, ok := special(to, f, text); ok {
			return to, true, nil
		}
		to, err = d.quoted(to, f, text)
		return to, true, err
	}
	text, err := d.number()
	if err != nil {
		return to, false, d.unexpected("a number")
	}
	to, err = d.numeric(to, f, text)
	return to, true, err
}

// special appends the floating point values that JSON has no numbers for.
func special(to []byte, f *field, text []byte) ([]byte, bool) {
	var v float64
	switch string(text) {
	case "NaN":
		v = math.NaN()
	case "Infinity":
		v = math.Inf(1)
	case "-Infinity":
		v = math.Inf(-1)
	default:
		return to, false
	}
	switch f.kind {
	case protoreflect.FloatKind:
		return protowire.AppendFixed32(to, math.Float32bits(float32(v))), true
	case protoreflect.DoubleKind:
		return protowire.AppendFixed64(to, math.Float64bits(v)), true
	}
	return to, false
}

// numeric appends a JSON number as what the field is.
func (d *decoder) numeric(to []byte, f *field, n []byte) ([]byte, error) {
	switch f.kind {
	case protoreflect.FloatKind:
		if v, err := strconv.ParseFloat(string(n), 32); err == nil {
			return protowire.AppendFixed32(to, math.Float32bits(float32(v))), nil
		}
	case protoreflect.DoubleKind:
		if v, err := strconv.ParseFloat(string(n), 64); err == nil {
			return protowire.AppendFixed64(to, math.Float64bits(v)), nil
		}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		if v, ok := parseUint(n, 32); ok {
			return appendUint(to, f.kind, v), nil
		}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if v, ok := parseUint(n, 64); ok {
			return appendUint(to, f.kind, v), nil
		}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		if v, ok := parseInt(n, 32); ok {
			return appendInt(to, f.kind, v), nil
		}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		if v, ok := parseInt(n, 64); ok {
			return appendInt(to, f.kind, v), nil
		}
	}
	return to, d.mismatch(f, n)
}

func appendUint(to []byte, k protoreflect.Kind, v uint64) []byte {
	switch k {
	case protoreflect.Fixed32Kind:
		return protowire.AppendFixed32(to, uint32(v))
	case protoreflect.Fixed64Kind:
		return protowire.AppendFixed64(to, v)
	default:
		return protowire.AppendVarint(to, v)
	}
}

func appendInt(to []byte, k protoreflect.Kind, v int64) []byte {
	switch k {
	case protoreflect.Sfixed32Kind:
		return protowire.AppendFixed32(to, uint32(v))
	case protoreflect.Sfixed64Kind:
		return protowire.AppendFixed64(to, uint64(v))
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return protowire.AppendVarint(to, protowire.EncodeZigZag(v))
	default:
		return protowire.AppendVarint(to, uint64(v))
	}
}

func (d *decoder) enum(to []byte, f *field, c byte) (out []byte, known bool, err error) {
	switch {
	case f.enum.null && d.literal("null"):
		return append(to, 0), true, nil
	case c == '"':
		name, err := d.string()
		if err != nil {
			return to, false, err
		}
		v, ok := f.enum.byName[string(name)]
		if !ok && d.codecs.options.DiscardUnknown {
			return to, false, nil
		}
		if !ok {
			return to, false, d.mismatch(f, name)
		}
		return appendInt(to, protoreflect.EnumKind, int64(v)), true, nil
	}
	n, err := d.number()
	if err != nil {
		return to, false, d.unexpected("the name or number of a " + f.kindName())
	}
	v, ok := parseInt(n, 32)
	if !ok {
		return to, false, d.mismatch(f, n)
	}
	return appendInt(to, protoreflect.EnumKind, v), true, nil
}

// base64 appends bytes with their length: the standard or the URL alphabet, padded or not.
func (d *decoder) base64(to, text []byte) ([]byte, error) {
	encoding := base64.StdEncoding
	if bytes.ContainsAny(text, "-_") {
		encoding = base64.URLEncoding
	}
	if len(text)%4 != 0 {
		encoding = encoding.WithPadding(base64.NoPadding)
	}
	to = append(to, 0)
	body := len(to)
	to, err := encoding.AppendDecode(to, text)
	if err != nil {
		return to, d.wrong("the value is not base64")
	}
	return fixLength(to, body), nil
}

var errWire = errors.New("the message cannot be read")

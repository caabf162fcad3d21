package jsonwire

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// AppendJSON appends the JSON form of a message that is given in wire form. Fields come in the order of the wire.
func (c *Codec) AppendJSON(to, wire []byte) ([]byte, error) {
	e := encoder{codecs: c.codecs, left: MaxDepth}
	return e.message(to, c, wire)
}

// encoder is one pass over a wire form. Serializers write each field in one place, so it can be written out as it comes.
// Any parser must read other orders, too: for those it is errScattered, and the message is told the slow way.
type encoder struct {
	codecs *Codecs
	left   int // how much deeper it may go
	slow   int // messages told the slow way
}

// maxScattered is how many messages inside others are told the slow way each by itself. With one more all of it is, once:
// scattered messages inside each other would be gone over as often as they are deep.
const maxScattered = 8

var errScattered = errors.New("a field stands in several places")

func (e *encoder) message(to []byte, c *Codec, wire []byte) ([]byte, error) {
	start, left := len(to), e.left
	if e.left--; e.left < 0 {
		return to, errWire
	}
	var err error
	switch c.form {
	case object:
		to, err = e.object(to, c, wire)
	case rare:
		err = errScattered
	default:
		to, err = e.wellKnown(to, c, wire)
	}
	if err == errScattered {
		if e.left = left; c.form != rare && left < MaxDepth && e.slow >= maxScattered {
			return to, errScattered
		}
		e.slow++
		to, err = e.rarely(to[:start], c, wire)
	}
	e.left = left
	return to, err
}

func (e *encoder) object(to []byte, c *Codec, wire []byte) (_ []byte, err error) {
	to = append(to, '{')
	start := len(to)
	var seen, oneofs bits
	for len(wire) > 0 {
		n, kind, size := consumeTag(wire)
		if size < 0 {
			return to, errWire
		}
		f := c.number(n)
		if f == nil || kind != f.wire && !(kind == protowire.BytesType && f.packs()) {
			if wire = pass(wire[size:], n, kind); wire == nil {
				return to, errWire
			}
			continue
		}
		before := len(to)
		if len(to) > start {
			to = append(to, ',')
		}
		to = append(to, f.label...)
		var wrote bool
		switch f.shape {
		case single:
			to, wire, wrote, err = e.single(to, f, wire[size:])
		case repeated:
			to, wire, wrote, err = e.list(to, f, wire)
		default:
			to, wire, err = e.mapping(to, f, wire)
			wrote = true
		}
		if err != nil {
			return to, err
		}
		if !wrote {
			to = to[:before]
			if f.shape == single && seen.has(f.index) {
				return to, errScattered
			}
			continue
		}
		if seen.add(f.index) || f.oneof >= 0 && oneofs.add(f.oneof) {
			return to, errScattered
		}
	}
	if e.codecs.options.PrintDefaults {
		to = e.defaults(to, c, &seen, start)
	}
	return append(to, '}'), nil
}

// consumeTag reads the number and type of a field; size is negative if there is none.
func consumeTag(wire []byte) (n protowire.Number, kind protowire.Type, size int) {
	if c := wire[0]; c < 0x80 && c >= 8 {
		return protowire.Number(c >> 3), protowire.Type(c & 7), 1
	}
	n, kind, size = protowire.ConsumeTag(wire)
	if n > protowire.MaxValidNumber {
		size = -1
	}
	return n, kind, size
}

// pass steps over a field that is not known. It is nil if that cannot be read.
func pass(wire []byte, n protowire.Number, kind protowire.Type) []byte {
	size := protowire.ConsumeFieldValue(n, kind, wire)
	if size < 0 {
		return nil
	}
	return wire[size:len(wire):len(wire)] // never nil, though empty
}

// packs: the values may stand packed in one field.
func (f *field) packs() bool { return f.shape == repeated && f.wire != protowire.BytesType }

// single writes a value. wrote is false for one that is as good as not there.
func (e *encoder) single(to []byte, f *field, wire []byte) (_, rest []byte, wrote bool, err error) {
	if f.message != nil {
		body, n := protowire.ConsumeBytes(wire)
		if n < 0 {
			return to, nil, false, errWire
		}
		to, err = e.message(to, f.message, body)
		return to, wire[n:], true, err
	}
	v, n := consume(f.wire, wire)
	if n < 0 {
		return to, nil, false, errWire
	}
	if !f.presence && f.isZero(v) && !e.codecs.options.PrintDefaults {
		return to, wire[n:], false, nil
	}
	to, err = e.scalar(to, f, v)
	return to, wire[n:], true, err
}

// scalar is a value as it stands on the wire.
type scalar struct {
	bits  uint64
	bytes []byte
}

func consume(kind protowire.Type, wire []byte) (v scalar, n int) {
	switch kind {
	case protowire.VarintType:
		if len(wire) > 0 && wire[0] < 0x80 {
			return scalar{bits: uint64(wire[0])}, 1
		}
		v.bits, n = protowire.ConsumeVarint(wire)
	case protowire.Fixed32Type:
		var low uint32
		low, n = protowire.ConsumeFixed32(wire)
		v.bits = uint64(low)
	case protowire.Fixed64Type:
		v.bits, n = protowire.ConsumeFixed64(wire)
	default:
		v.bytes, n = protowire.ConsumeBytes(wire)
	}
	return v, n
}

// isZero reports whether a field without presence is not there. 32 bits of a varint count where the field has no more.
func (f *field) isZero(v scalar) bool {
	switch f.kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return len(v.bytes) == 0
	case protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Sint32Kind, protoreflect.EnumKind:
		return uint32(v.bits) == 0
	}
	return v.bits == 0
}

// list writes all values that stand here in a row.
func (e *encoder) list(to []byte, f *field, wire []byte) (_, rest []byte, wrote bool, err error) {
	to = append(to, '[')
	start := len(to)
	for len(wire) > 0 {
		n, kind, size := consumeTag(wire)
		if size < 0 {
			return to, nil, false, errWire
		}
		if n != f.desc.Number() || kind != f.wire && !(kind == protowire.BytesType && f.packs()) {
			break
		}
		wire = wire[size:]
		if kind == f.wire {
			if to, wire, err = e.item(to, f, wire, start); err != nil {
				return to, nil, false, err
			}
			continue
		}
		packed, n2 := protowire.ConsumeBytes(wire)
		if n2 < 0 {
			return to, nil, false, errWire
		}
		for wire = wire[n2:]; len(packed) > 0; {
			if to, packed, err = e.item(to, f, packed, start); err != nil {
				return to, nil, false, err
			}
		}
	}
	wrote = len(to) > start || e.codecs.options.PrintDefaults
	return append(to, ']'), wire, wrote, nil
}

func (e *encoder) item(to []byte, f *field, wire []byte, start int) (_, rest []byte, err error) {
	if len(to) > start {
		to = append(to, ',')
	}
	v, n := consume(f.wire, wire)
	if n < 0 {
		return to, nil, errWire
	}
	if f.message != nil {
		to, err = e.message(to, f.message, v.bytes)
	} else {
		to, err = e.scalar(to, f, v)
	}
	return to, wire[n:], err
}

// mapping writes all entries that stand here in a row. A key that is there twice counts by its last value, which is the
// slow way's to find.
func (e *encoder) mapping(to []byte, f *field, wire []byte) (_, rest []byte, err error) {
	to = append(to, '{')
	start := len(to)
	var keys keySet
	for len(wire) > 0 {
		n, kind, size := consumeTag(wire)
		if size < 0 {
			return to, nil, errWire
		}
		if n != f.desc.Number() || kind != protowire.BytesType {
			break
		}
		entry, n2 := protowire.ConsumeBytes(wire[size:])
		if n2 < 0 {
			return to, nil, errWire
		}
		wire = wire[size+n2:]
		if len(to) > start {
			to = append(to, ',')
		}
		if to, err = e.entry(to, f, entry, &keys); err != nil {
			return to, nil, err
		}
	}
	return append(to, '}'), wire, nil
}

func (e *encoder) entry(to []byte, f *field, entry []byte, keys *keySet) (_ []byte, err error) {
	var key, val scalar
	hasKey, hasValue := false, false
	for len(entry) > 0 {
		n, kind, size := consumeTag(entry)
		if size < 0 {
			return to, errWire
		}
		part, into, has := f.key, &key, &hasKey
		switch {
		case n == entryKey && kind == f.key.wire:
		case n == entryValue && kind == f.val.wire:
			part, into, has = f.val, &val, &hasValue
		default:
			if entry = pass(entry[size:], n, kind); entry == nil {
				return to, errWire
			}
			continue
		}
		if *has {
			return to, errScattered
		}
		*has = true
		var n2 int
		if *into, n2 = consume(part.wire, entry[size:]); n2 < 0 {
			return to, errWire
		}
		entry = entry[size+n2:]
	}
	begin := len(to)
	quote := f.key.kind != protoreflect.StringKind && !is64(f.key.kind)
	if quote {
		to = append(to, '"')
	}
	if to, err = e.scalar(to, f.key, key); err != nil {
		return to, err
	}
	if quote {
		to = append(to, '"')
	}
	if keys.add(to[begin:]) {
		return to, errScattered
	}
	to = append(to, ':')
	if f.val.message != nil {
		return e.message(to, f.val.message, val.bytes)
	}
	return e.scalar(to, f.val, val)
}

// is64: JSON writes the number as a string.
func is64(k protoreflect.Kind) bool {
	switch k {
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return true
	}
	return false
}

func (e *encoder) scalar(to []byte, f *field, v scalar) ([]byte, error) {
	switch f.kind {
	case protoreflect.StringKind:
		if !utf8.Valid(v.bytes) {
			return to, errWire
		}
		return appendString(to, v.bytes), nil
	case protoreflect.BytesKind:
		to = append(to, '"')
		to = base64.StdEncoding.AppendEncode(to, v.bytes)
		return append(to, '"'), nil
	case protoreflect.BoolKind:
		return strconv.AppendBool(to, v.bits != 0), nil
	case protoreflect.EnumKind:
		return e.enum(to, f.enum, int32(v.bits)), nil
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return strconv.AppendInt(to, int64(int32(v.bits)), 10), nil
	case protoreflect.Sint32Kind:
		return strconv.AppendInt(to, int64(int32(protowire.DecodeZigZag(v.bits&math.MaxUint32))), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.AppendUint(to, uint64(uint32(v.bits)), 10), nil
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return append(strconv.AppendInt(append(to, '"'), int64(v.bits), 10), '"'), nil
	case protoreflect.Sint64Kind:
		return append(strconv.AppendInt(append(to, '"'), protowire.DecodeZigZag(v.bits), 10), '"'), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return append(strconv.AppendUint(append(to, '"'), v.bits, 10), '"'), nil
	case protoreflect.FloatKind:
		return appendFloat(to, float64(math.Float32frombits(uint32(v.bits))), 32), nil
	default:
		return appendFloat(to, math.Float64frombits(v.bits), 64), nil
	}
}

func (e *encoder) enum(to []byte, names *enum, n int32) []byte {
	if names.null {
		return append(to, "null"...)
	}
	if name, known := names.byNumber[n]; known && !e.codecs.options.EnumNumbers {
		return append(to, name...)
	}
	return strconv.AppendInt(to, int64(n), 10)
}

// appendFloat writes the shortest number that reads back the same.
func appendFloat(to []byte, v float64, size int) []byte {
	switch {
	case math.IsNaN(v):
		return append(to, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(to, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(to, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	to = strconv.AppendFloat(to, v, format, -1, size)
	if n := len(to); format == 'e' && to[n-4] == 'e' && to[n-3] == '-' && to[n-2] == '0' { // e-09 is e-9
		to[n-2] = to[n-1]
		to = to[:n-1]
	}
	return to
}

// defaults writes what was not there: lists and maps empty, messages null, and nothing for what may be absent.
func (e *encoder) defaults(to []byte, c *Codec, seen *bits, start int) []byte {
	for i := range c.fields {
		f := &c.fields[i]
		if seen.has(i) || f.oneof >= 0 {
			continue
		}
		if len(to) > start {
			to = append(to, ',')
		}
		to = e.absent(append(to, f.label...), f)
	}
	return to
}

func (e *encoder) absent(to []byte, f *field) []byte {
	switch {
	case f.shape == repeated:
		return append(to, '[', ']')
	case f.shape == mapping:
		return append(to, '{', '}')
	case f.message != nil || f.presence:
		return append(to, "null"...)
	}
	to, _ = e.scalar(to, f, scalar{}) // zero can be told, whatever the kind
	return to
}

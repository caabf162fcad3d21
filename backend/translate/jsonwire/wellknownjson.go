package jsonwire

import (
	"math"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func (e *encoder) wellKnown(to []byte, c *Codec, wire []byte) ([]byte, error) {
	switch c.form {
	case timestamp, duration:
		return e.span(to, c.form, wire)
	case wrapper:
		return e.wrapper(to, &c.fields[0], wire)
	case structure:
		return e.structure(to, wire)
	case list:
		return e.listValue(to, wire)
	case value:
		return e.anyValue(to, wire)
	default:
		return e.fieldMask(to, wire)
	}
}

// span writes a Timestamp or a Duration.
func (e *encoder) span(to []byte, f form, wire []byte) ([]byte, error) {
	var seconds, nanos int64
	for len(wire) > 0 {
		n, kind, size := consumeTag(wire)
		if size < 0 {
			return to, errWire
		}
		if kind != protowire.VarintType || n > spanNanos {
			if wire = pass(wire[size:], n, kind); wire == nil {
				return to, errWire
			}
			continue
		}
		v, n2 := protowire.ConsumeVarint(wire[size:])
		if n2 < 0 {
			return to, errWire
		}
		wire = wire[size+n2:]
		if n == spanSeconds {
			seconds = int64(v)
		} else {
			nanos = int64(int32(v))
		}
	}
	if f == timestamp {
		return appendTimestamp(to, seconds, nanos)
	}
	return appendDuration(to, seconds, nanos)
}

func appendTimestamp(to []byte, seconds, nanos int64) ([]byte, error) {
	if seconds < minTimestamp || seconds > maxTimestamp || nanos < 0 || nanos >= nanosPerSecond {
		return to, errWire
	}
	to = time.Unix(seconds, 0).UTC().AppendFormat(append(to, '"'), "2006-01-02T15:04:05")
	return append(appendNanos(to, nanos), 'Z', '"'), nil
}

func appendDuration(to []byte, seconds, nanos int64) ([]byte, error) {
	if seconds < -maxDuration || seconds > maxDuration || nanos <= -nanosPerSecond || nanos >= nanosPerSecond ||
		seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0 {
		return to, errWire
	}
	to = append(to, '"')
	if seconds < 0 || nanos < 0 {
		to, seconds, nanos = append(to, '-'), -seconds, -nanos
	}
	to = appendDigits(to, seconds, 1)
	return append(appendNanos(to, nanos), 's', '"'), nil
}

// appendNanos writes a fraction of 0, 3, 6 or 9 digits.
func appendNanos(to []byte, nanos int64) []byte {
	switch {
	case nanos == 0:
		return to
	case nanos%1e6 == 0:
		return appendDigits(append(to, '.'), nanos/1e6, 3)
	case nanos%1e3 == 0:
		return appendDigits(append(to, '.'), nanos/1e3, 6)
	}
	return appendDigits(append(to, '.'), nanos, 9)
}

// appendDigits writes n with at least width digits.
func appendDigits(to []byte, n int64, width int) []byte {
	var b [20]byte
	i := len(b)
	for ; n > 0 || width > 0; width-- {
		i--
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return append(to, b[i:]...)
}

func (e *encoder) wrapper(to []byte, f *field, wire []byte) ([]byte, error) {
	var v scalar
	for len(wire) > 0 {
		n, kind, size := consumeTag(wire)
		if size < 0 {
			return to, errWire
		}
		if n != 1 || kind != f.wire {
			if wire = pass(wire[size:], n, kind); wire == nil {
				return to, errWire
			}
			continue
		}
		var n2 int
		if v, n2 = consume(f.wire, wire[size:]); n2 < 0 {
			return to, errWire
		}
		wire = wire[size+n2:]
	}
	return e.scalar(to, f, v)
}

func (e *encoder) fieldMask(to, wire []byte) ([]byte, error) {
	to = append(to, '"')
	start := len(to)
	err := e.each(wire, maskPaths, func(path []byte) error {
		camel := camelCase(string(path))
		if !protoreflect.FullName(path).IsValid() || snakeCase(camel) != string(path) {
			return errWire
		}
		if len(to) > start {
			to = append(to, ',')
		}
		to = append(to, camel...)
		return nil
	})
	return append(to, '"'), err
}

// each calls f for every value of a field that has a length; all others are passed over.
func (e *encoder) each(wire []byte, field protowire.Number, f func([]byte) error) error {
	for len(wire) > 0 {
		n, kind, size := consumeTag(wire)
		if size < 0 {
			return errWire
		}
		if n != field || kind != protowire.BytesType {
			if wire = pass(wire[size:], n, kind); wire == nil {
				return errWire
			}
			continue
		}
		v, n2 := protowire.ConsumeBytes(wire[size:])
		if n2 < 0 {
			return errWire
		}
		wire = wire[size+n2:]
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) structure(to, wire []byte) ([]byte, error) {
	to = append(to, '{')
	start := len(to)
	var keys keySet
	err := e.each(wire, structFields, func(entry []byte) (err error) {
		var key, val []byte
		keyed, valued := 0, 0
		if err = e.each(entry, entryKey, func(k []byte) error { key, keyed = k, keyed+1; return nil }); err != nil {
			return err
		}
		if err = e.each(entry, entryValue, func(v []byte) error { val, valued = v, valued+1; return nil }); err != nil {
			return err
		}
		switch {
		case keyed > 1 || valued > 1 || keys.add(key):
			return errScattered
		case !utf8.Valid(key):
			return errWire
		}
		if len(to) > start {
			to = append(to, ',')
		}
		to = append(appendString(to, key), ':')
		to, err = e.nested(to, val)
		return err
	})
	return append(to, '}'), err
}

// nested writes a Value inside another.
func (e *encoder) nested(to, wire []byte) (_ []byte, err error) {
	if e.left--; e.left < 0 {
		return to, errWire
	}
	to, err = e.anyValue(to, wire)
	e.left++
	return to, err
}

func (e *encoder) listValue(to, wire []byte) ([]byte, error) {
	to = append(to, '[')
	start := len(to)
	err := e.each(wire, listValues, func(item []byte) (err error) {
		if len(to) > start {
			to = append(to, ',')
		}
		to, err = e.nested(to, item)
		return err
	})
	return append(to, ']'), err
}

var valueWires = [...]protowire.Type{
	valueNull: protowire.VarintType, valueNumber: protowire.Fixed64Type, valueString: protowire.BytesType,
	valueBool: protowire.VarintType, valueStruct: protowire.BytesType, valueList: protowire.BytesType,
}

func (e *encoder) anyValue(to, wire []byte) ([]byte, error) {
	var v scalar
	which := protowire.Number(0)
	for len(wire) > 0 {
		n, kind, size := consumeTag(wire)
		if size < 0 {
			return to, errWire
		}
		if n > valueList || kind != valueWires[n] {
			if wire = pass(wire[size:], n, kind); wire == nil {
				return to, errWire
			}
			continue
		}
		if which != 0 {
			return to, errScattered
		}
		which = n
		var n2 int
		if v, n2 = consume(kind, wire[size:]); n2 < 0 {
			return to, errWire
		}
		wire = wire[size+n2:]
	}
	switch which {
	case valueNull:
		return append(to, "null"...), nil
	case valueNumber:
		f := math.Float64frombits(v.bits)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return to, errWire
		}
		return appendFloat(to, f, 64), nil
	case valueString:
		if !utf8.Valid(v.bytes) {
			return to, errWire
		}
		return appendString(to, v.bytes), nil
	case valueBool:
		if v.bits != 0 {
			return append(to, "true"...), nil
		}
		return append(to, "false"...), nil
	case valueStruct:
		return e.structure(to, v.bytes)
	case valueList:
		return e.listValue(to, v.bytes)
	}
	return to, errWire // a Value must be one of them
}

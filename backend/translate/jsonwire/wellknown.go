package jsonwire

import (
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Fields of google.protobuf.Value, Struct and its entries, ListValue, Timestamp and Duration, FieldMask and the wrappers.
const (
	valueNull, valueNumber, valueString, valueBool, valueStruct, valueList = 1, 2, 3, 4, 5, 6

	structFields                 = 1
	entryKey, entryValue         = 1, 2
	listValues                   = 1
	spanSeconds, spanNanos       = 1, 2
	maskPaths                    = 1
	maxTimestamp                 = 253402300799 // the last second of the year 9999
	minTimestamp                 = -62135596800 // the first of the year 1
	maxDuration                  = 315576000000
	nanosPerSecond         int64 = 1e9
)

func (d *decoder) wellKnown(to []byte, c *Codec) ([]byte, error) {
	switch c.form {
	case wrapper:
		to, _, err := d.tagged(to, &c.fields[0])
		return to, err
	case structure:
		return d.structure(to)
	case list:
		return d.listValue(to)
	case value:
		return d.anyValue(to)
	}
	text, err := d.string()
	if err != nil {
		return to, err
	}
	switch c.form {
	case timestamp:
		return d.timestamp(to, string(text))
	case duration:
		return d.duration(to, string(text))
	default:
		return d.fieldMask(to, string(text))
	}
}

func (d *decoder) timestamp(to []byte, s string) ([]byte, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	dot, zone := strings.LastIndexByte(s, '.'), strings.LastIndexAny(s, "Z-+")
	if err != nil || dot >= 0 && zone >= dot && zone-dot > len(".999999999") || strings.Contains(s, ",") {
		return to, d.wrong("`" + clip(s) + "` is no timestamp; write 2006-01-02T15:04:05Z")
	}
	if t.Unix() < minTimestamp || t.Unix() > maxTimestamp {
		return to, d.wrong("the timestamp is not in the years 1 to 9999")
	}
	return appendSpan(to, t.Unix(), int64(t.Nanosecond())), nil
}

func appendSpan(to []byte, seconds, nanos int64) []byte {
	if seconds != 0 {
		to = protowire.AppendVarint(append(to, spanSeconds<<3), uint64(seconds))
	}
	if nanos != 0 {
		to = protowire.AppendVarint(append(to, spanNanos<<3), uint64(nanos))
	}
	return to
}

// duration reads seconds with at most nine digits behind the point: -1.5s.
func (d *decoder) duration(to []byte, s string) ([]byte, error) {
	seconds, nanos, ok := parseDuration(s)
	if !ok {
		return to, d.wrong("`" + clip(s) + "` is no duration; write 1.5s")
	}
	if seconds > maxDuration || seconds < -maxDuration {
		return to, d.wrong("the duration is longer than 10000 years")
	}
	return appendSpan(to, seconds, nanos), nil
}

func parseDuration(s string) (seconds, nanos int64, ok bool) {
	s, ok = strings.CutSuffix(s, "s")
	sign := int64(1)
	if rest, negative := strings.CutPrefix(s, "-"); negative {
		s, sign = rest, -1
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	whole, fraction, point := strings.Cut(s, ".")
	if !ok || whole == "" && fraction == "" || len(fraction) > 9 || digits([]byte(whole)) != len(whole) ||
		digits([]byte(fraction)) != len(fraction) || point && whole == "" && fraction == "" || len(whole) > 1 && whole[0] == '0' {
		return 0, 0, false
	}
	if whole != "" {
		n, err := strconv.ParseInt(whole, 10, 64)
		if err != nil {
			return 0, 0, false
		}
		seconds = n
	}
	if fraction != "" {
		nanos, _ = strconv.ParseInt(fraction+strings.Repeat("0", 9-len(fraction)), 10, 64)
	}
	return sign * seconds, sign * nanos, true
}

// fieldMask reads paths in lowerCamelCase, joined by commas.
func (d *decoder) fieldMask(to []byte, s string) ([]byte, error) {
	if s = strings.TrimSpace(s); s == "" {
		return to, nil
	}
	for camel := range strings.SplitSeq(s, ",") {
		path := snakeCase(camel)
		if strings.Contains(camel, "_") || !protoreflect.FullName(path).IsValid() {
			return to, d.wrong("`" + clip(camel) + "` is no path of a field mask; write lowerCamelCase")
		}
		to = protowire.AppendString(append(to, maskPaths<<3|2), path)
	}
	return to, nil
}

func snakeCase(camel string) string {
	b := make([]byte, 0, len(camel)+4)
	for i := 0; i < len(camel); i++ {
		c := camel[i]
		if c >= 'A' && c <= 'Z' {
			b = append(b, '_')
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return string(b)
}

func camelCase(snake string) string {
	b := make([]byte, 0, len(snake))
	under := false
	for i := 0; i < len(snake); i++ {
		c := snake[i]
		if c != '_' {
			if under && c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			b = append(b, c)
		}
		under = c == '_'
	}
	return string(b)
}

// structure reads any object as google.protobuf.Struct.
func (d *decoder) structure(to []byte) ([]byte, error) {
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
		if keys.add(name) {
			return to, within(d.wrong("it is there twice"), clip(name))
		}
		to = append(to, structFields<<3|2, 0)
		entry := len(to)
		to = protowire.AppendBytes(append(to, entryKey<<3|2), name)
		keyEnd := len(to)
		to = append(to, entryValue<<3|2, 0)
		body := len(to)
		if to, err = d.anyValue(to); err != nil {
			return to, within(err, keyShown(to[entry:keyEnd]))
		}
		to = fixLength(fixLength(to, body), entry)
	}
}

func (d *decoder) listValue(to []byte) ([]byte, error) {
	if !d.take('[') {
		return to, d.unexpected("an array")
	}
	if d.left--; d.left < 0 {
		return to, d.tooDeep()
	}
	first := true
	for i := 0; ; i++ {
		more, err := d.more(&first, ']')
		if err != nil || !more {
			d.left++
			return to, err
		}
		to = append(to, listValues<<3|2, 0)
		body := len(to)
		if to, err = d.anyValue(to); err != nil {
			return to, withinItem(err, i)
		}
		to = fixLength(to, body)
	}
}

// anyValue reads any JSON as google.protobuf.Value.
func (d *decoder) anyValue(to []byte) ([]byte, error) {
	c := d.peek()
	switch {
	case c == '{':
		to = append(to, valueStruct<<3|2, 0)
		body := len(to)
		to, err := d.structure(to)
		return fixLength(to, body), err
	case c == '[':
		to = append(to, valueList<<3|2, 0)
		body := len(to)
		to, err := d.listValue(to)
		return fixLength(to, body), err
	case c == '"':
		text, err := d.string()
		return protowire.AppendBytes(append(to, valueString<<3|2), text), err
	case d.literal("null"):
		return append(to, valueNull<<3, 0), nil
	case d.literal("true"):
		return append(to, valueBool<<3, 1), nil
	case d.literal("false"):
		return append(to, valueBool<<3, 0), nil
	}
	n, err := d.number()
	if err != nil {
		return to, d.unexpected("a JSON value")
	}
	v, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return to, d.wrong("`" + clip(n) + "` is more than a double holds")
	}
	return protowire.AppendFixed64(append(to, valueNumber<<3|1), math.Float64bits(v)), nil
}

package soap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bounds of one message, in JSON and in XML.
const (
	maxDepth  = 96      // values inside each other
	maxText   = 1 << 30 // bytes, whatever the route allows: places are counted in 32 bits
	maxValues = 500_000 // of JSON
)

// jsonKind is the first byte of a value: { [ " t f n, and 0 for a number.
type jsonKind byte

const (
	jsonObject jsonKind = '{'
	jsonArray  jsonKind = '['
	jsonString jsonKind = '"'
	jsonTrue   jsonKind = 't'
	jsonFalse  jsonKind = 'f'
	jsonNull   jsonKind = 'n'
	jsonNumber jsonKind = 0
)

// jsonText is JSON text and an index of its values, in the order of the text: the schema wants them in another order, so
// each must be found again, and nothing else of it is kept.
type jsonText struct {
	text   []byte
	values []jsonValue
}

// jsonValue is one value. Its children follow it; end is the place after the last of them.
type jsonValue struct {
	kind       jsonKind
	start, end int32 // of the text
	key        [2]int32
	next       int32 // the value after this one and all in it
	count      int32 // children
}

// parseJSON indexes text. RFC 8259, strictly: encoding/json has checked it first, so what follows only walks.
func (d *jsonText) parseJSON(text []byte) error {
	d.text, d.values = text, d.values[:0]
	if len(text) > maxText {
		return errTooLarge
	}
	if !utf8.Valid(text) {
		return errors.New("the text is not valid UTF-8")
	}
	if !json.Valid(text) {
		var any json.RawMessage
		var syntax *json.SyntaxError
		if err := json.Unmarshal(text, &any); errors.As(err, &syntax) {
			return fmt.Errorf("not valid JSON at byte %d: %v", syntax.Offset, syntax)
		}
		return errors.New("not valid JSON")
	}
	_, err := d.value(d.space(0), 0)
	return err
}

func (d *jsonText) space(i int) int {
	for i < len(d.text) && (d.text[i] == ' ' || d.text[i] == '\t' || d.text[i] == '\n' || d.text[i] == '\r') {
		i++
	}
	return i
}

// value indexes the value that begins at i and returns the place after it.
func (d *jsonText) value(i, depth int) (int, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("more than %d values inside each other", maxDepth)
	}
	at := len(d.values)
	if at >= maxValues {
		return 0, fmt.Errorf("more than %d values", maxValues)
	}
	kind := jsonKind(d.text[i])
	if kind == '-' || kind >= '0' && kind <= '9' {
		kind = jsonNumber
	}
	d.values = append(d.values, jsonValue{kind: kind, start: int32(i)})
	var err error
	switch kind {
	case jsonObject, jsonArray:
		i, err = d.children(i, depth, kind)
	case jsonString:
		i = d.stringEnd(i)
	default:
		for i < len(d.text) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(d.text[i])) {
			i++
		}
	}
	d.values[at].end, d.values[at].next = int32(i), int32(len(d.values))
	return i, err
}

func (d *jsonText) children(i, depth int, kind jsonKind) (int, error) {
	at := len(d.values) - 1
	for i = d.space(i + 1); d.text[i] != ']' && d.text[i] != '}'; {
		var key [2]int32
		if kind == jsonObject {
			end := d.stringEnd(i)
			key = [2]int32{int32(i), int32(end)}
			i = d.space(d.space(end) + 1)
		}
		child := len(d.values)
		next, err := d.value(i, depth+1)
		if err != nil {
			return 0, err
		}
		d.values[child].key = key
		d.values[at].count++
		if i = d.space(next); d.text[i] == ',' {
			i = d.space(i + 1)
		}
	}
	return i + 1, nil
}

func (d *jsonText) stringEnd(i int) int {
	for i++; d.text[i] != '"'; i++ {
		if d.text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// raw is the text of a value as it was written.
func (d *jsonText) raw(v int32) []byte { return d.text[d.values[v].start:d.values[v].end] }

// key is the name of a member.
func (d *jsonText) key(v int32) string {
	k := d.values[v].key
	return d.unquote(d.text[k[0]:k[1]])
}

// str is the content of a string, the text of any other scalar.
func (d *jsonText) str(v int32) string {
	if d.values[v].kind == jsonString {
		return d.unquote(d.raw(v))
	}
	return string(d.raw(v))
}

func (d *jsonText) unquote(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it was checked with the whole
	return s
}

// each calls f for the children of v.
func (d *jsonText) each(v int32, f func(child int32) error) error {
	for i := v + 1; i < d.values[v].next; i = d.values[i].next {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

func (k jsonKind) String() string {
	switch k {
	case jsonObject:
		return "an object"
	case jsonArray:
		return "a list"
	case jsonString:
		return "a string"
	case jsonNull:
		return "null"
	case jsonNumber:
		return "a number"
	}
	return "true or false"
}

// appendString writes a JSON string.
func appendString(b []byte, s []byte) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			_, size := utf8.DecodeRune(s[i:])
			i += size
			continue
		}
		b = append(b, s[from:i]...)
		b = appendEscaped(b, c)
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}

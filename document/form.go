package document

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// A form (application/x-www-form-urlencoded) is an object of strings; a name that occurs more than once holds an array.

// maxFields bounds the fields of a form.
const maxFields = 10_000

var errFormShape = errors.New("only an object of plain values, or of arrays of them, has the form of a form")

// FromForm makes JSON of a form.
func FromForm(text []byte) (Value, error) {
	var names []string
	values := make(map[string][]string)
	for n, rest := 0, string(text); rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if pair == "" {
			continue
		}
		if n++; n > maxFields {
			return nil, fmt.Errorf("the form has more than %d fields", maxFields)
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := unescape(rawName)
		if err != nil {
			return nil, err
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, err
		}
		if values[name] == nil {
			names = append(names, name)
		}
		values[name] = append(values[name], value)
	}
	dst := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendQuoted(dst, name), ':')
		dst = appendStrings(dst, values[name])
	}
	return append(dst, '}'), nil
}

func unescape(s string) (string, error) {
	s, err := url.QueryUnescape(s)
	if err != nil {
		return "", errors.New("an escape in the form is broken")
	}
	if !utf8.ValidString(s) {
		return "", errors.New("the form is not UTF-8")
	}
	return s, nil
}

func appendStrings(dst []byte, values []string) []byte {
	if len(values) == 1 {
		return AppendQuoted(dst, values[0])
	}
	for i, value := range values {
		dst = AppendQuoted(append(dst, "[,"[min(i, 1)]), value)
	}
	return append(dst, ']')
}

// AppendForm appends v as a form. Null is an empty value.
func AppendForm(dst []byte, v Value) ([]byte, error) {
	if v.Kind() != Object {
		return nil, errFormShape
	}
	open := len(dst)
	field := func(name, value Value) error {
		text := ""
		switch value.Kind() {
		case Object, Array:
			return errFormShape
		case Null:
		default:
			text = value.Text()
		}
		if len(dst) > open {
			dst = append(dst, '&')
		}
		dst = append(AppendEscaped(dst, name.Text()), '=')
		dst = AppendEscaped(dst, text)
		return nil
	}
	for m := v.Members(); m.Next(); {
		if m.Value.Kind() != Array {
			if err := field(m.Name, m.Value); err != nil {
				return nil, err
			}
			continue
		}
		for e := m.Value.Elements(); e.Next(); {
			if err := field(m.Name, e.Value); err != nil {
				return nil, err
			}
		}
	}
	return dst, nil
}

// AppendEscaped appends text with all but the unreserved characters of RFC 3986 as %XX: right for one path segment, one
// query value or one field of a form.
func AppendEscaped(dst []byte, text string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(text); i++ {
		c := text[i]
		if isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_' || c == '~' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

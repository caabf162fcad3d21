package document

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Value is one JSON value as it was written: a slice of a text that Parse has checked. Nothing here looks for mistakes.
type Value []byte

// Kind is what a Value is.
type Kind uint8

const (
	None Kind = iota // no value at all: the zero Value
	Null
	Bool
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"nothing", "null", "a boolean", "a number", "a string", "an array", "an object"}

func (k Kind) String() string { return kindNames[k] }

// Kind reads the kind off the first byte.
func (v Value) Kind() Kind {
	if len(v) == 0 {
		return None
	}
	switch v[0] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

// Members walks the members of an object in their order; of any other value there are none.
//
//	for m := v.Members(); m.Next(); { … m.Name, m.Value … }
type Members struct {
	Name  Value // a string, quotes included
	Value Value
	rest  Value
}

// Members starts before the first member.
func (v Value) Members() Members {
	if v.Kind() != Object {
		return Members{}
	}
	return Members{rest: v[1:]}
}

// Next goes to the next member, if there is one.
func (m *Members) Next() bool {
	i := next(m.rest)
	if i < 0 {
		return false
	}
	end := stringEnd(m.rest, i)
	m.Name = m.rest[i:end:end]
	i = skipSpace(m.rest, end)  // to the colon
	i = skipSpace(m.rest, i+1)  // to the value
	end = valueEnd(m.rest, i)   // behind it
	m.Value = m.rest[i:end:end] //
	m.rest = m.rest[end:]       // before a comma or the end
	return true
}

// Elements walks the elements of an array; of any other value there are none.
type Elements struct {
	Value Value
	rest  Value
}

// Elements starts before the first element.
func (v Value) Elements() Elements {
	if v.Kind() != Array {
		return Elements{}
	}
	return Elements{rest: v[1:]}
}

// Next goes to the next element, if there is one.
func (e *Elements) Next() bool {
	i := next(e.rest)
	if i < 0 {
		return false
	}
	end := valueEnd(e.rest, i)
	e.Value = e.rest[i:end:end]
	e.rest = e.rest[end:]
	return true
}

// next is where the next member or element of a container begins, or -1.
func next(rest Value) int {
	i := skipSpace(rest, 0)
	if i < len(rest) && rest[i] == ',' {
		i = skipSpace(rest, i+1)
	}
	if i >= len(rest) || rest[i] == '}' || rest[i] == ']' {
		return -1
	}
	return i
}

// valueEnd is the index behind the value that begins at i.
func valueEnd(text []byte, i int) int {
	switch text[i] {
	case '"':
		return stringEnd(text, i)
	case '{', '[':
		return containerEnd(text, i)
	}
	for i < len(text) && text[i] != ',' && text[i] != '}' && text[i] != ']' && text[i] > ' ' {
		i++
	}
	return i
}

// containerEnd counts brackets: of a checked text they match.
func containerEnd(text []byte, i int) int {
	for depth := 0; i < len(text); {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return i
}

func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return i
}

// Len counts the elements of an array or the members of an object.
func (v Value) Len() (n int) {
	for e := v.Elements(); e.Next(); n++ {
	}
	for m := v.Members(); m.Next(); n++ {
	}
	return n
}

// Is reports whether v is the string text.
func (v Value) Is(text string) bool {
	if v.Kind() != String {
		return false
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1:len(v)-1]) == text
	}
	return string(v.AppendText(nil)) == text
}

// Text is a string's characters, or any other value as it is written.
func (v Value) Text() string {
	if v.Kind() == String && bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	return string(v.AppendText(nil))
}

// AppendText appends what Text returns. Half a surrogate pair becomes U+FFFD.
func (v Value) AppendText(dst []byte) []byte {
	if v.Kind() != String {
		return append(dst, v...)
	}
	for v = v[1 : len(v)-1]; ; {
		i := bytes.IndexByte(v, '\\')
		if i < 0 {
			return append(dst, v...)
		}
		dst = append(dst, v[:i]...)
		dst, v = appendEscape(dst, v[i+1:])
	}
}

// appendEscape appends the character of the escape whose backslash is before v, and returns what is left of v.
func appendEscape(dst, v []byte) ([]byte, Value) {
	switch v[0] {
	case 'b':
		return append(dst, '\b'), v[1:]
	case 'f':
		return append(dst, '\f'), v[1:]
	case 'n':
		return append(dst, '\n'), v[1:]
	case 'r':
		return append(dst, '\r'), v[1:]
	case 't':
		return append(dst, '\t'), v[1:]
	case 'u':
		r, rest := hexRune(v[1:5]), v[5:]
		if utf16.IsSurrogate(r) && len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
			if pair := utf16.DecodeRune(r, hexRune(rest[2:6])); pair != utf8.RuneError {
				return utf8.AppendRune(dst, pair), rest[6:]
			}
		}
		return utf8.AppendRune(dst, r), rest
	}
	return append(dst, v[0]), v[1:]
}

func hexRune(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits), 16, 16)
	return rune(n)
}

// AppendQuoted appends text as a JSON string. What is not UTF-8 in it becomes U+FFFD.
func AppendQuoted(dst []byte, text string) []byte {
	return append(AppendInside(append(dst, '"'), text), '"')
}

// AppendInside appends text as it stands between the quotes of a JSON string.
func AppendInside(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case plain[c]:
			dst = append(dst, c)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			r, n := utf8.DecodeRuneInString(text[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return dst
}

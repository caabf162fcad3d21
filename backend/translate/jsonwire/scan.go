package jsonwire

import (
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON as RFC 8259 writes it, and nothing more: no trailing commas, no comments, no second value.
type scanner struct {
	in   []byte
	at   int
	text []byte // of a string with escapes
}

func (s *scanner) wrong(reason string) error { return &Error{Reason: reason} }

func (s *scanner) unexpected(wanted string) error {
	if s.at >= len(s.in) {
		return s.wrong("the JSON ends where " + wanted + " is due")
	}
	return s.wrong("this is not " + wanted)
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.in) {
		switch c := s.in[s.at]; c {
		case ' ', '\n', '\r', '\t':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.at >= len(s.in) {
		return false
	}
	s.at++
	return true
}

// more steps to the next item of an object or array that close ends; first is true before the first.
func (s *scanner) more(first *bool, close byte) (bool, error) {
	c := s.peek()
	switch {
	case c == close && s.at < len(s.in):
		s.at++
		return false, nil
	case *first:
		*first = false
		return true, nil
	case c == ',':
		s.at++
		if s.peek() == close {
			return false, s.wrong("there is a comma before the end")
		}
		return true, nil
	}
	return false, s.unexpected("a comma or the end")
}

// literal takes true, false or null.
func (s *scanner) literal(word string) bool {
	if len(s.in)-s.at < len(word) || string(s.in[s.at:s.at+len(word)]) != word {
		return false
	}
	if end := s.at + len(word); end < len(s.in) && isWord(s.in[end]) {
		return false
	}
	s.at += len(word)
	return true
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '+' || c == '.'
}

// string reads a string. What it returns is in use until the next one is read.
func (s *scanner) string() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.unexpected("a string")
	}
	start := s.at + 1
	high := byte(0)
	for i := start; i < len(s.in); i++ {
		c := s.in[i]
		if c == '"' {
			s.at = i + 1
			if high >= utf8.RuneSelf && !utf8.Valid(s.in[start:i]) {
				return nil, s.wrong("the string is not valid UTF-8")
			}
			return s.in[start:i], nil
		}
		if c == '\\' {
			return s.escaped(start, i)
		}
		if c < ' ' {
			return nil, s.wrong("the string holds a control character; it must be escaped")
		}
		high |= c
	}
	return nil, s.wrong("the JSON ends inside a string")
}

// escaped goes on with a string that has an escape at i.
func (s *scanner) escaped(start, i int) ([]byte, error) {
	s.text = append(s.text[:0], s.in[start:i]...)
	for i < len(s.in) {
		switch c := s.in[i]; {
		case c == '"':
			s.at = i + 1
			if !utf8.Valid(s.text) {
				return nil, s.wrong("the string is not valid UTF-8")
			}
			return s.text, nil
		case c < ' ':
			return nil, s.wrong("the string holds a control character; it must be escaped")
		case c != '\\':
			s.text = append(s.text, c)
			i++
		default:
			n := s.escape(s.in[i:])
			if n == 0 {
				return nil, s.wrong("the string holds an escape that JSON does not have")
			}
			i += n
		}
	}
	return nil, s.wrong("the JSON ends inside a string")
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape appends what the escape at the start of in means and returns its length, 0 if it means nothing.
func (s *scanner) escape(in []byte) int {
	if len(in) < 2 {
		return 0
	}
	if c := escapes[in[1]]; c != 0 {
		s.text = append(s.text, c)
		return 2
	}
	r, ok := hex4(in)
	if !ok {
		return 0
	}
	if !utf16.IsSurrogate(r) {
		s.text = utf8.AppendRune(s.text, r)
		return 6
	}
	second, ok := hex4(in[6:])
	r = utf16.DecodeRune(r, second)
	if !ok || r == utf8.RuneError {
		return 0
	}
	s.text = utf8.AppendRune(s.text, r)
	return 12
}

// hex4 reads \uXXXX.
func hex4(in []byte) (r rune, ok bool) {
	if len(in) < 6 || in[0] != '\\' || in[1] != 'u' {
		return 0, false
	}
	for _, c := range in[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number reads a number as it stands.
func (s *scanner) number() ([]byte, error) {
	s.peek()
	n := numberLength(s.in[s.at:])
	if n == 0 || s.at+n < len(s.in) && isWord(s.in[s.at+n]) {
		return nil, s.unexpected("a number")
	}
	s.at += n
	return s.in[s.at-n : s.at], nil
}

// numberLength is the length of the number that in begins with, 0 if there is none (RFC 8259 section 6).
func numberLength(in []byte) int {
	i := 0
	if i < len(in) && in[i] == '-' {
		i++
	}
	switch n := digits(in[i:]); {
	case n == 0 || n > 1 && in[i] == '0':
		return 0
	default:
		i += n
	}
	if i < len(in) && in[i] == '.' {
		n := digits(in[i+1:])
		if n == 0 {
			return 0
		}
		i += 1 + n
	}
	if i < len(in) && (in[i] == 'e' || in[i] == 'E') {
		i++
		if i < len(in) && (in[i] == '+' || in[i] == '-') {
			i++
		}
		n := digits(in[i:])
		if n == 0 {
			return 0
		}
		i += n
	}
	return i
}

func digits(in []byte) (n int) {
	for n < len(in) && in[n] >= '0' && in[n] <= '9' {
		n++
	}
	return n
}

// skip reads a value of any kind and returns it as it stands.
func (s *scanner) skip(depth int) ([]byte, error) {
	c := s.peek()
	start := s.at
	err := s.pass(c, depth)
	return s.in[start:s.at], err
}

func (s *scanner) pass(c byte, depth int) (err error) {
	switch {
	case c == '{' || c == '[':
		if depth <= 0 {
			return s.wrong("values stand inside each other too deep")
		}
		s.at++
		return s.passItems(c, depth-1)
	case c == '"':
		_, err = s.string()
	case s.literal("true") || s.literal("false") || s.literal("null"):
	default:
		if _, err = s.number(); err != nil {
			err = s.unexpected("a JSON value")
		}
	}
	return err
}

func (s *scanner) passItems(open byte, depth int) error {
	first := true
	for {
		more, err := s.more(&first, open+2) // } and ] stand two after { and [
		if err != nil || !more {
			return err
		}
		if open == '{' {
			if _, err := s.key(); err != nil {
				return err
			}
		}
		if err := s.pass(s.peek(), depth); err != nil {
			return err
		}
	}
}

// key reads the name of a member and its colon.
func (s *scanner) key() ([]byte, error) {
	k, err := s.string()
	if err != nil {
		return nil, err
	}
	if !s.take(':') {
		return nil, s.unexpected("a colon")
	}
	return k, nil
}

// end makes sure that nothing follows.
func (s *scanner) end() error {
	if s.peek(); s.at < len(s.in) {
		return s.wrong("there is something after the JSON value")
	}
	return nil
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. s is valid UTF-8.
func appendString[T string | []byte](to []byte, s T) []byte {
	to = append(to, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		to = append(to, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\n':
			to = append(to, '\\', 'n')
		case '\r':
			to = append(to, '\\', 'r')
		case '\t':
			to = append(to, '\\', 't')
		default:
			to = append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	to = append(to, s[from:]...)
	return append(to, '"')
}

package document

import "unicode/utf8"

// Parse checks that text is one JSON text (RFC 8259) in UTF-8, nested no deeper than depth, and returns its value without
// the white space around it. The value shares text's memory.
func Parse(text []byte, depth int) (Value, error) {
	s := scanner{text: text, depth: min(depth, MaxDepth)}
	start := s.space(0)
	end := s.value(start, 0)
	if s.mistake == nil {
		if rest := s.space(end); rest < len(text) {
			s.fail(rest, "more text follows the value")
		}
	}
	if s.mistake != nil {
		return nil, s.mistake
	}
	return Value(text[start:end:end]), nil
}

// scanner goes over a text once. Its methods take the index they begin at and return the one behind what they read; after
// a mistake that is the end of the text, so that every loop ends.
type scanner struct {
	text    []byte
	depth   int
	mistake *Mistake
}

func (s *scanner) fail(at int, what string) int {
	if s.mistake == nil {
		if at >= len(s.text) {
			at, what = len(s.text), "the text ends too early"
		}
		s.mistake = &Mistake{at, what}
	}
	return len(s.text)
}

func (s *scanner) space(i int) int { return skipSpace(s.text, i) }

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\r' || text[i] == '\t') {
		i++
	}
	return i
}

func (s *scanner) value(i, depth int) int {
	if i >= len(s.text) {
		return s.fail(i, "")
	}
	switch c := s.text[i]; {
	case c == '"':
		return s.string(i)
	case c == '{' || c == '[':
		if depth == s.depth {
			return s.fail(i, "the value is nested too deep")
		}
		if c == '{' {
			return s.object(i, depth+1)
		}
		return s.array(i, depth+1)
	case c == '-' || '0' <= c && c <= '9':
		return s.number(i)
	case c == 't':
		return s.word(i, "true")
	case c == 'f':
		return s.word(i, "false")
	case c == 'n':
		return s.word(i, "null")
	}
	return s.fail(i, "no value begins like this")
}

func (s *scanner) word(i int, word string) int {
	if end := i + len(word); end <= len(s.text) && string(s.text[i:end]) == word {
		return end
	}
	return s.fail(i, "no value begins like this")
}

func (s *scanner) object(i, depth int) int {
	if i = s.space(i + 1); s.at(i) == '}' {
		return i + 1
	}
	for {
		if s.at(i) != '"' {
			return s.fail(i, "a member's name is missing")
		}
		if i = s.space(s.string(i)); s.at(i) != ':' {
			return s.fail(i, "a colon is missing")
		}
		i = s.space(s.value(s.space(i+1), depth))
		switch s.at(i) {
		case ',':
			i = s.space(i + 1)
		case '}':
			return i + 1
		default:
			return s.fail(i, "a comma or the end of the object is missing")
		}
	}
}

func (s *scanner) array(i, depth int) int {
	if i = s.space(i + 1); s.at(i) == ']' {
		return i + 1
	}
	for {
		i = s.space(s.value(i, depth))
		switch s.at(i) {
		case ',':
			i = s.space(i + 1)
		case ']':
			return i + 1
		default:
			return s.fail(i, "a comma or the end of the array is missing")
		}
	}
}

// at is the byte at i, or 0 behind the end, which is no part of any JSON text.
func (s *scanner) at(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

// plain are the bytes that stand for themselves in a string.
var plain = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

func (s *scanner) string(i int) int {
	for i++; ; {
		for i < len(s.text) && plain[s.text[i]] {
			i++
		}
		switch c := s.at(i); {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = s.escape(i); i == len(s.text) {
				return s.fail(i, "")
			}
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(s.text[i:])
			if r == utf8.RuneError && n == 1 {
				return s.fail(i, "the text is not UTF-8")
			}
			i += n
		default:
			return s.fail(i, "a control character stands in a string")
		}
	}
}

func (s *scanner) escape(i int) int {
	switch s.at(i + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		for j := i + 2; j < i+6; j++ {
			if !isHex(s.at(j)) {
				return s.fail(j, "an escape is broken")
			}
		}
		return i + 6
	}
	return s.fail(i+1, "an escape is broken")
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) number(i int) int {
	if s.at(i) == '-' {
		i++
	}
	switch {
	case s.at(i) == '0':
		i++
	case isDigit(s.at(i)):
		i = s.digits(i)
	default:
		return s.fail(i, "a number needs a digit here")
	}
	if s.at(i) == '.' {
		if i++; !isDigit(s.at(i)) {
			return s.fail(i, "a number needs a digit here")
		}
		i = s.digits(i)
	}
	if s.at(i)|0x20 == 'e' {
		if i++; s.at(i) == '+' || s.at(i) == '-' {
			i++
		}
		if !isDigit(s.at(i)) {
			return s.fail(i, "a number needs a digit here")
		}
		i = s.digits(i)
	}
	return i
}

func (s *scanner) digits(i int) int {
	for isDigit(s.at(i)) {
		i++
	}
	return i
}

package jsonwire

// A Splitter finds where JSON values end that stand one after the other, white space between them or not; in an array, if
// they are its items. It does not say whether they are any: reading them does. It remembers how far it has looked.
type Splitter struct {
	Array bool // the values stand in an array, of which [ has been read

	at, depth int
	start     int
	begun     bool
	quoted    bool
	escaped   bool
	closed    bool // the array
}

// Next is the next value in b and how many bytes that takes with what stands before it, or nil if it is not whole. It is
// called with more of the same, and after a value without that. end says that no more will come.
func (s *Splitter) Next(b []byte, end bool) (value []byte, n int) {
	for ; s.at < len(b); s.at++ {
		if done := s.step(b[s.at]); done >= 0 {
			return s.found(b, s.at+done)
		}
	}
	if end && s.begun {
		return s.found(b, len(b)) // cut short, or a number: whoever reads it will say
	}
	return nil, 0
}

// Closed reports whether an array has come to its end, and with what is left of b nothing follows.
func (s *Splitter) Closed() bool { return !s.Array || s.closed && !s.begun }

// step takes one byte. It returns -1, or 1 or 0 if that ended a value: with it, or before it.
func (s *Splitter) step(c byte) int {
	if s.quoted {
		switch {
		case s.escaped:
			s.escaped = false
		case c == '\\':
			s.escaped = true
		case c == '"':
			s.quoted = false
			if s.depth == 0 {
				return 1
			}
		}
		return -1
	}
	separates := s.Array && s.depth == 0 && (c == ',' || c == ']')
	switch {
	case c == ' ' || c == '\n' || c == '\r' || c == '\t' || separates:
		if s.begun && s.depth == 0 {
			return 0
		}
		s.closed = s.closed || separates && c == ']'
		return -1
	case !s.begun:
		s.begun, s.start = true, s.at
	}
	switch c {
	case '"':
		s.quoted = true
	case '{', '[':
		s.depth++
	case '}', ']':
		if s.depth--; s.depth <= 0 {
			return 1
		}
	}
	return -1
}

func (s *Splitter) found(b []byte, to int) ([]byte, int) {
	value := b[s.start:to]
	*s = Splitter{Array: s.Array, closed: s.closed}
	return value, to
}

package telemetry

import "unicode/utf8"

// maxField bounds a string in bytes before it is escaped; the rest is cut and "…" says so. The eight fields that a
// client can choose, all at their longest and each byte escaped, are still below half of a sink's buffer.
const maxField = 8 << 10

func appendOptional(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(b, key, s)
}

// appendText appends key, which is JSON already, and s as a JSON string.
func appendText(b []byte, key, s string) []byte {
	b = append(b, key...)
	b = append(b, '"')
	cut := len(s) > maxField
	if cut {
		s = s[:maxField]
	}
	b = appendEscaped(b, s)
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}

// appendEscaped copies runs of plain ASCII as they are and looks closer at the rest.
func appendEscaped(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		size := 1
		if c < utf8.RuneSelf {
			b = appendEscapedASCII(b, c)
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			b = appendRune(b, r)
		}
		i += size
		start = i
	}
	return append(b, s[start:]...)
}

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func appendEscapedASCII(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	default:
		return appendUnicode(b, rune(c))
	}
}

// appendRune appends r, which is not ASCII. What is invalid, and what a terminal or a viewer would obey instead of show
// (C1 controls, line separators, changes of direction), is escaped.
func appendRune(b []byte, r rune) []byte {
	switch {
	case r == utf8.RuneError, r < 0xa0, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff:
		return appendUnicode(b, r)
	default:
		return utf8.AppendRune(b, r)
	}
}

// appendUnicode appends \uXXXX for r below 0x10000.
func appendUnicode(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
}

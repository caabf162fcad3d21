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

// appendText appends key, which is JSON already up to the quote that opens its value, and s as the rest of a JSON string.
func appendText(b []byte, key, s string) []byte {
	b = append(b, key...)
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
		if i = plainEnd(s, i); i == len(s) {
			break
		}
		c := s[i]
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

// plainEnd is the index of the first byte of s from i on that does not stand for itself. Eight bytes at a time: nearly all do.
func plainEnd(s string, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(s); i += 8 {
		v := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote, backslash, del := v^ones*'"', v^ones*'\\', v^ones*0x7f
		special := v | (v - ones*' ') | (quote - ones) | (backslash - ones) | (del - ones) // a high bit where there may be one
		if special&highs != 0 {
			break
		}
	}
	for i < len(s) && plain[s[i]] {
		i++
	}
	return i
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

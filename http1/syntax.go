package http1

// The alphabets of RFC 9110 and 9112 as one table of classes, and the scanners over them.

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

const (
	isToken  = 1 << iota // tchar, RFC 9110 section 5.6.2
	isTarget             // what a request target may hold: visible ASCII but '#'
	isPlain              // what a path holds that is its own decoding and its own encoding
	isHost               // reg-name and port, RFC 3986 section 3.2.2, but no comma (two hosts to some) and no percent
	isHex
	isUpper
	isLower
)

var classes = classTable()

func classTable() (t [256]uint8) {
	mark := func(class uint8, set string) {
		for i := range len(set) {
			t[set[i]] |= class
		}
	}
	const (
		upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		lower  = "abcdefghijklmnopqrstuvwxyz"
		digits = "0123456789"
	)
	mark(isUpper, upper)
	mark(isLower, lower)
	mark(isToken|isTarget|isPlain|isHost, upper+lower+digits)
	mark(isToken, "!#$%&'*+-.^_`|~")
	mark(isHost, "-._~!$&'()*+;=:")
	mark(isPlain, "-._~/$&+:=@")
	mark(isHex, "0123456789abcdefABCDEF")
	for c := byte('!'); c < 0x7f; c++ {
		if c != '#' {
			t[c] |= isTarget
		}
	}
	return t
}

// span is the number of leading bytes of s that are of class.
func span(s string, class uint8) int {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return i
		}
	}
	return len(s)
}

func validToken(s string) bool { return s != "" && span(s, isToken) == len(s) }

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// textEnd returns the index of the first byte of b from i on that a field value cannot hold, which is any control but
// HTAB (RFC 9110 section 5.5), or len(b). Eight bytes at a time: heads are mostly values.
func textEnd(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		v := binary.LittleEndian.Uint64(b[i:])
		below := (v - ones*0x20) &^ v
		del := v ^ ones*0x7f
		if m := (below | (del-ones)&^del) & highs; m != 0 {
			j := i + bits.TrailingZeros64(m)/8
			if b[j] != '\t' {
				return j
			}
			i = j + 1 - 8 // go on right behind the tab
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; (c < 0x20 && c != '\t') || c == 0x7f {
			return i
		}
	}
	return i
}

// validValue reports whether v may be written as a field value: no control can end a line or split a message.
func validValue(v string) bool {
	return textEnd(unsafe.Slice(unsafe.StringData(v), len(v)), 0) == len(v) // only read
}

func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// equalFold compares as ASCII: no Unicode letter may pass for one of ours.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// eachToken calls f with every member of a comma-separated list.
func eachToken(list string, f func(token string)) {
	for list != "" {
		i := 0
		for i < len(list) && list[i] != ',' {
			i++
		}
		if t := trimSpace(list[:i]); t != "" {
			f(t)
		}
		if i == len(list) {
			return
		}
		list = list[i+1:]
	}
}

// validHost reports whether s is a uri-host with an optional port (RFC 9110 section 7.2). Userinfo, a path, a list and
// the empty host are none.
func validHost(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == '[' {
		return validLiteral(s)
	}
	if span(s, isHost) != len(s) {
		return false
	}
	for i := range len(s) {
		if s[i] == ':' {
			return i > 0 && validPort(s[i+1:])
		}
	}
	return true
}

// validLiteral is validHost for an address in brackets.
func validLiteral(s string) bool {
	i := 1
	for i < len(s) && (classes[s[i]]&isHex != 0 || s[i] == ':' || s[i] == '.') {
		i++
	}
	if i < 3 || i == len(s) || s[i] != ']' {
		return false
	}
	rest := s[i+1:]
	return rest == "" || rest[0] == ':' && validPort(rest[1:])
}

func validPort(s string) bool {
	if len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

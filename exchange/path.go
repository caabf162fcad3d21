package exchange

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/failure"
)

// What a byte may be in a path. Everything not named in pathClass is pathEncode: bytes that RFC 3986 does not allow in
// a path but that clients send, and all of UTF-8.
const (
	pathEncode = iota
	pathPlain  // stands for itself
	pathSlash
	pathPercent
	pathBad
)

var pathClass = classifyPath()

func classifyPath() (class [256]byte) {
	for c := range 0x21 { // controls and space
		class[c] = pathBad
	}
	for _, c := range []byte("\x7f\\?#") {
		class[c] = pathBad
	}
	for c := range 0x80 {
		if isUnreserved(byte(c)) {
			class[c] = pathPlain
		}
	}
	for _, c := range []byte("!$&'()*+,;=:@") { // sub-delims, ":" and "@"
		class[c] = pathPlain
	}
	class['/'], class['%'] = pathSlash, pathPercent
	return class
}

// isUnreserved reports whether c means the same encoded and not (RFC 3986 section 2.3).
func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}

// CanonicalPath returns the one spelling of raw, a path as it stood in the request target, without its query. It is
// what is matched, authorised and forwarded: a second reading by somebody else must not find another path.
//
// Encoded unreserved octets are decoded and all other escapes written in upper case (RFC 3986 section 6.2.2); bytes
// that may not stand in a path are encoded; repeated slashes become one; then dot segments are removed (section
// 5.2.4). %2F stays as it is and separates nothing. The result always starts with "/" and is canonical itself.
//
// Refused with 400: a path that leaves the root; "\" and %5C, which some servers take for "/"; %00, controls, space;
// "?" and "#"; a broken escape; a path that does not start with "/".
func CanonicalPath(raw string) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", badPath("The path must start with a slash.")
	}
	if canonicalUntil(raw) == len(raw) {
		return raw, nil
	}
	p := pathWriter{out: make([]byte, 0, len(raw)+16)}
	for rest, more := raw[1:], true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if err := p.segment(segment, !more); err != nil {
			return "", err
		}
	}
	return string(p.out), nil
}

// canonicalUntil returns how far raw is surely canonical; len(raw) if all of it is.
func canonicalUntil(raw string) int {
	for i := 0; i < len(raw); i++ {
		switch pathClass[raw[i]] {
		case pathPlain:
		case pathSlash:
			if !plainSegmentStart(raw[i+1:]) {
				return i
			}
		case pathPercent:
			if !canonicalEscape(raw[i:]) {
				return i
			}
			i += 2
		default:
			return i
		}
	}
	return len(raw)
}

// plainSegmentStart reports whether rest, which follows a slash, begins neither with another one nor with a dot
// segment. The empty segment at the end is plain.
func plainSegmentStart(rest string) bool {
	if rest == "" || rest[0] != '/' && rest[0] != '.' {
		return true
	}
	segment, _, _ := strings.Cut(rest, "/")
	return segment != "" && segment != "." && segment != ".."
}

// canonicalEscape reports whether s begins with an escape that stays as it is.
func canonicalEscape(s string) bool {
	c, ok := unescape(s)
	return ok && !isUnreserved(c) && !refusedOctet(c) && s[1] < 'a' && s[2] < 'a'
}

// refusedOctet are those that are not let in even encoded.
func refusedOctet(c byte) bool { return c == 0 || c == '\\' }

// unescape decodes the escape at the start of s, which begins with "%".
func unescape(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	hi, lo := hexDigit(s[1]), hexDigit(s[2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

// hexDigit is the value of c, or 255.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// pathWriter builds a canonical path. Between segments out ends without a slash: "" is the root.
type pathWriter struct{ out []byte }

// segment appends one segment, still as it was sent. Only the last one can leave a slash at the end.
func (p *pathWriter) segment(raw string, last bool) error {
	mark := len(p.out)
	p.out = append(p.out, '/')
	if err := p.decode(raw); err != nil {
		return err
	}
	switch string(p.out[mark+1:]) {
	case "", ".":
		p.out = p.out[:mark]
	case "..":
		if mark == 0 {
			return badPath("The path leads above the root.")
		}
		p.out = p.out[:bytes.LastIndexByte(p.out[:mark], '/')]
	default:
		return nil
	}
	if last {
		p.out = append(p.out, '/')
	}
	return nil
}

// decode appends the octets of raw in their canonical spelling.
func (p *pathWriter) decode(raw string) error {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch pathClass[c] {
		case pathPlain:
			p.out = append(p.out, c)
		case pathEncode:
			p.escape(c)
		case pathPercent:
			octet, ok := unescape(raw[i:])
			if !ok {
				return badPath("The path has a broken percent-encoding.")
			}
			if refusedOctet(octet) {
				return badPath("The path holds an encoded octet that is not allowed.")
			}
			if isUnreserved(octet) {
				p.out = append(p.out, octet)
			} else {
				p.escape(octet)
			}
			i += 2
		default:
			return badPath("The path holds a character that is not allowed.")
		}
	}
	return nil
}

func (p *pathWriter) escape(c byte) {
	const digits = "0123456789ABCDEF"
	p.out = append(p.out, '%', digits[c>>4], digits[c&15])
}

func badPath(detail string) error { return failure.Request(http.StatusBadRequest, detail) }

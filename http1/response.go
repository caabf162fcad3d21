package http1

// The status line, and what makes a head a response (RFC 9112 sections 4 and 6).

import "net/http"

// maxInterim bounds the 1xx answers before the final one. Endless 1xx would hold a request forever.
const maxInterim = 16

// response is the memory one response is parsed into.
type response struct {
	fields
	http  http.Response
	minor int
}

// parse fills r from a whole head answering a request of the given method.
func (r *response) parse(b []byte, method string, l *Limits) *fault {
	r.fields.reset(l.headerCount())
	return r.parseText(b, string(b), method, l)
}

// parseText is parse of a text that is also b.
func (r *response) parseText(b []byte, s, method string, l *Limits) *fault {
	end := textEnd(b, 0)
	if bad := lineEnd(b, end); bad != nil {
		return bad
	}
	r.http = http.Response{}
	r.http.Header, r.http.Proto, r.http.ProtoMajor, r.http.ProtoMinor = r.header, "HTTP/1.1", 1, 1
	if bad := r.line(s[:end]); bad != nil {
		return bad
	}
	if len(b)-end > l.headerBytes()+2*len(blankLine) {
		return faultHeadTooBig
	}
	if bad := r.fields.parse(b, s, end+2); bad != nil {
		return bad
	}
	return r.finish(method)
}

// line takes the status line: version SP code SP reason. The reason and the space before it may be missing: many
// servers leave them out, and nothing depends on them.
func (r *response) line(s string) *fault {
	if len(s) < 12 || s[8] != ' ' || len(s) > 12 && s[12] != ' ' {
		return faultStatusLine
	}
	minor, bad := parseVersion(s[:8])
	if bad != nil {
		return faultStatusLine
	}
	if r.minor = minor; minor == 0 {
		r.http.Proto, r.http.ProtoMinor = "HTTP/1.0", 0
	}
	for i := 9; i < 12; i++ {
		c := s[i] - '0'
		if c > 9 {
			return faultStatusLine
		}
		r.http.StatusCode = r.http.StatusCode*10 + int(c)
	}
	if r.http.StatusCode < 100 || r.http.StatusCode > 599 {
		return faultStatusLine
	}
	r.http.Status = s[9:]
	return nil
}

// finish settles the length of the body, RFC 9112 section 6.3.
func (r *response) finish(method string) *fault {
	m, code := &r.framing, r.http.StatusCode
	if bad := m.settle(r.minor); bad != nil {
		return bad
	}
	if code < 200 && (m.codings > 0 || m.length > 0) {
		return faultBothFramings
	}
	r.http.Close = m.close || r.minor == 0 && !m.keepAlive
	r.http.Trailer = m.trailer
	r.http.ContentLength = m.length
	if m.codings > 0 {
		r.http.TransferEncoding = chunkedCoding
	}
	if code < 200 || code == http.StatusNoContent {
		r.http.ContentLength = 0
	}
	return nil
}

// bodyless reports whether an answer with this status to this method has no body whatever its fields say.
func bodyless(method string, status int) bool {
	return method == http.MethodHead || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}

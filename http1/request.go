package http1

// The request line, and what makes a head a request (RFC 9112 sections 3 and 6).

import (
	"net/http"
	"net/url"
	"strings"
)

// request is the memory one request is parsed into; a turn uses it again and again.
type request struct {
	fields
	http  http.Request
	url   url.URL
	minor int
}

// parse fills r from a whole head. On a fault r.http holds what was understood until then, so that the refusal can be
// logged with it.
func (r *request) parse(b []byte, l *Limits) *fault {
	s := string(b) // first: its memory is new, and cold, and may arrive while the rest is made ready
	r.fields.reset(l.headerCount())
	r.url = url.URL{}
	r.http = http.Request{} // and field by field: a literal would be made beside it and copied
	r.http.URL, r.http.Header, r.http.Body = &r.url, r.header, http.NoBody
	r.http.Proto, r.http.ProtoMajor, r.http.ProtoMinor = "HTTP/1.1", 1, 1
	end := textEnd(b, 0)
	if bad := lineEnd(b, end); bad != nil {
		return bad
	}
	if bad := r.line(s[:end], l.uriBytes()); bad != nil {
		return bad
	}
	if len(b)-end > l.headerBytes()+2*len(blankLine) {
		return faultHeadTooBig
	}
	if bad := r.fields.parse(b, s, end+2); bad != nil {
		return bad
	}
	return r.finish()
}

// line takes the request line: method SP target SP version.
func (r *request) line(s string, uriBytes int) *fault {
	n := span(s, isToken)
	if n == 0 || n == len(s) || s[n] != ' ' {
		return faultMethod
	}
	r.http.Method = s[:n]
	rest := s[n+1:]
	n = span(rest, isTarget)
	if n == 0 || n == len(rest) || rest[n] != ' ' {
		return faultTarget
	}
	if n > uriBytes {
		return faultTargetTooLong
	}
	r.http.RequestURI = rest[:n]
	var bad *fault
	if r.minor, bad = parseVersion(rest[n+1:]); bad != nil {
		return bad
	}
	if r.minor == 0 {
		r.http.Proto, r.http.ProtoMinor = "HTTP/1.0", 0
	}
	return r.target(r.http.RequestURI)
}

// target takes the four forms of RFC 9112 section 3.2.
func (r *request) target(s string) *fault {
	switch {
	case r.http.Method == http.MethodConnect:
		if !validHost(s) || !strings.Contains(s, ":") {
			return faultTarget
		}
		r.url.Host = s
		return nil
	case s[0] == '/':
		return r.origin(s)
	case s == "*":
		if r.http.Method != http.MethodOptions {
			return faultTarget
		}
		r.url.Path = s
		return nil
	}
	return r.absolute(s)
}

// origin takes origin-form. A path that is its own decoding needs no help; for others net/url is the judge.
func (r *request) origin(s string) *fault {
	n := span(s, isPlain)
	if n == len(s) {
		r.url.Path = s
		return nil
	}
	if s[n] == '?' {
		r.url.Path, r.url.RawQuery = s[:n], s[n+1:]
		r.url.ForceQuery = n+1 == len(s)
		return nil
	}
	u, err := url.ParseRequestURI(s)
	if err != nil {
		return faultTarget
	}
	r.url = *u
	return nil
}

// absolute takes absolute-form; its authority wins over Host. Userinfo is refused: no client sends it in good faith.
func (r *request) absolute(s string) *fault {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return faultTarget
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	u, err := url.ParseRequestURI(s)
	if err != nil || u.User != nil || !validHost(rest) {
		return faultTarget
	}
	r.url = *u
	return nil
}

// finish makes the checks that need the whole head and fills in what follows from it.
func (r *request) finish() *fault {
	m := &r.framing
	if bad := r.authority(); bad != nil {
		return bad
	}
	if bad := m.settle(r.minor); bad != nil {
		return bad
	}
	r.http.Close = m.close || r.minor == 0 && !m.keepAlive
	r.http.Trailer = m.trailer
	switch {
	case m.codings > 0:
		r.http.ContentLength, r.http.TransferEncoding = -1, chunkedCoding
	case m.length > 0:
		r.http.ContentLength = m.length
	}
	if m.expect != "" && r.minor > 0 && !equalFold(m.expect, "100-continue") {
		return faultExpect
	}
	return nil
}

var chunkedCoding = []string{"chunked"}

// authority checks Host (RFC 9112 section 3.2): exactly one in HTTP/1.1, and well formed even when the target overrules it.
func (r *request) authority() *fault {
	m := &r.framing
	switch {
	case m.hosts > 1:
		return faultManyHosts
	case m.hosts == 0 && r.minor > 0:
		return faultNoHost
	case m.hosts > 0 && !validHost(m.host):
		return faultHost
	}
	r.http.Host = m.host
	if r.url.Host != "" {
		r.http.Host = r.url.Host
	}
	return nil
}

// awaitsContinue reports whether the client waits for a 100 before it sends the body.
func (r *request) awaitsContinue() bool {
	return r.framing.expect != "" && r.minor > 0 && r.http.ContentLength != 0
}

package http1

// Field names, in the canonical form of net/http. Most are sent in it. Of the others those in common use are known ahead,
// so that a head costs no allocation for its names; what is left is brought into that form by net/http itself.

import "net/http"

// role says which field lines steer the connection or the framing, and so are looked at while parsing.
type role uint8

const (
	ordinary role = iota
	roleHost
	roleConnection
	roleContentLength
	roleTransferEncoding
	roleTrailer
	roleExpect
	roleUpgrade
	roleHopByHop // nothing to read from it, but never to be sent as a trailer
)

type knownName struct {
	canonical string
	role      role
}

const nameSlots = 1024 // a power of two, several times the number of names: chains stay short

var knownNames = nameTable()

func nameTable() (t [nameSlots]knownName) {
	add := func(name string, r role) {
		i := nameHash(name)
		for t[i].canonical != "" {
			i = (i + 1) % nameSlots
		}
		t[i] = knownName{name, r}
	}
	for _, name := range commonNames {
		add(name, roleOf(name))
	}
	return t
}

var commonNames = []string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Accept-Ranges",
	"Access-Control-Allow-Credentials", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
	"Access-Control-Request-Headers", "Access-Control-Request-Method", "Age", "Allow", "Alt-Svc", "Apikey",
	"Authorization", "Cache-Control", "Connection", "Content-Disposition", "Content-Encoding", "Content-Language",
	"Content-Length", "Content-Location", "Content-Range", "Content-Security-Policy", "Content-Type", "Cookie", "Date", "Dnt", "Etag",
	"Expect", "Expires", "Forwarded", "From", "Grpc-Accept-Encoding", "Grpc-Encoding", "Grpc-Message", "Grpc-Status",
	"Grpc-Timeout", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since",
	"Keep-Alive", "Last-Event-Id", "Last-Modified", "Link", "Location", "Max-Forwards", "Origin", "Pragma", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Proxy-Status", "Range", "Ratelimit", "Ratelimit-Policy", "Referer", "Referrer-Policy",
	"Retry-After", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode",
	"Sec-Fetch-Site", "Sec-Fetch-User", "Sec-Websocket-Accept", "Sec-Websocket-Extensions", "Sec-Websocket-Key",
	"Sec-Websocket-Protocol", "Sec-Websocket-Version", "Server", "Server-Timing", "Set-Cookie",
	"Strict-Transport-Security", "Te", "Traceparent", "Tracestate", "Trailer", "Transfer-Encoding", "Upgrade",
	"Upgrade-Insecure-Requests", "User-Agent", "Vary", "Via",
	"Www-Authenticate", "X-Api-Key", "X-Attempt", "X-Consumer-Groups", "X-Consumer-Name", "X-Content-Type-Options",
	"X-Correlation-Id", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto",
	"X-Frame-Options", "X-Powered-By", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "X-Real-Ip",
	"X-Request-Id", "X-Requested-With", "X-Xss-Protection",
}

// nameHash is the same for every spelling of a name. Ends and middle tell the common names apart.
func nameHash(s string) uint32 {
	n := len(s)
	h := uint32(n)*0x9E3779B1 + uint32(s[0]|0x20)*31 + uint32(s[n/2]|0x20)*1009 + uint32(s[n-1]|0x20)*8191
	return (h ^ h>>15) % nameSlots
}

// known finds s, in whatever spelling, among the names known ahead; nil if it is none of them. s is not empty.
func known(s string) *knownName {
	for i := nameHash(s); ; i = (i + 1) % nameSlots {
		k := &knownNames[i]
		if k.canonical == "" {
			return nil
		}
		if k.canonical == s || equalFold(k.canonical, s) {
			return k
		}
	}
}

// scanName returns the length of the token that s begins with, and whether it is spelled canonically.
func scanName(s string) (n int, canonical bool) {
	canonical = true
	wrong := uint8(isLower) // first in a word
	for n < len(s) {
		class := classes[s[n]]
		if class&isToken == 0 {
			break
		}
		if class&wrong != 0 {
			canonical = false
		}
		wrong = isUpper
		if s[n] == '-' {
			wrong = isLower
		}
		n++
	}
	return n, canonical
}

// roleOf is the role of a canonical name.
func roleOf(name string) role {
	switch name {
	case "Host":
		return roleHost
	case "Connection":
		return roleConnection
	case "Content-Length":
		return roleContentLength
	case "Transfer-Encoding":
		return roleTransferEncoding
	case "Trailer":
		return roleTrailer
	case "Expect":
		return roleExpect
	case "Upgrade":
		return roleUpgrade
	case "Keep-Alive", "Proxy-Connection", "Te":
		return roleHopByHop
	}
	return ordinary
}

// canonicalName returns the canonical spelling of the valid token s, and what the field does.
func canonicalName(s string) (string, role) {
	if k := known(s); k != nil {
		return k.canonical, k.role
	}
	return http.CanonicalHeaderKey(s), ordinary // allocates only when the spelling changes
}

// barredFromTrailers reports the fields that must not come after a body, because they frame or route it
// (RFC 9110 section 6.5.1).
func barredFromTrailers(name string) bool {
	if name == "" {
		return true
	}
	k := known(name)
	return k != nil && k.role != ordinary
}

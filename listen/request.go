package listen

import (
	"net/http"
	"net/netip"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/http1"
	"github.com/sluice-gateway/sluice/proxy"
	"github.com/sluice-gateway/sluice/snapshot"
)

// exchange begins one for a request. The proxy fills in the rest.
func (c *connection) exchange(r *http.Request) *exchange.Exchange {
	x := proxy.Acquire()
	x.In, x.Peer, x.PeerText, x.TLS, x.Listener, x.Start = r, c.peer, c.peerText, c.encrypted, c.listener.Name(), http1.Now()
	return x
}

// handle gives a request of HTTP/2 to the proxy.
func (c *connection) handle(r *http.Request, w *writer) {
	x := c.exchange(r)
	defer proxy.Release(x)
	if f := c.refuse(r); f != nil {
		c.listener.proxy.ServeFailure(r.Context(), x, f, w)
		return
	}
	c.listener.proxy.Serve(r.Context(), x, w)
}

var misdirected = failure.Request(http.StatusMisdirectedRequest, "This connection's certificate is not for this host.")

// refuse holds a request of HTTP/2 against what the listener allows of any; HTTP/1.1's engine does so itself.
func (c *connection) refuse(r *http.Request) *failure.Error {
	limits := c.limits()
	if limits.URIBytes > 0 && len(r.RequestURI) > limits.URIBytes {
		return failure.Request(http.StatusRequestURITooLong, "The request target is too long.")
	}
	if f := refuseHeader(r.Header, limits); f != nil {
		return f
	}
	if f := malformed(r); f != nil {
		return f
	}
	if c.misdirected(r.Host) {
		return misdirected
	}
	return nil
}

func refuseHeader(h http.Header, limits *snapshot.Limits) *failure.Error {
	count, size := 0, 0
	for name, values := range h {
		count += len(values)
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	if limits.HeaderCount > 0 && count > limits.HeaderCount {
		return failure.Request(http.StatusRequestHeaderFieldsTooLarge, "The request has too many fields.")
	}
	if limits.HeaderBytes > 0 && size > limits.HeaderBytes {
		return failure.Request(http.StatusRequestHeaderFieldsTooLarge, "The fields of the request are too large.")
	}
	return nil
}

// malformed refuses what could be read as something else once it is written as HTTP/1.1. HTTP/2 carries a method, a path
// and an authority as values, in which a space is legal and CR, LF and NUL are not (those x/net refuses, and a Host that
// differs from the authority); in a request line a space would begin the next part of it.
func malformed(r *http.Request) *failure.Error {
	if !httpguts.ValidHeaderFieldName(r.Method) { // a method is a token too (RFC 9110 section 9.1)
		return failure.Request(http.StatusBadRequest, "The method is not a token.")
	}
	for i := range len(r.RequestURI) {
		if b := r.RequestURI[i]; b <= ' ' || b >= 0x7f || b == '#' {
			return failure.Request(http.StatusBadRequest, "The request target holds a character it must not.")
		}
	}
	if r.RequestURI == "*" && r.Method != http.MethodOptions {
		return failure.Request(http.StatusBadRequest, "The request target is malformed.")
	}
	if v := r.Header["Content-Length"]; len(v) > 1 || len(v) == 1 && !decimal(v[0]) {
		return failure.Request(http.StatusBadRequest, "Content-Length is not one decimal number.")
	}
	return nil
}

// decimal reports whether s is a Content-Length. x/net takes one that is not for 0, and the body for none.
func decimal(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 18
}

// coverage remembers for a connection the last host that was looked up in its certificate.
type coverage struct {
	host string
	ok   bool
}

// misdirected reports whether a request is for a host that the connection's certificate does not cover: one that came
// to the wrong place (RFC 9110 section 15.5.20), as browsers that share connections may send. The name the client
// itself gave at the handshake always passes, and so does an address, which cannot be given there: whoever went on
// knew the certificate.
func (c *connection) misdirected(hostport string) bool {
	if !c.encrypted || strings.EqualFold(hostport, c.serverName) {
		return false
	}
	host, _, err := exchange.CanonicalHost(hostport)
	if err != nil || host == "" || host == c.serverName || c.serverName == "" && isAddress(host) {
		return false // a bad Host is the proxy's to refuse
	}
	if seen := c.covered.Load(); seen != nil && seen.host == host {
		return !seen.ok
	}
	seen := &coverage{host: host, ok: c.engine.certificates.Covers(c.serverName, host)}
	c.covered.Store(seen)
	return !seen.ok
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

func canonicalName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// isCall and isEventStream tell what may be silent for streamIdleTimeout. A call is one of gRPC, gRPC-Web or Connect's
// streaming kind.
func isCall(h http.Header) bool {
	media := mediaType(h)
	if strings.HasPrefix(media, "application/connect+") {
		return true
	}
	rest, ok := strings.CutPrefix(media, "application/grpc")
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "-web"), "-text")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

func isEventStream(h http.Header) bool {
	rest, ok := strings.CutPrefix(mediaType(h), "text/event-stream")
	return ok && (rest == "" || rest[0] == ';' || rest[0] == ' ')
}

func mediaType(h http.Header) string {
	if v := h["Content-Type"]; len(v) > 0 {
		return strings.ToLower(v[0])
	}
	return ""
}

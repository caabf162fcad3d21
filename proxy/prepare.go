package proxy

import (
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// prepare learns who asks, through whom, and for what, and refuses what no route can make right.
func (l *life) prepare() error {
	x := l.x
	x.Trusted = l.listener.Trusts(x.Peer.Addr())
	x.Client = x.Peer.Addr().Unmap()
	if x.Trusted {
		x.Client = exchange.ClientAddress(x.Client, l.listener.Trusts, x.In.Header)
	}
	if x.RequestID == "" { // else it is that of the exchange around it
		x.RequestID = requestID(x)
	}

	host, port, err := exchange.CanonicalHost(x.In.Host)
	if err != nil {
		return err
	}
	x.Host, x.Port, x.Scheme = host, port, scheme(x)
	if x.Path, err = exchange.CanonicalPath(rawPath(x.In)); err != nil {
		return err
	}
	if m := x.In.Method; m == http.MethodConnect || m == http.MethodTrace {
		return methodNotAllowed(routableMethods)
	}
	return nil
}

// routableMethods is what Allow says of a method that no route can take.
var routableMethods = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

func methodNotAllowed(allow []string) error {
	f := failure.Request(http.StatusMethodNotAllowed, "The method is not allowed for this path.")
	f.Header = http.Header{"Allow": {strings.Join(allow, ", ")}}
	return f
}

// rawPath is the path as the client wrote it, before any decoding; of an absolute-form target, its path.
// "OPTIONS *" has no path: it is about the gateway, and stands as "/".
func rawPath(in *http.Request) string {
	target := in.RequestURI
	if strings.HasPrefix(target, "/") {
		path, _, _ := strings.Cut(target, "?")
		return path
	}
	if in.URL != nil && strings.HasPrefix(in.URL.Path, "/") {
		return in.URL.EscapedPath()
	}
	return "/"
}

// answersItself answers what is asked of the gateway and not of a service: "OPTIONS *" (RFC 9110 section 9.3.7).
func answersItself(x *exchange.Exchange) bool {
	if x.In.Method != http.MethodOptions || x.In.RequestURI != "*" {
		return false
	}
	x.Response = &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}
	return true
}

// scheme is the one the client used, as far as we can know.
func scheme(x *exchange.Exchange) string {
	if x.Trusted {
		switch proto := first(x.In.Header, "X-Forwarded-Proto"); {
		case strings.EqualFold(proto, "https"):
			return "https"
		case strings.EqualFold(proto, "http"):
			return "http"
		}
	}
	if x.TLS {
		return "https"
	}
	return "http"
}

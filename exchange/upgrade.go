package exchange

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// UpgradeToken is the protocol, in lower case, that an HTTP/1.1 request asks to switch to (RFC 9110 section 7.8), or
// empty. A request that offers several, or has a body, asks for none: it would be for us to choose, or to keep the
// body apart from the tunnel. h2c is never passed on: it would carry requests that we do not see.
func UpgradeToken(in *http.Request) string {
	values := in.Header["Upgrade"]
	if len(values) != 1 || in.ProtoMajor != 1 || in.ProtoMinor != 1 || in.ContentLength != 0 {
		return ""
	}
	token := strings.ToLower(strings.TrimSpace(values[0]))
	if name, _, _ := strings.Cut(token, "/"); name == "" || name == "h2c" || strings.ContainsAny(token, ", ") {
		return ""
	}
	if !httpguts.HeaderValuesContainsToken(in.Header["Connection"], "upgrade") {
		return ""
	}
	return token
}

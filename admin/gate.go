package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// foreign says why a request is refused as one that a web page elsewhere may have caused; empty: it is not. A page can
// make the operator's browser send requests here, and with DNS rebinding read the answers: then Host is the page's own
// name. So Host must be an address, localhost, or the name in the configured address, and Origin, if there is one, must
// be ours. Where the browser says by which site a change was caused (Sec-Fetch-Site), that must be us or nobody.
func foreign(r *http.Request, address string) string {
	host := hostname(r.Host)
	if !isAddress(host) && !strings.EqualFold(host, "localhost") && !isName(host, address) {
		return "Host must be an IP address, localhost, or the name in admin.address"
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "same-origin", "none":
		default:
			return "changes that other sites' pages cause are refused"
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, r.Host) {
			return "requests of other origins are refused"
		}
	}
	return ""
}

// hostname is host without port, brackets and final dot.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.TrimSuffix(host, ".")
}

func isAddress(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == ""
}

func isName(host, address string) bool {
	name, _, err := net.SplitHostPort(address)
	return err == nil && name != "" && strings.EqualFold(host, strings.TrimSuffix(name, "."))
}

// open reports whether r needs no token.
func open(r *http.Request) bool {
	return r.URL.Path == "/healthz" || r.URL.Path == "/readyz" && !verbose(r)
}

// authorised checks the token, RFC 6750, and answers if it is not the one.
func authorised(w http.ResponseWriter, r *http.Request, token string) bool {
	if token == "" {
		return true
	}
	given := r.Header.Values("Authorization")
	if len(given) == 0 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sluice admin"`)
		text(w, http.StatusUnauthorized, "the admin API needs its token: Authorization: Bearer TOKEN\n")
		return false
	}
	scheme, secret, _ := strings.Cut(given[0], " ")
	if len(given) > 1 || !strings.EqualFold(scheme, "Bearer") || !equal(strings.TrimLeft(secret, " "), token) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sluice admin", error="invalid_token"`)
		text(w, http.StatusUnauthorized, "this is not the token of the admin API\n")
		return false
	}
	return true
}

// equal compares in a time that tells neither content nor length.
func equal(given, token string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

package exchange

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/failure"
)

// maxHost is the length of the longest name DNS can hold (RFC 1035 section 2.3.4), as text without the final dot.
const maxHost = 253

// CanonicalHost splits what a Host field or an authority says into host and port. The host is in lower case and without
// a final dot; an IPv6 address keeps its brackets and is in the form of RFC 5952; the port is as sent, and may be empty.
// An empty hostport is no host, which HTTP/1.0 allows.
//
// Refused with 400: user information, percent-encoding and anything but letters, digits, "-", ".", "_" and "~" in a
// name; an empty label; a name over 253 octets; a zone; a port that is no number up to 65535.
func CanonicalHost(hostport string) (host, port string, err error) {
	if hostport == "" {
		return "", "", nil
	}
	if hostport[0] == '[' {
		return canonicalIPv6(hostport)
	}
	host, port, _ = strings.Cut(hostport, ":")
	if !validPort(port) {
		return "", "", badHost("The port in Host is not valid.")
	}
	if host, err = canonicalName(host); err != nil {
		return "", "", err
	}
	return host, port, nil
}

// canonicalName lowers name and cuts its final dot.
func canonicalName(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxHost {
		return "", badHost("The name in Host is empty or too long.")
	}
	upper := false
	previous := byte('.')
	for i := range len(name) {
		c := name[i]
		if !isUnreserved(c) || c == '.' && previous == '.' {
			return "", badHost("The name in Host is not valid.")
		}
		upper = upper || 'A' <= c && c <= 'Z'
		previous = c
	}
	if previous == '.' {
		return "", badHost("The name in Host is not valid.")
	}
	if upper {
		name = strings.ToLower(name)
	}
	return name, nil
}

// canonicalIPv6 reads "[address]" and "[address]:port".
func canonicalIPv6(hostport string) (host, port string, err error) {
	end := strings.IndexByte(hostport, ']')
	if end < 0 || end+1 < len(hostport) && hostport[end+1] != ':' {
		return "", "", badHost("The address in Host is not closed.")
	}
	host, port = hostport[:end+1], strings.TrimPrefix(hostport[end+1:], ":")
	addr, parseErr := netip.ParseAddr(host[1:end])
	if parseErr != nil || !addr.Is6() || addr.Zone() != "" {
		return "", "", badHost("The address in Host is not valid.")
	}
	if !validPort(port) {
		return "", "", badHost("The port in Host is not valid.")
	}
	var buf [48]byte
	if text := addr.AppendTo(buf[:0]); string(text) != host[1:end] {
		host = "[" + string(text) + "]"
	}
	return host, port, nil
}

// validPort accepts no port, and digits up to 65535.
func validPort(port string) bool {
	if port == "" {
		return true
	}
	if len(port) > 5 || port[0] == '+' || port[0] == '-' {
		return false
	}
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

func badHost(detail string) error { return failure.Request(http.StatusBadRequest, detail) }

package exchange

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxHops is how many entries of X-Forwarded-For or Forwarded are looked at, from the right. Every one of them but the
// last was added by a proxy that the configuration trusts; nobody has that many.
const maxHops = 32

// ClientAddress is the client as far as it can be believed: walking from peer back through X-Forwarded-For, right to
// left, the first address that is not trusted. Forwarded (RFC 7239) is read only when there is no X-Forwarded-For. If
// all are trusted it is the leftmost; an entry that is no address ends the walk, and the last good one stands.
func ClientAddress(peer netip.Addr, trusted func(netip.Addr) bool, header http.Header) netip.Addr {
	client := peer.Unmap()
	next := hops(header)
	for range maxHops {
		if !trusted(client) {
			return client
		}
		addr, ok := parseHop(next())
		if !ok {
			return client
		}
		client = addr
	}
	return client
}

// hops returns an iterator over the addresses that header claims, rightmost first, then "".
func hops(header http.Header) func() string {
	if lines, ok := header["X-Forwarded-For"]; ok {
		return fromRight(lines)
	}
	return fromRight(forwardedFor(header["Forwarded"]))
}

// fromRight walks the elements of a comma-separated field from the last to the first, passing over empty ones (RFC 9110
// section 5.6.1).
func fromRight(lines []string) func() string {
	rest := ""
	return func() string {
		for {
			for rest == "" {
				if len(lines) == 0 {
					return ""
				}
				rest, lines = lines[len(lines)-1], lines[:len(lines)-1]
			}
			comma := strings.LastIndexByte(rest, ',')
			entry := strings.TrimSpace(rest[comma+1:])
			rest = rest[:max(comma, 0)]
			if entry != "" {
				return entry
			}
		}
	}
}

// parseHop reads an address with or without a port, an IPv6 address with or without brackets.
func parseHop(entry string) (netip.Addr, bool) {
	if addr, ok := plainAddr(entry); ok {
		return addr, true
	}
	if inner, ok := strings.CutPrefix(entry, "["); ok && strings.HasSuffix(inner, "]") {
		addr, ok := plainAddr(inner[:len(inner)-1])
		return addr, ok && strings.Contains(inner, ":")
	}
	addr, err := netip.ParseAddrPort(entry)
	return addr.Addr().Unmap(), err == nil && addr.Addr().Zone() == ""
}

// plainAddr refuses zones: they mean something to their sender only.
func plainAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

// forwardedFor lists the "for" of every element of Forwarded, left to right; one that has none, or that hides its
// address, is "unknown". A line that is not well-formed is "unknown" as a whole.
func forwardedFor(lines []string) []string {
	var all []string
	for _, line := range lines {
		found, ok := forwardedLine(line)
		if !ok {
			found = []string{"unknown"}
		}
		all = append(all, found...)
		all = all[max(0, len(all)-maxHops):]
	}
	return all
}

// forwardedLine reads the elements of one field line: pairs joined by ";", elements by ",", values quoted or not.
func forwardedLine(line string) (found []string, ok bool) {
	node := ""
	for rest := line; ; {
		var name, value string
		var end byte
		if name, value, rest, end, ok = forwardedPair(rest); !ok {
			return nil, false
		}
		if strings.EqualFold(name, "for") {
			if node != "" {
				return nil, false
			}
			node = value
		}
		if end == ';' {
			continue
		}
		if node == "" || strings.Contains(node, ",") {
			node = "unknown"
		}
		found, node = append(found, node), ""
		if end == 0 {
			return found, true
		}
	}
}

// forwardedPair reads one "name=value" of s and what ends it: ';', ',' or 0 for the end of the line.
func forwardedPair(s string) (name, value, rest string, end byte, ok bool) {
	s = strings.TrimLeft(s, " \t")
	i := strings.IndexAny(s, "=;,\"")
	if i < 0 || s[i] != '=' {
		return "", "", "", 0, false
	}
	name, s = s[:i], s[i+1:]
	if strings.HasPrefix(s, `"`) {
		closing := strings.IndexByte(s[1:], '"')
		if closing < 0 || strings.Contains(s[1:closing+1], `\`) { // no node of RFC 7239 needs an escape
			return "", "", "", 0, false
		}
		value, s = s[1:closing+1], s[closing+2:]
	} else {
		j := strings.IndexAny(s, ";,\"")
		if j < 0 {
			j = len(s)
		}
		value, s = s[:j], s[j:]
	}
	value, s = strings.TrimSpace(value), strings.TrimLeft(s, " \t")
	if s == "" {
		return name, value, "", 0, true
	}
	if s[0] != ';' && s[0] != ',' {
		return "", "", "", 0, false
	}
	return name, value, s[1:], s[0], true
}

package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// address is a listening address, taken apart.
type address struct {
	path string // unix:/path
	host string // "" for every address
	port uint16
}

// parseAddress reads `host:port`, `:port` or `unix:/path`.
func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return address{}, fmt.Errorf("`%s`: a unix socket is written unix:/path, from the root", clip(s))
		}
		return address{path: path}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return address{}, fmt.Errorf("`%s`: an address is host:port, :port or unix:/path; an IPv6 host stands in brackets",
			clip(s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return address{}, fmt.Errorf("`%s`: the port is a number from 0 to 65535", clip(s))
	}
	if strings.ContainsAny(host, "/ \t") {
		return address{}, fmt.Errorf("`%s`: the host is a name or an address, without a scheme", clip(s))
	}
	return address{host: strings.ToLower(host), port: uint16(n)}, nil
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(s string) bool {
	a, err := parseAddress(s)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(a.host)
	return a.path != "" || a.host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// collides reports whether two sockets cannot both be bound. Port 0 is any free one, so it never collides.
func (a address) collides(b address) bool {
	if a.path != "" || b.path != "" {
		return a.path == b.path
	}
	return a.port == b.port && a.port != 0 && (a.host == b.host || a.covers(b) || b.covers(a))
}

// covers reports whether a is a wildcard that takes b's address too: 0.0.0.0 takes IPv4, nothing and :: take all.
func (a address) covers(b address) bool {
	switch a.host {
	case "", "::":
		return true
	case "0.0.0.0":
		ip, err := netip.ParseAddr(b.host)
		return err != nil || ip.Is4()
	}
	return false
}

// sockets is the addresses that are spoken for, by the path of who took them. Looking one up takes no time that grows
// with their number, except for a wildcard, of which there are few.
type sockets struct {
	paths map[address]string
	ports map[uint16][]address // wildcards first
}

// take returns the path of who has an address that collides with a, or gives a to path.
func (s *sockets) take(a address, path string) (other string) {
	if owner, same := s.paths[a]; same && (a.port != 0 || a.path != "") {
		return owner
	}
	onPort := s.ports[a.port]
	for _, b := range onPort {
		if !a.isWildcard() && !b.isWildcard() {
			break
		}
		if a.collides(b) {
			return s.paths[b]
		}
	}
	s.paths[a] = path
	switch {
	case a.path != "" || a.port == 0:
	case a.isWildcard():
		s.ports[a.port] = append([]address{a}, onPort...)
	default:
		s.ports[a.port] = append(onPort, a)
	}
	return ""
}

func (a address) isWildcard() bool { return a.host == "" || a.host == "::" || a.host == "0.0.0.0" }

// Package discovery finds out where a service runs while the gateway does. A Source asks somebody: DNS, a file, Consul,
// an HTTP endpoint. A Watcher keeps asking, and puts each answer that is usable and new in force without a compile.
//
// What comes from a source comes from outside, so one set of rules holds for all:
//
//   - An answer is used whole or not at all. One bad endpoint in it (no URL, a port out of range, a weight below zero,
//     0.0.0.0 or a multicast address) refuses it, with the reason.
//   - At most MaxEndpoints endpoints; an answer with more is refused. Its size is bounded by the source that reads it.
//   - Of endpoints with equal URL one is kept, that with the greatest weight (then the smallest zone), whatever the
//     order of the answer. The order of the endpoints in force is that of their URLs, so that a shuffled answer is no
//     change.
//   - An empty answer is a failure unless AllowEmpty is set: a registry that lost its data is more likely than a service
//     that was taken away and is still routed to.
//   - A failure leaves the last good set in force, for as long as it takes, and is told: in State, to Told, and so in the
//     log, the metrics, the events and the admin API. Asking goes on after a pause that doubles from 1 s to 30 s, of
//     which up to half, at random, is left out so that many gateways do not ask in step.
package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxEndpoints is how many endpoints an answer may have.
	MaxEndpoints = 10_000
	// MaxWeight is the greatest weight of an endpoint, as in the configuration.
	MaxWeight = 1_000_000
	// maxZone is the greatest length of a zone's name.
	maxZone = 64
)

// Source is somebody who knows where a service runs. A Watcher calls Find from one goroutine, again and again.
type Source interface {
	// Find gives the endpoints as they are now. The first call answers as soon as it can. A later one may wait until
	// there is something new, or ctx ends. After an error the next call answers as soon as it can, like the first, unless
	// the answer beside it says Waits.
	Find(ctx context.Context) (Answer, error)
	// String names the source in messages: what is asked and where, without a secret.
	String() string
}

// Answer is what a source knew.
type Answer struct {
	Endpoints []Endpoint
	Unchanged bool          // as in the answer before; Endpoints is not looked at
	After     time.Duration // the next Find is not called before; a little random time is added
	Waits     bool          // the next Find waits for news by itself, after an error too, so it needs no pause before
}

// Endpoint is one place where the service runs.
type Endpoint struct {
	URL    string // http://host:port or https://host:port
	Weight int    // 0 drains
	Zone   string
}

// Sanitize applies the rules to an answer: it returns the endpoints to put in force, each once and in order, and how
// many were duplicates. The answer itself is left as it is.
func Sanitize(answer []Endpoint) (set []Endpoint, duplicates int, err error) {
	if len(answer) > MaxEndpoints {
		return nil, 0, fmt.Errorf("the answer has %d endpoints; at most %d are taken", len(answer), MaxEndpoints)
	}
	set = make([]Endpoint, len(answer))
	for i, e := range answer {
		if set[i], err = sanitize(e); err != nil {
			return nil, 0, fmt.Errorf("endpoint %d of %d: %w", i+1, len(answer), err)
		}
	}
	slices.SortFunc(set, func(a, b Endpoint) int {
		return cmp.Or(strings.Compare(a.URL, b.URL), cmp.Compare(b.Weight, a.Weight), strings.Compare(a.Zone, b.Zone))
	})
	unique := slices.CompactFunc(set, func(a, b Endpoint) bool { return a.URL == b.URL })
	return unique, len(answer) - len(unique), nil
}

func sanitize(e Endpoint) (Endpoint, error) {
	canonical, err := canonicalURL(e.URL)
	switch {
	case err != nil:
		return e, fmt.Errorf("%q: %w", clip(e.URL), err)
	case e.Weight < 0 || e.Weight > MaxWeight:
		return e, fmt.Errorf("%q: the weight %d is not from 0 to %d", clip(e.URL), e.Weight, MaxWeight)
	case len(e.Zone) > maxZone || strings.ContainsFunc(e.Zone, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return e, fmt.Errorf("%q: the zone %q is not plain text of at most %d letters", clip(e.URL), clip(e.Zone), maxZone)
	}
	e.URL = canonical
	return e, nil
}

// canonicalURL checks an endpoint's URL and writes it in its one form: lower case, with its port, without a path.
func canonicalURL(s string) (string, error) {
	if len(s) > 300 { // a name has at most 253 letters
		return "", errors.New("too long for the URL of an endpoint")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("this is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("the scheme is http or https")
	case u.User != nil:
		return "", errors.New("an endpoint carries no credentials")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("an endpoint has no path or query")
	}
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return "", err
	}
	port, err := canonicalPort(u)
	if err != nil {
		return "", err
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host + ":" + port, nil
}

func canonicalHost(host string) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		switch ip = ip.Unmap(); {
		case ip.IsUnspecified() || ip.IsMulticast():
			return "", errors.New("nobody can be reached at this address")
		case ip.Zone() != "":
			return "", errors.New("an address has no zone here")
		}
		return ip.String(), nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !isHostname(host) {
		return "", errors.New("the host is no name and no address")
	}
	return host, nil
}

func canonicalPort(u *url.URL) (string, error) {
	if u.Port() == "" && !strings.HasSuffix(u.Host, ":") {
		if u.Scheme == "https" {
			return "443", nil
		}
		return "80", nil
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || n == 0 {
		return "", errors.New("the port is a number from 1 to 65535")
	}
	return strconv.FormatUint(n, 10), nil
}

// isHostname takes what RFC 1123 does, and the underscores that names of services have.
func isHostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	// What ends in a number is an address to some resolvers and no address to us: 0x7f.1, 2130706433.
	last := s[strings.LastIndexByte(s, '.')+1:]
	return strings.ContainsFunc(last, func(r rune) bool { return (r < '0' || r > '9') }) && !strings.HasPrefix(last, "0x")
}

// Address is the URL of an endpoint at host, a name or an address, and port.
func Address(scheme, host string, port int) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host + ":" + strconv.Itoa(port)
}

// clip shortens what somebody else wrote for a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

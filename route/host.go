package route

import (
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
)

// host is an exact name, or with wildcard the end of one, from its first dot: ".example.net".
type host struct {
	name     string
	wildcard bool
}

// addHost reads one of the hosts of a rule. Its port, like that of a request, is of no importance; a name given twice
// counts once.
func (r *rule) addHost(text string) error {
	rest, wildcard := strings.CutPrefix(text, "*.")
	switch {
	case text == "":
		return fmt.Errorf("a host is not empty; leave hosts out to take them all")
	case text == "*":
		return fmt.Errorf("leave hosts out to take them all")
	case strings.Contains(rest, "*"):
		return fmt.Errorf("%q: * stands only at the start, for one or more whole labels, as in *.example.net", text)
	case !ascii(rest):
		return fmt.Errorf("%q: write the name as it is in DNS, beginning with xn--", text)
	}
	name, _, err := exchange.CanonicalHost(rest)
	if err != nil || wildcard && (name == "" || strings.HasPrefix(name, "[")) {
		return fmt.Errorf("%q is no host: write a name as in api.example.com, without scheme and path, or an address", text)
	}
	h := host{name, wildcard}
	if wildcard {
		h.name = "." + name
	}
	for _, known := range r.hosts {
		if known == h {
			return nil
		}
	}
	r.hosts = append(r.hosts, h)
	return nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// hostIndex finds the rules for a host.
type hostIndex struct {
	exact    map[string]*root
	wildcard map[string]*root
	every    *root // rules without a host; nil: there are none
	labels   int   // the most labels that a wildcard names
}

func (x *hostIndex) add(r *rule) {
	if len(r.hosts) == 0 {
		if x.every == nil {
			x.every = newRoot()
		}
		x.every.add(r)
	}
	for _, h := range r.hosts {
		if !h.wildcard {
			rootOf(&x.exact, h.name).add(r)
			continue
		}
		x.labels = max(x.labels, strings.Count(h.name, "."))
		rootOf(&x.wildcard, h.name).add(r)
	}
}

func rootOf(m *map[string]*root, name string) *root {
	if *m == nil {
		*m = make(map[string]*root)
	}
	r := (*m)[name]
	if r == nil {
		r = newRoot()
		(*m)[name] = r
	}
	return r
}

// seal completes the index after the last add.
func (x *hostIndex) seal() {
	tails := make(tails)
	if x.every != nil {
		x.every.seal(tails)
	}
	for _, r := range x.exact {
		r.seal(tails)
	}
	for _, r := range x.wildcard {
		r.seal(tails)
	}
}

// wildcardEnd is the longest end of name that a wildcard can have, from its dot; shorter leads on from there. A name can
// have 127 labels: those for which every wildcard is too short are never looked up.
func (x *hostIndex) wildcardEnd(name string) string {
	if x.labels == 0 {
		return ""
	}
	i := len(name)
	for range x.labels {
		dot := strings.LastIndexByte(name[:i], '.')
		if dot <= 0 {
			break
		}
		i = dot
	}
	return name[i:]
}

// shorter cuts the first label off end, which begins with a dot. It is "" when only one is left.
func shorter(end string) string {
	dot := strings.IndexByte(end[1:], '.')
	if dot < 0 {
		return ""
	}
	return end[1+dot:]
}

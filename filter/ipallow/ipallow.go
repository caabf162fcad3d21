// Package ipallow is the filter ipAllow: it admits requests by the client's address and refuses all others with 403.
//
// An address in `deny` is refused; otherwise, with `allow` given, only an address in it is admitted; without `allow`
// everybody is who is not denied. The address is the client's as far as it can be believed: that of the connection, or
// behind the listener's trustedProxies what they say. A client without an address, on a unix socket, is in no range.
//
// Several may be written, at one level or at different ones; a request must pass all of them.
package ipallow

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
)

// Config admits and refuses requests by the client's address: 403. `deny` wins over `allow`.
type Config struct {
	// Allow are the addresses and ranges (CIDR) that are admitted, and no others. Absent or empty: all that are not denied.
	Allow []netip.Prefix `yaml:"allow"`
	// Deny are the addresses and ranges (CIDR) that are refused, even if they are allowed.
	Deny []netip.Prefix `yaml:"deny"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("ipAllow", filter.Admit, New).Repeated() }

// Filter is one ipAllow.
type Filter struct{ allow, deny ranges }

var _ filter.RequestFilter = (*Filter)(nil)

var (
	errEmpty = errors.New("write allow, deny or both: ipAllow without either admits everybody")

	refused = failure.Denied(http.StatusForbidden, "This address is not allowed.")
)

// New makes the filter.
func New(_ filter.Env, c Config) (filter.Filter, error) {
	if len(c.Allow) == 0 && len(c.Deny) == 0 {
		return nil, errEmpty
	}
	return &Filter{newRanges(c.Allow), newRanges(c.Deny)}, nil
}

// OnRequest admits or refuses.
func (f *Filter) OnRequest(_ context.Context, x *exchange.Exchange) error {
	client := x.Client.WithZone("").Unmap()
	if f.deny.contain(client) || len(f.allow) > 0 && !f.allow.contain(client) {
		return refused
	}
	return nil
}

// ranges are sorted and do not overlap, so that a list of thousands costs a dozen comparisons.
type ranges []span

type span struct{ first, last netip.Addr }

func newRanges(prefixes []netip.Prefix) ranges {
	var all ranges
	for _, p := range prefixes {
		all = append(all, newSpan(p))
	}
	slices.SortFunc(all, func(a, b span) int { return a.first.Compare(b.first) })
	var merged ranges
	for _, s := range all {
		if n := len(merged); n > 0 && s.first.Compare(merged[n-1].last) <= 0 {
			if s.last.Compare(merged[n-1].last) > 0 {
				merged[n-1].last = s.last
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// newSpan reads a range of IPv4 addresses written as IPv6 (::ffff:10.0.0.0/104) as one of IPv4: clients come as such.
func newSpan(p netip.Prefix) span {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	octets := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(octets)*8; bit++ {
		octets[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(octets)
	return span{p.Addr(), last}
}

// contain is false for the zero address. Addresses of IPv4 sort before all of IPv6.
func (r ranges) contain(a netip.Addr) bool {
	i, starts := slices.BinarySearchFunc(r, a, func(s span, a netip.Addr) int { return s.first.Compare(a) })
	return starts || i > 0 && a.Compare(r[i-1].last) <= 0
}

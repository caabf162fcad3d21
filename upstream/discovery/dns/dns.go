// Package dns discovers endpoints by DNS: the addresses of a name (A, AAAA, or both), or its services (SRV, RFC 2782).
//
// The records are used for as long as their TTL says: the smallest in the answer, CNAME records included, within a floor
// and a ceiling. Then the name is asked for again. A name that does not exist, or has no record of the type, is an empty
// answer; a server that fails, refuses or is silent is a failure, after every other server has been asked too. An answer
// cut short over UDP is asked for again over TCP.
//
// Of SRV records those of the most preferred priority are used, and no others: what is less preferred is a reserve that
// the owner of the name brings in by changing the records. Their targets are resolved here, to IPv4 addresses if there
// are any and else to IPv6, so that one host is not counted twice; the records that came along with the answer are used
// first. A target's weight is shared among its addresses. Weight 0 beside others means "hardly ever" (RFC 2782), a tenth
// of weight 1.
package dns

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// Types of question.
const (
	A    = "A"
	AAAA = "AAAA"
	Both = "both" // A and AAAA: every address is an endpoint
	SRV  = "SRV"
)

// maxLookup bounds the time of all questions together.
const maxLookup = 30 * time.Second

// maxTargets bounds the targets of SRV records that are resolved, each by up to two further questions.
const maxTargets = 256

// absent is how long to wait before a name without records is asked for again.
const absent = 5 * time.Second

// Config is what is asked.
type Config struct {
	Name   string
	Type   string // A | AAAA | Both | SRV
	Port   int    // of every address; SRV has its own
	Scheme string // http | https
	Server string // host:port or host; empty: those of /etc/resolv.conf, with its search list

	MinTTL, MaxTTL time.Duration
	Timeout        time.Duration // of one question to one server
}

// Source asks for one name. Make it with New.
type Source struct {
	Config
	resolver resolver
}

var _ discovery.Source = (*Source)(nil)

// New makes the source. Nothing is asked yet.
func New(c Config) *Source {
	return &Source{Config: c, resolver: newClient(c.Server, c.Timeout)}
}

// String is how messages call the source.
func (s *Source) String() string {
	name := "dns " + s.Type + " " + s.Name
	if s.Server != "" {
		name += " at " + s.Server
	}
	return name
}

// Find implements discovery.Source.
func (s *Source) Find(ctx context.Context) (discovery.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, maxLookup)
	defer cancel()
	found := lookup{resolver: s.resolver, ttl: math.MaxUint32}
	var endpoints []discovery.Endpoint
	var err error
	if s.Type == SRV {
		endpoints, err = s.services(ctx, &found)
	} else {
		endpoints, err = s.hosts(ctx, &found)
	}
	if err != nil {
		return discovery.Answer{}, err
	}
	if len(endpoints) == 0 {
		return discovery.Answer{After: max(absent, s.MinTTL)}, nil
	}
	return discovery.Answer{Endpoints: endpoints, After: s.lifetime(found.ttl)}, nil
}

// lifetime is how long the records may be used.
func (s *Source) lifetime(ttl uint32) time.Duration {
	return min(max(time.Duration(ttl)*time.Second, s.MinTTL), s.MaxTTL)
}

// hosts are the addresses of the name.
func (s *Source) hosts(ctx context.Context, found *lookup) ([]discovery.Endpoint, error) {
	types := map[string][]uint16{A: {dns.TypeA}, AAAA: {dns.TypeAAAA}, Both: {dns.TypeA, dns.TypeAAAA}}[s.Type]
	var endpoints []discovery.Endpoint
	for _, t := range types {
		// One family that has no record is an answer; one that cannot be asked for is half an answer, which is none.
		answer, err := found.ask(ctx, s.Name, t)
		if err != nil {
			return nil, err
		}
		for _, address := range addresses(answer.records) {
			endpoints = append(endpoints, discovery.Endpoint{URL: discovery.Address(s.Scheme, address.String(), s.Port), Weight: 1})
		}
	}
	return endpoints, nil
}

// services are the targets of the name's SRV records.
func (s *Source) services(ctx context.Context, found *lookup) ([]discovery.Endpoint, error) {
	answer, err := found.ask(ctx, s.Name, dns.TypeSRV)
	if err != nil {
		return nil, err
	}
	preferred := mostPreferred(answer.records)
	if len(preferred) > maxTargets {
		return nil, fmt.Errorf("the answer has %d SRV records of one priority; at most %d are resolved", len(preferred), maxTargets)
	}
	scale := 1
	targets := make([]target, len(preferred))
	for i, record := range preferred {
		targets[i] = target{record: record}
		if targets[i].addresses, err = found.target(ctx, record.Target, answer); err != nil {
			return nil, err
		}
		if record.Weight == 0 && heavier(preferred) || len(targets[i].addresses) > 1 {
			scale = 10
		}
	}
	var endpoints []discovery.Endpoint
	for _, t := range targets {
		endpoints = append(endpoints, t.endpoints(s.Scheme, scale)...)
	}
	return endpoints, nil
}

// target is an SRV record with the addresses of its target.
type target struct {
	record    *dns.SRV
	addresses []netip.Addr
}

func (t target) endpoints(scheme string, scale int) []discovery.Endpoint {
	endpoints := make([]discovery.Endpoint, len(t.addresses))
	for i, address := range t.addresses {
		endpoints[i] = discovery.Endpoint{
			URL:    discovery.Address(scheme, address.String(), int(t.record.Port)),
			Weight: max(1, int(t.record.Weight)*scale/len(t.addresses)),
		}
	}
	return endpoints
}

// mostPreferred are the records of the lowest number, without those that say "no such service here" (a target of ".").
func mostPreferred(records []dns.RR) (preferred []*dns.SRV) {
	best := uint16(math.MaxUint16)
	for _, rr := range records {
		srv, ok := rr.(*dns.SRV)
		if !ok || srv.Target == "." {
			continue
		}
		if srv.Priority < best {
			best, preferred = srv.Priority, nil
		}
		if srv.Priority == best {
			preferred = append(preferred, srv)
		}
	}
	return preferred
}

func heavier(records []*dns.SRV) bool {
	for _, r := range records {
		if r.Weight > 0 {
			return true
		}
	}
	return false
}

// lookup is one Find: it remembers the smallest TTL that was seen.
type lookup struct {
	resolver resolver
	ttl      uint32
}

func (l *lookup) ask(ctx context.Context, name string, t uint16) (answer, error) {
	answer, err := l.resolver.resolve(ctx, name, t)
	if err == nil && (len(answer.records) > 0 || len(answer.chain) > 0) {
		l.seen(answer.records)
		l.seen(answer.chain)
	}
	return answer, err
}

func (l *lookup) seen(records []dns.RR) {
	for _, rr := range records {
		l.ttl = min(l.ttl, rr.Header().Ttl)
	}
}

// target gives the addresses of an SRV target: IPv4 if it has any.
func (l *lookup) target(ctx context.Context, name string, beside answer) ([]netip.Addr, error) {
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if along := owned(beside.extra, name, t); len(along) > 0 {
			l.seen(along)
			return addresses(along), nil
		}
	}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
		answer, err := l.ask(ctx, dns.Fqdn(name), t)
		if err != nil {
			return nil, fmt.Errorf("the target %s: %w", name, err)
		}
		if len(answer.records) > 0 {
			return addresses(answer.records), nil
		}
	}
	return nil, fmt.Errorf("the target %s has no address", name)
}

// owned are the records of a type that belong to a name.
func owned(records []dns.RR, name string, t uint16) (own []dns.RR) {
	for _, rr := range records {
		if h := rr.Header(); h.Rrtype == t && h.Class == dns.ClassINET && strings.EqualFold(h.Name, name) {
			own = append(own, rr)
		}
	}
	return own
}

func addresses(records []dns.RR) (list []netip.Addr) {
	for _, rr := range records {
		var ip []byte
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if address, ok := netip.AddrFromSlice(ip); ok {
			list = append(list, address.Unmap())
		}
	}
	return list
}

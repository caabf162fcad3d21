package route

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/sluice-gateway/sluice/exchange"
)

// rule is a Rule compiled: what every look-up reads, in 64 bytes, so that it is one fetch from memory.
type rule struct {
	alone    [1]*rule // the rule itself, see leaf.with
	priority int
	index    int       // in what Build was given
	value    any       // a T
	names    *[]string // of the captures, in their order; nil: there are none
	common   uint16    // methods.bits()
	plain    bool      // no conditions, addresses, expression or path.regex: where the path leads to it, it fits
	rest     bool      // path.rest

	*terms
}

// terms are the rest of a rule. They lie apart, as branches do.
type terms struct {
	path       path
	methods    methods
	clientIPs  []netip.Prefix
	conditions []condition
	expression *exchange.Expression
	hosts      []host // none: every host
	name       string
}

func compileRule[T any](m *mistakes, i int, from *Rule[T]) *rule {
	r := &rule{index: i, priority: from.Priority, value: from.Value, terms: &terms{name: from.Name, expression: from.Expression}}
	r.alone[0] = r
	var err error
	r.path, err = from.Path.compile()
	m.at(i, from.Path.field())(err)
	r.rest = r.path.rest
	for j, text := range from.Hosts {
		m.at(i, fmt.Sprintf("hosts[%d]", j))(r.addHost(text))
	}
	for j, name := range from.Methods {
		m.at(i, fmt.Sprintf("methods[%d]", j))(r.methods.add(name))
	}
	r.common = r.methods.bits()
	for j, prefix := range from.ClientIPs {
		m.at(i, fmt.Sprintf("clientIPs[%d]", j))(r.addPrefix(prefix))
	}
	r.addConditions(m, inHeader, from.Headers)
	r.addConditions(m, inQuery, from.Query)
	r.addConditions(m, inCookie, from.Cookies)
	r.plain = r.conditionCount() == 0 && r.path.regex == nil
	return r
}

func (r *rule) addConditions(m *mistakes, part part, conditions []Condition) {
	for _, c := range conditions {
		compiled, err := compileCondition(part, c)
		m.at(r.index, compiled.field(c.Name))(err)
		r.conditions = append(r.conditions, compiled)
	}
}

// takes reports whether r takes the method name, whose bit is known. Of a common one it reads no terms.
func (r *rule) takes(name string, bit uint16) bool {
	return r.common&bit != 0 || r.methods.has(name, bit)
}

// conditionCount is the number that decides between rules of one path.
func (r *rule) conditionCount() int {
	n := len(r.conditions)
	if len(r.clientIPs) > 0 {
		n++
	}
	if r.expression != nil {
		n++
	}
	return n
}

// addPrefix keeps addresses as an Exchange has them: an IPv4 one never in IPv6.
func (r *rule) addPrefix(p netip.Prefix) error {
	if !p.IsValid() {
		return fmt.Errorf("%s is no address prefix", p)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return fmt.Errorf("%s is neither IPv4 nor IPv6: write an IPv4 prefix", p)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	r.clientIPs = append(r.clientIPs, p.Masked())
	return nil
}

// spelled holds each word of the patterns once. With many routes the same words come again in most of them, and a look-up
// then compares with memory that others have just read.
type spelled map[string]*spelling

type spelling struct {
	word  string
	names []string // the captures of rules that have just this one
}

func (w spelled) share(r *rule) {
	for i := range r.path.segments {
		if s := &r.path.segments[i]; !s.capture {
			s.literal = w.of(s.literal).word
		}
	}
	switch names := r.path.names; len(names) {
	case 0:
	case 1:
		r.names = &w.of(names[0]).names
	default:
		r.names = &r.path.names
	}
}

func (w spelled) of(word string) *spelling {
	s, known := w[word]
	if !known {
		s = &spelling{word, []string{word}}
		w[word] = s
	}
	return s
}

// compareInLeaf orders rules of one host and one path by who is asked first.
func compareInLeaf(a, b *rule) int {
	if c := cmp.Compare(b.priority, a.priority); c != 0 {
		return c
	}
	if a.methods.any() != b.methods.any() {
		if a.methods.any() {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(b.conditionCount(), a.conditionCount()), cmp.Compare(a.index, b.index))
}

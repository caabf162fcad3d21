package route

import (
	"net/netip"

	"github.com/sluice-gateway/sluice/exchange"
)

// search is one look-up. It lives on the stack.
type search struct {
	x      *exchange.Exchange
	method string
	bit    uint16 // of method, if it is a common one

	best   *rule // nil: none yet
	missed bool  // a rule fits in all but its methods

	allowed  *methods // not nil: nothing is looked for, methods are collected
	failures failures // nil: nobody is told

	values [MaxCaptures]string // the captures on the way to where the walk is
}

// failures is told of expressions that failed: the Table, as an interface because a method value would be allocated.
type failures interface{ expressionFailed(*rule, error) }

func newSearch(x *exchange.Exchange) search {
	method := requestedMethod(x.In)
	return search{x: x, method: method, bit: methodBit(method)}
}

// run asks the hosts from the most specific to none.
func (s *search) run(hosts *hostIndex) {
	if s.x.Path == "" {
		return
	}
	s.root(hosts.exact[s.x.Host])
	for end := hosts.wildcardEnd(s.x.Host); end != ""; end = shorter(end) {
		s.root(hosts.wildcard[end])
	}
	s.root(hosts.every)
}

// done reports whether nothing of priority top or lower can win any more.
func (s *search) done(top int) bool { return s.best != nil && top <= s.best.priority }

func (s *search) root(t *root) {
	if t == nil || s.done(t.top) {
		return
	}
	s.walk(&t.tree, s.x.Path, 0)
	s.leaf(t.regexes)
	s.leaf(t.others)
}

// walk asks the rules at and below n for what is left of the path; depth captures are bound. Its recursion is as deep
// as the longest pattern.
func (s *search) walk(n *node, rest string, depth int) {
	if s.done(n.top) {
		return
	}
	if n.single != nil {
		s.alone(n, rest, depth)
		return
	}
	if rest == "" {
		s.leaf(n.exact)
		s.leaf(n.rest)
		return
	}
	segment, after := nextSegment(rest)
	if child := n.literals.find(segment); child != nil {
		s.walk(child, after, depth)
	}
	if n.capture != nil && segment != "" {
		s.values[depth] = segment
		s.walk(n.capture, after, depth+1)
	}
	s.leaf(n.rest)
}

// alone asks the one rule at or below n.
func (s *search) alone(n *node, rest string, depth int) {
	for i := range n.tail {
		if rest == "" {
			return
		}
		var segment string
		segment, rest = nextSegment(rest)
		switch way := &n.tail[i]; {
		case !way.capture && way.literal != segment, way.capture && segment == "":
			return
		case way.capture:
			s.values[depth] = segment
			depth++
		}
	}
	if rest == "" || n.single.rest {
		s.leaf(n.single.alone[:])
	}
}

// leaf asks rules to which the path has led, until one holds.
func (s *search) leaf(rules leaf) {
	for _, r := range rules {
		if s.done(r.priority) {
			return
		}
		if s.allowed != nil {
			s.collect(r)
			continue
		}
		if !r.takes(s.method, s.bit) {
			s.missed = s.missed || s.fits(r)
			continue
		}
		if s.fits(r) {
			s.take(r)
			return
		}
	}
}

func (s *search) collect(r *rule) {
	if s.fits(r) {
		s.allowed.join(&r.methods)
	}
}

// take makes r the best so far and binds its captures: the walk came here by r's own pattern, so values are its.
func (s *search) take(r *rule) {
	s.best = r
	captures := s.x.Captures[:0]
	switch {
	case r.names == nil:
	case !r.plain && r.path.kind == byRegex:
		captures = r.path.appendGroups(captures, s.x.Path)
	default:
		for i, name := range *r.names {
			captures = append(captures, exchange.Capture{Name: name, Value: s.values[i]})
		}
	}
	s.x.Captures = captures
}

// fits reports whether r holds in all but its methods and what has led to it. What is cheap is asked first.
func (s *search) fits(r *rule) bool {
	if r.plain {
		return true
	}
	if len(r.clientIPs) > 0 && !contains(r.clientIPs, s.x.Client) {
		return false
	}
	for i := range r.conditions {
		if !r.conditions[i].holds(s.x.In) {
			return false
		}
	}
	if r.path.regex != nil && !r.path.regex.MatchString(s.x.Path) {
		return false
	}
	return r.expression == nil || s.evaluate(r)
}

func (s *search) evaluate(r *rule) bool {
	held, err := r.expression.Eval(s.x)
	if err != nil && s.failures != nil {
		s.failures.expressionFailed(r, err)
	}
	return held && err == nil
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// appendGroups binds the named groups of a regular expression; one that took no part is empty.
func (p *path) appendGroups(captures exchange.Captures, text string) exchange.Captures {
	found := p.regex.FindStringSubmatchIndex(text)
	for i, group := range p.groups {
		value := ""
		if found != nil && found[2*group] >= 0 {
			value = text[found[2*group]:found[2*group+1]]
		}
		captures = append(captures, exchange.Capture{Name: p.names[i], Value: value})
	}
	return captures
}

package route

import (
	"fmt"
	"slices"
	"strings"
)

// Shadow is a rule that never matches, and one that takes its requests. A rule with several hosts has one for each of
// them; By is that of the first.
type Shadow struct{ Rule, By int }

// Shadowed finds rules that can never match, in their order: for each of their hosts there is a rule that is asked
// before and holds whenever they do. It finds what follows from how the rules are written: paths by their shape,
// methods and addresses as sets, equal conditions, equal expressions. It does not know what a regular expression or an
// expression means, nor that several rules together may leave nothing over. What it reports is always so.
func (t *Table[T]) Shadowed() []Shadow {
	var found []Shadow
	f := shadowFinder{&t.hosts, map[**rule]map[string]leaf{}}
	for _, r := range t.rules {
		if by := f.shadower(r); by != nil {
			found = append(found, Shadow{r.index, by.index})
		}
	}
	return found
}

// shadowFinder finds shadows in all rules of an index. Large leaves are grouped, each once, by the first place of its
// array: 10,000 rules on one path that differ in a header must not be compared each with each.
type shadowFinder struct {
	*hostIndex
	groups map[**rule]map[string]leaf
}

// largeLeaf is how many rules are compared one by one.
const largeLeaf = 64

// shadower is the rule that takes the requests of r's first host, if others take those of the rest.
func (f *shadowFinder) shadower(r *rule) *rule {
	if len(r.hosts) == 0 {
		return f.search(r, f.every, true)
	}
	var first *rule
	for _, h := range r.hosts {
		by := f.shadowerAt(r, h)
		if by == nil {
			return nil
		}
		if first == nil {
			first = by
		}
	}
	return first
}

// shadowerAt looks in the root of h and in those that take all hosts that h takes.
func (f *shadowFinder) shadowerAt(r *rule, h host) *rule {
	own, end := f.exact[h.name], f.wildcardEnd(h.name)
	if h.wildcard {
		own, end = f.wildcard[h.name], shorter(h.name)
	}
	if by := f.search(r, own, true); by != nil {
		return by
	}
	for ; end != ""; end = shorter(end) {
		if by := f.search(r, f.wildcard[end], false); by != nil {
			return by
		}
	}
	return f.search(r, f.every, false)
}

// search looks among the rules of one host. Where that is less specific than r's own, only a higher priority is asked
// before r.
func (f *shadowFinder) search(r *rule, t *root, sameHost bool) *rule {
	c := cover{rule: r, finder: f, sameHost: sameHost}
	c.root(t)
	return c.by
}

// cover is the search for a rule that is asked before one and takes all that it takes.
type cover struct {
	*rule
	finder   *shadowFinder
	sameHost bool
	by       *rule
}

// order is how the path of a leaf stands to that of the rule, which it covers.
type order uint8

const (
	behind order = iota // less specific
	equal
	ahead // asked first whatever they say otherwise
)

func (c *cover) root(t *root) {
	if t == nil || t.top < c.priority {
		return
	}
	if c.path.kind == byPattern {
		c.walk(&t.tree, c.path.segments, equal)
		c.leaf(t.others, behind)
		return
	}
	c.leaf(t.tree.rest, ahead) // "/*" takes every path
	if c.path.kind == byRegex {
		c.leaf(t.regexes, equal)
		c.leaf(t.others, behind)
		return
	}
	c.leaf(t.others, equal)
}

// walk asks the leaves whose pattern covers segments and what the rule has after them.
func (c *cover) walk(n *node, segments []segment, o order) {
	if n == nil || c.by != nil || n.top < c.priority {
		return
	}
	if len(segments) == 0 && !c.path.rest {
		c.leaf(n.exact, o)
		c.leaf(n.rest, behind)
		return
	}
	if len(segments) == 0 {
		c.leaf(n.rest, o)
		return
	}
	s := segments[0]
	if !s.capture {
		c.walk(n.literals.find(s.literal), segments[1:], o)
		o = behind
	}
	if s.capture || s.literal != "" {
		c.walk(n.capture, segments[1:], o)
	}
	c.leaf(n.rest, behind)
}

// leaf asks rules whose path covers the rule's, but for regular expressions, which must be the same.
func (c *cover) leaf(l leaf, o order) {
	if len(l) <= largeLeaf {
		c.ask(l, o)
		return
	}
	groups := c.finder.grouped(l)
	c.ask(groups[""], o)
	if demands := c.demands(); demands != "" {
		c.ask(groups[demands], o)
	}
}

func (c *cover) ask(l leaf, o order) {
	lowest := c.priority // that can be asked before
	if o == behind || !c.sameHost {
		lowest++
	}
	for _, r := range l {
		if c.by != nil || r == c.rule || r.priority < lowest {
			return
		}
		first := r.priority > c.priority || o == ahead || compareInLeaf(r, c.rule) < 0
		if first && r.path.sameRegex(&c.path) && r.takesAllOf(c.rule) {
			c.by = r
		}
	}
}

// grouped divides a leaf by what its rules demand, keeping their order.
func (f *shadowFinder) grouped(l leaf) map[string]leaf {
	groups, ok := f.groups[&l[0]]
	if !ok {
		groups = make(map[string]leaf)
		for _, r := range l {
			demands := r.demands()
			groups[demands] = append(groups[demands], r)
		}
		f.groups[&l[0]] = groups
	}
	return groups
}

// demands is the same text for rules that demand the same, path and methods apart, and "" for none.
func (r *rule) demands() string {
	var all []string
	for i := range r.conditions {
		c := &r.conditions[i]
		all = append(all, fmt.Sprintf("%d %d %q %q", c.part, c.Test, c.Name, c.Value))
	}
	for _, p := range r.clientIPs {
		all = append(all, p.String())
	}
	if r.expression != nil {
		all = append(all, r.expression.String())
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func (p *path) sameRegex(other *path) bool {
	return p.regex == nil || other.regex != nil && p.text == other.text
}

// takesAllOf reports whether r holds, host and path apart, whenever other does.
func (r *rule) takesAllOf(other *rule) bool {
	if r.plain && r.methods.any() {
		return true
	}
	return r.methods.covers(&other.methods) &&
		r.expressionIn(other) && r.conditionsIn(other) && r.addressesOf(other)
}

func (r *rule) expressionIn(other *rule) bool {
	return r.expression == nil || other.expression != nil && r.expression.String() == other.expression.String()
}

func (r *rule) conditionsIn(other *rule) bool {
	if len(r.conditions) > len(other.conditions) {
		return false
	}
	for i := range r.conditions {
		if !slices.ContainsFunc(other.conditions, r.conditions[i].same) {
			return false
		}
	}
	return true
}

func (c *condition) same(other condition) bool {
	return c.Condition == other.Condition && c.part == other.part
}

// addressesOf reports whether every address that other takes is taken by r.
func (r *rule) addressesOf(other *rule) bool {
	if len(r.clientIPs) == 0 {
		return true
	}
	for _, p := range other.clientIPs {
		covered := false
		for _, q := range r.clientIPs {
			covered = covered || q.Bits() <= p.Bits() && q.Contains(p.Addr())
		}
		if !covered {
			return false
		}
	}
	return len(other.clientIPs) > 0
}

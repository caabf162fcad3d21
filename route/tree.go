package route

import (
	"math"
	"slices"
	"strings"
)

// root holds the rules of one host.
type root struct {
	top     int // the highest priority in it
	tree    node
	regexes leaf
	others  leaf // rules that say nothing of the path
}

// leaf holds rules in the order in which they are asked.
type leaf []*rule

// with is l and r after it. A leaf of one rule, as most are, lies in that rule: it is read next.
func (l leaf) with(r *rule) leaf {
	if len(l) == 0 {
		return r.alone[:]
	}
	return append(l, r)
}

// node is one segment deep in the tree. Its path is not in it: that is the way that leads to it.
type node struct {
	top int // the highest priority at or below it

	// A node with one rule alone at or below it, as most are where there are many, has it here, and the way that is left to
	// it: a look-up then fetches neither the nodes on that way nor their words, which rules of one form share.
	single *rule
	tail   []segment

	short shortSegment // of a child among many: what leads to it, see segmentIndex

	*branches
}

// branches are what else there is of a node. They lie apart: of a node with one rule a look-up needs none, and what it needs
// of thousands of those should lie on few pages.
type branches struct {
	literals literals
	capture  *node
	long     string // what node.short is, if that is too short
	exact    leaf   // patterns that end here
	rest     leaf   // patterns that end here in /*
}

func newNode() *node { return &node{top: math.MinInt, branches: new(branches)} }

// fewLiterals is how many children are searched one by one before an index is faster.
const fewLiterals = 6

// literals are the children of a node by their segment: an only one, as most nodes have, beside the node itself, few in
// a list, many in an index, which takes the place of a map once all are known.
type literals struct {
	only  literal
	list  []literal
	index *segmentIndex
	many  map[string]*node // nil after seal
}

type literal struct {
	segment string
	node    *node
}

func (l *literals) find(segment string) *node {
	switch {
	case l.only.segment == segment:
		return l.only.node
	case l.index != nil:
		return l.index.find(segment)
	case l.many != nil:
		return l.many[segment]
	}
	for i := range l.list {
		if l.list[i].segment == segment {
			return l.list[i].node
		}
	}
	return nil
}

func (l *literals) seal() {
	if l.many != nil {
		l.index, l.many = newSegmentIndex(l.many), nil
	}
}

func (l *literals) add(segment string) *node {
	n := l.find(segment)
	if n != nil {
		return n
	}
	n = newNode()
	switch {
	case l.only.node == nil:
		l.only = literal{segment, n}
	case l.many != nil:
		l.many[segment] = n
	case len(l.list) < fewLiterals:
		l.list = append(l.list, literal{segment, n})
	default:
		l.many = make(map[string]*node, 2*fewLiterals)
		for _, known := range l.list {
			l.many[known.segment] = known.node
		}
		l.many[segment] = n
		l.list = nil
	}
	return n
}

func (l *literals) each(visit func(*node)) {
	if l.only.node != nil {
		visit(l.only.node)
	}
	for i := range l.list {
		visit(l.list[i].node)
	}
	for _, n := range l.many {
		visit(n)
	}
}

func newRoot() *root { return &root{top: math.MinInt, tree: *newNode()} }

func (t *root) add(r *rule) {
	t.top = max(t.top, r.priority)
	switch r.path.kind {
	case byRegex:
		t.regexes = t.regexes.with(r)
	case anyPath:
		t.others = t.others.with(r)
	default:
		t.tree.add(r)
	}
}

// add puts r where its pattern leads.
func (n *node) add(r *rule) {
	n.top = max(n.top, r.priority)
	for _, s := range r.path.segments {
		n = n.child(s)
		n.top = max(n.top, r.priority)
	}
	if r.path.rest {
		n.rest = n.rest.with(r)
	} else {
		n.exact = n.exact.with(r)
	}
}

func (n *node) child(s segment) *node {
	if !s.capture {
		return n.literals.add(s.literal)
	}
	if n.capture == nil {
		n.capture = newNode()
	}
	return n.capture
}

// seal orders all leaves. A leaf is sorted once, at the end: inserting in order would take the square of its rules.
func (t *root) seal(tails tails) {
	slices.SortFunc(t.regexes, compareInLeaf)
	slices.SortFunc(t.others, compareInLeaf)
	t.tree.seal(0, tails)
}

func (n *node) seal(depth int, tails tails) {
	slices.SortFunc(n.exact, compareInLeaf)
	slices.SortFunc(n.rest, compareInLeaf)
	rules := len(n.exact) + len(n.rest)
	below := func(child *node) {
		child.seal(depth+1, tails)
		if child.single != nil {
			n.single = child.single
			rules++
		} else {
			rules += 2 // more than one
		}
	}
	if n.capture != nil {
		below(n.capture)
	}
	n.literals.each(below)
	n.literals.seal()
	switch {
	case rules != 1:
		n.single = nil
		return
	case len(n.exact) == 1:
		n.single = n.exact[0]
	case len(n.rest) == 1:
		n.single = n.rest[0]
	}
	n.tail = tails.share(n.single.path.segments[depth:])
}

// tails holds each way to a single rule once.
type tails map[string][]segment

func (t tails) share(way []segment) []segment {
	var b strings.Builder
	for _, s := range way {
		b.WriteByte('/') // which no segment holds
		if s.capture {
			b.WriteByte('{') // nor does a literal in its canonical spelling begin so
		}
		b.WriteString(s.literal)
	}
	known, ok := t[b.String()]
	if !ok {
		known = way
		t[b.String()] = way
	}
	return known
}

// nextSegment takes the first segment off rest, which begins with a slash; what is left begins with one too, or is the
// end of the path.
func nextSegment(rest string) (segment, after string) {
	end := strings.IndexByte(rest[1:], '/')
	if end < 0 {
		return rest[1:], ""
	}
	return rest[1 : 1+end], rest[1+end:]
}

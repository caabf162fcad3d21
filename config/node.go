package config

import (
	"strconv"
	"strings"
)

// A node is one value as it was written: a scalar, a list or a mapping, with its position and its place in the tree.
// One node has one parent, so the path of a mistake is found by walking up, and only when there is a mistake.
type node struct {
	kind  nodeKind
	pos   position
	items []*node // of a list, or the values of a mapping in written order

	// Scalars.
	tag   scalarTag
	text  string
	plain bool // written without quotes
	loose bool // substituted where no quotes fix the type: it is whatever the setting wants

	secret    bool // never shown: it came from a file, or a secret field took it
	reference bool // written as one ${…}: what stands in the text gives nothing away
	broken    bool // its text is not what it should be, which is reported: the decoder leaves it alone
	faulty    bool // the decoder found a mistake here, so that checks do not draw conclusions from what is missing

	// The place in the parent.
	parent *node
	key    string // in a mapping
	keyPos position
	index  int // in a list
}

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	listNode
	mappingNode
)

type scalarTag uint8

const (
	stringTag scalarTag = iota
	nullTag
	boolTag
	intTag
	floatTag
)

// position is where a node begins: a file of the document, a line and a column in characters, both from 1.
type position struct {
	file         int32
	line, column int32
}

func (n *node) isNull() bool { return n.kind == scalarNode && n.tag == nullTag && !n.loose }

// isOff accepts the word and the boolean: YAML 1.1 reads an unquoted off as false, YAML 1.2 as a word.
func (n *node) isOff() bool {
	return n.kind == scalarNode && (n.tag == stringTag && n.text == "off" || (n.tag == boolTag || n.loose) && n.text == "false")
}

// kindName is what a person calls the node.
func (n *node) kindName() string {
	switch {
	case n.kind == listNode:
		return "a list"
	case n.kind == mappingNode:
		return "a mapping"
	}
	return [...]string{"a string", "nothing", "a boolean", "a number", "a number"}[n.tag]
}

// child is the value of a mapping's key.
func (n *node) child(key string) *node {
	if n.kind != mappingNode {
		return nil
	}
	for _, item := range n.items {
		if item.key == key {
			return item
		}
	}
	return nil
}

// adopt makes n the parent of its items.
func (n *node) adopt() *node {
	for i, item := range n.items {
		item.parent, item.index = n, i
	}
	return n
}

// walk calls visit for n and everything below it.
func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, item := range n.items {
		item.walk(visit)
	}
}

// path is the node's place: routes[2].match.headers["x.y"].
func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	if n.parent.kind == listNode {
		return n.parent.path() + "[" + strconv.Itoa(n.index) + "]"
	}
	return PathTo(n.parent.path(), n.key)
}

// PathTo is the path of a key below a path. A key that is no plain word is quoted: match.headers["x.y"].
func PathTo(path, key string) string {
	if !plainKey(key) {
		return path + "[" + strconv.Quote(clip(key)) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func plainKey(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	})
}

// nearest follows path from n as far as there are nodes, and returns what is left of it. The index [0] of a mapping is the
// mapping itself, because a list of one may be written without its brackets.
func (n *node) nearest(path string) (found *node, left string) {
	for path != "" {
		step, rest := nextStep(path)
		next := n.step(step)
		if next == nil {
			return n, strings.TrimPrefix(path, ".")
		}
		n, path = next, rest
	}
	return n, ""
}

// at is the node at exactly path, or nil.
func (n *node) at(path string) *node {
	if found, left := n.nearest(path); left == "" {
		return found
	}
	return nil
}

func (n *node) step(step string) *node {
	index, err := strconv.Atoi(step)
	switch {
	case n.kind == mappingNode && n.child(step) != nil:
		return n.child(step)
	case err != nil || index < 0:
		return nil
	case n.kind == listNode && index < len(n.items):
		return n.items[index]
	case n.kind != listNode && index == 0:
		return n
	}
	return nil
}

// nextStep cuts the first key or index off a path.
func nextStep(path string) (step, rest string) {
	path = strings.TrimPrefix(path, ".")
	if quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(path, "[")); err == nil && path[0] == '[' {
		step, _ = strconv.Unquote(quoted)
		return step, strings.TrimPrefix(path[1+len(quoted):], "]")
	}
	if strings.HasPrefix(path, "[") {
		step, rest, _ = strings.Cut(path[1:], "]")
		return step, rest
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return path, ""
	}
	return path[:end], path[end:]
}

// Node is a piece of the configuration that is not decoded yet: a filter's settings. The zero Node is an empty mapping.
type Node struct {
	n   *node
	doc *document
}

// IsZero reports that nothing was written.
func (n Node) IsZero() bool { return n.n == nil }

// Path is where the node stands: routes[2].filters[0].cors.
func (n Node) Path() string {
	if n.n == nil {
		return ""
	}
	return n.n.path()
}

// Equal reports whether two nodes say the same, wherever they stand. The order of keys does not count.
func (n Node) Equal(o Node) bool { return n.Fingerprint() == o.Fingerprint() }

// Decode fills the struct that settings points to, strictly, by the tags that decode.go describes. Every mistake is
// reported with its position. It may be called more than once.
func (n Node) Decode(settings any) Diagnostics {
	d := &decoder{doc: n.doc}
	d.into(n.n, settings)
	return d.doc.finish(d.found)
}

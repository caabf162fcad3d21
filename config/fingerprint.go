package config

import (
	"slices"
	"strconv"
	"strings"
)

// Fingerprint is a text that two nodes share if and only if they say the same: what was written, without positions or the
// order of keys, secrets included. It never leaves the process.
func (n Node) Fingerprint() string {
	if n.n == nil {
		return ""
	}
	var b strings.Builder
	n.n.fingerprint(&b)
	return b.String()
}

func (n *node) fingerprint(b *strings.Builder) {
	if n.kind == scalarNode {
		b.WriteString(strconv.Itoa(int(n.tag)))
		b.WriteString(strconv.Quote(n.text))
		return
	}
	b.WriteString(strconv.Itoa(int(n.kind)))
	b.WriteByte('(')
	items := n.items
	if n.kind == mappingNode { // the order of keys does not count
		items = slices.SortedFunc(slices.Values(items), func(a, b *node) int { return strings.Compare(a.key, b.key) })
	}
	for _, item := range items {
		b.WriteString(strconv.Quote(item.key))
		b.WriteByte(':')
		item.fingerprint(b)
	}
	b.WriteByte(')')
}

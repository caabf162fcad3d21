package config

import "fmt"

// Filter is one item of a filters list: a filter and its settings, or the removal of an inherited one.
type Filter struct {
	Name     string // keyAuth, rateLimit, …
	Off      bool   // `NAME: off`: removes the filter inherited from the listener or the top
	Settings Node   // what the filter decodes into its own Config; zero if Off
}

// decodeNode reads a mapping of exactly one key.
func (f *Filter) decodeNode(d *decoder, n *node) {
	switch {
	case n.kind == scalarNode && n.tag == stringTag:
		d.errorAt(n, fmt.Sprintf("write `- %s: {}` for a filter without settings", clip(n.text)),
			"a filter is a mapping of its name to its settings")
		return
	case n.kind != mappingNode:
		d.wrongType(n, "a mapping of one filter's name to its settings")
		return
	case len(n.items) != 1:
		d.errorAt(n, "begin a new item with `- ` for each filter",
			fmt.Sprintf("an item of filters has exactly one key, here there are %d", len(n.items)))
		return
	}
	settings := n.items[0]
	f.Name, f.Off = settings.key, settings.isOff()
	if f.Off {
		return
	}
	if settings.kind != mappingNode && !settings.isNull() {
		d.wrongType(settings, "a mapping of settings, or `off`")
		return
	}
	f.Settings = Node{settings, d.doc}
}

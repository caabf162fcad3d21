package config

import "fmt"

// merge makes one tree of several files: lists of the top level are joined in the order of the files, anything else may
// stand in one file only. Merging deeper was refused: nobody could tell which file decides.
func merge(d *document, roots []*node) (*node, []finding) {
	var found []finding
	whole, first := &node{kind: mappingNode}, make(map[string]*node)
	if len(d.files) > 0 {
		whole.pos = position{0, 1, 1}
	}
	for _, root := range roots {
		if root.kind != mappingNode {
			found = append(found, finding{root.pos, Diagnostic{
				Message: "the file holds " + root.kindName() + ", not a mapping",
				Hint:    "begin with the keys listeners, routes, services"}})
			continue
		}
		for _, item := range root.items {
			if before, again := first[item.key]; again {
				found = append(found, mergeKey(d, before, item)...)
				continue
			}
			first[item.key] = item
			whole.items = append(whole.items, item)
		}
	}
	return whole.adopt(), found
}

// mergeKey adds what a later file says of a key to what the first one said.
func mergeKey(d *document, first, item *node) []finding {
	switch {
	case item.isNull():
	case first.kind == listNode && item.kind == listNode:
		first.items = append(first.items, item.items...)
		first.adopt()
	case first.isNull() && item.kind == listNode:
		*first = *item
		first.adopt()
	default:
		return []finding{{item.keyPos, Diagnostic{Path: item.key,
			Message: fmt.Sprintf("`%s` stands in two files, first at %s:%d", clip(item.key),
				d.files[first.keyPos.file].Name, first.keyPos.line),
			Hint: "only lists are joined over files; keep one of the two"}}}
	}
	return nil
}

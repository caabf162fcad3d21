package config

import (
	"bytes"
	"encoding/json"
)

// shownNode is a tree as /config shows it: keys in written order, secrets redacted.
type shownNode struct{ n *node }

func (s shownNode) MarshalJSON() ([]byte, error) {
	if s.n == nil {
		return []byte("{}"), nil
	}
	var b bytes.Buffer
	err := s.n.writeJSON(&b, true)
	return b.Bytes(), err
}

// writeJSON writes the tree as it was written, secrets hidden or not.
func (n *node) writeJSON(b *bytes.Buffer, hide bool) error {
	switch n.kind {
	case listNode:
		return n.writeItems(b, '[', ']', hide)
	case mappingNode:
		return n.writeItems(b, '{', '}', hide)
	}
	return n.writeScalar(b, hide)
}

func (n *node) writeItems(b *bytes.Buffer, open, end byte, hide bool) error {
	b.WriteByte(open)
	for i, item := range n.items {
		if i > 0 {
			b.WriteByte(',')
		}
		if n.kind == mappingNode {
			if err := writeString(b, item.key); err != nil {
				return err
			}
			b.WriteByte(':')
		}
		if err := item.writeJSON(b, hide); err != nil {
			return err
		}
	}
	b.WriteByte(end)
	return nil
}

func (n *node) writeScalar(b *bytes.Buffer, hide bool) error {
	switch {
	case n.secret && hide:
		return writeString(b, redacted)
	case n.tag == nullTag:
		b.WriteString("null")
	case n.tag != stringTag && json.Valid([]byte(n.text)): // YAML's other numbers, such as .5, are shown as text
		b.WriteString(n.text)
	default:
		return writeString(b, n.text)
	}
	return nil
}

func writeString(b *bytes.Buffer, s string) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the encoder ends every value with a newline
	return nil
}

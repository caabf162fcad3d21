// Package document reads and writes structured bodies: JSON as it lies in memory, jq programs over it, and XML, forms
// and plain text to and from it.
//
// JSON is the form everything is held in, as the bytes that were received: Parse checks them once, and from then on a
// Value is a slice of them. What nobody touches is copied byte for byte, so numbers keep their digits and strings their
// escapes. No maps are built unless a program runs.
//
//   - scan.go checks a JSON text: grammar, depth, UTF-8
//   - value.go walks it: kinds, members, elements, strings
//   - path.go names a place in it, pick.go keeps some of them
//   - program.go runs jq
//   - xml.go and form.go are the other forms
//
// Whatever a text is, memory stays within a small factor of its size, and nothing recurses deeper than the given depth.
package document

import "fmt"

// A Mistake is what is wrong with a text, and where.
type Mistake struct {
	Offset int // in bytes
	What   string
}

func (m *Mistake) Error() string { return fmt.Sprintf("%s at byte %d", m.What, m.Offset) }

// MaxDepth is the deepest nesting that any caller may allow: deeper documents are not told from attacks.
const MaxDepth = 512

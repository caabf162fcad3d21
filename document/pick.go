package document

import "errors"

// A Pick keeps the named members of a document and leaves the others out. What it keeps is copied as it was written, in
// its order. An array on the way, the top included, is picked from element by element. What is not there is left out,
// and so is a value that has no members where the path goes on.
type Pick struct {
	root *branch
}

// branch are the names kept at one level; a nil branch keeps all.
type branch struct {
	names []string
	below []*branch
}

var errPickIndex = errors.New("pick takes names only: an array is picked from element by element")

// NewPick makes a Pick of paths.
func NewPick(paths []Path) (*Pick, error) {
	p := &Pick{root: new(branch)}
	for _, path := range paths {
		if len(path) == 0 {
			return nil, errors.New("the path names nothing: leave pick out to keep all")
		}
		b := p.root
		for i, step := range path {
			if step.Indexed {
				return nil, errPickIndex
			}
			if b = b.add(step.Name, i == len(path)-1); b == nil {
				break // all of it is kept already
			}
		}
	}
	return p, nil
}

// add is the branch below name, nil if everything below is kept.
func (b *branch) add(name string, whole bool) *branch {
	for i, known := range b.names {
		if known != name {
			continue
		}
		if whole {
			b.below[i] = nil
		}
		return b.below[i]
	}
	var below *branch
	if !whole {
		below = new(branch)
	}
	b.names, b.below = append(b.names, name), append(b.below, below)
	return below
}

// Append appends what is kept of v. A value that is neither array nor object has no members, so nothing is kept of it:
// null stands in its place.
func (p *Pick) Append(dst []byte, v Value) []byte {
	if k := v.Kind(); k != Object && k != Array {
		return append(dst, "null"...)
	}
	return p.root.append(dst, v)
}

func (b *branch) append(dst []byte, v Value) []byte {
	if v.Kind() == Array {
		dst = append(dst, '[')
		open := len(dst)
		for e := v.Elements(); e.Next(); {
			if len(dst) > open {
				dst = append(dst, ',')
			}
			if k := e.Value.Kind(); k != Object && k != Array {
				dst = append(dst, "null"...) // places in an array mean something
				continue
			}
			dst = b.append(dst, e.Value)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	open := len(dst)
	for m := v.Members(); m.Next(); {
		below, kept := b.find(m.Name)
		if k := m.Value.Kind(); !kept || below != nil && k != Object && k != Array {
			continue
		}
		if len(dst) > open {
			dst = append(dst, ',')
		}
		dst = append(append(dst, m.Name...), ':')
		if below == nil {
			dst = append(dst, m.Value...)
		} else {
			dst = below.append(dst, m.Value)
		}
	}
	return append(dst, '}')
}

func (b *branch) find(name Value) (below *branch, kept bool) {
	for i := range b.names {
		if name.Is(b.names[i]) {
			return b.below[i], true
		}
	}
	return nil, false
}

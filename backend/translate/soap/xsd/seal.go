package xsd

import "slices"

// seal works out what follows from the finished particle: how often each field can stand, and which fields are below
// each part.
func (c *typeCompiler) seal(n *Node) error {
	t := c.typ
	if t.Content == nil {
		return nil
	}
	w := new(sealer)
	w.seal(t.Content)
	for _, i := range t.Content.fields {
		if i == Extra {
			continue
		}
		f := t.Fields[i]
		lo, hi := t.Content.bounds(i)
		f.Required, f.Max, f.Many = lo > 0, hi, hi == Unbounded || hi > 1
	}
	return c.set.count(n, w.noted)
}

type sealer struct{ noted int }

// seal fills fields and need, from below. A part of an inherited particle was sealed before and stays as it is.
func (w *sealer) seal(p *Particle) {
	if p.sealed {
		return
	}
	p.sealed = true
	switch p.Is {
	case One:
		p.fields = []int{p.Field}
		if p.Min > 0 {
			p.need = p.fields
		}
	case Wildcard:
		p.fields = []int{Extra}
	default:
		for i, part := range p.Parts {
			w.seal(part)
			p.fields = append(p.fields, part.fields...)
			switch {
			case p.Min == 0:
			case p.Is != Choice:
				p.need = append(p.need, part.need...)
			case i == 0:
				p.need = slices.Clone(part.need)
			default:
				p.need = slices.DeleteFunc(p.need, func(f int) bool { return !slices.Contains(part.need, f) })
			}
		}
	}
	p.fields, p.need = unique(p.fields), unique(p.need)
	w.noted += len(p.fields)
}

// Extra stands among fields for all elements that the schema does not name.
const Extra = -1

func unique(list []int) []int { return slices.Compact(slices.Sorted(slices.Values(list))) }

// bounds is how often a field stands in the particle at least and at most.
func (p *Particle) bounds(field int) (least, most int) {
	if p.Is == One {
		if p.Field == field {
			return p.Min, p.Max
		}
		return 0, 0
	}
	first := true
	for _, part := range p.Parts {
		lo, hi := 0, 0
		if _, in := slices.BinarySearch(part.fields, field); in {
			lo, hi = part.bounds(field)
		}
		switch {
		case p.Is != Choice:
			least, most = least+lo, add(most, hi)
		case first:
			least, most = lo, hi
		default:
			least, most = min(least, lo), larger(most, hi)
		}
		first = false
	}
	return min(least*p.Min, 1), times(most, p.Max)
}

func add(a, b int) int {
	if a == Unbounded || b == Unbounded {
		return Unbounded
	}
	return a + b
}

func larger(a, b int) int {
	if a == Unbounded || b == Unbounded {
		return Unbounded
	}
	return max(a, b)
}

func times(a, b int) int {
	switch {
	case a == 0 || b == 0:
		return 0
	case a == Unbounded || b == Unbounded || a > 1<<20 || b > 1<<20:
		return Unbounded
	}
	return a * b
}

package xsd

import (
	"fmt"
	"strings"
)

// A Misfit says which element does not fit and why.
type Misfit struct {
	Key    string // empty: the whole
	Reason string
}

func (m *Misfit) Error() string {
	if m.Key == "" {
		return m.Reason
	}
	return fmt.Sprintf("`%s` %s", m.Key, m.Reason)
}

// Arrange puts elements into an order that the type allows. left says how many there are of each field, extra how many
// that the schema does not name; emit is called once for each element with its field, or once with Extra for all of
// those. left is used up. The error is a *Misfit or what emit returned.
//
// It is greedy: a choice takes the alternative that uses most of what is there and needs nothing that is not; what is
// over in the end is the mistake.
func (t *Type) Arrange(left []int, extra int, emit func(field int) error) error {
	a := &arrangement{t, left, extra, emit}
	if t.Content != nil {
		if err := a.walk(t.Content); err != nil {
			return err
		}
	}
	for i, n := range left {
		if n > 0 {
			return a.over(i)
		}
	}
	if a.extra > 0 && t.Any {
		a.extra = 0
		return emit(Extra)
	}
	return nil
}

type arrangement struct {
	typ   *Type
	left  []int
	extra int
	emit  func(int) error
}

func (a *arrangement) has(field int) bool {
	if field == Extra {
		return a.extra > 0
	}
	return a.left[field] > 0
}

func (a *arrangement) available(p *Particle) (n int) {
	for _, f := range p.fields {
		if a.has(f) {
			n++
		}
	}
	return n
}

func (a *arrangement) walk(p *Particle) error {
	switch p.Is {
	case One:
		return a.one(p)
	case Wildcard:
		if a.extra == 0 {
			return nil
		}
		a.extra = 0
		return a.emit(Extra)
	}
	for i := 0; p.Max == Unbounded || i < p.Max; i++ {
		before := a.available(p)
		if before == 0 && (i >= p.Min || len(p.need) == 0 && p.Is != Choice) {
			return nil
		}
		used, err := a.once(p)
		if err != nil || !used {
			return err
		}
	}
	return nil
}

func (a *arrangement) one(p *Particle) error {
	n := 0
	for ; a.left[p.Field] > 0 && (p.Max == Unbounded || n < p.Max); n++ {
		a.left[p.Field]--
		if err := a.emit(p.Field); err != nil {
			return err
		}
	}
	if n < p.Min {
		return a.missing(p.Field, n, p.Min)
	}
	return nil
}

func (a *arrangement) once(p *Particle) (used bool, err error) {
	total := a.total(p)
	if p.Is == Choice {
		part, err := a.choose(p)
		if part == nil || err != nil {
			return false, err
		}
		if err := a.walk(part); err != nil {
			return false, err
		}
		return a.total(p) < total, nil
	}
	for _, part := range p.Parts {
		if err := a.walk(part); err != nil {
			return false, err
		}
	}
	return a.total(p) < total, nil
}

func (a *arrangement) total(p *Particle) int {
	n := 0
	for _, f := range p.fields {
		if f == Extra {
			n += a.extra
		} else {
			n += a.left[f]
		}
	}
	return n
}

// choose takes the alternative that fits best; nil if none is there and none is needed.
func (a *arrangement) choose(p *Particle) (*Particle, error) {
	var best *Particle
	bestFit, bestCount := false, 0
	for _, part := range p.Parts {
		count, fit := a.available(part), true
		for _, f := range part.need {
			fit = fit && a.has(f)
		}
		if count > 0 && (fit && !bestFit || fit == bestFit && count > bestCount) {
			best, bestFit, bestCount = part, fit, count
		}
	}
	if best != nil || p.Min == 0 || len(p.Parts) == 0 {
		return best, nil
	}
	for _, part := range p.Parts {
		if part.Min == 0 || len(part.need) == 0 {
			return nil, nil // nothing is one of the alternatives
		}
	}
	return nil, &Misfit{Reason: "one of " + a.keys(p.fields) + " is missing"}
}

func (a *arrangement) keys(fields []int) string {
	const most = 8
	var names []string
	for _, f := range fields[:min(len(fields), most)] {
		if f != Extra {
			names = append(names, "`"+a.typ.Fields[f].Key+"`")
		}
	}
	if len(fields) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

func (a *arrangement) missing(field, n, least int) error {
	key := a.typ.Fields[field].Key
	if n == 0 {
		return &Misfit{key, "is missing"}
	}
	return &Misfit{key, fmt.Sprintf("stands %d times, at least %d are needed", n, least)}
}

func (a *arrangement) over(field int) error {
	f := a.typ.Fields[field]
	switch {
	case f.Max == 1 && !f.Many:
		return &Misfit{f.Key, "cannot stand beside what else is there"}
	case f.Max > 0:
		return &Misfit{f.Key, fmt.Sprintf("may stand at most %d times", f.Max)}
	}
	return &Misfit{f.Key, "cannot stand here so often"}
}

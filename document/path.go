package document

import (
	"fmt"
	"strconv"
	"strings"
)

// A Path names a place in a document: `.user.regionId`, `.items[0].id`, `.["odd name"]`. A bare dot is the whole. The
// leading dot may be left out.
type Path []Step

// Step is one name, or one index if Name is empty and Indexed.
type Step struct {
	Name    string
	Index   int
	Indexed bool
}

// maxSteps bounds a path.
const maxSteps = 32

// ParsePath reads a path.
func ParsePath(text string) (Path, error) {
	var p Path
	rest := strings.TrimPrefix(text, ".")
	for first := true; rest != ""; first = false {
		var step Step
		var err error
		if rest[0] == '[' {
			step, rest, err = bracketStep(rest)
		} else {
			if !first {
				if rest[0] != '.' {
					return nil, fmt.Errorf("%q is no path: a dot or [ is missing before %q", text, rest)
				}
				rest = rest[1:]
			}
			step, rest, err = nameStep(rest)
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no path: %w", text, err)
		}
		if p = append(p, step); len(p) > maxSteps {
			return nil, fmt.Errorf("a path has at most %d steps", maxSteps)
		}
	}
	return p, nil
}

func nameStep(rest string) (Step, string, error) {
	if strings.HasPrefix(rest, "[") { // .a.["b"]
		return bracketStep(rest)
	}
	n := 0
	for n < len(rest) && isNameByte(rest[n]) {
		n++
	}
	if n == 0 {
		return Step{}, "", fmt.Errorf("a name is missing before %q; names of other than letters, digits, _ - @ # $ are written [\"name\"]", rest)
	}
	return Step{Name: rest[:n]}, rest[n:], nil
}

func isNameByte(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte("_-@#$", c) >= 0
}

func bracketStep(rest string) (Step, string, error) {
	if strings.HasPrefix(rest, `["`) {
		quoted, err := strconv.QuotedPrefix(rest[1:])
		if err == nil && strings.HasPrefix(rest[1+len(quoted):], "]") {
			name, err := strconv.Unquote(quoted)
			return Step{Name: name}, rest[len(quoted)+2:], err
		}
		return Step{}, "", fmt.Errorf("a name in brackets is written [\"name\"]")
	}
	inner, after, closed := strings.Cut(rest[1:], "]")
	index, err := strconv.Atoi(inner)
	if !closed || err != nil || index < 0 {
		return Step{}, "", fmt.Errorf("%q is no index: write a number from 0 in brackets", "["+inner+"]")
	}
	return Step{Index: index, Indexed: true}, after, nil
}

func (p Path) String() string {
	if len(p) == 0 {
		return "."
	}
	var b strings.Builder
	for _, s := range p {
		switch {
		case s.Indexed:
			fmt.Fprintf(&b, "[%d]", s.Index)
		case strings.IndexFunc(s.Name, func(r rune) bool { return r > '~' || !isNameByte(byte(r)) }) < 0 && s.Name != "":
			b.WriteString("." + s.Name)
		default:
			fmt.Fprintf(&b, "[%q]", s.Name)
		}
	}
	return b.String()
}

// Get finds the value at a path. Of members of one name the last counts, as it does for jq and most parsers.
func (v Value) Get(p Path) (Value, bool) {
	for _, step := range p {
		var found bool
		if step.Indexed {
			v, found = v.element(step.Index)
		} else {
			v, found = v.Member(step.Name)
		}
		if !found {
			return nil, false
		}
	}
	return v, len(v) > 0
}

// Member finds the value of an object's member.
func (v Value) Member(name string) (found Value, ok bool) {
	for m := v.Members(); m.Next(); {
		if m.Name.Is(name) {
			found, ok = m.Value, true
		}
	}
	return found, ok
}

func (v Value) element(index int) (Value, bool) {
	for e := v.Elements(); e.Next(); index-- {
		if index == 0 {
			return e.Value, true
		}
	}
	return nil, false
}

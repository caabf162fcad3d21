// Package httprule reads the path templates of google.api.http and finds the one that a request's path fits.
//
//	Template = "/" Segments [ Verb ] ;
//	Segments = Segment { "/" Segment } ;
//	Segment  = "*" | "**" | LITERAL | Variable ;
//	Variable = "{" FieldPath [ "=" Segments ] "}" ;
//	FieldPath = IDENT { "." IDENT } ;
//	Verb     = ":" LITERAL ;
//
// is the grammar of google/api/http.proto, where the rules for what variables hold are, too.
package httprule

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Template is a parsed path template.
type Template struct {
	Segments  []Segment
	Verb      string // without its colon; empty: none
	Variables []Variable
}

// Segment is one place of a template.
type Segment struct {
	Kind    Kind
	Literal string // decoded
}

// Kind is what a segment takes.
type Kind uint8

// The kinds of segments.
const (
	Literal Kind = iota
	One          // *: one segment, not empty
	Rest         // **: all segments that are left, also none
)

// Variable is a field that the path sets: to what lies on the segments from From up to, but without, To.
type Variable struct {
	Field    []string // the path of the field: book.name is two
	From, To int
}

// Multi reports whether the variable may hold several segments, which decides how it is percent-encoded: "{var}" and
// "{var=*}" are one.
func (v *Variable) Multi(t *Template) bool {
	return v.To-v.From != 1 || t.Segments[v.From].Kind == Rest
}

// Bounds of one template.
const (
	maxTemplate = 2048 // bytes
	maxSegments = 64
)

// Parse reads a template.
func Parse(s string) (*Template, error) {
	if len(s) > maxTemplate {
		return nil, fmt.Errorf("it has more than %d bytes", maxTemplate)
	}
	p := parser{rest: s}
	if !p.take('/') {
		return nil, errors.New("it does not begin with /")
	}
	if p.rest != "" && p.rest[0] != ':' {
		if err := p.segments(false); err != nil {
			return nil, err
		}
	}
	if p.take(':') {
		verb := p.word("")
		if verb == "" {
			return nil, errors.New("the verb is empty")
		}
		var err error
		if p.t.Verb, err = url.PathUnescape(verb); err != nil {
			return nil, fmt.Errorf("`%s` is not percent-encoded right", verb)
		}
	}
	if p.rest != "" {
		return nil, fmt.Errorf("%q is not understood", p.rest)
	}
	return p.check()
}

type parser struct {
	rest string
	t    Template
}

func (p *parser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) segments(inside bool) error {
	for {
		if err := p.segment(inside); err != nil {
			return err
		}
		if len(p.t.Segments) > maxSegments {
			return fmt.Errorf("it has more than %d segments", maxSegments)
		}
		if !p.take('/') {
			return nil
		}
	}
}

func (p *parser) segment(inside bool) error {
	switch {
	case strings.HasPrefix(p.rest, "**"):
		p.rest = p.rest[2:]
		p.add(Segment{Kind: Rest})
		return nil
	case p.take('*'):
		p.add(Segment{Kind: One})
		return nil
	case p.rest != "" && p.rest[0] == '{':
		if inside {
			return errors.New("a variable stands inside another")
		}
		p.rest = p.rest[1:]
		return p.variable()
	}
	word := p.word(":")
	if word == "" {
		return errors.New("a segment is empty")
	}
	literal, err := url.PathUnescape(word)
	if err != nil {
		return fmt.Errorf("`%s` is not percent-encoded right", word)
	}
	p.add(Segment{Literal: literal})
	return nil
}

func (p *parser) add(s Segment) { p.t.Segments = append(p.t.Segments, s) }

// word takes what may stand in a literal; a colon begins the verb, unless that is what is read.
func (p *parser) word(without string) string {
	n := 0
	for n < len(p.rest) && isLiteral(p.rest[n]) && strings.IndexByte(without, p.rest[n]) < 0 {
		n++
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}

func isLiteral(c byte) bool {
	return c > ' ' && c != '/' && c != '{' && c != '}' && c != '*' && c != '?' && c != '#' && c != 0x7f
}

func (p *parser) variable() error {
	name, after, found := strings.Cut(p.rest, "}")
	if !found {
		return errors.New("a variable is not closed")
	}
	name, pattern, hasPattern := strings.Cut(name, "=")
	v := Variable{Field: strings.Split(name, "."), From: len(p.t.Segments)}
	for _, ident := range v.Field {
		if !isIdent(ident) {
			return fmt.Errorf("`%s` is no name of a field", name)
		}
	}
	if !hasPattern {
		p.rest = after
		p.add(Segment{Kind: One})
	} else {
		p.rest = pattern
		if err := p.segments(true); err != nil {
			return fmt.Errorf("in {%s}: %w", name, err)
		}
		if p.rest != "" {
			return fmt.Errorf("in {%s}: %q is not understood", name, p.rest)
		}
		p.rest = after
	}
	v.To = len(p.t.Segments)
	p.t.Variables = append(p.t.Variables, v)
	return nil
}

func isIdent(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != ""
}

func (p *parser) check() (*Template, error) {
	for i, s := range p.t.Segments {
		if s.Kind == Rest && i < len(p.t.Segments)-1 {
			return nil, errors.New("** must be the last segment")
		}
	}
	for i := range p.t.Variables {
		for j := range i {
			a, b := p.t.Variables[j].Field, p.t.Variables[i].Field
			if n := min(len(a), len(b)); strings.Join(a[:n], ".") == strings.Join(b[:n], ".") {
				return nil, fmt.Errorf("the field %s is set twice", strings.Join(b, "."))
			}
		}
	}
	return &p.t, nil
}

// String writes the template with its variables; what it says is parsed to the same.
func (t *Template) String() string {
	var b strings.Builder
	v := 0
	for i := 0; i < len(t.Segments); {
		b.WriteByte('/')
		if v == len(t.Variables) || t.Variables[v].From != i {
			b.WriteString(t.Segments[i].String())
			i++
			continue
		}
		variable := t.Variables[v]
		v++
		b.WriteString("{" + strings.Join(variable.Field, "."))
		if variable.To-i != 1 || t.Segments[i].Kind != One {
			b.WriteByte('=')
			for j := i; j < variable.To; j++ {
				if j > i {
					b.WriteByte('/')
				}
				b.WriteString(t.Segments[j].String())
			}
		}
		b.WriteByte('}')
		i = variable.To
	}
	if len(t.Segments) == 0 {
		b.WriteByte('/')
	}
	if t.Verb != "" {
		b.WriteString(":" + escape(t.Verb))
	}
	return b.String()
}

func (s Segment) String() string {
	switch s.Kind {
	case One:
		return "*"
	case Rest:
		return "**"
	}
	return escape(s.Literal)
}

// escape writes a literal so that it is read as one.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if c := s[i]; isLiteral(c) && c < 0x80 && c != '%' && c != ':' {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

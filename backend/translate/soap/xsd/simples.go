package xsd

import (
	"encoding/xml"
	"regexp"
	"strconv"
	"strings"
)

// maxEnum bounds the values of one enumeration.
const maxEnum = 10_000

// attributeType is the type of an attribute's declaration.
func (s *Set) attributeType(d *definition) (*Simple, error) {
	if kid := schemaChild(d.node, "simpleType"); kid != nil {
		return s.simple(kid, d.schema)
	}
	text := d.node.Get("type")
	if text == "" {
		return builtins["anySimpleType"], nil
	}
	return s.simpleReference(d.node, d.schema, text)
}

func schemaChild(n *Node, local string) *Node { return n.Child(n.Name.Space, local) }

func (s *Set) simpleReference(n *Node, sc *schema, text string) (*Simple, error) {
	name, err := s.qname(n, sc, text)
	if err != nil {
		return nil, err
	}
	if name == AnyType.Name {
		return builtins["anySimpleType"], nil
	}
	return s.simpleNamed(n, name)
}

func (s *Set) simpleNamed(from *Node, name xml.Name) (*Simple, error) {
	if known := s.simples[name]; known != nil {
		return known, nil
	}
	d := s.types[name]
	if b := builtin(name); b != nil && d == nil {
		return b, nil
	}
	if d == nil && name.Space == "" && builtins[name.Local] != nil {
		return builtins[name.Local], nil
	}
	d, err := s.find(s.types, "type", from, name)
	if err != nil {
		return nil, err
	}
	if d.node.Name.Local != "simpleType" {
		return nil, from.Errorf("`%s` is a complex type, a simple one is needed here", clip(name.Local))
	}
	simple, err := s.simple(d.node, d.schema)
	if err == nil {
		s.simples[name] = simple
		s.newSimples = append(s.newSimples, name)
	}
	return simple, err
}

// simple compiles a simpleType element.
func (s *Set) simple(n *Node, sc *schema) (*Simple, error) {
	d := &definition{n, sc}
	for at := range s.inside {
		if at.node == n {
			return nil, n.Errorf("the type `%s` is derived from itself", clip(n.Get("name")))
		}
	}
	s.inside[d] = true
	defer delete(s.inside, d)
	if err := s.count(n, 1); err != nil {
		return nil, err
	}
	simple, err := s.simpleBody(n, sc)
	if err == nil && n.Get("name") != "" {
		simple.Name = xml.Name{Space: sc.target, Local: n.Get("name")}
	}
	return simple, err
}

func (s *Set) simpleBody(n *Node, sc *schema) (*Simple, error) {
	for _, kid := range n.Kids {
		switch kid.Name.Local {
		case "restriction":
			base, err := s.restrictionBase(kid, sc)
			if err != nil {
				return nil, err
			}
			return s.restrict(kid, sc, base)
		case "list":
			return s.listOf(kid, sc)
		case "union":
			return s.unionOf(kid, sc)
		}
	}
	return nil, n.Errorf("a simpleType needs a restriction, a list or a union")
}

func (s *Set) restrictionBase(n *Node, sc *schema) (*Simple, error) {
	if text := n.Get("base"); text != "" {
		return s.simpleReference(n, sc, text)
	}
	if kid := schemaChild(n, "simpleType"); kid != nil {
		return s.simple(kid, sc)
	}
	return nil, n.Errorf("a restriction needs a base")
}

func (s *Set) listOf(n *Node, sc *schema) (*Simple, error) {
	l := plainSimple(List, "list")
	l.collapse = true
	var err error
	if text := n.Get("itemType"); text != "" {
		l.Item, err = s.simpleReference(n, sc, text)
	} else if kid := schemaChild(n, "simpleType"); kid != nil {
		l.Item, err = s.simple(kid, sc)
	} else {
		return nil, n.Errorf("a list needs an itemType")
	}
	return l, err
}

func (s *Set) unionOf(n *Node, sc *schema) (*Simple, error) {
	u := plainSimple(Union, "union")
	for _, text := range strings.Fields(n.Get("memberTypes")) {
		m, err := s.simpleReference(n, sc, text)
		if err != nil {
			return nil, err
		}
		u.Members = append(u.Members, m)
	}
	for _, kid := range n.Kids {
		if kid.Name.Local == "simpleType" {
			m, err := s.simple(kid, sc)
			if err != nil {
				return nil, err
			}
			u.Members = append(u.Members, m)
		}
	}
	if len(u.Members) == 0 {
		return nil, n.Errorf("a union needs members")
	}
	return u, nil
}

// restrict adds the facets of a restriction to a copy of its base.
func (s *Set) restrict(n *Node, sc *schema, base *Simple) (*Simple, error) {
	r := *base
	r.Enum = nil
	var patterns []*regexp.Regexp
	for _, kid := range n.Kids {
		value, _ := kid.Lookup("value")
		if kid.Name.Local == "pattern" {
			if p := pattern(value); p != nil {
				patterns = append(patterns, p)
			}
			continue
		}
		if err := r.facet(kid, value); err != nil {
			return nil, err
		}
	}
	if r.Enum == nil {
		r.Enum = base.Enum
	}
	if patterns != nil {
		r.Patterns = append(r.Patterns[:len(r.Patterns):len(r.Patterns)], patterns)
	}
	return &r, nil
}

func (r *Simple) facet(n *Node, value string) error {
	switch n.Name.Local {
	case "enumeration":
		if len(r.Enum) >= maxEnum {
			return n.Errorf("an enumeration of more than %d values", maxEnum)
		}
		r.Enum = append(r.Enum, r.enumValue(n, value))
		return nil
	case "whiteSpace":
		r.collapse = value == "collapse"
		return nil
	case "minInclusive", "minExclusive":
		r.Least, r.LeastOut = value, n.Name.Local == "minExclusive"
		return nil
	case "maxInclusive", "maxExclusive":
		r.Most, r.MostOut = value, n.Name.Local == "maxExclusive"
		return nil
	}
	target := map[string]*int{
		"length": &r.Length, "minLength": &r.MinLen, "maxLength": &r.MaxLen,
		"totalDigits": &r.Digits, "fractionDigits": &r.Fraction,
	}[n.Name.Local]
	if target == nil {
		return nil
	}
	number, err := strconv.Atoi(value)
	if err != nil || number < 0 {
		return n.Errorf("%s `%s` is no number", n.Name.Local, clip(value))
	}
	*target = number
	return nil
}

// enumValue keeps the value as it is written, spaces included, where the type counts them.
func (r *Simple) enumValue(n *Node, trimmed string) string {
	if r.collapse {
		return trimmed
	}
	for _, a := range n.Attr {
		if a.Name.Space == "" && a.Name.Local == "value" {
			return a.Value
		}
	}
	return trimmed
}

// pattern turns an expression of XML Schema into one of ours. One that needs what ours lacks (character class
// subtraction, the name classes) is nil: it is not checked, the service does that itself.
func pattern(text string) *regexp.Regexp {
	if len(text) > 2000 || strings.Contains(text, "-[") || unknownClass.MatchString(text) {
		return nil
	}
	text = strings.NewReplacer(`\\`, `\\`, `\d`, `\p{Nd}`, `\$`, `\$`, `$`, `\$`).Replace(text)
	compiled, err := regexp.Compile(`^(?:` + text + `)$`)
	if err != nil {
		return nil
	}
	return compiled
}

var unknownClass = regexp.MustCompile(`\\[icIC]`)

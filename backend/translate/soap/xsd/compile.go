package xsd

import (
	"encoding/xml"
	"slices"
	"strconv"
	"strings"
)

// fill makes the tables of a type from its definition.
func (s *Set) fill(t *Type, n *Node, sc *schema) error {
	if s.filling[t] {
		return n.Errorf("the type `%s` is derived from itself", clip(t.Name.Local))
	}
	if t.fieldNames != nil || t.Simple != nil {
		return nil // filled as the base of another
	}
	s.filling[t] = true
	defer delete(s.filling, t)
	s.filled = append(s.filled, t)
	if n.Name.Local == "simpleType" {
		simple, err := s.simple(n, sc)
		t.Simple = simple
		return err
	}
	c := &typeCompiler{set: s, typ: t, schema: sc}
	if err := c.complex(n); err != nil {
		return err
	}
	return c.seal(n)
}

// typeCompiler fills one complex type.
type typeCompiler struct {
	set    *Set
	typ    *Type
	schema *schema
	groups []*definition // that the particle at hand is in
}

func (c *typeCompiler) complex(n *Node) error {
	t := c.typ
	t.fieldNames, t.fieldKeys = make(map[xml.Name]int), make(map[string]int)
	t.attrNames, t.attrKeys = make(map[xml.Name]int), make(map[string]int)
	t.Abstract, t.Mixed = isTrue(n.Get("abstract")), isTrue(n.Get("mixed"))
	for _, kid := range n.Kids {
		switch {
		case kid.Name.Local == "complexContent":
			t.Mixed = t.Mixed || isTrue(kid.Get("mixed"))
			return c.derived(n, c.complexContent)
		case kid.Name.Local == "simpleContent":
			return c.derived(n, c.simpleContent)
		}
	}
	return c.content(n)
}

// derived finds the base, filled, and lets how take it from there.
func (c *typeCompiler) derived(n *Node, how func(d *Node, base *Type) error) error {
	d := derivation(n)
	if d == nil {
		return n.Errorf("an extension or a restriction is missing")
	}
	name, err := c.set.qname(d, c.schema, d.Get("base"))
	if err != nil {
		return err
	}
	if isArray(name) && c.set.types[name] == nil {
		return c.array(d)
	}
	base, err := c.set.typeNamed(d, name)
	if err != nil {
		return err
	}
	if def := c.set.types[name]; def != nil {
		if err := c.set.fill(base, def.node, def.schema); err != nil {
			return err
		}
	}
	c.typ.Base = base
	return how(d, base)
}

func (c *typeCompiler) simpleContent(d *Node, base *Type) error {
	t := c.typ
	if base.Simple == nil {
		return d.Errorf("simpleContent needs a base that has text, `%s` has none", clip(base.Name.Local))
	}
	t.Simple = base.Simple
	if d.Name.Local == "restriction" {
		restricted, err := c.set.restrict(d, c.schema, base.Simple)
		if err != nil {
			return err
		}
		t.Simple = restricted
	}
	c.inheritAttributes(base)
	return c.attributes(d)
}

func (c *typeCompiler) complexContent(d *Node, base *Type) error {
	t := c.typ
	if d.Name.Local == "extension" {
		if base.AnyType {
			t.Any, t.Mixed = true, true
		}
		t.Mixed = t.Mixed || base.Mixed && !base.AnyType
		t.Simple = base.Simple
		if err := c.inheritContent(d, base); err != nil {
			return err
		}
	}
	c.inheritAttributes(base)
	return c.content(d)
}

// inheritContent copies the fields of the base, whose particle stands first.
func (c *typeCompiler) inheritContent(d *Node, base *Type) error {
	t := c.typ
	t.Any, t.Choice, t.Array = t.Any || base.Any && !base.AnyType, base.Choice, base.Array
	for i, f := range base.Fields {
		own := *f
		t.Fields = append(t.Fields, &own)
		t.fieldNames[f.Name], t.fieldKeys[f.Key] = i, i
	}
	if base.Content != nil {
		t.Content = &Particle{Is: Sequence, Min: 1, Max: 1, Parts: []*Particle{base.Content}}
	}
	return c.set.count(d, len(base.Fields))
}

func (c *typeCompiler) inheritAttributes(base *Type) {
	t := c.typ
	t.AnyAttr = t.AnyAttr || base.AnyAttr && !base.AnyType
	for i, a := range base.Attrs {
		own := *a
		t.Attrs = append(t.Attrs, &own)
		t.attrNames[a.Name], t.attrKeys[a.Key] = i, i
	}
}

// content reads the particle and the attributes that stand in a complex type, an extension or a restriction.
func (c *typeCompiler) content(n *Node) error {
	for _, kid := range n.Kids {
		switch kid.Name.Local {
		case "sequence", "choice", "all", "group":
			p, err := c.particle(kid)
			if err != nil {
				return err
			}
			c.append(p)
		}
	}
	return c.attributes(n)
}

func (c *typeCompiler) append(p *Particle) {
	t := c.typ
	switch {
	case p == nil:
	case t.Content == nil:
		t.Content = p
	default:
		t.Content = &Particle{Is: Sequence, Min: 1, Max: 1, Parts: []*Particle{t.Content, p}}
	}
}

// particle reads a model group or an element; nil for what may not stand at all.
func (c *typeCompiler) particle(n *Node) (*Particle, error) {
	p := &Particle{}
	var err error
	if p.Min, p.Max, err = occurs(n); err != nil || p.Max == 0 {
		return nil, err
	}
	if err := c.set.count(n, 1); err != nil {
		return nil, err
	}
	switch n.Name.Local {
	case "element":
		return c.element(n, p)
	case "any":
		c.typ.Any, p.Is = true, Wildcard
		return p, nil
	case "group":
		return c.group(n, p)
	case "sequence":
		p.Is = Sequence
	case "all":
		p.Is = All
	case "choice":
		p.Is, c.typ.Choice = Choice, true
	default:
		return nil, nil // annotations
	}
	return p, c.parts(n, p)
}

func (c *typeCompiler) parts(n *Node, p *Particle) error {
	for _, kid := range n.Kids {
		part, err := c.particle(kid)
		if err != nil {
			return err
		}
		if part != nil {
			p.Parts = append(p.Parts, part)
		}
	}
	return nil
}

// group puts the content of a named group in the place of the reference.
func (c *typeCompiler) group(n *Node, p *Particle) (*Particle, error) {
	name, err := c.set.qname(n, c.schema, n.Get("ref"))
	if err != nil {
		return nil, err
	}
	d, err := c.set.find(c.set.groups, "group", n, name)
	if err != nil {
		return nil, err
	}
	if slices.Contains(c.groups, d) {
		return nil, n.Errorf("the group `%s` contains itself", clip(name.Local))
	}
	c.groups = append(c.groups, d)
	outer := c.schema
	c.schema = d.schema
	p.Is = Sequence
	err = c.parts(d.node, p)
	c.schema, c.groups = outer, c.groups[:len(c.groups)-1]
	return p, err
}

// element adds a field, or finds it if the same name stands before, and with it those that may stand in its place.
func (c *typeCompiler) element(n *Node, p *Particle) (*Particle, error) {
	ref := n.Get("ref")
	if ref == "" {
		return c.field(p, &definition{n, c.schema}, c.localName(n))
	}
	name, err := c.set.qname(n, c.schema, ref)
	if err != nil {
		return nil, err
	}
	if isSchema(name.Space) { // <s:element ref="s:schema"/>, as data sets of .NET have it: whatever stands there
		c.typ.Any, p.Is = true, Wildcard
		return p, nil
	}
	d, err := c.set.find(c.set.elements, "element", n, name)
	if err != nil {
		return nil, err
	}
	return c.global(p, d, name)
}

// global is a reference to a global element: a choice, where others may substitute it.
func (c *typeCompiler) global(p *Particle, d *definition, name xml.Name) (*Particle, error) {
	all, err := c.substitutes(d, name, nil)
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		return c.field(p, all[0], name)
	}
	p.Is, c.typ.Choice = Choice, true
	for _, one := range all {
		part, err := c.field(&Particle{Min: 1, Max: 1}, one, xml.Name{Space: one.schema.target, Local: one.node.Get("name")})
		if err != nil {
			return nil, err
		}
		p.Parts = append(p.Parts, part)
	}
	return p, nil
}

// substitutes lists the elements that may stand where d is referred to: d, unless it is abstract, and its members'.
func (c *typeCompiler) substitutes(d *definition, name xml.Name, all []*definition) ([]*definition, error) {
	if slices.Contains(all, d) {
		return all, nil
	}
	if len(all) >= maxMembers {
		return nil, d.node.Errorf("more than %d elements may stand in the place of one", maxMembers)
	}
	if err := c.set.count(d.node, 1); err != nil {
		return nil, err
	}
	members := c.set.members[name]
	if !isTrue(d.node.Get("abstract")) || len(members) == 0 {
		all = append(all, d)
	}
	for _, m := range members {
		var err error
		if all, err = c.substitutes(m, xml.Name{Space: m.schema.target, Local: m.node.Get("name")}, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c *typeCompiler) localName(n *Node) xml.Name {
	qualified := c.schema.elements
	if form, written := n.Lookup("form"); written {
		qualified = form == "qualified"
	}
	name := xml.Name{Local: n.Get("name")}
	if qualified {
		name.Space = c.schema.target
	}
	return name
}

func (c *typeCompiler) field(p *Particle, d *definition, name xml.Name) (*Particle, error) {
	t := c.typ
	if name.Local == "" {
		return nil, d.node.Errorf("an element needs a name or a ref")
	}
	i, known := t.fieldNames[name]
	if !known && len(t.Fields) >= maxFields {
		return nil, d.node.Errorf("more than %d elements in one type", maxFields)
	}
	if !known {
		typ, err := c.set.elementType(d)
		if err != nil {
			return nil, err
		}
		i = len(t.Fields)
		f := &Field{Name: name, Key: key("", name, t.fieldKeys), Type: typ, Nillable: isTrue(d.node.Get("nillable"))}
		f.Fixed, f.Default = d.node.Get("fixed"), d.node.Get("default")
		t.Fields = append(t.Fields, f)
		t.fieldNames[name], t.fieldKeys[f.Key] = i, i
	}
	p.Is, p.Field = One, i
	return p, nil
}

func occurs(n *Node) (least, most int, err error) {
	least, most = 1, 1
	if text, written := n.Lookup("minOccurs"); written {
		if least, err = strconv.Atoi(text); err != nil || least < 0 {
			return 0, 0, n.Errorf("minOccurs `%s` is no number", clip(text))
		}
	}
	if text, written := n.Lookup("maxOccurs"); text == "unbounded" {
		most = Unbounded
	} else if written {
		if most, err = strconv.Atoi(text); err != nil || most < 0 {
			return 0, 0, n.Errorf("maxOccurs `%s` is no number", clip(text))
		}
	}
	return least, most, nil
}

// attributes reads those that stand directly in n.
func (c *typeCompiler) attributes(n *Node) error {
	for _, kid := range n.Kids {
		var err error
		switch kid.Name.Local {
		case "attribute":
			err = c.attribute(kid)
		case "attributeGroup":
			err = c.attributeGroup(kid)
		case "anyAttribute":
			c.typ.AnyAttr = true
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *typeCompiler) attributeGroup(n *Node) error {
	name, err := c.set.qname(n, c.schema, n.Get("ref"))
	if err != nil {
		return err
	}
	d, err := c.set.find(c.set.attributeGroups, "attributeGroup", n, name)
	if err != nil {
		return err
	}
	if slices.Contains(c.groups, d) {
		return n.Errorf("the attributeGroup `%s` contains itself", clip(name.Local))
	}
	if err := c.set.count(n, 1); err != nil {
		return err
	}
	c.groups = append(c.groups, d)
	outer := c.schema
	c.schema = d.schema
	err = c.attributes(d.node)
	c.schema, c.groups = outer, c.groups[:len(c.groups)-1]
	return err
}

func (c *typeCompiler) attribute(n *Node) error {
	d, name := &definition{n, c.schema}, xml.Name{Local: n.Get("name")}
	if form := n.Get("form"); form == "qualified" || form == "" && c.schema.attributes {
		name.Space = c.schema.target
	}
	if ref := n.Get("ref"); ref != "" {
		var err error
		if name, err = c.set.qname(n, c.schema, ref); err != nil {
			return err
		}
		if name.Space == NamespaceXML || isEncoding(name.Space) {
			return c.addAttribute(n, &Attribute{Name: name, Type: builtins["string"]})
		}
		if d, err = c.set.find(c.set.attributes, "attribute", n, name); err != nil {
			return err
		}
	}
	if name.Local == "" {
		return n.Errorf("an attribute needs a name or a ref")
	}
	simple, err := c.set.attributeType(d)
	if err != nil {
		return err
	}
	a := &Attribute{Name: name, Type: simple, Fixed: d.node.Get("fixed"), Default: d.node.Get("default")}
	return c.addAttribute(n, a)
}

func isEncoding(space string) bool { return space == NamespaceEncoding || space == NamespaceEncoding2 }

func (c *typeCompiler) addAttribute(n *Node, a *Attribute) error {
	t := c.typ
	a.Required = n.Get("use") == "required"
	if err := c.set.count(n, 1); err != nil {
		return err
	}
	i, known := t.attrNames[a.Name]
	switch {
	case n.Get("use") == "prohibited" && known:
		c.removeAttribute(i)
	case n.Get("use") == "prohibited":
	case known:
		a.Key = t.Attrs[i].Key
		t.Attrs[i] = a
	default:
		a.Key = key("@", a.Name, t.attrKeys)
		t.attrNames[a.Name], t.attrKeys[a.Key] = len(t.Attrs), len(t.Attrs)
		t.Attrs = append(t.Attrs, a)
	}
	return nil
}

func (c *typeCompiler) removeAttribute(i int) {
	t := c.typ
	t.Attrs = slices.Delete(t.Attrs, i, i+1)
	clear(t.attrNames)
	clear(t.attrKeys)
	for i, a := range t.Attrs {
		t.attrNames[a.Name], t.attrKeys[a.Key] = i, i
	}
}

// isArray knows the base of SOAP encoded arrays.
func isArray(name xml.Name) bool { return isEncoding(name.Space) && name.Local == "Array" }

// array is a restriction of soapenc:Array: its items have any name and the type that wsdl:arrayType says.
func (c *typeCompiler) array(d *Node) error {
	t := c.typ
	item := AnyType
	for _, kid := range d.Kids {
		text, written := kid.LookupNS(namespaceWSDL, "arrayType")
		if !written {
			continue
		}
		name, err := c.set.qname(kid, c.schema, strings.TrimRight(text, "[]0123456789,"))
		if err != nil {
			return err
		}
		if item, err = c.set.typeNamed(kid, name); err != nil {
			return err
		}
	}
	if err := c.content(d); err != nil {
		return err
	}
	t.Attrs = nil
	clear(t.attrNames)
	clear(t.attrKeys)
	t.Array, t.Any, t.AnyAttr = true, false, true
	if len(t.Fields) == 0 {
		name := xml.Name{Local: "item"}
		t.Fields = []*Field{{Name: name, Key: "item", Type: item, Nillable: true}}
		t.fieldNames[name], t.fieldKeys["item"] = 0, 0
	}
	t.Content = &Particle{Is: One, Min: 0, Max: Unbounded}
	return nil
}

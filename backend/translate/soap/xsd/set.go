package xsd

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Bounds of what is compiled. Groups inside groups multiply, and so do types derived from each other: this is what keeps a
// few lines from becoming millions.
const (
	maxParts   = 300_000 // elements, groups, attributes and derived types of all types together
	maxFields  = 5_000   // of one type
	maxMembers = 2_000   // of one substitution group
)

// A Set is the definitions of all schemas of one description, and the types compiled from them so far.
type Set struct {
	elements, types, groups, attributes, attributeGroups map[xml.Name]*definition

	members map[xml.Name][]*definition // of substitution groups, by the name of the head
	derived map[xml.Name][]*definition // complex types by the name of their base
	absent  map[string]string          // namespace → why its schema is not here

	named   map[xml.Name]*Type
	simples map[xml.Name]*Simple
	roots   map[xml.Name]*Element
	filling map[*Type]bool // their base is being looked at
	inside  map[*definition]bool
	queue   []task
	parts   int

	// What the compilation at hand has added, to be forgotten if it fails.
	filled               []*Type
	newTypes, newSimples []xml.Name
}

// definition is a global definition and what its schema says of all.
type definition struct {
	node   *Node
	schema *schema
}

type schema struct {
	target               string
	elements, attributes bool // local ones belong to the target namespace
	chameleon            bool // the schema has no namespace of its own and took the one of its includer
}

// task is a type whose tables are still to be filled.
type task struct {
	typ    *Type
	node   *Node // complexType or simpleType
	schema *schema
}

// NewSet returns an empty set.
func NewSet() *Set {
	return &Set{
		elements: make(map[xml.Name]*definition), types: make(map[xml.Name]*definition),
		groups: make(map[xml.Name]*definition), attributes: make(map[xml.Name]*definition),
		attributeGroups: make(map[xml.Name]*definition),
		members:         make(map[xml.Name][]*definition), derived: make(map[xml.Name][]*definition),
		absent: make(map[string]string),
		named:  make(map[xml.Name]*Type), simples: make(map[xml.Name]*Simple), roots: make(map[xml.Name]*Element),
		filling: make(map[*Type]bool), inside: make(map[*definition]bool),
	}
}

// Absent says why the schema of a namespace could not be read, for the message of whoever needs it.
func (s *Set) Absent(namespace, why string) {
	if _, known := s.absent[namespace]; !known {
		s.absent[namespace] = why
	}
}

// Add takes the definitions of one schema element. target is the namespace it has if it names none. Of two definitions
// of one name the first counts: descriptions repeat themselves.
func (s *Set) Add(root *Node, target string) error {
	if !isSchema(root.Name.Space) || root.Name.Local != "schema" {
		return root.Errorf("a schema is wanted, this is <%s> of the namespace `%s`", clip(root.Name.Local), clip(root.Name.Space))
	}
	own := root.Get("targetNamespace")
	sc := &schema{target: target, chameleon: own == "" && target != ""}
	if own != "" {
		sc.target = own
	}
	sc.elements = root.Get("elementFormDefault") == "qualified"
	sc.attributes = root.Get("attributeFormDefault") == "qualified"
	for _, kid := range root.Kids {
		if err := s.define(&definition{kid, sc}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) define(d *definition) error {
	if !isSchema(d.node.Name.Space) {
		return nil
	}
	var table map[xml.Name]*definition
	switch d.node.Name.Local {
	case "element":
		table = s.elements
	case "complexType", "simpleType":
		table = s.types
	case "group":
		table = s.groups
	case "attribute":
		table = s.attributes
	case "attributeGroup":
		table = s.attributeGroups
	case "redefine", "override":
		return d.node.Errorf("<%s> is not supported: write the changed definition out", d.node.Name.Local)
	default:
		return nil
	}
	name := xml.Name{Space: d.schema.target, Local: d.node.Get("name")}
	if name.Local == "" {
		return d.node.Errorf("a global <%s> needs a name", d.node.Name.Local)
	}
	if table[name] != nil {
		return nil
	}
	table[name] = d
	return s.relate(d)
}

// relate notes what stands for what: members of substitution groups, derived types.
func (s *Set) relate(d *definition) error {
	if head := d.node.Get("substitutionGroup"); head != "" && d.node.Name.Local == "element" {
		name, err := s.qname(d.node, d.schema, head)
		if err != nil {
			return err
		}
		s.members[name] = append(s.members[name], d)
	}
	if d.node.Name.Local != "complexType" {
		return nil
	}
	if how := derivation(d.node); how != nil && how.Get("base") != "" {
		name, err := s.qname(how, d.schema, how.Get("base"))
		if err != nil {
			return err
		}
		s.derived[name] = append(s.derived[name], d)
	}
	return nil
}

// derivation is the extension or restriction of a complex type, nil if it is not derived.
func derivation(complexType *Node) *Node {
	for _, kid := range complexType.Kids {
		if kid.Name.Local != "complexContent" && kid.Name.Local != "simpleContent" {
			continue
		}
		for _, how := range kid.Kids {
			if how.Name.Local == "extension" || how.Name.Local == "restriction" {
				return how
			}
		}
	}
	return nil
}

// qname resolves a reference. A schema without a namespace that was included refers to the includer's definitions; a name
// of a built-in type without any prefix is taken for it, as old descriptions mean it.
func (s *Set) qname(n *Node, sc *schema, text string) (xml.Name, error) {
	name, err := n.QName(text)
	if err != nil {
		return name, err
	}
	if name.Space == "" && sc.chameleon {
		name.Space = sc.target
	}
	if isSchema(name.Space) {
		name.Space = Namespace
	}
	return name, nil
}

// Element compiles a global element and all that it needs.
func (s *Set) Element(from *Node, name xml.Name) (*Element, error) {
	if known := s.roots[name]; known != nil {
		return known, nil
	}
	var e *Element
	err := s.whole(func() error {
		d, err := s.find(s.elements, "element", from, name)
		if err != nil {
			return err
		}
		e = &Element{Name: name, Nillable: isTrue(d.node.Get("nillable"))}
		e.Type, err = s.elementType(d)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.roots[name] = e
	return e, nil
}

// Named compiles a type by its name and all that it needs.
func (s *Set) Named(from *Node, name xml.Name) (*Type, error) {
	if isSchema(name.Space) {
		name.Space = Namespace
	}
	var t *Type
	err := s.whole(func() (err error) {
		t, err = s.typeNamed(from, name)
		return err
	})
	return t, err
}

// whole runs one compilation to its end. If it fails, everything it made is forgotten: it may be half.
func (s *Set) whole(compile func() error) error {
	parts := s.parts
	err := compile()
	for err == nil && len(s.queue) > 0 {
		next := s.queue[0]
		s.queue = s.queue[1:]
		err = s.fill(next.typ, next.node, next.schema)
	}
	if err == nil {
		err = s.related()
	}
	if err != nil {
		forget(s.named, s.newTypes)
		forget(s.simples, s.newSimples)
		s.queue, s.parts = nil, parts
		clear(s.filling)
		clear(s.inside)
	}
	s.filled, s.newTypes, s.newSimples = nil, nil, nil
	return err
}

func forget[V any](m map[xml.Name]V, names []xml.Name) {
	for _, name := range names {
		delete(m, name)
	}
}

func (s *Set) find(table map[xml.Name]*definition, what string, from *Node, name xml.Name) (*definition, error) {
	if d := table[name]; d != nil {
		return d, nil
	}
	if why := s.absent[name.Space]; why != "" {
		return nil, from.Errorf("there is no %s `%s` of the namespace `%s`: %s", what, clip(name.Local), clip(name.Space), why)
	}
	return nil, from.Errorf("there is no %s `%s` of the namespace `%s`", what, clip(name.Local), clip(name.Space))
}

// typeNamed finds a type, or makes its shell and puts it into the queue: types may hold each other in circles.
func (s *Set) typeNamed(from *Node, name xml.Name) (*Type, error) {
	if t := s.named[name]; t != nil {
		return t, nil
	}
	if name == AnyType.Name {
		return AnyType, nil
	}
	if simple := builtin(name); simple != nil && s.types[name] == nil {
		t := simpleType(simple)
		s.named[name] = t
		s.newTypes = append(s.newTypes, name)
		return t, nil
	}
	d := s.types[name]
	if d == nil && name.Space == "" {
		if simple := builtins[name.Local]; simple != nil {
			return simpleType(simple), nil
		}
	}
	d, err := s.find(s.types, "type", from, name)
	if err != nil {
		return nil, err
	}
	t := &Type{Name: name}
	s.named[name] = t
	s.newTypes = append(s.newTypes, name)
	s.queue = append(s.queue, task{t, d.node, d.schema})
	return t, s.deriveFrom(t, d.node)
}

// deriveFrom compiles the types that may stand in the place of t. One that cannot be compiled fails the whole, as it
// would when a message names it.
func (s *Set) deriveFrom(t *Type, from *Node) error {
	for _, d := range s.derived[t.Name] {
		if _, err := s.typeNamed(from, xml.Name{Space: d.schema.target, Local: d.node.Get("name")}); err != nil {
			return err
		}
	}
	return nil
}

// related tells the bases of the types just filled what may stand for them.
func (s *Set) related() error {
	for _, t := range s.filled {
		for above := substitutable(t); above != nil; above = substitutable(above) {
			s.parts++
		}
		if s.parts > maxParts {
			return fmt.Errorf("the type `%s` and others are derived from each other more than %d times", clip(t.Name.Local), maxParts)
		}
	}
	for _, t := range s.filled {
		if t.Abstract || t.Name.Local == "" {
			continue
		}
		for above := substitutable(t); above != nil; above = substitutable(above) {
			above.Derived = append(above.Derived, t)
		}
	}
	return nil
}

// substitutable is the base that a type may stand for: not text, which has no xsi:type, and not anything at all.
func substitutable(t *Type) *Type {
	if t.Base == nil || t.Base.AnyType || t.Base.IsSimple() {
		return nil
	}
	return t.Base
}

func simpleType(simple *Simple) *Type {
	return &Type{Name: simple.Name, Simple: simple}
}

// anonymous makes the shell of a type that is written inside an element.
func (s *Set) anonymous(n *Node, sc *schema) *Type {
	t := new(Type)
	s.queue = append(s.queue, task{t, n, sc})
	return t
}

// elementType is the type of an element's declaration.
func (s *Set) elementType(d *definition) (*Type, error) {
	for _, kid := range d.node.Kids {
		if kid.Name.Local == "complexType" || kid.Name.Local == "simpleType" {
			return s.anonymous(kid, d.schema), nil
		}
	}
	if text := d.node.Get("type"); text != "" {
		name, err := s.qname(d.node, d.schema, text)
		if err != nil {
			return nil, err
		}
		return s.typeNamed(d.node, name)
	}
	head := d.node.Get("substitutionGroup")
	if head == "" || s.inside[d] {
		return AnyType, nil
	}
	s.inside[d] = true
	defer delete(s.inside, d)
	name, err := s.qname(d.node, d.schema, head)
	if err != nil {
		return nil, err
	}
	above, err := s.find(s.elements, "element", d.node, name)
	if err != nil {
		return nil, err
	}
	return s.elementType(above)
}

// count bounds what all types have together.
func (s *Set) count(n *Node, parts int) error {
	if s.parts += parts; s.parts > maxParts {
		return n.Errorf("the types hold more than %d elements and attributes together", maxParts)
	}
	return nil
}

func isTrue(text string) bool { return text == "true" || text == "1" }

// Find looks a type up by what xsi:type says: t itself or one derived from it.
func (t *Type) Find(name xml.Name) *Type {
	if t.Name == name {
		return t
	}
	for _, d := range t.Derived {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// FindLocal does the same by the local name alone, which is what JSON says. {namespace}local is understood too.
func (t *Type) FindLocal(text string) *Type {
	if space, local, full := strings.Cut(strings.TrimPrefix(text, "{"), "}"); full && text[0] == '{' {
		return t.Find(xml.Name{Space: space, Local: local})
	}
	if t.Name.Local == text {
		return t
	}
	for _, d := range t.Derived {
		if d.Name.Local == text {
			return d
		}
	}
	return nil
}

// key is the JSON key of a name, taken: the ones before it.
func key(prefix string, name xml.Name, taken map[string]int) string {
	short := prefix + name.Local
	if _, twice := taken[short]; !twice {
		return short
	}
	return fmt.Sprintf("%s{%s}%s", prefix, name.Space, name.Local)
}

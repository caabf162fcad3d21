// Package xsd reads XML Schema into tables: for each type its elements, its attributes, the kind and bounds of its text,
// and the order in which elements may stand. The tables are made once; whoever writes or reads a message only looks
// things up.
//
//	documents ──Add──▶ Set (definitions by namespace and name) ──Element, Named──▶ Type ⇄ Field, Attribute, Particle, Simple
//
// A type is compiled when something asks for it, so a mistake in what nobody uses harms nobody. Types may contain each
// other in circles; a type that is derived from itself, a group inside itself and what multiplies beyond bounds is a
// mistake, with file and line.
package xsd

import "encoding/xml"

// The namespaces that schemas and messages are made of.
const (
	Namespace          = "http://www.w3.org/2001/XMLSchema"
	NamespaceInstance  = "http://www.w3.org/2001/XMLSchema-instance"
	NamespaceXML       = "http://www.w3.org/XML/1998/namespace"
	NamespaceEncoding  = "http://schemas.xmlsoap.org/soap/encoding/"
	NamespaceEncoding2 = "http://www.w3.org/2003/05/soap-encoding"
	namespaceWSDL      = "http://schemas.xmlsoap.org/wsdl/"
)

// isSchema knows the drafts too: old descriptions use them and mean the same.
func isSchema(space string) bool {
	switch space {
	case Namespace, "http://www.w3.org/2000/10/XMLSchema", "http://www.w3.org/1999/XMLSchema":
		return true
	}
	return false
}

// Unbounded is the Max of what may be repeated without end.
const Unbounded = -1

// A Type says what an element may hold. It is made of tables and never changes once its Set has compiled it.
type Type struct {
	Name     xml.Name // zero for a type that is written inside an element
	Simple   *Simple  // what the text must be; nil: there is no text
	Attrs    []*Attribute
	Fields   []*Field  // the elements, in the order in which they first appear
	Content  *Particle // how they may stand; nil: there are none
	Mixed    bool      // text may stand between the elements
	Any      bool      // elements that the schema does not name may stand too
	AnyAttr  bool      // the same for attributes
	AnyType  bool      // anything at all: xs:anyType
	Array    bool      // a SOAP encoded array: its one field matches an element of any name
	Abstract bool      // only types derived from it can stand
	Base     *Type     // nil: not derived
	Derived  []*Type   // all that are derived from it and can stand in its place
	Choice   bool      // Content holds a choice

	fieldNames map[xml.Name]int
	fieldKeys  map[string]int
	attrNames  map[xml.Name]int
	attrKeys   map[string]int
}

// IsSimple reports whether there is nothing but text: a JSON scalar or list, not an object.
func (t *Type) IsSimple() bool {
	return t.Simple != nil && len(t.Attrs) == 0 && !t.AnyAttr
}

// Field is the place of an element by its name.
func (t *Type) Field(name xml.Name) (int, bool) {
	i, known := t.fieldNames[name]
	return i, known
}

// FieldByKey is the place of an element by its JSON key.
func (t *Type) FieldByKey(key string) (int, bool) {
	i, known := t.fieldKeys[key]
	return i, known
}

// Attr finds an attribute by its name.
func (t *Type) Attr(name xml.Name) (int, bool) {
	i, known := t.attrNames[name]
	return i, known
}

// AttrByKey finds an attribute by its JSON key, which begins with @.
func (t *Type) AttrByKey(key string) (int, bool) {
	i, known := t.attrKeys[key]
	return i, known
}

// A Field is an element as a part of a type.
type Field struct {
	Name     xml.Name
	Key      string // in JSON: the local name, {namespace}local for the second of the same
	Type     *Type
	Nillable bool
	Required bool // stands at least once in every message
	Many     bool // may stand more than once, so it is a list in JSON
	Max      int  // how often it can stand at most
	Fixed    string
	Default  string // what an empty element means; Fixed likewise
}

// An Attribute is an attribute of a type.
type Attribute struct {
	Name     xml.Name
	Key      string // @name
	Type     *Simple
	Required bool
	Fixed    string
	Default  string
}

// Compositor says what a Particle does with its parts.
type Compositor uint8

const (
	One      Compositor = iota // an element, Field names it
	Sequence                   // the parts one after the other
	Choice                     // one of the parts
	All                        // the parts in any order
	Wildcard                   // an element that the schema does not name
)

// A Particle is how elements may stand: a small tree.
type Particle struct {
	Is       Compositor
	Min, Max int
	Field    int
	Parts    []*Particle
	fields   []int // all fields at or below, without repetition
	need     []int // those that must stand whenever the particle does
	sealed   bool  // fields and need are known
}

// An Element is one that may stand by itself: the root of a message, a header, a fault's detail.
type Element struct {
	Name     xml.Name
	Type     *Type
	Nillable bool
}

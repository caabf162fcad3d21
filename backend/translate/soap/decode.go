package soap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// Bounds of one message.
const (
	maxElements   = 500_000 // and attributes
	maxAttributes = 256     // of one element
	maxScopes     = 1024    // declarations of prefixes in force at once: each name in a value is looked up among them
)

var (
	errTooLarge   = errors.New("the message is over the limit")
	errTooMany    = fmt.Errorf("more than %d elements", maxElements)
	errAttributes = fmt.Errorf("more than %d attributes on one element", maxAttributes)
	errScopes     = fmt.Errorf("more than %d namespace prefixes declared at once", maxScopes)
	errTooDeep    = fmt.Errorf("more than %d elements inside each other", maxDepth)
)

// reader reads XML into a tree of items that know their places in the schema. Nothing is passed on before all of the
// message is read and found right, so there is no half answer.
type reader struct {
	xml    *xml.Decoder
	scopes []binding
	depth  int
	items  []item
	text   []byte
	counts []int // scratch
}

// binding is what a prefix means, from a depth on.
type binding struct {
	prefix, uri string
	depth       int
}

// item is an element or an attribute. Its children are a list through next; 0 is none, the item 0 is never a child.
type item struct {
	typ         *xsd.Type   // of an element; nil: the schema does not name it
	simple      *xsd.Simple // of an attribute
	declared    *xsd.Type   // what the schema says at the place, where xsi:type says something else
	field       int32       // of the type around; xsd.Extra: unknown to it
	attr        bool
	null        bool
	name        xml.Name
	from, to    int // of the text
	first, last int32
	next        int32
	same        int32 // the next of the same name: filled when it is written
}

func (r *reader) reset(data []byte) {
	r.xml = xsd.NewDecoder(data)
	r.scopes, r.depth, r.text = r.scopes[:0], 0, r.text[:0]
	r.items = append(r.items[:0], item{})
}

// token is the next token that counts. A DOCTYPE ends the reading, and so does what is too deep.
func (r *reader) token() (xml.Token, error) {
	for {
		t, err := r.xml.Token()
		if err != nil {
			return nil, plainXML(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if r.depth++; r.depth > maxDepth {
				return nil, errTooDeep
			}
			if r.bind(t.Attr); len(r.scopes) > maxScopes {
				return nil, errScopes
			}
			return t, nil
		case xml.EndElement:
			r.depth--
			for len(r.scopes) > 0 && r.scopes[len(r.scopes)-1].depth > r.depth {
				r.scopes = r.scopes[:len(r.scopes)-1]
			}
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			return nil, xsd.ErrDoctype
		}
	}
}

func plainXML(err error) error {
	if err == io.EOF {
		return io.EOF
	}
	return xsd.Plain(err)
}

func (r *reader) bind(attrs []xml.Attr) {
	for _, a := range attrs {
		switch {
		case a.Name.Space == "xmlns":
			r.scopes = append(r.scopes, binding{a.Name.Local, a.Value, r.depth})
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			r.scopes = append(r.scopes, binding{"", a.Value, r.depth})
		}
	}
}

// qname resolves a name in a value.
func (r *reader) qname(text string) (xml.Name, bool) {
	prefix, local, prefixed := strings.Cut(strings.TrimSpace(text), ":")
	if !prefixed {
		prefix, local = "", prefix
	}
	for i := len(r.scopes) - 1; i >= 0; i-- {
		if r.scopes[i].prefix == prefix {
			return xml.Name{Space: r.scopes[i].uri, Local: local}, true
		}
	}
	return xml.Name{Local: local}, prefix == ""
}

// element reads the rest of an element whose start tag is at hand. t nil: whatever it is.
func (r *reader) element(start xml.StartElement, t *xsd.Type, nillable bool) (int32, error) {
	if len(r.items) >= maxElements {
		return 0, errTooMany
	}
	at := int32(len(r.items))
	r.items = append(r.items, item{typ: t, name: start.Name, field: xsd.Extra, from: len(r.text), to: len(r.text)})
	if err := r.instance(at, start, nillable); err != nil {
		return 0, err
	}
	if err := r.attributes(at, start); err != nil {
		return 0, err
	}
	if err := r.children(at); err != nil {
		return 0, err
	}
	return at, r.check(at)
}

// instance follows xsi:type and xsi:nil.
func (r *reader) instance(at int32, start xml.StartElement, nillable bool) error {
	for _, a := range start.Attr {
		if a.Name.Space != xsd.NamespaceInstance {
			if a.Name.Space == "" && a.Name.Local == "href" && len(start.Attr) == 1 && strings.HasPrefix(a.Value, "#") {
				return fault("is a reference to another element (multiRef), which is not supported")
			}
			continue
		}
		switch a.Name.Local {
		case "nil", "null":
			null := a.Value == "true" || a.Value == "1"
			if null && !nillable && r.items[at].typ != nil && !r.items[at].typ.AnyType {
				return fault("must not be nil")
			}
			r.items[at].null = null
		case "type":
			if err := r.instanceType(at, a.Value); err != nil {
				return err
			}
		}
	}
	if t := r.items[at].typ; t != nil && t.Abstract && !r.items[at].null {
		return fault("has no xsi:type, and its type is abstract")
	}
	return nil
}

func (r *reader) instanceType(at int32, text string) error {
	name, known := r.qname(text)
	if !known {
		return fault("has an xsi:type with a prefix that is not declared")
	}
	t := r.items[at].typ
	if t == nil || t.AnyType {
		if simple := xsd.BuiltinName(name); simple != nil {
			r.items[at].typ = &xsd.Type{Name: simple.Name, Simple: simple}
		}
		return nil
	}
	if xsd.BuiltinName(name) != nil || t.Array || t.Simple != nil && len(t.Derived) == 0 {
		return nil // says of a value what is known already
	}
	derived := t.Find(name)
	if derived == nil && !strings.Contains(text, ":") { // whatever the default namespace is: toolkits mean the type
		derived = t.FindLocal(name.Local)
	}
	if derived == nil {
		return fault(fmt.Sprintf("has the xsi:type `%s`, which is not derived from `%s`", clip(name.Local), t.Name.Local))
	}
	if derived != t {
		r.items[at].typ, r.items[at].declared = derived, t
	}
	return nil
}

func (r *reader) attributes(at int32, start xml.StartElement) error {
	t := r.items[at].typ
	if len(start.Attr) > maxAttributes {
		return errAttributes
	}
	for _, a := range start.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" || isNoise(a.Name.Space) {
			continue
		}
		it := item{attr: true, name: a.Name, field: xsd.Extra}
		if t != nil && !t.AnyType {
			i, known := t.Attr(a.Name)
			switch {
			case known && r.holds(at, int32(i)):
				return &misfit{t.Attrs[i].Key, "stands twice"}
			case known:
				it.field, it.simple = int32(i), t.Attrs[i].Type
				if err := it.simple.Check(a.Value); err != nil {
					return &misfit{t.Attrs[i].Key, err.Error()}
				}
			case !t.AnyAttr:
				continue // nobody can mean anything by it: ids, tracing of toolkits
			}
		}
		if len(r.items) >= maxElements {
			return errTooMany
		}
		it.from = len(r.text)
		r.text = append(r.text, a.Value...)
		it.to = len(r.text)
		r.append(at, it)
	}
	r.items[at].from, r.items[at].to = len(r.text), len(r.text)
	return r.requiredAttributes(at)
}

// isNoise are the namespaces of attributes that belong to the envelope's machinery, not to the value.
func isNoise(space string) bool {
	switch space {
	case xsd.NamespaceInstance, xsd.NamespaceEncoding, xsd.NamespaceEncoding2, envelope11, envelope12:
		return true
	}
	return false
}

func (r *reader) requiredAttributes(at int32) error {
	t := r.items[at].typ
	if t == nil {
		return nil
	}
	for i, a := range t.Attrs {
		if a.Required && !r.holds(at, int32(i)) {
			return &misfit{a.Key, "is missing"}
		}
	}
	return nil
}

func (r *reader) holds(at, attr int32) bool {
	for i := r.items[at].first; i != 0; i = r.items[i].next {
		if r.items[i].attr && r.items[i].field == attr {
			return true
		}
	}
	return false
}

// append adds an item as the last child.
func (r *reader) append(at int32, it item) {
	r.items = append(r.items, it)
	r.link(at, int32(len(r.items)-1))
}

func (r *reader) link(at, child int32) {
	if last := r.items[at].last; last != 0 {
		r.items[last].next = child
	} else {
		r.items[at].first = child
	}
	r.items[at].last = child
}

// children reads until the end tag.
func (r *reader) children(at int32) error {
	for {
		token, err := r.token()
		if err != nil {
			return ended(err)
		}
		switch token := token.(type) {
		case xml.EndElement:
			return nil
		case xml.CharData:
			r.addText(at, token)
		case xml.StartElement:
			if err := r.child(at, token); err != nil {
				return err
			}
		}
	}
}

func ended(err error) error {
	if err == io.EOF {
		return errors.New("not well-formed XML: it ends too early")
	}
	return err
}

// addText joins what comes in parts, around a comment or a child.
func (r *reader) addText(at int32, text []byte) {
	it := &r.items[at]
	if it.to != len(r.text) {
		if len(bytes.TrimSpace(text)) == 0 {
			return // between children
		}
		from := len(r.text)
		r.text = append(r.text, r.text[it.from:it.to]...)
		it.from = from
	}
	r.text = append(r.text, text...)
	it.to = len(r.text)
}

func (r *reader) child(at int32, start xml.StartElement) error {
	parent := &r.items[at]
	t, field, nillable, err := place(parent.typ, start.Name, parent.name.Space, r.items[1].name.Space)
	if err != nil {
		return err
	}
	if r.items[at].null {
		return fault("is nil and holds elements")
	}
	child, err := r.element(start, t, nillable)
	if err != nil {
		return within(start.Name.Local, err)
	}
	r.items[child].field = int32(field)
	r.link(at, child)
	return nil
}

// place finds what a child element is. A schema says which namespace local elements have; that toolkits get wrong so
// often that none is understood, and that of the parent, of the type or of the message as a whole. Another is refused.
func place(t *xsd.Type, name xml.Name, parent, root string) (*xsd.Type, int, bool, error) {
	if t == nil || t.AnyType {
		return nil, xsd.Extra, true, nil
	}
	if t.Array {
		return t.Fields[0].Type, 0, true, nil
	}
	i, known := t.Field(name)
	if !known {
		i, known = t.FieldByKey(name.Local)
		known = known && (name.Space == "" || name.Space == parent || name.Space == t.Name.Space || name.Space == root)
	}
	if known {
		f := t.Fields[i]
		return f.Type, i, f.Nillable, nil
	}
	if t.Any {
		return nil, xsd.Extra, true, nil
	}
	if i, near := t.FieldByKey(name.Local); near {
		return nil, 0, false, &misfit{name.Local, fmt.Sprintf("is of the namespace `%s`, not of `%s`",
			clip(name.Space), t.Fields[i].Name.Space)}
	}
	return nil, 0, false, &misfit{clip(name.Local), "is unknown"}
}

// check holds a finished element against its type.
func (r *reader) check(at int32) error {
	it := &r.items[at]
	switch t := it.typ; {
	case t == nil || t.AnyType || it.null:
		return nil
	case t.Simple != nil:
		return r.checkText(it)
	case !t.Mixed && len(bytes.TrimSpace(r.text[it.from:it.to])) > 0:
		return fault("holds text, and its type has none")
	}
	return r.checkCounts(at)
}

func (r *reader) checkText(it *item) error {
	for i := it.first; i != 0; i = r.items[i].next {
		if !r.items[i].attr {
			return fault("holds elements, and its type has none")
		}
	}
	if err := it.typ.Simple.Check(string(r.text[it.from:it.to])); err != nil {
		return fault(err.Error())
	}
	return nil
}

// checkCounts looks whether every element stands as often as it must and may, and whether choices were made. The order
// is not looked at: it says nothing that the names do not.
func (r *reader) checkCounts(at int32) error {
	t := r.items[at].typ
	base := len(r.counts)
	r.counts = append(r.counts, make([]int, len(t.Fields))...)
	defer func() { r.counts = r.counts[:base] }()
	counts := r.counts[base:]
	extra := 0
	for i := r.items[at].first; i != 0; i = r.items[i].next {
		switch it := &r.items[i]; {
		case it.attr:
		case it.field == xsd.Extra:
			extra++
		default:
			counts[it.field]++
		}
	}
	if t.Choice {
		return within("", t.Arrange(counts, extra, func(int) error { return nil }))
	}
	for i, f := range t.Fields {
		switch {
		case f.Required && counts[i] == 0:
			return &misfit{f.Key, "is missing"}
		case f.Max != xsd.Unbounded && counts[i] > f.Max:
			return &misfit{f.Key, fmt.Sprintf("stands %d times, at most %d are allowed", counts[i], f.Max)}
		}
	}
	return nil
}

package soap

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// The keys of JSON that stand for what only XML has.
const (
	textKey      = "#text"     // the text of an element that also has attributes
	typeKey      = "@xsi:type" // which of the derived types it is
	namespaceKey = "@xmlns"    // of an element that the schema does not name
)

// writer writes XML from JSON as the schema says. Prefixes are declared at the element that first needs them.
type writer struct {
	out     []byte
	doc     jsonText
	spaces  []string // declared where we are; prefix nI is the I-th
	limit   int      // of out
	lenient bool     // leave out what the schema has no place for
	encoded bool     // write xsi:type beside every value, as RPC/encoded wants it
	around  string   // the namespace of the element we are in
	heads   []int32  // scratch: the values of each field
	counts  []int
}

const xsiPrefix = "xsi"

// message writes the roots of a message: the JSON value is that of the one root, or an object with one member for each.
func (w *writer) message(m *wsdl.Message) error {
	w.encoded = m.Encoded
	switch len(m.Roots) {
	case 0:
		return nil
	case 1:
		return w.root(m.Roots[0], 0)
	}
	if w.doc.values[0].kind != jsonObject {
		return fault("must be an object")
	}
	for _, root := range m.Roots {
		member := w.member(0, root.Name.Local)
		if member < 0 {
			return &misfit{root.Name.Local, "is missing"}
		}
		if err := w.root(root, member); err != nil {
			return within(root.Name.Local, err)
		}
	}
	return nil
}

func (w *writer) root(e *xsd.Element, v int32) error {
	return w.element(e.Name, e.Type, e.Nillable, v)
}

func (w *writer) member(object int32, key string) int32 {
	found := int32(-1)
	_ = w.doc.each(object, func(child int32) error {
		if w.doc.key(child) == key {
			found = child
		}
		return nil
	})
	return found
}

// element writes one element with the value v.
func (w *writer) element(name xml.Name, t *xsd.Type, nillable bool, v int32) error {
	if len(w.out) > w.limit {
		return errTooLarge
	}
	declared := len(w.spaces)
	defer func() { w.spaces = w.spaces[:declared] }()
	tag := w.open(name)
	if w.doc.values[v].kind == jsonNull {
		if !nillable {
			return fault("must not be null")
		}
		w.out = append(w.out, ` xsi:nil="true"/>`...)
		return nil
	}
	t, err := w.actual(t, v)
	if err != nil {
		return err
	}
	outer := w.around
	w.around = name.Space
	if err := w.content(t, v); err != nil {
		return err
	}
	w.around = outer
	w.close(tag)
	return nil
}

// open begins a start tag and returns the name as it was written: a part of out.
func (w *writer) open(name xml.Name) (tag [2]int) {
	prefix, fresh := w.prefix(name.Space)
	w.out = append(w.out, '<')
	tag[0] = len(w.out)
	if prefix != "" {
		w.out = append(append(w.out, prefix...), ':')
	}
	w.out = append(w.out, name.Local...)
	tag[1] = len(w.out)
	if fresh {
		w.declare(prefix, name.Space)
	}
	return tag
}

func (w *writer) close(tag [2]int) {
	w.out = append(w.out, "</"...)
	w.out = append(w.out, w.out[tag[0]:tag[1]]...)
	w.out = append(w.out, '>')
}

// prefix finds what a namespace is called here. fresh: it is not declared yet.
func (w *writer) prefix(space string) (prefix string, fresh bool) {
	switch space {
	case "":
		return "", false
	case xsd.NamespaceXML:
		return "xml", false
	case xsd.NamespaceInstance:
		return xsiPrefix, false
	}
	i := slices.Index(w.spaces, space)
	if i < 0 {
		i, fresh = len(w.spaces), true
		w.spaces = append(w.spaces, space)
	}
	return prefixes[min(i, len(prefixes)-1)] + extra(i), fresh
}

var prefixes = [...]string{"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "nx"}

// extra numbers the prefixes beyond those that cost nothing.
func extra(i int) string {
	if i < len(prefixes)-1 {
		return ""
	}
	return strconv.Itoa(i)
}

func (w *writer) declare(prefix, space string) {
	w.out = append(append(append(w.out, " xmlns:"...), prefix...), `="`...)
	w.out = appendXML(w.out, space)
	w.out = append(w.out, '"')
}

// attribute writes one attribute of a start tag that is still open.
func (w *writer) attribute(name xml.Name, text string) error {
	if !validXML(text) {
		return fault("holds a character that XML cannot carry")
	}
	prefix, fresh := w.prefix(name.Space)
	if fresh {
		w.declare(prefix, name.Space)
	}
	w.out = append(w.out, ' ')
	if prefix != "" {
		w.out = append(append(w.out, prefix...), ':')
	}
	w.out = append(append(w.out, name.Local...), `="`...)
	w.out = append(appendXML(w.out, text), '"')
	return nil
}

// actual is the type that @xsi:type chooses, written as an attribute.
func (w *writer) actual(t *xsd.Type, v int32) (*xsd.Type, error) {
	chosen := ""
	if w.doc.values[v].kind == jsonObject && (len(t.Derived) > 0 || t.AnyType) {
		if member := w.member(v, typeKey); member >= 0 {
			chosen = w.doc.str(member)
		}
	}
	switch {
	case chosen != "" && !t.AnyType:
		derived := t.FindLocal(chosen)
		if derived == nil {
			return nil, &misfit{typeKey, fmt.Sprintf("`%s` is not derived from `%s`", clip(chosen), t.Name.Local)}
		}
		if derived != t {
			return derived, w.typeAttribute(derived.Name)
		}
	case t.Abstract:
		return nil, &misfit{typeKey, fmt.Sprintf("is missing: `%s` is abstract, it says which of its types is meant", t.Name.Local)}
	}
	if w.encoded && t.Name.Local != "" && !t.AnyType {
		return t, w.typeAttribute(t.Name)
	}
	return t, nil
}

func (w *writer) typeAttribute(name xml.Name) error {
	prefix, fresh := w.prefix(name.Space)
	if fresh {
		w.declare(prefix, name.Space)
	}
	if prefix != "" {
		prefix += ":"
	}
	return w.attribute(xml.Name{Space: xsd.NamespaceInstance, Local: "type"}, prefix+name.Local)
}

// content ends the start tag and writes what stands between the tags.
func (w *writer) content(t *xsd.Type, v int32) error {
	kind := w.doc.values[v].kind
	switch {
	case t.AnyType:
		return w.generic(v)
	case t.Simple != nil && kind != jsonObject:
		return w.plain(t, v)
	case kind == jsonArray && t.Array:
		return w.array(t, v)
	case kind != jsonObject:
		return fault("must be an object, not " + kind.String())
	}
	return w.object(t, v)
}

func (w *writer) array(t *xsd.Type, v int32) error {
	w.out = append(w.out, '>')
	f, i := t.Fields[0], -1
	return w.doc.each(v, func(child int32) error {
		i++
		return within(fmt.Sprintf("[%d]", i), w.element(f.Name, f.Type, f.Nillable, child))
	})
}

// plain writes a scalar: the whole of a simple type, or the text of a type whose attributes nobody gave.
func (w *writer) plain(t *xsd.Type, v int32) error {
	for _, a := range t.Attrs {
		if err := w.absentAttribute(a); err != nil {
			return err
		}
	}
	w.out = append(w.out, '>')
	return w.text(t.Simple, v)
}

func (w *writer) text(s *xsd.Simple, v int32) error {
	text, err := w.scalar(s, v)
	if err != nil {
		return err
	}
	w.out = appendXML(w.out, text)
	return nil
}

// scalar is the text that a JSON value is in XML, checked.
func (w *writer) scalar(s *xsd.Simple, v int32) (string, error) {
	kind := w.doc.values[v].kind
	text := ""
	switch {
	case kind == jsonArray && s.Kind == xsd.List:
		var items []string
		err := w.doc.each(v, func(child int32) error {
			item, err := w.scalar(s.Item, child)
			items = append(items, item)
			return within(fmt.Sprintf("[%d]", len(items)-1), err)
		})
		if err != nil {
			return "", err
		}
		text = strings.Join(items, " ")
	case kind == jsonObject || kind == jsonArray || kind == jsonNull || !fits(s.Kind, kind):
		return "", fault(fmt.Sprintf("must be %s, not %s", wanted(s), kind))
	default:
		text = w.doc.str(v)
	}
	if err := s.Check(text); err != nil {
		return "", fault(err.Error())
	}
	if !validXML(text) {
		return "", fault("holds a character that XML cannot carry")
	}
	return text, nil
}

// fits reports whether a JSON scalar may be of a kind. Numbers may be written as strings: JavaScript has no long ones.
func fits(want xsd.Kind, have jsonKind) bool {
	switch want {
	case xsd.Any, xsd.Union:
		return true
	case xsd.Boolean:
		return have != jsonNumber
	case xsd.Decimal, xsd.Integer, xsd.Float:
		return have == jsonNumber || have == jsonString
	}
	return have == jsonString
}

func wanted(s *xsd.Simple) string {
	switch s.Kind {
	case xsd.Boolean:
		return "true or false"
	case xsd.Decimal, xsd.Float:
		return "a number"
	case xsd.Integer:
		return "a whole number"
	case xsd.List:
		return "a list"
	}
	return "a string"
}

// object writes the attributes and the elements that an object names, in the order of the schema.
func (w *writer) object(t *xsd.Type, v int32) error {
	base := len(w.heads)
	w.heads = append(w.heads, make([]int32, len(t.Fields)+len(t.Attrs))...)
	w.counts = append(w.counts, make([]int, len(t.Fields))...)
	defer func() {
		w.heads = w.heads[:base]
		w.counts = w.counts[:len(w.counts)-len(t.Fields)]
	}()
	text, extras, err := w.sort(t, v, base)
	if err != nil {
		return err
	}
	if err := w.attributes(t, base+len(t.Fields), extras); err != nil {
		return err
	}
	w.out = append(w.out, '>')
	if text >= 0 && t.Simple != nil {
		return within(textKey, w.text(t.Simple, text))
	}
	if t.Simple != nil {
		return &misfit{textKey, "is missing"}
	}
	if text >= 0 {
		if err := w.mixed(t, text); err != nil {
			return err
		}
	}
	return w.arranged(t, base, extras)
}

func (w *writer) mixed(t *xsd.Type, text int32) error {
	if !t.Mixed {
		return &misfit{textKey, "is unknown: this type has no text"}
	}
	s, err := w.scalar(xsd.Builtin("anySimpleType"), text)
	if err != nil {
		return within(textKey, err)
	}
	w.out = appendXML(w.out, s)
	return nil
}

// sort finds what each member of an object is: w.heads[base:] gets the values of fields and attributes, 0 for none (0 is
// the whole document, which is no member).
func (w *writer) sort(t *xsd.Type, v int32, base int) (text int32, extras []int32, err error) {
	text = -1
	counts := len(w.counts) - len(t.Fields)
	err = w.doc.each(v, func(child int32) error {
		key := w.doc.key(child)
		if i, known := t.FieldByKey(key); known {
			return within(key, w.take(t.Fields[i], base+i, counts+i, child))
		}
		if i, known := t.AttrByKey(key); known {
			return within(key, w.takeOnce(base+len(t.Fields)+i, child))
		}
		switch {
		case key == textKey:
			text = child
		case key == typeKey:
		case strings.HasPrefix(key, "@") && t.AnyAttr, !strings.HasPrefix(key, "@") && t.Any:
			extras = append(extras, child)
		case w.lenient:
		default:
			return &misfit{clip(key), "is unknown" + near(t, key)}
		}
		return nil
	})
	return text, extras, err
}

func (w *writer) takeOnce(head int, child int32) error {
	if w.heads[head] != 0 {
		return fault("stands twice")
	}
	w.heads[head] = child
	return nil
}

func (w *writer) take(f *xsd.Field, head, count int, child int32) error {
	if err := w.takeOnce(head, child); err != nil {
		return err
	}
	value := w.doc.values[child]
	switch {
	case value.kind == jsonArray && f.Many:
		w.counts[count] = int(value.count)
	case value.kind == jsonArray && !isList(f.Type) && !f.Type.AnyType && !f.Type.Array:
		return fault("must not be a list: it stands once")
	case value.kind == jsonNull && !f.Nillable && !f.Required:
		w.heads[head] = 0 // as if it was not there
	default:
		w.counts[count] = 1
	}
	return nil
}

func isList(t *xsd.Type) bool {
	return t.Simple != nil && (t.Simple.Kind == xsd.List || t.Simple.Kind == xsd.Union)
}

// near names the key that was probably meant.
func near(t *xsd.Type, key string) string {
	for _, f := range t.Fields {
		if strings.EqualFold(f.Key, key) {
			return ", did you mean `" + f.Key + "`?"
		}
	}
	for _, a := range t.Attrs {
		if strings.EqualFold(a.Key, "@"+key) {
			return ", did you mean `" + a.Key + "`?"
		}
	}
	return ""
}

func (w *writer) attributes(t *xsd.Type, base int, extras []int32) error {
	for i, a := range t.Attrs {
		v := w.heads[base+i]
		if v == 0 || w.doc.values[v].kind == jsonNull {
			if err := w.absentAttribute(a); err != nil {
				return err
			}
			continue
		}
		text, err := w.scalar(a.Type, v)
		if err == nil {
			err = w.attribute(a.Name, text)
		}
		if err != nil {
			return within(a.Key, err)
		}
	}
	return w.otherAttributes(extras)
}

func (w *writer) absentAttribute(a *xsd.Attribute) error {
	switch {
	case a.Required && a.Fixed != "":
		return w.attribute(a.Name, a.Fixed)
	case a.Required:
		return &misfit{a.Key, "is missing"}
	}
	return nil
}

// arranged writes the elements. The head of a list walks along it.
func (w *writer) arranged(t *xsd.Type, base int, extras []int32) error {
	first := len(w.counts) - len(t.Fields)
	at := make([]int, len(t.Fields)) // how many of a field are written
	elements := 0
	for _, v := range extras {
		if !strings.HasPrefix(w.doc.key(v), "@") {
			elements++
		}
	}
	return t.Arrange(w.counts[first:], elements, func(field int) error {
		if field == xsd.Extra {
			return w.extras(extras)
		}
		f, v := t.Fields[field], w.heads[base+field]
		if !f.Many || at[field] == 0 && w.doc.values[v].kind != jsonArray {
			at[field]++
			return within(f.Key, w.element(f.Name, f.Type, f.Nillable, v))
		}
		if at[field] == 0 {
			v++ // from the list to its first item
		}
		w.heads[base+field] = w.doc.values[v].next
		at[field]++
		return within(f.Key+"["+strconv.Itoa(at[field]-1)+"]", w.element(f.Name, f.Type, f.Nillable, v))
	})
}

// appendXML escapes text for element content and quoted attributes.
func appendXML(b []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		var with string
		switch s[i] {
		case '&':
			with = "&amp;"
		case '<':
			with = "&lt;"
		case '>':
			with = "&gt;"
		case '"':
			with = "&quot;"
		case '\'':
			with = "&apos;"
		case '\r':
			with = "&#13;"
		case '\n':
			with = "&#10;"
		case '\t':
			with = "&#9;"
		default:
			continue
		}
		b = append(append(b, s[from:i]...), with...)
		from = i + 1
	}
	return append(b, s[from:]...)
}

// validXML reports whether every character is one of XML 1.0.
func validXML(s string) bool {
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return false
			}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xfffe, r == 0xffff:
			return false
		}
	}
	return true
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

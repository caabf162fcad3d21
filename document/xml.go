package document

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// XML and JSON, each to the other. An element is an object: its attributes are members named @name, its elements members
// named like them, an array if one name occurs more than once, and its characters the member #text. An element with
// neither attributes nor elements is its characters alone, as a string. The whole is an object of one member, the root.
//
//	<order id="7"><item>a</item><item>b</item></order>   {"order":{"@id":"7","item":["a","b"]}}
//
// Prefixes and namespace declarations are dropped on the way to JSON. Comments and processing instructions are ignored. A
// DOCTYPE is refused: entities are what attacks are made of, and nothing else needs it.

// maxElements bounds a document's elements: an empty one takes four bytes to send and a hundred to hold.
const maxElements = 100_000

type element struct {
	name     string
	attrs    []xml.Attr
	children []*element
	text     []byte
}

// FromXML makes JSON of an XML document in UTF-8, nested no deeper than depth.
func FromXML(text []byte, depth int) (Value, error) {
	if !utf8.Valid(text) {
		return nil, &Mistake{0, "the text is not UTF-8"}
	}
	r := xmlReader{dec: xml.NewDecoder(bytes.NewReader(text)), depth: min(depth, MaxDepth)}
	root, err := r.document()
	if err != nil {
		if m, ok := errors.AsType[*Mistake](err); ok {
			return nil, m
		}
		return nil, &Mistake{int(r.dec.InputOffset()), "malformed XML"}
	}
	out := AppendQuoted([]byte{'{'}, root.name)
	return append(root.append(append(out, ':')), '}'), nil
}

type xmlReader struct {
	dec      *xml.Decoder
	depth    int
	elements int
}

func (r *xmlReader) mistake(what string) error { return &Mistake{int(r.dec.InputOffset()), what} }

func (r *xmlReader) document() (root *element, err error) {
	for {
		token, err := r.dec.Token()
		if err == io.EOF && root != nil {
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if root != nil {
				return nil, r.mistake("a second element follows the root")
			}
			if root, err = r.element(t, 1); err != nil {
				return nil, err
			}
		case xml.Directive:
			return nil, r.mistake("a DOCTYPE is not accepted")
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, r.mistake("characters stand outside of the root")
			}
		}
	}
}

func (r *xmlReader) element(start xml.StartElement, depth int) (*element, error) {
	if depth > r.depth {
		return nil, r.mistake("the value is nested too deep")
	}
	if r.elements += 1 + len(start.Attr); r.elements > maxElements {
		return nil, r.mistake("there are too many elements")
	}
	e := &element{name: start.Name.Local}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
			e.attrs = append(e.attrs, a)
		}
	}
	for {
		token, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			child, err := r.element(t, depth+1)
			if err != nil {
				return nil, err
			}
			e.children = append(e.children, child)
		case xml.EndElement:
			return e, nil
		case xml.CharData:
			e.text = append(e.text, t...)
		case xml.Directive:
			return nil, r.mistake("a DOCTYPE is not accepted")
		}
	}
}

func (e *element) append(dst []byte) []byte {
	text := e.text
	if len(e.children) > 0 { // what is between elements is mostly their indentation
		text = bytes.TrimSpace(text)
	}
	if len(e.attrs)+len(e.children) == 0 {
		return AppendQuoted(dst, string(text))
	}
	dst = append(dst, '{')
	open := len(dst)
	name := func(prefix, name string) {
		if len(dst) > open {
			dst = append(dst, ',')
		}
		dst = append(AppendQuoted(dst, prefix+name), ':')
	}
	for _, a := range e.attrs {
		name("@", a.Name.Local)
		dst = AppendQuoted(dst, a.Value)
	}
	for _, group := range e.groups() {
		name("", group[0].name)
		if len(group) == 1 {
			dst = group[0].append(dst)
			continue
		}
		for i, one := range group {
			dst = one.append(append(dst, "[,"[min(i, 1)]))
		}
		dst = append(dst, ']')
	}
	if len(text) > 0 {
		name("#", "text")
		dst = AppendQuoted(dst, string(text))
	}
	return append(dst, '}')
}

// groups are the children by name, in the order in which the names first occur.
func (e *element) groups() (groups [][]*element) {
	at := make(map[string]int, len(e.children))
	for _, child := range e.children {
		i, known := at[child.name]
		if !known {
			i = len(groups)
			at[child.name] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], child)
	}
	return groups
}

// AppendXML appends v as an XML document. An object of one member that is no array is the root of that name; anything else
// is put into an element named root.
func AppendXML(dst []byte, v Value, root string) ([]byte, error) {
	dst = append(dst, xml.Header...)
	if m := v.Members(); m.Next() && m.Value.Kind() != Array && !bytes.HasPrefix(m.Name, []byte(`"@`)) && !m.Name.Is("#text") {
		only := m
		if !m.Next() {
			return appendElement(dst, only.Name.Text(), only.Value)
		}
	}
	if v.Kind() == Array { // its elements need a parent and a name
		dst = append(append(append(dst, '<'), root...), '>')
		var err error
		for e := v.Elements(); e.Next(); {
			if dst, err = appendElement(dst, "item", e.Value); err != nil {
				return nil, err
			}
		}
		return append(append(append(dst, "</"...), root...), '>'), nil
	}
	return appendElement(dst, root, v)
}

func appendElement(dst []byte, name string, v Value) (_ []byte, err error) {
	if !isXMLName(name) {
		return nil, fmt.Errorf("%.40q cannot be the name of an XML element", name)
	}
	if v.Kind() == Array {
		for e := v.Elements(); e.Next(); {
			one := e.Value
			if one.Kind() == Array {
				return nil, fmt.Errorf("an array within an array, as in %.40q, has no form in XML", name)
			}
			if dst, err = appendElement(dst, name, one); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}
	dst = append(append(dst, '<'), name...)
	if dst, err = appendAttributes(dst, v); err != nil {
		return nil, err
	}
	dst = append(dst, '>')
	if dst, err = appendContent(dst, v); err != nil {
		return nil, err
	}
	return append(append(append(dst, "</"...), name...), '>'), nil
}

func appendAttributes(dst []byte, v Value) ([]byte, error) {
	for m := v.Members(); m.Next(); {
		name, isAttribute := strings.CutPrefix(m.Name.Text(), "@")
		if !isAttribute {
			continue
		}
		if k := m.Value.Kind(); !isXMLName(name) || k == Object || k == Array {
			return nil, fmt.Errorf("%.40q cannot be an XML attribute", "@"+name)
		}
		dst = append(append(append(dst, ' '), name...), `="`...)
		var err error
		if dst, err = appendCharacters(dst, m.Value); err != nil {
			return nil, err
		}
		dst = append(dst, '"')
	}
	return dst, nil
}

func appendContent(dst []byte, v Value) (_ []byte, err error) {
	if v.Kind() != Object {
		return appendCharacters(dst, v)
	}
	for m := v.Members(); m.Next() && err == nil; {
		switch name := m.Name.Text(); {
		case strings.HasPrefix(name, "@"):
		case name == "#text":
			dst, err = appendCharacters(dst, m.Value)
		default:
			dst, err = appendElement(dst, name, m.Value)
		}
	}
	return dst, err
}

func appendCharacters(dst []byte, v Value) ([]byte, error) {
	switch v.Kind() {
	case Null:
		return dst, nil
	case Object, Array:
		return nil, fmt.Errorf("%v cannot be characters of XML", v.Kind())
	}
	return AppendXMLText(dst, v.Text())
}

// AppendXMLText appends text as it stands between tags or in an attribute.
func AppendXMLText(dst []byte, text string) ([]byte, error) {
	for _, r := range text {
		if !isXMLChar(r) {
			return nil, fmt.Errorf("the character %U has no place in XML", r)
		}
		switch r {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&#34;"...)
		case '\'': // a template may quote its attributes so
			dst = append(dst, "&#39;"...)
		case '\r', '\n', '\t':
			dst = fmt.Appendf(dst, "&#%d;", r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst, nil
}

// isXMLChar is the production Char of XML 1.0.
func isXMLChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || ' ' <= r && r <= 0xD7FF || 0xE000 <= r && r <= 0xFFFD || 0x10000 <= r
}

// isXMLName admits the names without a colon that are common to XML 1.0 and all its readers.
func isXMLName(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r|0x20 && r|0x20 <= 'z' && r < utf8.RuneSelf || r >= 0xC0 && r != 0xD7 && r != 0xF7 && r < 0x2000
		if !letter && (i == 0 || !(r == '-' || r == '.' || '0' <= r && r <= '9')) {
			return false
		}
	}
	return name != ""
}

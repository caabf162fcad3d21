package xsd

import (
	"encoding/xml"
	"strings"
)

// Append writes the element and all in it. value may give an attribute another value; names, prefixes and what they mean
// stay as they were read, comments and the spaces between elements do not.
func (n *Node) Append(b []byte, value func(n *Node, a xml.Attr) string) []byte {
	name := n.written(n.Name, true)
	b = append(append(b, '<'), name...)
	for _, a := range n.Attr {
		b = append(append(b, ' '), attrName(n, a.Name)...)
		b = append(b, `="`...)
		b = append(escape(b, value(n, a)), '"')
	}
	text := n.Text
	if strings.TrimSpace(text) == "" {
		text = ""
	}
	if len(n.Kids) == 0 && text == "" {
		return append(b, "/>"...)
	}
	b = escape(append(b, '>'), text)
	for _, kid := range n.Kids {
		b = kid.Append(b, value)
	}
	return append(append(append(b, "</"...), name...), '>')
}

func attrName(n *Node, name xml.Name) string {
	switch {
	case name.Space == "xmlns":
		return "xmlns:" + name.Local
	case name.Space == "":
		return name.Local
	}
	return n.written(name, false)
}

// written finds the prefix that means a namespace here.
func (n *Node) written(name xml.Name, unprefixed bool) string {
	if name.Space == NamespaceXML {
		return "xml:" + name.Local
	}
	for s := n.scope; s != nil; s = s.outer {
		if s.uri != name.Space || s.prefix == "" && !unprefixed {
			continue
		}
		if now, _ := n.Namespace(s.prefix); now != name.Space {
			continue // declared anew further inside
		}
		if s.prefix == "" {
			return name.Local
		}
		return s.prefix + ":" + name.Local
	}
	return name.Local
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\n", "&#10;", "\t", "&#9;", "\r", "&#13;")

func escape(b []byte, s string) []byte { return append(b, escaper.Replace(s)...) }

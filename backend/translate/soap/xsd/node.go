package xsd

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// Bounds of one document. They are far above any honest description and far below what would hurt.
const (
	MaxDocumentBytes = 8 << 20
	maxDepth         = 128     // elements inside each other
	maxNodes         = 400_000 // elements
	maxAttributes    = 128     // of one element
)

// A Node is one element of a schema or a WSDL, with its place, so that a mistake can be named where it stands.
type Node struct {
	Name xml.Name
	Attr []xml.Attr
	Kids []*Node
	Text string // the character data directly inside, joined
	File string
	Line int

	scope *scope
}

// scope is what prefixes mean at a place: the innermost declaration first.
type scope struct {
	prefix, uri string
	outer       *scope
}

// Parse reads one document into nodes. There is no DOCTYPE, so there are no entities but the five of XML itself.
func Parse(file string, data []byte) (*Node, error) {
	if len(data) > MaxDocumentBytes {
		return nil, fmt.Errorf("%s: the file is over the limit of %d bytes", file, MaxDocumentBytes)
	}
	p := &nodeReader{file: file, decoder: NewDecoder(data)}
	root, err := p.document()
	if err != nil {
		line, _ := p.decoder.InputPos()
		return nil, fmt.Errorf("%s:%d: %w", file, line, plain(err))
	}
	return root, nil
}

// ErrDoctype refuses document types: nothing that SOAP needs is in one, and everything that expands is.
var ErrDoctype = errors.New("a DOCTYPE is refused")

// plain takes the package's own words out of a syntax error; the place is added by the caller.
func plain(err error) error {
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
		return errors.New("not well-formed XML: it ends too early")
	case errors.As(err, &syntax):
		return errors.New("not well-formed XML: " + syntax.Msg)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("not well-formed XML: it ends too early")
	}
	return err
}

type nodeReader struct {
	file    string
	decoder *xml.Decoder
	open    []*Node
	root    *Node
	count   int
}

func (p *nodeReader) document() (*Node, error) {
	for {
		token, err := p.decoder.Token()
		if err == io.EOF && p.root != nil && len(p.open) == 0 {
			return p.root, nil
		}
		if err != nil {
			return nil, err
		}
		if err := p.take(token); err != nil {
			return nil, err
		}
	}
}

func (p *nodeReader) take(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return p.start(t)
	case xml.EndElement:
		p.open = p.open[:len(p.open)-1]
	case xml.CharData:
		if len(p.open) > 0 {
			p.open[len(p.open)-1].Text += string(t)
		} else if len(bytes.TrimSpace(t)) > 0 {
			return errors.New("text outside of the root element")
		}
	case xml.Directive:
		return ErrDoctype
	}
	return nil
}

func (p *nodeReader) start(t xml.StartElement) error {
	line, _ := p.decoder.InputPos()
	n := &Node{Name: t.Name, Attr: t.Copy().Attr, File: p.file, Line: line}
	p.count++
	switch {
	case len(p.open) >= maxDepth:
		return fmt.Errorf("more than %d elements inside each other", maxDepth)
	case p.count > maxNodes:
		return fmt.Errorf("more than %d elements", maxNodes)
	case len(n.Attr) > maxAttributes:
		return fmt.Errorf("more than %d attributes on one element", maxAttributes)
	case len(p.open) == 0 && p.root != nil:
		return errors.New("a second root element")
	}
	if len(p.open) == 0 {
		p.root = n
	} else {
		parent := p.open[len(p.open)-1]
		parent.Kids = append(parent.Kids, n)
		n.scope = parent.scope
	}
	n.declare()
	p.open = append(p.open, n)
	return nil
}

// declare adds the namespaces that the element itself declares to its scope.
func (n *Node) declare() {
	for _, a := range n.Attr {
		switch {
		case a.Name.Space == "xmlns":
			n.scope = &scope{a.Name.Local, a.Value, n.scope}
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			n.scope = &scope{"", a.Value, n.scope}
		}
	}
}

// Get is the value of an attribute without a namespace.
func (n *Node) Get(name string) string {
	value, _ := n.Lookup(name)
	return value
}

// Lookup is Get and whether the attribute is there.
func (n *Node) Lookup(name string) (string, bool) { return n.LookupNS("", name) }

// LookupNS finds an attribute of a namespace.
func (n *Node) LookupNS(space, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Name.Space == space && a.Name.Local == name {
			return strings.TrimSpace(a.Value), true
		}
	}
	return "", false
}

// Child is the first child element of a name, nil if there is none.
func (n *Node) Child(space, local string) *Node {
	for _, kid := range n.Kids {
		if kid.Name.Space == space && kid.Name.Local == local {
			return kid
		}
	}
	return nil
}

// Namespace is what a prefix means here.
func (n *Node) Namespace(prefix string) (string, bool) {
	if prefix == "xml" {
		return NamespaceXML, true
	}
	for s := n.scope; s != nil; s = s.outer {
		if s.prefix == prefix {
			return s.uri, true
		}
	}
	return "", prefix == ""
}

// QName resolves a name written in an attribute's value.
func (n *Node) QName(text string) (xml.Name, error) {
	prefix, local, prefixed := strings.Cut(text, ":")
	if !prefixed {
		prefix, local = "", text
	}
	space, known := n.Namespace(prefix)
	if !known {
		return xml.Name{}, n.Errorf("the prefix of `%s` is not declared", clip(text))
	}
	if local == "" || strings.ContainsAny(local, ": \t\n") {
		return xml.Name{}, n.Errorf("`%s` is not a name", clip(text))
	}
	return xml.Name{Space: space, Local: local}, nil
}

// Errorf is a mistake at this element.
func (n *Node) Errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", n.File, n.Line, fmt.Sprintf(format, args...))
}

// clip keeps what others wrote from filling a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// utf8From16 turns UTF-16 with a byte order mark into UTF-8; a UTF-8 mark is dropped.
func utf8From16(data []byte) []byte {
	switch {
	case bytes.HasPrefix(data, []byte{0xef, 0xbb, 0xbf}):
		return data[3:]
	case len(data) < 2 || len(data)%2 != 0:
		return data
	}
	little := data[0] == 0xff && data[1] == 0xfe
	if !little && (data[0] != 0xfe || data[1] != 0xff) {
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i < len(data); i += 2 {
		high, low := data[i], data[i+1]
		if little {
			high, low = low, high
		}
		units = append(units, uint16(high)<<8|uint16(low))
	}
	return []byte(string(utf16.Decode(units)))
}

// charset reads the encodings that descriptions are really written in.
func charset(name string, input io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "utf-8", "utf8", "us-ascii", "ascii", "utf-16":
		return input, nil // UTF-16 was turned into UTF-8 before, by its mark
	case "iso-8859-1", "latin1", "windows-1252":
		return &latin1{input: input}, nil
	}
	return nil, fmt.Errorf("the encoding `%s` is not read: write UTF-8", clip(name))
}

// latin1 turns ISO 8859-1 into UTF-8.
type latin1 struct {
	input   io.Reader
	pending []byte
}

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.pending) == 0 {
		var chunk [512]byte
		n, err := l.input.Read(chunk[:])
		if n == 0 {
			return 0, err
		}
		for _, b := range chunk[:n] {
			l.pending = append(l.pending, string(rune(b))...)
		}
	}
	n := copy(p, l.pending)
	l.pending = l.pending[n:]
	return n, nil
}

// NewDecoder reads XML of any encoding that documents are read in. It is up to the caller to bound data and to refuse
// directives.
func NewDecoder(data []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(utf8From16(data)))
	d.CharsetReader = charset
	return d
}

// Plain is a mistake in XML in plain words.
func Plain(err error) error { return plain(err) }

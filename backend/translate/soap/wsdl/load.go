package wsdl

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// Bounds of a description and all that it imports.
const (
	maxFiles = 200
	maxBytes = 32 << 20
)

// A Document is one file of a description.
type Document struct {
	Name string
	Root *xsd.Node
	// Imports are the nodes with a location and the document that each means: an index into the model's documents.
	Imports map[*xsd.Node]int
}

// loader reads the files, each once, whatever imports what.
type loader struct {
	open  func(string) ([]byte, error)
	set   *xsd.Set
	docs  []*Document
	index map[string]int
	added map[string]bool // file and namespace: a schema is taken once for each namespace it is included into
	bytes int

	messages, portTypes, bindings map[xml.Name]*xsd.Node
	services                      []*xsd.Node
	absent                        []string // WSDL imports that were refused
}

// document loads a file, or finds it.
func (l *loader) document(name string) (int, error) {
	if i, known := l.index[name]; known {
		return i, nil
	}
	if len(l.docs) >= maxFiles {
		return 0, fmt.Errorf("%s: more than %d files", name, maxFiles)
	}
	data, err := l.open(name)
	if err != nil {
		return 0, err
	}
	if l.bytes += len(data); l.bytes > maxBytes {
		return 0, fmt.Errorf("%s: the files are over the limit of %d bytes together", name, maxBytes)
	}
	root, err := xsd.Parse(name, data)
	if err != nil {
		return 0, err
	}
	l.docs = append(l.docs, &Document{Name: name, Root: root, Imports: make(map[*xsd.Node]int)})
	l.index[name] = len(l.docs) - 1
	return len(l.docs) - 1, nil
}

// definitions takes what a WSDL document defines, and what it imports.
func (l *loader) definitions(i int) error {
	d := l.docs[i]
	key := "wsdl " + d.Name
	if l.added[key] {
		return nil
	}
	l.added[key] = true
	if d.Root.Name != (xml.Name{Space: Namespace, Local: "definitions"}) {
		if d.Root.Name.Local == "description" {
			return d.Root.Errorf("this is WSDL 2.0, only 1.1 is read")
		}
		return d.Root.Errorf("this is no WSDL 1.1: the root is <%s>", d.Root.Name.Local)
	}
	target := d.Root.Get("targetNamespace")
	for _, n := range d.Root.Kids {
		if n.Name.Space != Namespace {
			continue
		}
		if err := l.definition(d, n, target); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) definition(d *Document, n *xsd.Node, target string) error {
	name := xml.Name{Space: target, Local: n.Get("name")}
	switch n.Name.Local {
	case "import":
		return l.importWSDL(d, n)
	case "types":
		return l.types(d, n)
	case "message":
		l.messages[name] = n
	case "portType":
		l.portTypes[name] = n
	case "binding":
		l.bindings[name] = n
	case "service":
		l.services = append(l.services, n)
	}
	return nil
}

func (l *loader) types(d *Document, n *xsd.Node) error {
	for _, kid := range n.Kids {
		if kid.Name.Local != "schema" {
			continue
		}
		if err := l.schema(d, kid, ""); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) importWSDL(d *Document, n *xsd.Node) error {
	i, err := l.follow(d, n, n.Get("location"))
	if errors.Is(err, errRemote) {
		l.absent = append(l.absent, n.Errorf("%v", err).Error())
		return nil
	}
	if err != nil || i < 0 {
		return err
	}
	if l.docs[i].Root.Name.Local == "schema" {
		return l.schema(l.docs[i], l.docs[i].Root, "")
	}
	return l.definitions(i)
}

// schema takes a schema element and what it imports and includes. target is the namespace of whoever includes it.
func (l *loader) schema(d *Document, n *xsd.Node, target string) error {
	key := fmt.Sprintf("xsd %s:%d %s", d.Name, n.Line, target)
	if l.added[key] {
		return nil
	}
	l.added[key] = true
	if err := l.set.Add(n, target); err != nil {
		return err
	}
	if own := n.Get("targetNamespace"); own != "" {
		target = own
	}
	for _, kid := range n.Kids {
		if kid.Name.Space != n.Name.Space || kid.Name.Local != "import" && kid.Name.Local != "include" {
			continue
		}
		if err := l.related(d, kid, target); err != nil {
			return err
		}
	}
	return nil
}

// related loads one import or include. A remote one is refused when something turns out to need it.
func (l *loader) related(d *Document, n *xsd.Node, target string) error {
	namespace := target
	if n.Name.Local == "import" {
		namespace, target = n.Get("namespace"), ""
		if wellKnown(namespace) {
			return nil
		}
	}
	i, err := l.follow(d, n, n.Get("schemaLocation"))
	if errors.Is(err, errRemote) {
		l.set.Absent(namespace, fmt.Sprintf("%s:%d: %v", n.File, n.Line, err))
		return nil
	}
	if err != nil || i < 0 {
		return err
	}
	root := l.docs[i].Root
	if root.Name.Local == "definitions" { // a WSDL that is imported as a schema: its types are meant
		return l.definitions(i)
	}
	if own := root.Get("targetNamespace"); n.Name.Local == "include" && own != "" && own != target {
		return n.Errorf("the included schema has the namespace `%s`, not this one", own)
	}
	return l.schema(l.docs[i], root, target)
}

// wellKnown are the namespaces whose schemas everybody has built in.
func wellKnown(namespace string) bool {
	switch namespace {
	case xsd.Namespace, xsd.NamespaceXML, xsd.NamespaceEncoding, xsd.NamespaceEncoding2,
		Namespace, NamespaceSOAP11, NamespaceSOAP12:
		return true
	}
	return false
}

var errRemote = errors.New("remote imports are refused: save the file beside this one and name it here")

// follow loads what a location means, relative to the document it stands in. -1: it says nothing.
func (l *loader) follow(d *Document, n *xsd.Node, location string) (int, error) {
	if location == "" {
		return -1, nil
	}
	u, err := url.Parse(location)
	switch {
	case err != nil:
		return 0, n.Errorf("the location is no file name")
	case u.Scheme != "" || u.Host != "":
		return 0, errRemote
	case strings.HasPrefix(u.Path, "/") || strings.Contains(u.Path, `\`):
		return 0, n.Errorf("a location is relative to the file it stands in, and uses /")
	case u.Path == "":
		return 0, n.Errorf("the location `%s` names no file", clip(location))
	}
	name := path.Join(path.Dir(d.Name), u.Path)
	i, err := l.document(name)
	if err != nil {
		return 0, n.Errorf("%v", err)
	}
	d.Imports[n] = i
	return i, nil
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

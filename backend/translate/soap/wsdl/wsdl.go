// Package wsdl reads a WSDL 1.1 description, with the schemas that it holds and imports, into a model: services, ports,
// operations, and of each message the elements with their compiled types.
//
//	file ─┬─ imports, each file once, local ones only ─▶ definitions by name
//	      └─ service ▶ port ▶ binding (SOAP 1.1 or 1.2) ▶ operation ▶ messages ▶ xsd.Element
//
// An operation that cannot be translated is refused with its reason, and the others work. Everything has a bound: the
// description comes from somebody else.
package wsdl

import (
	"encoding/xml"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// The namespaces of a description.
const (
	Namespace       = "http://schemas.xmlsoap.org/wsdl/"
	NamespaceSOAP11 = "http://schemas.xmlsoap.org/wsdl/soap/"
	NamespaceSOAP12 = "http://schemas.xmlsoap.org/wsdl/soap12/"
	namespaceMIME   = "http://schemas.xmlsoap.org/wsdl/mime/"
)

// Version is a version of SOAP.
type Version uint8

const (
	SOAP11 Version = iota
	SOAP12
)

func (v Version) String() string {
	if v == SOAP12 {
		return "1.2"
	}
	return "1.1"
}

// A Model is a description, read.
type Model struct {
	Name      string
	Ports     []*Port
	Documents []*Document // the first is the description itself
	Refused   []Refusal
	Set       *xsd.Set
}

// A Refusal is an operation or a port that cannot be translated, and why.
type Refusal struct {
	Name string // port/operation
	Err  error
}

// A Port is where a service can be reached over SOAP.
type Port struct {
	Service, Name string
	Address       string
	Version       Version
	Operations    []*Operation
}

// An Operation is one thing that a service does.
type Operation struct {
	Name   string
	Doc    string
	Action string // SOAPAction
	OneWay bool   // there is no answer
	Input  *Message
	Output *Message
	Faults map[xml.Name]*xsd.Element
}

// A Message is what stands in the Body.
type Message struct {
	Roots   []*xsd.Element // most often one; none for a message that is empty
	RPC     bool           // the one root is the call or its result, made from the parts
	Encoded bool           // SOAP's own encoding: types are written beside the values
}

// Operation finds one by its name.
func (p *Port) Operation(name string) *Operation {
	for _, o := range p.Operations {
		if o.Name == name {
			return o
		}
	}
	return nil
}

// Read reads a description. open yields the content of a file; names of imported ones are relative to the importing one.
func Read(name string, open func(string) ([]byte, error)) (*Model, error) {
	l := &loader{
		open: open, set: xsd.NewSet(), index: make(map[string]int), added: make(map[string]bool),
		messages: make(map[xml.Name]*xsd.Node), portTypes: make(map[xml.Name]*xsd.Node), bindings: make(map[xml.Name]*xsd.Node),
	}
	i, err := l.document(filepath.ToSlash(name))
	if err == nil {
		err = l.definitions(i)
	}
	if err != nil {
		return nil, err
	}
	m := &Model{Name: l.docs[0].Root.Get("name"), Set: l.set, Documents: l.docs}
	b := &builder{loader: l, model: m}
	b.ports()
	if err := m.usable(l); err != nil {
		return nil, err
	}
	return m, nil
}

// usable refuses a description from which nothing can be called, with the reasons.
func (m *Model) usable(l *loader) error {
	for _, p := range m.Ports {
		if len(p.Operations) > 0 {
			return nil
		}
	}
	var all []error
	for i, r := range m.Refused {
		if i == 5 {
			all = append(all, fmt.Errorf("and %d more", len(m.Refused)-i))
			break
		}
		all = append(all, fmt.Errorf("%s: %w", r.Name, r.Err))
	}
	for _, why := range l.absent {
		all = append(all, errors.New(why))
	}
	if len(all) == 0 {
		return m.Documents[0].Root.Errorf("there is no port with a SOAP binding and an operation")
	}
	return fmt.Errorf("no operation can be translated: %w", joined(all))
}

func joined(all []error) error {
	words := make([]string, len(all))
	for i, err := range all {
		words[i] = err.Error()
	}
	return errors.New(strings.Join(words, "; "))
}

// documentation is the text of an element's documentation, on one line.
func documentation(n *xsd.Node) string {
	const most = 1000
	d := n.Child(Namespace, "documentation")
	if d == nil {
		return ""
	}
	text := strings.Join(strings.Fields(d.Text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

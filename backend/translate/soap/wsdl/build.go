package wsdl

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// maxOperations bounds the operations of all ports together.
const maxOperations = 10_000

// builder makes the model from the definitions that were loaded.
type builder struct {
	*loader
	model *Model
	count int
}

func (b *builder) refuse(name string, err error) {
	b.model.Refused = append(b.model.Refused, Refusal{name, err})
}

func (b *builder) ports() {
	for _, service := range b.services {
		for _, n := range service.Kids {
			if n.Name != (xml.Name{Space: Namespace, Local: "port"}) {
				continue
			}
			if p, err := b.port(service, n); err != nil {
				b.refuse(n.Get("name"), err)
			} else if p != nil {
				b.model.Ports = append(b.model.Ports, p)
			}
		}
	}
}

// port is nil for one that does not speak SOAP.
func (b *builder) port(service, n *xsd.Node) (*Port, error) {
	name, err := n.QName(n.Get("binding"))
	if err != nil {
		return nil, err
	}
	binding := b.bindings[name]
	if binding == nil {
		return nil, n.Errorf("there is no binding `%s`%s", clip(name.Local), b.because())
	}
	p := &Port{Service: service.Get("name"), Name: n.Get("name")}
	how, space := soapChild(binding, "binding")
	if how == nil {
		return nil, nil
	}
	if space == NamespaceSOAP12 {
		p.Version = SOAP12
	}
	if transport := how.Get("transport"); transport != "" && !strings.HasSuffix(strings.TrimSuffix(transport, "/"), "/http") &&
		!strings.Contains(transport, "HTTP") {
		return nil, how.Errorf("the transport `%s` is not HTTP", clip(transport))
	}
	if address := n.Child(space, "address"); address != nil {
		p.Address = address.Get("location")
	}
	if portType, err := b.portType(binding); err != nil {
		return nil, err
	} else {
		b.operations(p, binding, portType, how, space)
	}
	return p, nil
}

func (b *builder) because() string {
	if len(b.absent) == 0 {
		return ""
	}
	return " (" + b.absent[0] + ")"
}

// soapChild finds an element of either version of SOAP.
func soapChild(n *xsd.Node, local string) (child *xsd.Node, space string) {
	for _, space := range []string{NamespaceSOAP11, NamespaceSOAP12} {
		if child := n.Child(space, local); child != nil {
			return child, space
		}
	}
	return nil, ""
}

func (b *builder) portType(binding *xsd.Node) (*xsd.Node, error) {
	name, err := binding.QName(binding.Get("type"))
	if err != nil {
		return nil, err
	}
	if pt := b.portTypes[name]; pt != nil {
		return pt, nil
	}
	return nil, binding.Errorf("there is no portType `%s`%s", clip(name.Local), b.because())
}

func (b *builder) operations(p *Port, binding, portType, how *xsd.Node, space string) {
	seen := make(map[string]bool)
	for _, n := range binding.Kids {
		if n.Name != (xml.Name{Space: Namespace, Local: "operation"}) {
			continue
		}
		o := &operation{builder: b, binding: n, space: space, style: how.Get("style"), name: n.Get("name")}
		where := p.Name + "/" + o.name
		switch b.count++; {
		case b.count > maxOperations:
			b.refuse(where, n.Errorf("more than %d operations", maxOperations))
			return
		case seen[o.name]:
			b.refuse(where, n.Errorf("a second operation of this name: overloading is not supported"))
			continue
		}
		seen[o.name] = true
		if made, err := o.build(portType); err != nil {
			b.refuse(where, err)
		} else {
			p.Operations = append(p.Operations, made)
		}
	}
}

// operation builds one operation.
type operation struct {
	*builder
	binding     *xsd.Node
	space       string // of the SOAP elements
	style, name string
}

func (o *operation) build(portType *xsd.Node) (*Operation, error) {
	abstract := named(portType, "operation", o.name)
	if abstract == nil {
		return nil, o.binding.Errorf("the portType has no operation `%s`", clip(o.name))
	}
	if !validName(o.name) {
		return nil, o.binding.Errorf("`%s` cannot be a path", clip(o.name))
	}
	made := &Operation{Name: o.name, Doc: documentation(abstract), Faults: make(map[xml.Name]*xsd.Element)}
	if how := o.binding.Child(o.space, "operation"); how != nil {
		made.Action = how.Get("soapAction")
		if style := how.Get("style"); style != "" {
			o.style = style
		}
	}
	input, output := abstract.Child(Namespace, "input"), abstract.Child(Namespace, "output")
	if input == nil {
		return nil, abstract.Errorf("an operation without input is one that the service calls, which is not supported")
	}
	var err error
	if made.Input, err = o.message(input, "input", o.name); err != nil {
		return nil, err
	}
	if made.OneWay = output == nil; !made.OneWay {
		if made.Output, err = o.message(output, "output", o.name+"Response"); err != nil {
			return nil, err
		}
	}
	o.faults(made, abstract)
	return made, nil
}

func validName(name string) bool {
	return name != "" && !strings.ContainsAny(name, "/?#%\\ {}\"<>") && name != "." && name != ".."
}

func named(n *xsd.Node, local, name string) *xsd.Node {
	for _, kid := range n.Kids {
		if kid.Name.Space == Namespace && kid.Name.Local == local && kid.Get("name") == name {
			return kid
		}
	}
	return nil
}

func (o *operation) message(ref *xsd.Node, side, wrapper string) (*Message, error) {
	n, err := o.lookUp(ref, ref.Get("message"))
	if err != nil {
		return nil, err
	}
	body, err := o.body(side)
	if err != nil {
		return nil, err
	}
	m := &Message{RPC: o.style == "rpc"}
	namespace := ""
	parts := children(n, "part")
	if body != nil {
		m.Encoded = body.Get("use") == "encoded"
		namespace = body.Get("namespace")
		if list, written := body.Lookup("parts"); written {
			wanted := strings.Fields(list)
			parts = slices.DeleteFunc(parts, func(p *xsd.Node) bool { return !slices.Contains(wanted, p.Get("name")) })
		}
	}
	parts = o.withoutHeaders(parts, side, ref)
	if m.RPC {
		root, err := o.call(parts, xml.Name{Space: namespace, Local: wrapper})
		m.Roots = []*xsd.Element{root}
		return m, err
	}
	if m.Encoded {
		return nil, body.Errorf("document/encoded is not supported: nobody agrees on what it means")
	}
	m.Roots, err = o.roots(parts)
	return m, err
}

func (o *operation) lookUp(at *xsd.Node, text string) (*xsd.Node, error) {
	name, err := at.QName(text)
	if err != nil {
		return nil, err
	}
	if n := o.messages[name]; n != nil {
		return n, nil
	}
	return nil, at.Errorf("there is no message `%s`%s", clip(name.Local), o.because())
}

func children(n *xsd.Node, local string) []*xsd.Node {
	var all []*xsd.Node
	for _, kid := range n.Kids {
		if kid.Name.Space == Namespace && kid.Name.Local == local {
			all = append(all, kid)
		}
	}
	return all
}

// body is what the binding says of a message, nil if it says nothing.
func (o *operation) body(side string) (*xsd.Node, error) {
	n := o.binding.Child(Namespace, side)
	if n == nil {
		return nil, nil
	}
	if n.Child(namespaceMIME, "multipartRelated") != nil {
		return nil, n.Errorf("messages with attachments (multipart/related) are not supported")
	}
	return n.Child(o.space, "body"), nil
}

// withoutHeaders leaves out the parts that the binding puts into the Header.
func (o *operation) withoutHeaders(parts []*xsd.Node, side string, ref *xsd.Node) []*xsd.Node {
	n := o.binding.Child(Namespace, side)
	if n == nil {
		return parts
	}
	for _, h := range n.Kids {
		if h.Name != (xml.Name{Space: o.space, Local: "header"}) {
			continue
		}
		mine, err := ref.QName(ref.Get("message"))
		its, err2 := h.QName(h.Get("message"))
		if err == nil && err2 == nil && mine == its {
			parts = slices.DeleteFunc(parts, func(p *xsd.Node) bool { return p.Get("name") == h.Get("part") })
		}
	}
	return parts
}

// roots are the elements that the parts of a document message name.
func (o *operation) roots(parts []*xsd.Node) ([]*xsd.Element, error) {
	var all []*xsd.Element
	for _, p := range parts {
		if p.Get("element") == "" {
			root, err := o.typed(p)
			if err != nil {
				return nil, err
			}
			all = append(all, root)
			continue
		}
		name, err := p.QName(p.Get("element"))
		if err != nil {
			return nil, err
		}
		root, err := o.set.Element(p, name)
		if err != nil {
			return nil, err
		}
		all = append(all, root)
	}
	return all, nil
}

// typed is a document part that names a type: what stands in the Body has the part's name, as most toolkits do it.
func (o *operation) typed(p *xsd.Node) (*xsd.Element, error) {
	if p.Get("type") == "" {
		return nil, p.Errorf("a part needs an element or a type")
	}
	name, err := p.QName(p.Get("type"))
	if err != nil {
		return nil, err
	}
	t, err := o.set.Named(p, name)
	return &xsd.Element{Name: xml.Name{Local: p.Get("name")}, Type: t}, err
}

// call is the element that an RPC message consists of: its parts inside, each once.
func (o *operation) call(parts []*xsd.Node, name xml.Name) (*xsd.Element, error) {
	var fields []*xsd.Field
	for _, p := range parts {
		e, err := o.partElement(p)
		if err != nil {
			return nil, err
		}
		fields = append(fields, &xsd.Field{Name: e.Name, Type: e.Type, Nillable: true})
	}
	return &xsd.Element{Name: name, Type: xsd.Record(fields)}, nil
}

func (o *operation) partElement(p *xsd.Node) (*xsd.Element, error) {
	if p.Get("element") == "" {
		return o.typed(p)
	}
	name, err := p.QName(p.Get("element"))
	if err != nil {
		return nil, err
	}
	return o.set.Element(p, name)
}

// faults compiles what the details of faults hold. One that cannot be compiled is read like any XML.
func (o *operation) faults(made *Operation, abstract *xsd.Node) {
	for _, f := range children(abstract, "fault") {
		n, err := o.lookUp(f, f.Get("message"))
		if err != nil {
			continue
		}
		for _, p := range children(n, "part") {
			if e, err := o.partElement(p); err == nil {
				made.Faults[e.Name] = e
			}
		}
	}
}

// String is for messages: port/operation.
func (r Refusal) String() string { return fmt.Sprintf("%s: %v", r.Name, r.Err) }

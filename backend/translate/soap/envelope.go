package soap

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

const (
	envelope11 = "http://schemas.xmlsoap.org/soap/envelope/"
	envelope12 = "http://www.w3.org/2003/05/soap-envelope"
)

func envelopeOf(v wsdl.Version) string {
	if v == wsdl.SOAP12 {
		return envelope12
	}
	return envelope11
}

// contentType is what an envelope of a version is sent as. The charset is named: SOAP 1.1 has no default worth the name.
func contentType(v wsdl.Version) string {
	if v == wsdl.SOAP12 {
		return "application/soap+xml; charset=utf-8"
	}
	return "text/xml; charset=utf-8"
}

var errNoEnvelope = errors.New("the root is not a SOAP Envelope")

// errVersion is an envelope of a SOAP that is neither 1.1 nor 1.2.
var errVersion = errors.New("the envelope is of an unknown version of SOAP")

// A notUnderstood is a header that had to be understood and was not.
type notUnderstood struct{ name xml.Name }

func (n *notUnderstood) Error() string {
	return fmt.Sprintf("the header `%s` must be understood, and is not", clip(n.name.Local))
}

// envelope reads up to the inside of the Body. mustUnderstand: headers that say so are refused, for nobody here does.
func (r *reader) envelope(mustUnderstand bool) (wsdl.Version, error) {
	start, err := r.start()
	if err != nil {
		return 0, ended(err)
	}
	version := wsdl.SOAP11
	switch {
	case start.Name.Local != "Envelope":
		return 0, errNoEnvelope
	case start.Name.Space == envelope12:
		version = wsdl.SOAP12
	case start.Name.Space != envelope11:
		return 0, errVersion
	}
	space := start.Name.Space
	if start, err = r.start(); err == nil && start.Name == (xml.Name{Space: space, Local: "Header"}) {
		if err := r.headers(space, mustUnderstand); err != nil {
			return version, err
		}
		start, err = r.start()
	}
	if err != nil {
		return version, ended(err)
	}
	if start.Name != (xml.Name{Space: space, Local: "Body"}) {
		return version, errors.New("the Envelope holds no Body where it must stand")
	}
	return version, nil
}

// start is the next start tag; text between is refused. An end tag is an error.
func (r *reader) start() (xml.StartElement, error) {
	s, open, err := r.next()
	if err == nil && !open {
		err = errors.New("an element is missing")
	}
	return s, err
}

// next is the next start tag inside an element, or its end.
func (r *reader) next() (start xml.StartElement, open bool, err error) {
	for {
		token, err := r.token()
		if err != nil {
			return start, false, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return t, true, nil
		case xml.EndElement:
			return start, false, nil
		case xml.CharData:
			if !blank(t) {
				return start, false, errors.New("text stands where an element must")
			}
		}
	}
}

func (r *reader) headers(space string, mustUnderstand bool) error {
	var first error
	for {
		start, open, err := r.next()
		if err != nil || !open {
			return errors.Join(ended(err), first)
		}
		for _, a := range start.Attr {
			if mustUnderstand && first == nil && a.Name == (xml.Name{Space: space, Local: "mustUnderstand"}) &&
				(a.Value == "1" || a.Value == "true") {
				first = &notUnderstood{start.Name}
			}
		}
		if err := r.skip(); err != nil {
			return err
		}
	}
}

// skip reads to the end of the element at hand.
func (r *reader) skip() error {
	for outside := r.depth - 1; r.depth > outside; {
		if _, err := r.token(); err != nil {
			return ended(err)
		}
	}
	return nil
}

// finish reads what must follow the Body's content: its end, the Envelope's, and nothing.
func (r *reader) finish() error {
	for {
		_, open, err := r.next()
		switch {
		case err == io.EOF && r.depth == 0:
			return nil
		case err != nil:
			return ended(err)
		case open && r.depth == 1:
			return errors.New("a second root element")
		case open && r.depth == 2:
			if err := r.skip(); err != nil { // SOAP 1.1 lets elements follow the Body
				return err
			}
		case open:
			return errors.New("more stands in the Body than the description says")
		}
	}
}

// message reads the content of the Body: one root for each that the description names. The first start tag is at hand.
func (r *reader) message(m *wsdl.Message, start xml.StartElement) ([]int32, error) {
	if start.Name.Local == "" && len(m.Roots) > 0 {
		return nil, errors.New("the Body is empty")
	}
	var roots []int32
	for i, want := range m.Roots {
		if i > 0 {
			var err error
			if start, err = r.start(); err != nil {
				return nil, ended(err)
			}
		}
		if err := isRoot(m, want, start.Name); err != nil {
			return nil, err
		}
		root, err := r.element(start, want.Type, want.Nillable)
		if err != nil {
			return nil, within(want.Name.Local, err)
		}
		roots = append(roots, root)
	}
	return roots, r.finish()
}

// isRoot is strict about documents; what wraps the result of an RPC may be called anything.
func isRoot(m *wsdl.Message, want *xsd.Element, have xml.Name) error {
	if m.RPC || have == want.Name {
		return nil
	}
	if have.Local == want.Name.Local {
		return &misfit{have.Local, fmt.Sprintf("is of the namespace `%s`, not of `%s`", clip(have.Space), want.Name.Space)}
	}
	return &misfit{clip(have.Local), fmt.Sprintf("stands where `%s` must", want.Name.Local)}
}

// showMessage writes the message as JSON: the value of its one root, or an object of several.
func (r *reader) showMessage(b []byte, m *wsdl.Message, roots []int32) []byte {
	if len(roots) == 1 {
		return r.show(b, roots[0])
	}
	o := &object{b: b}
	for i, root := range roots {
		o.key("", m.Roots[i].Name.Local)
		o.b = r.show(o.b, root)
	}
	return o.end()
}

// frame is what stands around a Body, made once.
type frame struct {
	version wsdl.Version
	open    string // up to the content of the Header
	body    string // from its end to the content of the Body
	end     string
}

func newFrame(v wsdl.Version) frame {
	return frame{
		version: v,
		open: `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<soapenv:Envelope xmlns:soapenv="` + envelopeOf(v) +
			`" xmlns:xsi="` + xsd.NamespaceInstance + `">`,
		body: `<soapenv:Body>`,
		end:  `</soapenv:Body></soapenv:Envelope>`,
	}
}

// appendFault writes an envelope that holds a fault.
func (f frame) appendFault(b []byte, code faultCode, reason string, detail string) []byte {
	b = append(append(b, f.open...), f.body...)
	if !validXML(reason) {
		reason = strings.Map(printable, strings.ToValidUTF8(reason, "?"))
	}
	if f.version == wsdl.SOAP12 {
		b = append(b, `<soapenv:Fault><soapenv:Code><soapenv:Value>soapenv:`+code.in12()+
			`</soapenv:Value></soapenv:Code><soapenv:Reason><soapenv:Text xml:lang="en">`...)
		b = append(appendXML(b, reason), `</soapenv:Text></soapenv:Reason>`...)
		if detail != "" {
			b = append(b, `<soapenv:Detail>`+detail+`</soapenv:Detail>`...)
		}
	} else {
		b = append(b, `<soapenv:Fault><faultcode>soapenv:`+string(code)+`</faultcode><faultstring>`...)
		b = append(appendXML(b, reason), `</faultstring>`...)
		if detail != "" {
			b = append(b, `<detail>`+detail+`</detail>`...)
		}
	}
	return append(append(b, `</soapenv:Fault>`...), f.end...)
}

func printable(r rune) rune {
	if !validXML(string(r)) {
		return '?'
	}
	return r
}

// faultCode is a code of SOAP 1.1.
type faultCode string

const (
	client          faultCode = "Client"
	server          faultCode = "Server"
	mustUnderstand  faultCode = "MustUnderstand"
	versionMismatch faultCode = "VersionMismatch"
)

func (c faultCode) in12() string {
	switch c {
	case client:
		return "Sender"
	case server:
		return "Receiver"
	}
	return string(c)
}

package soap

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// A soapFault is a fault that a service answered with.
type soapFault struct {
	code, subcode xml.Name
	reason        string
	actor         string
	detail        []int32 // items of the reader
}

// fault reads a Fault whose start tag is at hand. known are the elements that the description allows in its detail; nil:
// they are read like any XML.
func (r *reader) fault(start xml.StartElement, known map[xml.Name]*xsd.Element) (*soapFault, error) {
	f := new(soapFault)
	for {
		child, open, err := r.next()
		if err != nil {
			return nil, ended(err)
		}
		if !open {
			return f, nil
		}
		if strings.EqualFold(child.Name.Local, "detail") {
			err = r.faultDetail(f, known)
		} else {
			err = r.faultPart(f, child)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (r *reader) faultDetail(f *soapFault, known map[xml.Name]*xsd.Element) error {
	for {
		token, err := r.token()
		if err != nil {
			return ended(err)
		}
		start, open := token.(xml.StartElement)
		if _, end := token.(xml.EndElement); end {
			return nil
		}
		if !open {
			continue // text beside: some services put words there
		}
		var t *xsd.Type
		if e := known[start.Name]; e != nil {
			t = e.Type
		}
		at, err := r.element(start, t, true)
		if err != nil {
			return within("detail."+start.Name.Local, err)
		}
		f.detail = append(f.detail, at)
	}
}

// faultPart reads any part but the detail, of either version.
func (r *reader) faultPart(f *soapFault, start xml.StartElement) error {
	scopes := append([]binding(nil), r.scopes...) // what the code's prefix means is known only while it is open
	at, err := r.element(start, nil, true)
	if err != nil {
		return err
	}
	switch start.Name.Local {
	case "faultcode":
		f.code = r.named(at, scopes)
	case "faultstring":
		f.reason = r.words(at)
	case "faultactor", "Role", "Node":
		if f.actor == "" {
			f.actor = r.words(at)
		}
	case "Code":
		if v := r.childNamed(at, "Value"); v != 0 {
			f.code = r.named(v, scopes)
		}
		if sub := r.childNamed(at, "Subcode"); sub != 0 {
			f.subcode = r.named(r.childNamed(sub, "Value"), scopes)
		}
	case "Reason":
		if text := r.childNamed(at, "Text"); text != 0 {
			f.reason = r.words(text)
		}
	}
	return nil
}

func (r *reader) words(at int32) string {
	return strings.TrimSpace(string(r.text[r.items[at].from:r.items[at].to]))
}

func (r *reader) childNamed(at int32, local string) int32 {
	for i := r.items[at].first; i != 0; i = r.items[i].next {
		if !r.items[i].attr && r.items[i].name.Local == local {
			return i
		}
	}
	return 0
}

func (r *reader) named(at int32, scopes []binding) xml.Name {
	if at == 0 {
		return xml.Name{}
	}
	now := r.scopes
	r.scopes = scopes
	name, _ := r.qname(r.words(at))
	r.scopes = now
	return name
}

// status is the HTTP status that a fault fits: whose fault it was. Codes of SOAP 1.1 may have more after a dot.
func (f *soapFault) status() int {
	code, _, _ := strings.Cut(f.code.Local, ".")
	switch code {
	case "Client", "Sender":
		return http.StatusBadRequest
	case "VersionMismatch", "MustUnderstand", "DataEncodingUnknown":
		return http.StatusBadGateway // the service and we do not understand each other
	}
	return http.StatusInternalServerError
}

// problem is the fault as a problem document (RFC 9457).
func (r *reader) problem(b []byte, f *soapFault, requestID string) []byte {
	status := f.status()
	o := &object{b: b}
	text := func(key, value string) {
		if value != "" {
			o.key("", key)
			o.b = appendString(o.b, []byte(strings.ToValidUTF8(value, "?")))
		}
	}
	text("type", "about:blank")
	text("title", http.StatusText(status))
	o.key("", "status")
	o.b = strconv.AppendInt(o.b, int64(status), 10)
	text("detail", f.reason)
	text("error", "soap_fault")
	text("requestId", requestID)
	o.key("", "fault")
	inner := &object{b: o.b}
	o.b = r.faultObject(inner, f)
	return o.end()
}

func (r *reader) faultObject(o *object, f *soapFault) []byte {
	text := func(key, value string) {
		if value != "" {
			o.key("", key)
			o.b = appendString(o.b, []byte(strings.ToValidUTF8(value, "?")))
		}
	}
	text("code", codeText(f.code))
	text("subcode", codeText(f.subcode))
	text("reason", f.reason)
	text("actor", f.actor)
	if len(f.detail) > 0 {
		o.key("", "detail")
		d := &object{b: o.b}
		r.showDetail(d, f.detail)
		o.b = d.end()
	}
	return o.end()
}

func (r *reader) showDetail(o *object, detail []int32) {
	seen := make(map[string]bool, len(detail))
	for _, at := range detail {
		key := r.items[at].name.Local
		if seen[key] {
			continue // a detail that repeats itself says nothing new
		}
		seen[key] = true
		o.key("", key)
		o.b = r.show(o.b, at)
	}
}

// codeText is a code of the envelope by its name, any other with its namespace.
func codeText(name xml.Name) string {
	if name.Space == "" || name.Space == envelope11 || name.Space == envelope12 {
		return name.Local
	}
	return "{" + name.Space + "}" + name.Local
}

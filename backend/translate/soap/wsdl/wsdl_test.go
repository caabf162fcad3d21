package wsdl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// describe wraps schemas and an operation that uses the element t:In into a whole description.
func describe(schema string) string {
	return `<definitions targetNamespace="urn:t" xmlns:t="urn:t" xmlns="http://schemas.xmlsoap.org/wsdl/"
 xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xs="http://www.w3.org/2001/XMLSchema"><types>` + schema + `</types>
<message name="m"><part name="p" element="t:In"/></message>
<portType name="pt"><operation name="Op"><input message="t:m"/><output message="t:m"/></operation></portType>
<binding name="b" type="t:pt"><soap:binding/><operation name="Op"><soap:operation soapAction="x"/>
<input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation></binding>
<service name="s"><port name="p" binding="t:b"><soap:address location="http://h/p"/></port></service></definitions>`
}

func schema(inner string) string {
	return `<xs:schema targetNamespace="urn:t" elementFormDefault="qualified">` + inner + `</xs:schema>`
}

// files opens from memory.
type files map[string]string

func (f files) open(name string) ([]byte, error) {
	text, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

func TestReadTheShop(t *testing.T) {
	m, err := Read("../testdata/shop.wsdl", os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	p := m.Ports[0]
	if p.Name != "Shop" || p.Service != "ShopService" || p.Address != "http://localhost/shop.asmx" || p.Version != SOAP11 || len(p.Operations) != 5 {
		t.Errorf("the port is %+v", p)
	}
	if o := p.Operation("Place"); o.Action != "urn:shop/Place" || o.Input.RPC || o.Input.Roots[0].Name.Local != "Place" || o.OneWay {
		t.Errorf("Place is %+v", o)
	}
	if o := p.Operation("Notify"); !o.OneWay || o.Output != nil {
		t.Errorf("Notify is %+v", o)
	}
	if o := p.Operation("Call"); !o.Input.RPC || len(o.Input.Roots[0].Type.Fields) != 2 || o.Input.Roots[0].Name.Space != "urn:shop" {
		t.Errorf("Call is %+v", o.Input.Roots[0])
	}
	if len(m.Documents) != 3 {
		t.Errorf("%d documents: a file is read once, whatever imports it", len(m.Documents))
	}
}

func TestRefused(t *testing.T) {
	in := `<xs:element name="In" type="t:T"/>`
	deep := strings.Repeat("<xs:annotation>", 300)
	bomb := `<xs:group name="g0"><xs:sequence><xs:element name="e" type="xs:int"/></xs:sequence></xs:group>`
	for i := 1; i < 40; i++ {
		bomb += fmt.Sprintf(`<xs:group name="g%d"><xs:sequence><xs:group ref="t:g%d"/><xs:group ref="t:g%d"/></xs:sequence></xs:group>`, i, i-1, i-1)
	}
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "main.wsdl:1: not well-formed XML: it ends too early"},
		{"half", "<definitions>", "main.wsdl:1: not well-formed XML"},
		{"other XML", "<html/>", "main.wsdl:1: this is no WSDL 1.1: the root is <html>"},
		{"WSDL 2.0", `<description xmlns="http://www.w3.org/ns/wsdl"/>`, "this is WSDL 2.0, only 1.1 is read"},
		{"doctype", `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, "main.wsdl:1: a DOCTYPE is refused"},
		{"encoding", `<?xml version="1.0" encoding="EBCDIC"?><a/>`, "the encoding `EBCDIC` is not read"},
		{"two roots", "<a/><b/>", "a second root element"},
		{"no service", `<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"/>`, "there is no port with a SOAP binding"},
		{"too deep", describe(schema(deep)), "elements inside each other"},
		{"not there", describe(`<xs:schema><xs:include schemaLocation="gone.xsd"/></xs:schema>`), "main.wsdl:2: open gone.xsd"},
		{"absolute", describe(`<xs:schema><xs:include schemaLocation="/etc/passwd"/></xs:schema>`), "a location is relative"},
		{"remote", describe(`<xs:schema><xs:import namespace="urn:t" schemaLocation="https://example.com/a.xsd"/></xs:schema>`),
			"main.wsdl:2: remote imports are refused: save the file beside this one and name it here"},
		{"remote WSDL", `<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"><import namespace="a" location="http://a/b"/></definitions>`, "no operation can be translated: main.wsdl:1: remote imports are refused"},
		{"import is no schema", describe(`<xs:schema><xs:import namespace="urn:x" schemaLocation="other.xml"/></xs:schema>`), "other.xml:1: a schema is wanted"},
		{"unknown element", describe(""), "main.wsdl:3: there is no element `In`"},
		{"unknown type", describe(schema(in)), "main.wsdl:2: there is no type `T`"},
		{"unknown prefix", describe(schema(`<xs:element name="In" type="q:T"/>`)), "the prefix of `q:T` is not declared"},
		{"derived from itself", describe(schema(in + `<xs:complexType name="T"><xs:complexContent><xs:extension base="t:T"/></xs:complexContent></xs:complexType>`)), "derived from itself"},
		{"simple derived from itself", describe(schema(in + `<xs:simpleType name="T"><xs:restriction base="t:T"/></xs:simpleType>`)), "derived from itself"},
		{"derived in a circle", describe(schema(in + `<xs:complexType name="T"><xs:complexContent><xs:extension base="t:U"/></xs:complexContent></xs:complexType>` +
			`<xs:complexType name="U"><xs:complexContent><xs:extension base="t:T"/></xs:complexContent></xs:complexType>`)), "derived from itself"},
		{"group in itself", describe(schema(in + `<xs:complexType name="T"><xs:group ref="t:g"/></xs:complexType><xs:group name="g"><xs:sequence><xs:group ref="t:g"/></xs:sequence></xs:group>`)), "contains itself"},
		{"attributeGroup in itself", describe(schema(in + `<xs:complexType name="T"><xs:attributeGroup ref="t:g"/></xs:complexType><xs:attributeGroup name="g"><xs:attributeGroup ref="t:g"/></xs:attributeGroup>`)), "contains itself"},
		{"group bomb", describe(schema(in + bomb + `<xs:complexType name="T"><xs:group ref="t:g39"/></xs:complexType>`)), "together"},
		{"minOccurs", describe(schema(`<xs:element name="In"><xs:complexType><xs:sequence><xs:element name="a" minOccurs="x"/></xs:sequence></xs:complexType></xs:element>`)), "minOccurs `x` is no number"},
		{"redefine", describe(schema(`<xs:redefine schemaLocation="a.xsd"/>`)), "<redefine> is not supported"},
		{"encoded document", strings.Replace(describe(schema(`<xs:element name="In"/>`)), `use="literal"`, `use="encoded"`, 1), "document/encoded is not supported"},
		{"attachments", strings.Replace(describe(schema(`<xs:element name="In"/>`)), `<soap:body use="literal"/>`, `<m:multipartRelated xmlns:m="http://schemas.xmlsoap.org/wsdl/mime/"/>`, 1), "attachments (multipart/related) are not supported"},
		{"transport", strings.Replace(describe(schema(`<xs:element name="In"/>`)), `<soap:binding/>`, `<soap:binding transport="http://schemas.xmlsoap.org/soap/smtp"/>`, 1), "is not HTTP"},
		{"message", strings.Replace(describe(schema(`<xs:element name="In"/>`)), `<message name="m">`, `<message name="n">`, 1), "there is no message `m`"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := files{"main.wsdl": test.text, "other.xml": "<a/>"}
			m, err := Read("main.wsdl", f.open)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, %v; want %s", m, err, test.want)
			}
		})
	}
}

func TestLoopsAndCounts(t *testing.T) {
	loop := files{
		"d/main.wsdl": strings.Replace(describe(`<xs:schema targetNamespace="urn:t"><xs:include schemaLocation="x/a.xsd"/></xs:schema>`), "<types>",
			`<import namespace="urn:t" location="main.wsdl"/><types>`, 1),
		"d/x/a.xsd": `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:include schemaLocation="../b.xsd"/><xs:element name="In" type="U"/></xs:schema>`,
		"d/b.xsd":   `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:include schemaLocation="x/a.xsd"/><xs:simpleType name="U"><xs:restriction base="xs:int"/></xs:simpleType></xs:schema>`,
	}
	if m, err := Read("d/main.wsdl", loop.open); err != nil || len(m.Documents) != 3 {
		t.Error(m, err)
	}
	many := files{"main.wsdl": describe(schema(`<xs:include schemaLocation="0.xsd"/>`))}
	for i := range maxFiles + 1 {
		many[fmt.Sprintf("%d.xsd", i)] = fmt.Sprintf(`<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:include schemaLocation="%d.xsd"/></xs:schema>`, i+1)
	}
	if _, err := Read("main.wsdl", many.open); err == nil || !strings.Contains(err.Error(), "more than 200 files") {
		t.Error(err)
	}
	huge := files{"main.wsdl": strings.Repeat(" ", 9<<20)}
	if _, err := Read("main.wsdl", huge.open); err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Error(err)
	}
	if _, err := Read("gone.wsdl", huge.open); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// One operation that cannot be translated does not take the others with it.
func TestTheOthersWork(t *testing.T) {
	text := strings.NewReplacer(
		`</portType>`, `<operation name="Bad"><input message="t:bad"/></operation></portType>`,
		`</binding>`, `<operation name="Bad"><input><soap:body use="literal"/></input></operation></binding>`,
		`<portType`, `<message name="bad"><part name="p" element="t:Gone"/></message><portType`,
	).Replace(describe(schema(`<xs:element name="In"/>`)))
	m, err := Read("main.wsdl", files{"main.wsdl": text}.open)
	if err != nil || len(m.Ports[0].Operations) != 1 || len(m.Refused) != 1 {
		t.Fatal(m, err)
	}
	if got := m.Refused[0].String(); got != "p/Bad: main.wsdl:4: there is no element `Gone` of the namespace `urn:t`" {
		t.Error(got)
	}
}

// The pages that clients get describe the same: read again they are the same model.
func TestPages(t *testing.T) {
	m, err := Read("../testdata/shop.wsdl", os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	pages := files{}
	for query, page := range m.Pages() {
		text := string(page.Append(nil, "http://gateway/shop"))
		text = strings.ReplaceAll(text, "http://gateway/shop?", "")
		pages[query] = text
	}
	for _, query := range []string{"wsdl", "xsd=1", "xsd=2"} {
		if pages[query] == "" {
			t.Errorf("there is no page %s", query)
		}
	}
	if !strings.Contains(pages["wsdl"], `location="http://gateway/shop"`) {
		t.Errorf("the address is not ours:\n%s", pages["wsdl"])
	}
	again, err := Read("wsdl", pages.open)
	if err != nil || len(again.Ports) != 1 || len(again.Ports[0].Operations) != 5 || len(again.Refused) > 0 {
		t.Errorf("%v %v", again, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(describe(schema(`<xs:element name="In" type="xs:int"/>`)), "<a/>")
	f.Add(describe(`<xs:schema targetNamespace="urn:t"><xs:include schemaLocation="b.xsd"/></xs:schema>`), `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="In"><xs:complexType><xs:choice maxOccurs="3"><xs:element name="a"/><xs:any/></xs:choice><xs:attribute name="b"/></xs:complexType></xs:element></xs:schema>`)
	shop, err := os.ReadFile("../testdata/shop.wsdl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(shop), "")
	f.Fuzz(func(t *testing.T, main, other string) {
		m, err := Read("main.wsdl", files{"main.wsdl": main, "b.xsd": other, "data/data.xsd": other}.open)
		if (m == nil) != (err != nil) {
			t.Fatal(m, err)
		}
		if err == nil {
			m.Pages()
		}
	})
}

// What would grow with the square of a description, or faster, ends at a bound.
func TestWhatMultipliesIsBounded(t *testing.T) {
	var chain, members, fields strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&chain, `<xs:complexType name="T%d"><xs:complexContent><xs:extension base="t:T%d"/></xs:complexContent></xs:complexType>`, i+1, i)
		fmt.Fprintf(&members, `<xs:element name="m%d" substitutionGroup="t:h"/>`, i)
	}
	for i := range 6000 {
		fmt.Fprintf(&fields, `<xs:element name="f%d"/>`, i)
	}
	in := `<xs:element name="In"><xs:complexType><xs:sequence>%s</xs:sequence></xs:complexType></xs:element>`
	for name, text := range map[string]string{
		"derived from each other": schema(`<xs:element name="In" type="t:T0"/><xs:complexType name="T0"><xs:sequence/></xs:complexType>` + chain.String()),
		"in the place of one":     schema(fmt.Sprintf(in, `<xs:element ref="t:h"/>`) + `<xs:element name="h"/>` + members.String()),
		"elements in one type":    schema(fmt.Sprintf(in, fields.String())),
	} {
		if _, err := Read("main.wsdl", files{"main.wsdl": describe(text)}.open); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

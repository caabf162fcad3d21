package soap

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
)

// described reads a description around schemas, parts and a style.
func described(t *testing.T, schemas, in, out, style, use string) *wsdl.Port {
	t.Helper()
	text := `<definitions targetNamespace="urn:t" xmlns:t="urn:t" xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:w="http://schemas.xmlsoap.org/wsdl/"
 xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:enc="http://schemas.xmlsoap.org/soap/encoding/"><types>
<xs:schema targetNamespace="urn:t">` + schemas + `</xs:schema></types><message name="i">` + in + `</message><message name="o">` + out + `</message>
<portType name="pt"><operation name="Op"><input message="t:i"/><output message="t:o"/></operation></portType>
<binding name="b" type="t:pt"><soap:binding style="` + style + `"/><operation name="Op"><soap:operation soapAction="x"/>
<input><soap:body use="` + use + `" namespace="urn:call"/></input><output><soap:body use="` + use + `" namespace="urn:call"/></output></operation></binding>
<service name="s"><port name="p" binding="t:b"><soap:address location="http://h/p"/></port></service></definitions>`
	m, err := wsdl.Read("m", func(string) ([]byte, error) { return []byte(text), nil })
	if err != nil {
		t.Fatal(err)
	}
	return m.Ports[0]
}

func TestRareShapes(t *testing.T) {
	array := `<xs:complexType name="List"><xs:complexContent><xs:restriction base="enc:Array"><xs:attribute ref="enc:arrayType" w:arrayType="xs:int[]"/></xs:restriction></xs:complexContent></xs:complexType>`
	element := func(inner string) string {
		return `<xs:element name="E"><xs:complexType` + inner + `</xs:complexType></xs:element>`
	}
	const part = `<part name="p" element="t:E"/>`
	for _, test := range []struct{ name, schemas, parts, style, use, json, xml string }{
		{"encoded array", array, `<part name="list" type="t:List"/>`, "rpc", "encoded", `{"list":{"item":[1,2]}}`,
			`<n0:Op xmlns:n0="urn:call"><list xmlns:n1="urn:t" xsi:type="n1:List"><item xmlns:n2="http://www.w3.org/2001/XMLSchema" xsi:type="n2:int">1</item><item xmlns:n2="http://www.w3.org/2001/XMLSchema" xsi:type="n2:int">2</item></list></n0:Op>`},
		{"two parts", `<xs:element name="A" type="xs:int"/><xs:element name="B" type="xs:string"/>`, `<part name="a" element="t:A"/><part name="b" element="t:B"/>`, "document", "literal",
			`{"A":1,"B":"x"}`, `<n0:A xmlns:n0="urn:t">1</n0:A><n0:B xmlns:n0="urn:t">x</n0:B>`},
		{"mixed", element(` mixed="true"><xs:sequence><xs:element name="b" type="xs:int"/></xs:sequence>`), part, "document", "literal",
			`{"#text":"words","b":1}`, `<n0:E xmlns:n0="urn:t">words<b>1</b></n0:E>`},
		{"any attribute", element(`><xs:anyAttribute/>`), part, "document", "literal", `{"@x":"1"}`, `<n0:E xmlns:n0="urn:t" x="1"></n0:E>`},
		{"prohibited", `<xs:complexType name="B"><xs:attribute name="a"/><xs:attribute name="b"/></xs:complexType>` +
			element(`><xs:complexContent><xs:restriction base="t:B"><xs:attribute name="a" use="prohibited"/></xs:restriction></xs:complexContent>`), part, "document", "literal",
			`{"@b":"1"}`, `<n0:E xmlns:n0="urn:t" b="1"></n0:E>`},
		{"restricted simpleContent", `<xs:complexType name="B"><xs:simpleContent><xs:extension base="xs:int"><xs:attribute name="u" type="xs:string"/></xs:extension></xs:simpleContent></xs:complexType>` +
			element(`><xs:simpleContent><xs:restriction base="t:B"><xs:maxInclusive value="9"/></xs:restriction></xs:simpleContent>`), part, "document", "literal",
			`{"@u":"m","#text":9}`, `<n0:E xmlns:n0="urn:t" u="m">9</n0:E>`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := described(t, test.schemas, test.parts, test.parts, test.style, test.use).Operations[0].Input
			xml, err := write(m, test.json)
			if err != nil || xml != test.xml {
				t.Errorf("is written as\n%s, want\n%s (%v)", xml, test.xml, err)
			}
			text, err := read(m, test.xml)
			if err != nil || text != test.json {
				t.Errorf("is read as %s, want %s (%v)", text, test.json, err)
			}
		})
	}
	m := described(t, element(`><xs:sequence><xs:element name="b" type="xs:int"/></xs:sequence>`), part, part, "document", "literal").Operations[0].Input
	if _, err := read(m, `<E xmlns="urn:t"><b href="#1"/></E>`); err == nil || !strings.Contains(err.Error(), "multiRef") {
		t.Error(err)
	}
}

// Every type of the shop stands in the document, and refers to what is there.
func TestOpenAPI(t *testing.T) {
	text, err := OpenAPI("", shop(t), "/t/{tenant}/shop")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Info       struct{ Title string }
		Paths      map[string]map[string]struct{ Parameters []struct{ Name, In string } }
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &d); err != nil || d.Info.Title != "ShopService" {
		t.Fatal(err, d.Info)
	}
	for _, piece := range strings.Split(string(text), `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(piece, `"`)
		if d.Components.Schemas[name] == nil {
			t.Errorf("%s is referred to and is not there", name)
		}
	}
	place := d.Paths["/t/{tenant}/shop/Place"]["post"]
	if len(place.Parameters) != 1 || place.Parameters[0].Name != "tenant" || place.Parameters[0].In != "path" {
		t.Errorf("Place has %v", place.Parameters)
	}
	if d.Components.Schemas["Cat"] == nil || d.Components.Schemas["Order"] == nil {
		t.Errorf("the schemas are %v", d.Components.Schemas)
	}
}

func TestMappings(t *testing.T) {
	op := shop(t).Operation("Place")
	for _, test := range []struct{ path, body, answer, key, want string }{
		{"orders", "", "", "path", "begins with `/`"},
		{"/{", "", "", "path", "without `}`"},
		{"/}", "", "", "path", "without `{`"},
		{"/{gone}", "", "", "path", "no field `gone`"},
		{"/{order}", "", "", "path", "not a simple value"},
		{"/{order.item}", "", "", "path", "more than once"},
		{"/{order.item.sku}", "", "", "path", "more than once"},
		{"/", "gone", "", "body", "it has order"},
		{"/", "", "gone", "answer", "it has order"},
	} {
		_, err := NewMapping(op, "", test.path, test.body, test.answer)
		if err == nil || err.Key != test.key || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s %s: %v", test.path, test.body, test.answer, err)
		}
	}
	if _, err := NewMapping(op, "PUT", "/o/{order.id}/{order.@version}?s={order.state}", "order", "order"); err != nil {
		t.Error(err)
	}
}

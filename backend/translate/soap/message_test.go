package soap

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
)

// shop is a description with every construct of a schema that a message can have.
func shop(t testing.TB) *wsdl.Port {
	t.Helper()
	m, err := wsdl.Read("testdata/shop.wsdl", os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Refused) > 0 {
		t.Fatal(m.Refused)
	}
	return m.Ports[0]
}

func write(m *wsdl.Message, text string) (string, error) {
	w := new(writer)
	if err := w.doc.parseJSON([]byte(text)); err != nil {
		return "", err
	}
	w.start(nil, 1<<20)
	err := w.message(m)
	return string(w.out), within("", err)
}

func read(m *wsdl.Message, body string) (string, error) {
	r := new(reader)
	r.reset([]byte(`<e:Envelope xmlns:e="` + envelope11 + `" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Body>` + body + `</e:Body></e:Envelope>`))
	if _, err := r.envelope(true); err != nil {
		return "", err
	}
	start, _, err := r.next()
	if err != nil {
		return "", err
	}
	roots, err := r.message(m, start)
	if err != nil {
		return "", within("", err)
	}
	text := string(r.showMessage(nil, m, roots))
	if !json.Valid([]byte(text)) {
		return "", &misfit{reason: "not JSON: " + text}
	}
	return text, nil
}

// order is the Place message around what it is about.
func order(members string) string { return `{"order":{"@version":2,"id":1` + members + `}}` }

func orderXML(members string) string {
	return `<n0:Place xmlns:n0="urn:shop"><n0:order version="2"><n1:id xmlns:n1="urn:data">1</n1:id>` + members + `</n0:order></n0:Place>`
}

func data(name, content string) string {
	return `<n1:` + name + ` xmlns:n1="urn:data">` + content + `</n1:` + name + `>`
}

// Each message is written as XML and comes back as the same JSON.
func TestMessages(t *testing.T) {
	port := shop(t)
	for _, test := range []struct{ name, json, xml string }{
		{"optional", order(``), orderXML(``)},
		{"digits", `{"order":{"@version":2,"id":9223372036854775807,"item":[{"sku":"AB1","price":{"@currency":"EUR","#text":0.1000000000000000000001}}]}}`,
			`<n0:Place xmlns:n0="urn:shop"><n0:order version="2"><n1:id xmlns:n1="urn:data">9223372036854775807</n1:id>` +
				`<n1:item xmlns:n1="urn:data"><n1:sku>AB1</n1:sku><n1:price currency="EUR">0.1000000000000000000001</n1:price></n1:item></n0:order></n0:Place>`},
		{"nil", order(`,"note":null`), orderXML(`<n1:note xmlns:n1="urn:data" xsi:nil="true"/>`)},
		{"escapes", order(`,"note":"a<b>&\"c\"\r\n\t"`), orderXML(data("note", `a&lt;b&gt;&amp;&quot;c&quot;&#13;&#10;&#9;`))},
		{"attributes", `{"order":{"@version":2,"@priority":true,"@lang":"de","id":1}}`,
			`<n0:Place xmlns:n0="urn:shop"><n0:order version="2" priority="true" xml:lang="de"><n1:id xmlns:n1="urn:data">1</n1:id></n0:order></n0:Place>`},
		{"group", order(`,"placed":"2026-01-02T03:04:05Z","due":"2026-01-02"`),
			orderXML(data("placed", "2026-01-02T03:04:05Z") + data("due", "2026-01-02"))},
		{"list of one", order(`,"item":[{"sku":"AB1","price":{"@currency":"EUR","#text":1}}]`),
			orderXML(`<n1:item xmlns:n1="urn:data"><n1:sku>AB1</n1:sku><n1:price currency="EUR">1</n1:price></n1:item>`)},
		{"recursion", order(`,"item":[{"sku":"AB1","price":{"@currency":"EUR","#text":1},"part":[{"sku":"CD2","price":{"@currency":"X","#text":2}}]}]`),
			orderXML(`<n1:item xmlns:n1="urn:data"><n1:sku>AB1</n1:sku><n1:price currency="EUR">1</n1:price>` +
				`<n1:part><n1:sku>CD2</n1:sku><n1:price currency="X">2</n1:price></n1:part></n1:item>`)},
		{"choice, first", order(`,"card":{"number":"4","cvc":"1"}`), orderXML(`<n1:card xmlns:n1="urn:data"><n1:number>4</n1:number><n1:cvc>1</n1:cvc></n1:card>`)},
		{"choice, second", order(`,"iban":"DE","holder":"Ada"`), orderXML(data("iban", "DE") + data("holder", "Ada"))},
		{"derived", order(`,"pet":[{"@xsi:type":"Cat","name":"Tom","lives":9},{"@xsi:type":"Dog","@breed":"Pug","name":"Rex"}]`),
			orderXML(`<n1:pet xmlns:n1="urn:data" xsi:type="n1:Cat"><n1:name>Tom</n1:name><n1:lives>9</n1:lives></n1:pet>` +
				`<n1:pet xmlns:n1="urn:data" xsi:type="n1:Dog" breed="Pug"><n1:name>Rex</n1:name></n1:pet>`)},
		{"substitution", order(`,"square":4`), orderXML(data("square", "4"))},
		{"enumeration", order(`,"state":"open"`), orderXML(data("state", "open"))},
		{"list type", order(`,"tags":["a","b"]`), orderXML(data("tags", "a b"))},
		{"base64", order(`,"data":"AAEC"`), orderXML(data("data", "AAEC"))},
		{"float", order(`,"weight":1.5e3`), orderXML(data("weight", "1.5e3"))},
		{"infinity", order(`,"weight":"INF"`), orderXML(data("weight", "INF"))},
		{"anyType", order(`,"more":{"@a":"1","b":["x","y"],"c":{"d":"z"}}`),
			orderXML(`<n1:more xmlns:n1="urn:data" a="1"><n1:b>x</n1:b><n1:b>y</n1:b><n1:c><n1:d>z</n1:d></n1:c></n1:more>`)},
		{"anyType, text", order(`,"more":"words"`), orderXML(data("more", "words"))},
		{"union, number", order(`,"size":5`), orderXML(data("size", "5"))},
		{"union, word", order(`,"size":"small"`), orderXML(data("size", "small"))},
		{"any", order(`,"extra":{"@xmlns":"urn:x","v":"1"}`), orderXML(`<n1:extra xmlns:n1="urn:x"><n1:v>1</n1:v></n1:extra>`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := port.Operation("Place").Input
			xml, err := write(m, test.json)
			if err != nil || xml != test.xml {
				t.Errorf("%s\nis written as\n%s\nwant\n%s\n%v", test.json, xml, test.xml, err)
			}
			text, err := read(m, test.xml)
			if err != nil || text != test.json {
				t.Errorf("%s\nis read as\n%s\nwant\n%s\n%v", test.xml, text, test.json, err)
			}
		})
	}
}

// Names in values are looked up among the prefixes in force, so those are bounded.
func TestTooManyPrefixes(t *testing.T) {
	var open, end strings.Builder
	for i := range 6 {
		fmt.Fprintf(&open, "<e%d", i)
		for k := range 200 {
			fmt.Fprintf(&open, ` xmlns:p%d-%d="u"`, i, k)
		}
		open.WriteByte('>')
		end.WriteString(fmt.Sprintf("</e%d>", 5-i))
	}
	_, err := read(shop(t).Operation("Place").Input, orderXML(data("more", open.String()+end.String())))
	if !errors.Is(err, errScopes) {
		t.Error(err)
	}
}

func TestOtherShapes(t *testing.T) {
	port := shop(t)
	for _, test := range []struct{ operation, json, xml string }{
		{"Ping", `{}`, `<n0:Empty xmlns:n0="urn:shop"></n0:Empty>`},
		{"Bare", `7`, `<n0:Bare xmlns:n0="urn:shop">7</n0:Bare>`},
		{"Call", `{"who":"Ada","order":{"@version":1,"id":2}}`,
			`<n0:Call xmlns:n0="urn:shop"><who>Ada</who><order version="1"><n1:id xmlns:n1="urn:data">2</n1:id></order></n0:Call>`},
	} {
		m := port.Operation(test.operation).Input
		xml, err := write(m, test.json)
		if err != nil || xml != test.xml {
			t.Errorf("%s is written as\n%s, want\n%s (%v)", test.operation, xml, test.xml, err)
		}
		if text, err := read(m, test.xml); err != nil || text != test.json {
			t.Errorf("%s is read as %s, want %s (%v)", test.operation, text, test.json, err)
		}
	}
}

func TestWhatDoesNotFitIsNamed(t *testing.T) {
	port := shop(t)
	for _, test := range []struct{ json, want string }{
		{`{`, `not valid JSON`},
		{"\"\xff\"", `not valid UTF-8`},
		{`[]`, "must be an object, not a list"},
		{`{}`, "`order` is missing"},
		{`{"order":null}`, "`order` must not be null"},
		{`{"order":{"id":1}}`, "`order.@version` is missing"},
		{`{"order":{"@version":1,"id":1,"id":2}}`, "`order.id` stands twice"},
		{`{"order":{"@version":"x","id":1}}`, "`order.@version` `x` is no int"},
		{order(`,"item":[{"SKU":"AB1","price":{"@currency":"EUR","#text":1}}]`), "`order.item[0].SKU` is unknown, did you mean `sku`?"},
		{order(`,"item":[{"sku":"AB1","price":{"currency":"EUR","#text":1}}]`), "`order.item[0].price.currency` is unknown, did you mean `@currency`?"},
		{order(`,"note":5`), "`order.note` must be a string, not a number"},
		{order(`,"note":"\u0001"`), "`order.note` holds a character that XML cannot carry"},
		{order(`,"placed":"yesterday"`), "`order.placed` `yesterday` is no dateTime"},
		{order(`,"item":[{"sku":"AB1","price":{"@currency":"EUR","#text":1}},{"sku":"AB1"}]`), "`order.item[1].price` is missing"},
		{order(`,"item":[{"sku":"AB1","price":1}]`), "`order.item[0].price.@currency` is missing"},
		{order(`,"item":[{"sku":"ab","price":{"@currency":"EUR","#text":1}}]`), "`order.item[0].sku` `ab` does not match the pattern"},
		{order(`,"item":[{"sku":"AB12345","price":{"@currency":"EUR","#text":1}}]`), "`order.item[0].sku` has the length 7, more than 6"},
		{order(`,"item":[{"sku":"AB1","price":{"@currency":"EUR","#text":"x"}}]`), "`order.item[0].price.#text` `x` is no decimal"},
		{order(`,"card":{"number":"1"},"iban":"DE","holder":"Ada"`), "`order.card` cannot stand beside"},
		{order(`,"iban":"DE"`), "`order.holder` is missing"},
		{order(`,"pet":[{"name":"Tom"}]`), "`order.pet[0].@xsi:type` is missing"},
		{order(`,"pet":[{"@xsi:type":"Cow","name":"Tom"}]`), "`order.pet[0].@xsi:type` `Cow` is not derived from `Animal`"},
		{order(`,"pet":[{"@xsi:type":"Dog","name":"1"},{"@xsi:type":"Dog","name":"1"},{"@xsi:type":"Dog","name":"1"},{"@xsi:type":"Dog","name":"1"}]`), "`order.pet` may stand at most 3 times"},
		{order(`,"state":"ajar"`), "`order.state` `ajar` is not one of open, shut"},
		{order(`,"tags":5`), "`order.tags` must be a list, not a number"},
		{order(`,"data":"%"`), "`order.data` `%` is no base64Binary"},
		{order(`,"size":"large"`), "`order.size` is none of the types"},
		{order(`,"more":{"a b":"1"}`), "`order.more.a b` cannot be the name of an element"},
		{`{"order":{"@version":1,"id":9223372036854775808}}`, "`order.id` `9223372036854775808` is more than a long may be"},
		{`{"order":{"@version":1,"id":1.5}}`, "`order.id` `1.5` is no long"},
		{`{"order":{"@version":1,"id":[1]}}`, "`order.id` must not be a list"},
		{strings.Repeat("[", 200) + strings.Repeat("]", 200), "inside each other"},
	} {
		_, err := write(port.Operation("Place").Input, test.json)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.json, err, test.want)
		}
	}
}

func TestAnswersThatDoNotFit(t *testing.T) {
	port := shop(t)
	place := func(inner string) string {
		return `<s:Place xmlns:s="urn:shop" xmlns="urn:data">` + inner + `</s:Place>`
	}
	one := func(inner string) string {
		return place(`<s:order version="2"><id>1</id>` + inner + `</s:order>`)
	}
	for _, test := range []struct{ xml, want string }{
		{``, "Body is empty"},
		{`<Place/>`, "is of the namespace"},
		{`<s:Other xmlns:s="urn:shop"/>`, "stands where `Place` must"},
		{place(``), "`Place.order` is missing"},
		{place(`<s:order version="2"><id>1</id>`), "not well-formed"},
		{place(`<s:order><id>1</id></s:order>`), "`Place.order.@version` is missing"},
		{place(`<s:order version="x"><id>1</id></s:order>`), "`Place.order.@version` `x` is no int"},
		{place(`<s:order version="1"><id>one</id></s:order>`), "`Place.order.id` `one` is no long"},
		{place(`<s:order version="1"><id>1</id><id>2</id></s:order>`), "`Place.order.id` "},
		{place(`<s:order version="1"><x:id xmlns:x="urn:x">1</x:id></s:order>`), "`Place.order.id` is "},
		{place(`<x:order xmlns:x="urn:x" version="1"/>`), "`Place.order` is of the namespace `urn:x`, not of `urn:shop`"},
		{one(`text`), "holds text"},
		{one(`<note><b/></note>`), "`Place.order.note.b` is unknown"},
		{one(`<pet><name>Tom</name></pet>`), "has no xsi:type"},
		{one(`<pet xsi:type="Order"><name>Tom</name></pet>`), "not derived from `Animal`"},
		{one(`<state>ajar</state>`), "`Place.order.state` `ajar` is not one of"},
		{one(`<card><number>1</number></card><iban>1</iban><holder>x</holder>`), "cannot stand beside"},
		{one(``) + `<more/>`, "more stands in the Body"},
		{one(strings.Repeat("<x>", 200) + strings.Repeat("</x>", 200)), "inside each other"},
		{one(`<note>&bomb;</note>`), "not well-formed"},
	} {
		text, err := read(port.Operation("Place").Input, test.xml)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v %s, want %s", test.xml, err, text, test.want)
		}
	}
}

// What toolkits write in their own ways is understood.
func TestLenience(t *testing.T) {
	port := shop(t)
	for _, test := range []struct{ xml, want string }{
		{`<s:Place xmlns:s="urn:shop" xmlns:d="urn:data"><order version="1"><d:state>open</d:state><d:id> 1 </d:id></order></s:Place>`,
			`{"order":{"@version":1,"id":1,"state":"open"}}`},
		{`<s:Place xmlns:s="urn:shop"><s:order version="1"><s:id>1</s:id><s:pet xsi:type="Dog"><s:name>Rex</s:name></s:pet></s:order></s:Place>`,
			`{"order":{"@version":1,"id":1,"pet":[{"@xsi:type":"Dog","name":"Rex"}]}}`},
		{`<s:Place xmlns:s="urn:shop" xmlns:d="urn:data"><!-- c --><s:order version="+01" id="x"><d:id>007</d:id><d:note>a<!-- c -->b<![CDATA[<c>]]></d:note></s:order></s:Place>`,
			`{"order":{"@version":1,"id":7,"note":"ab<c>"}}`},
	} {
		if text, err := read(port.Operation("Place").Input, test.xml); err != nil || text != test.want {
			t.Errorf("%s is read as %s, want %s (%v)", test.xml, text, test.want, err)
		}
	}
}

package soap

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"testing"
)

// What is written is well-formed XML, and read again it is JSON that is written the same.
func FuzzJSONToXML(f *testing.F) {
	port := shop(f)
	for _, seed := range []string{
		order(`,"note":null,"item":[{"sku":"AB1","price":{"@currency":"EUR","#text":1}}]`), order(`,"pet":[{"@xsi:type":"Cat","name":"Tom","lives":9}]`),
		order(`,"more":{"a":[1,{"b":null}]},"x":{"@xmlns":"urn:x"}`), order(`,"tags":["a"],"size":5,"card":{"number":"1"}`), `{`, `[[[]]]`,
	} {
		f.Add(seed)
	}
	m := port.Operation("Place").Input
	f.Fuzz(func(t *testing.T, text string) {
		first, err := write(m, text)
		if err != nil {
			return
		}
		wrapped := `<e xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` + first + `</e>`
		d := xml.NewDecoder(bytes.NewReader([]byte(wrapped)))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s\n%s\n%v", text, first, err)
			}
		}
		back, err := read(m, first)
		if err != nil {
			t.Skip(err) // anyType holds what the schema around it may refuse to read: a nil, a name twice
		}
		second, err := write(m, back)
		if err != nil {
			t.Fatalf("%s\n%s\n%s\n%v", text, first, back, err)
		}
		if third, err := read(m, second); err != nil || third != back {
			t.Fatalf("%s\n%s\n%s\n%s\n%v", text, first, back, third, err)
		}
	})
}

// Whatever a service answers, it is refused or it is valid JSON.
func FuzzEnvelope(f *testing.F) {
	port := shop(f)
	for _, seed := range []string{
		`<e:Envelope xmlns:e="` + envelope11 + `"><e:Header><a e:mustUnderstand="1"/></e:Header><e:Body>` + orderXML(data("id", "1")) + `</e:Body></e:Envelope>`,
		`<e:Envelope xmlns:e="` + envelope12 + `"><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value></e:Code><e:Reason><e:Text>x</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>`,
		`<e:Envelope xmlns:e="` + envelope11 + `"><e:Body><e:Fault><faultcode>e:Client</faultcode><detail><a b="c">d<e/></a></detail></e:Fault></e:Body></e:Envelope>`,
		`<!DOCTYPE a><a/>`,
	} {
		f.Add([]byte(seed))
	}
	m := port.Operation("Place").Input
	f.Fuzz(func(t *testing.T, text []byte) {
		r := new(reader)
		start, err := r.open(text)
		if err != nil {
			return
		}
		var b []byte
		if isFault(start.Name.Space, start.Name.Local) {
			found, err := r.fault(start, nil)
			if err != nil || r.finish() != nil {
				return
			}
			b = r.problem(nil, found, "id")
		} else {
			roots, err := r.message(m, start)
			if err != nil {
				return
			}
			b = r.showMessage(nil, m, roots)
		}
		if !json.Valid(b) {
			t.Fatalf("%s", b)
		}
	})
}

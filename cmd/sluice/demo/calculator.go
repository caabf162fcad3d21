package demo

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
)

// calculator speaks SOAP 1.1 and 1.2 as calculator.wsdl says, and on /sums/{a}/{b} plain JSON.
func calculator() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /calculator", calculate)
	mux.HandleFunc("GET /sums/{a}/{b}", func(w http.ResponseWriter, r *http.Request) {
		a, okA := number(r.PathValue("a"))
		b, okB := number(r.PathValue("b"))
		if !okA || !okB {
			http.Error(w, "two numbers, please", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(json.Number(decimal(a.Add(a, b))))
	})
	return mux
}

// maxEnvelope is what the calculator reads of a call.
const maxEnvelope = 1 << 20

type sum struct {
	A    string `xml:"a"`
	B    string `xml:"b"`
	Item []struct {
		Value string `xml:",chardata"`
	} `xml:"item"`
}

type call struct {
	XMLName xml.Name
	Body    struct {
		Add    *sum `xml:"urn:sluice:calculator Add"`
		Divide *sum `xml:"urn:sluice:calculator Divide"`
		Sum    *sum `xml:"urn:sluice:calculator Sum"`
	}
}

func calculate(w http.ResponseWriter, r *http.Request) {
	var c call
	if err := xml.NewDecoder(io.LimitReader(r.Body, maxEnvelope)).Decode(&c); err != nil {
		soapFault(w, c, "not an envelope", "")
		return
	}
	switch {
	case c.Body.Add != nil:
		if a, b, ok := c.Body.Add.numbers(); ok {
			soapAnswer(w, c, "Add", "<result>"+decimal(a.Add(a, b))+"</result>")
			return
		}
	case c.Body.Divide != nil:
		a, b, ok := c.Body.Divide.numbers()
		if ok && b.Sign() == 0 {
			soapFault(w, c, "division by zero", `<DivideFault xmlns="urn:sluice:calculator"><a>`+decimal(a)+`</a></DivideFault>`)
			return
		}
		if ok {
			soapAnswer(w, c, "Divide", "<result>"+decimal(a.Quo(a, b))+"</result>")
			return
		}
	case c.Body.Sum != nil:
		if total, ok := c.Body.Sum.total(); ok {
			soapAnswer(w, c, "Sum", fmt.Sprintf("<total>%s</total><count>%d</count>", decimal(total), len(c.Body.Sum.Item)))
			return
		}
	}
	soapFault(w, c, "an operation and its numbers, please", "")
}

func (s *sum) numbers() (a, b *big.Rat, ok bool) {
	a, okA := number(s.A)
	b, okB := number(s.B)
	return a, b, okA && okB
}

func (s *sum) total() (*big.Rat, bool) {
	total := new(big.Rat)
	for _, item := range s.Item {
		n, ok := number(item.Value)
		if !ok {
			return nil, false
		}
		total.Add(total, n)
	}
	return total, true
}

// number reads a decimal of a length that is no burden.
func number(text string) (*big.Rat, bool) {
	if len(text) > 100 || strings.ContainsAny(text, "/eExXpP_") {
		return nil, false
	}
	return new(big.Rat).SetString(strings.TrimSpace(text))
}

// decimal writes up to 20 digits after the point, as many as it takes.
func decimal(n *big.Rat) string {
	if n.IsInt() {
		return n.Num().String()
	}
	return strings.TrimRight(n.FloatString(20), "0")
}

const envelope12 = "http://www.w3.org/2003/05/soap-envelope"

func soapAnswer(w http.ResponseWriter, c call, operation, inner string) {
	writeEnvelope(w, c, http.StatusOK, fmt.Sprintf(`<%sResponse xmlns="urn:sluice:calculator">%s</%[1]sResponse>`, operation, inner))
}

func soapFault(w http.ResponseWriter, c call, reason, detail string) {
	if c.XMLName.Space == envelope12 {
		writeEnvelope(w, c, http.StatusBadRequest, `<e:Fault><e:Code><e:Value>e:Sender</e:Value></e:Code><e:Reason><e:Text xml:lang="en">`+reason+
			`</e:Text></e:Reason><e:Detail>`+detail+`</e:Detail></e:Fault>`)
		return
	}
	writeEnvelope(w, c, http.StatusInternalServerError, `<e:Fault><faultcode>e:Client</faultcode><faultstring>`+reason+
		`</faultstring><detail>`+detail+`</detail></e:Fault>`)
}

func writeEnvelope(w http.ResponseWriter, c call, status int, body string) {
	space, kind := "http://schemas.xmlsoap.org/soap/envelope/", "text/xml; charset=utf-8"
	if c.XMLName.Space == envelope12 {
		space, kind = envelope12, "application/soap+xml; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	fmt.Fprintf(w, `<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>`, space, body)
}

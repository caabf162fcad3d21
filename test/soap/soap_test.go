// Package soap_test carries calls between JSON and SOAP through a whole gateway: first with services and clients written
// here, then (npm_test.go) with those of an independent implementation.
package soap_test

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const calculator = "../../examples/calculator.wsdl"

// service answers every call with what the test says, and keeps what it was sent.
type service struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request)
	got    http.Header
	method string
	uri    string
	body   string
	calls  atomic.Int64
}

func newService(t *testing.T) *service {
	s := new(service)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		body, _ := io.ReadAll(r.Body)
		s.got, s.method, s.uri, s.body = r.Header.Clone(), r.Method, r.RequestURI, string(body)
		s.answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) says(status int, kind, body string) {
	s.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

const env11 = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>%s</s:Body></s:Envelope>`
const env12 = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>%s</s:Body></s:Envelope>`

func envelope(body string) string { return fmt.Sprintf(env11, body) }

func start(t *testing.T, s *service, filters, translate string) string {
	g := gatewaytest.Start(t, fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
routes:
  - name: calc
    match: {path: /calc/*}
    filters: [%s]
    service: calc
    retry: off
    translate: %s
services: [{name: calc, endpoints: [{url: "%s"}]}]
consumers: [{name: ada, credentials: [{key: sesame}]}]
`, filters, translate, s.URL))
	return "http://" + g.Addr("public")
}

func call(t *testing.T, method, url, kind, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

const added = `<AddResponse xmlns="urn:sluice:calculator"><result>3.50</result></AddResponse>`

func TestJSONToSOAP(t *testing.T) {
	s := newService(t)
	url := start(t, s, "", `{soap: {wsdl: `+calculator+`}, openapi: /calc/openapi.json}`)
	s.says(200, "text/xml", envelope(added))
	res, body := call(t, "POST", url+"/calc/Add", "application/json", `{"b": 2.50, "a": 1}`, "If-None-Match", `"x"`)
	if res.StatusCode != 200 || body != `{"result":3.50}` || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %s %s", res.StatusCode, res.Header, body)
	}
	if s.method != "POST" || s.uri != "/calculator" || s.got.Get("SOAPAction") != `"urn:sluice:calculator#Add"` ||
		s.got.Get("Content-Type") != "text/xml; charset=utf-8" || s.got.Get("If-None-Match") != "" {
		t.Errorf("%s %s %v", s.method, s.uri, s.got)
	}
	if want := `<n0:Add xmlns:n0="urn:sluice:calculator"><n0:a>1</n0:a><n0:b>2.50</n0:b></n0:Add>`; !strings.Contains(s.body, want) {
		t.Errorf("the service got %s", s.body)
	}
	if res, body = call(t, "GET", url+"/calc/Add?a=1&b=2", "", ""); res.StatusCode != 200 || body != `{"result":3.50}` {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	_, body = call(t, "GET", url+"/calc/openapi.json", "", "")
	if err := json.Unmarshal([]byte(body), &document); err != nil || document.OpenAPI != "3.1.0" {
		t.Fatal(err, body)
	}
	if add := document.Paths["/calc/Add"]; add["post"] == nil || add["get"] == nil || document.Paths["/calc/Sum"]["get"] != nil {
		t.Errorf("the document is %s", body)
	}
}

func TestJSONThatDoesNotFit(t *testing.T) {
	s := newService(t)
	url := start(t, s, "", `{soap: {wsdl: `+calculator+`, messageBytes: 1KiB}}`)
	s.says(200, "text/xml", envelope(added))
	for _, test := range []struct {
		method, path, kind, body string
		status                   int
		want                     string
	}{
		{"POST", "/calc/Add", "application/json", `{"a":1}`, 400, "'b' is missing"},
		{"POST", "/calc/Add", "application/json", `{"a":1,"b":"x"}`, 400, "'b' 'x' is no decimal"},
		{"POST", "/calc/Add", "application/json", `{"a":1,"b":2,"c":3}`, 400, "'c' is unknown"},
		{"POST", "/calc/Add", "application/json", `{"a":1,`, 400, "not valid JSON"},
		{"POST", "/calc/Add", "application/json", ``, 400, "'a' is missing"},
		{"POST", "/calc/Add", "text/plain", `{}`, 415, "application/json"},
		{"POST", "/calc/Add", "application/json", strings.Repeat(" ", 2000), 413, "over the limit of 1024 bytes"},
		{"POST", "/calc/Sum", "application/json", `{"item":[{"#text":1},{"label":"x"}]}`, 400, "'item[1].label' is unknown"},
		{"GET", "/calc/Add?a=1&b=%zz", "", "", 400, "query is not well-formed"},
		{"GET", "/calc/Add?a=1&a=2&b=1", "", "", 400, "'a' must not be a list"},
		{"GET", "/calc/Sum?item=1", "", "", 405, "called by POST"},
		{"DELETE", "/calc/Add", "", "", 405, "called by GET, HEAD, POST"},
		{"POST", "/calc/Multiply", "application/json", `{}`, 404, "no operation 'Multiply'"},
		{"POST", "/calc/Add/more", "application/json", `{}`, 404, "no operation"},
		{"POST", "/calc", "application/json", `{}`, 404, "no operation"},
	} {
		res, body := call(t, test.method, url+test.path, test.kind, test.body)
		if res.StatusCode != test.status || !strings.Contains(body, test.want) || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s %s: %d %s", test.method, test.path, test.body, res.StatusCode, body)
		}
		if allow := res.Header.Get("Allow"); (res.StatusCode == 405) != (allow != "") {
			t.Errorf("%s %s: Allow %q", test.method, test.path, allow)
		}
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("the service was asked %d times", n)
	}
}

func TestFaultsAreProblems(t *testing.T) {
	s := newService(t)
	url := start(t, s, "", `{soap: {wsdl: `+calculator+`}}`)
	for _, test := range []struct {
		body   string
		status int
		want   string
	}{
		{envelope(`<s:Fault><faultcode>s:Client</faultcode><faultstring>by zero</faultstring><detail><DivideFault xmlns="urn:sluice:calculator"><a>1</a></DivideFault></detail></s:Fault>`),
			400, `"fault":{"code":"Client","reason":"by zero","detail":{"DivideFault":{"a":1}}}`},
		{envelope(`<s:Fault><faultcode>s:Server</faultcode><faultstring>down</faultstring><faultactor>urn:me</faultactor></s:Fault>`),
			500, `"fault":{"code":"Server","reason":"down","actor":"urn:me"}`},
		{envelope(`<s:Fault><faultcode xmlns:x="urn:x">x:Odd</faultcode><faultstring/><detail>words<y a="1">z</y></detail></s:Fault>`),
			500, `"fault":{"code":"{urn:x}Odd","detail":{"y":{"@a":"1","#text":"z"}}}`},
		{envelope(`<s:Fault><faultcode>s:MustUnderstand</faultcode><faultstring>?</faultstring></s:Fault>`), 502, `"code":"MustUnderstand"`},
		{envelope(`<s:Fault><faultcode>s:Client</faultcode><faultstring>x</faultstring><detail><DivideFault xmlns="urn:sluice:calculator"><a>no number</a></DivideFault></detail></s:Fault>`),
			400, `"DivideFault":{`},
		{fmt.Sprintf(env12, `<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>s:Deep</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">no</s:Text></s:Reason></s:Fault>`),
			400, `"fault":{"code":"Sender","subcode":"Deep","reason":"no"}`},
	} {
		s.says(500, "text/xml", test.body)
		res, body := call(t, "POST", url+"/calc/Divide", "application/json", `{"a":1,"b":0}`)
		if res.StatusCode != test.status || !strings.Contains(body, test.want) || !json.Valid([]byte(body)) ||
			res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s\n%d %s", test.body, res.StatusCode, body)
		}
	}
}

func TestBadAnswersOfTheService(t *testing.T) {
	s := newService(t)
	url := start(t, s, "", `{soap: {wsdl: `+calculator+`, messageBytes: 4KiB}}`)
	for _, test := range []struct {
		name   string
		status int
		kind   string
		body   string
		want   int
		detail string
	}{
		{"HTML", 404, "text/html", "<html>secret</html>", 502, "status 404 and no SOAP envelope"},
		{"JSON", 200, "application/json", `{"result":1}`, 502, "status 200 and no SOAP envelope"},
		{"nothing", 200, "text/xml", "", 502, "no SOAP envelope"},
		{"redirect", 302, "text/xml", "<a/>", 502, "status 302"},
		{"busy", 503, "text/html", "", 503, "status 503"},
		{"half", 200, "text/xml", envelope(added)[:100], 502, "not well-formed XML"},
		{"no end", 200, "text/xml", strings.TrimSuffix(envelope(added), "</s:Envelope>"), 502, "ends too early"},
		{"more after it", 200, "text/xml", envelope(added) + "<x/>", 502, "second root"},
		{"doctype", 200, "text/xml", `<!DOCTYPE x [<!ENTITY a "b">]>` + envelope(added), 502, "DOCTYPE"},
		{"entity", 200, "text/xml", envelope(`<AddResponse xmlns="urn:sluice:calculator"><result>&a;</result></AddResponse>`), 502, "not well-formed"},
		{"another element", 200, "text/xml", envelope(`<SumResponse xmlns="urn:sluice:calculator"/>`), 502, "'SumResponse' stands where 'AddResponse' must"},
		{"another namespace", 200, "text/xml", envelope(`<AddResponse xmlns="urn:other"><result>1</result></AddResponse>`), 502, "is of the namespace 'urn:other'"},
		{"a word", 200, "text/xml", envelope(`<AddResponse xmlns="urn:sluice:calculator"><result>many</result></AddResponse>`), 502, "'AddResponse.result' 'many' is no decimal"},
		{"nothing in it", 200, "text/xml", envelope(`<AddResponse xmlns="urn:sluice:calculator"/>`), 502, "'AddResponse.result' is missing"},
		{"empty Body", 200, "text/xml", envelope(``), 502, "the Body is empty"},
		{"no envelope", 200, "text/xml", `<a/>`, 502, "not a SOAP Envelope"},
		{"unknown SOAP", 200, "text/xml", `<Envelope xmlns="urn:soap9"/>`, 502, "unknown version of SOAP"},
		{"500 without a fault", 500, "text/xml", envelope(added), 502, "status is 500 and it holds no fault"},
		{"too deep", 200, "text/xml", envelope(`<AddResponse xmlns="urn:sluice:calculator"><result>` + strings.Repeat("<a>", 300)), 502, "is unknown"},
		{"too large", 200, "text/xml", envelope(added + strings.Repeat(" ", 5000)), 502, "over the limit of 4096 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.says(test.status, test.kind, test.body)
			res, body := call(t, "POST", url+"/calc/Add", "application/json", `{"a":1,"b":2}`)
			if res.StatusCode != test.want || !strings.Contains(body, test.detail) || strings.Contains(body, "secret") {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
	t.Run("broken off", func(t *testing.T) {
		s.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml")
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, envelope(added))
			panic(http.ErrAbortHandler)
		}
		res, body := call(t, "POST", url+"/calc/Add", "application/json", `{"a":1,"b":2}`)
		if res.StatusCode != 502 || strings.Contains(body, "result") {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	})
}

func TestSecurityAndHeaders(t *testing.T) {
	s := newService(t)
	s.says(200, "application/soap+xml", fmt.Sprintf(env12, added))
	url := start(t, s, "", `{soap: {wsdl: `+calculator+`, port: Calculator12, path: "/other?x=1", headers: ['<t:Tenant xmlns:t="urn:t">blue</t:Tenant>'], usernameToken: {username: "a&b", password: "p<w"}}}`)
	res, body := call(t, "POST", url+"/calc/Add", "application/json", `{"a":1,"b":2}`)
	if res.StatusCode != 200 || body != `{"result":3.50}` {
		t.Fatal(res.StatusCode, body)
	}
	if s.got.Get("Content-Type") != `application/soap+xml; charset=utf-8; action="urn:sluice:calculator#Add"` || s.got.Get("SOAPAction") != "" || s.uri != "/other?x=1" {
		t.Errorf("%s %v", s.uri, s.got)
	}
	if !strings.Contains(s.body, `<soapenv:Header><t:Tenant xmlns:t="urn:t">blue</t:Tenant><wsse:Security`) || !strings.Contains(s.body, `<wsse:Username>a&amp;b</wsse:Username>`) {
		t.Error(s.body)
	}
	digest := regexp.MustCompile(`#PasswordDigest">([^<]+)</wsse:Password><wsse:Nonce EncodingType="[^"]+#Base64Binary">([^<]+)</wsse:Nonce><wsu:Created>([^<]+)<`).FindStringSubmatch(s.body)
	if digest == nil || strings.Contains(s.body, "p&lt;w") {
		t.Fatal(s.body)
	}
	nonce, err := base64.StdEncoding.DecodeString(digest[2])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum([]byte(string(nonce) + digest[3] + "p<w"))
	if want := base64.StdEncoding.EncodeToString(sum[:]); digest[1] != want {
		t.Errorf("the digest is %s, want %s", digest[1], want)
	}
	first := digest[2]
	call(t, "POST", url+"/calc/Add", "application/json", `{"a":1,"b":2}`)
	if strings.Contains(s.body, first) {
		t.Error("two calls have one nonce")
	}
}

func TestSOAPItselfPassesUntouched(t *testing.T) {
	s := newService(t)
	s.says(200, "text/xml", envelope(added))
	url := start(t, s, "", `{soap: {wsdl: `+calculator+`}}`)
	res, body := call(t, "POST", url+"/calc/anything?x", "text/xml; charset=utf-8", "<whatever", "SOAPAction", "mine")
	if res.StatusCode != 200 || body != envelope(added) || s.body != "<whatever" || s.uri != "/calc/anything?x" || s.got.Get("SOAPAction") != "mine" {
		t.Errorf("%d %s; %s %s", res.StatusCode, body, s.uri, s.body)
	}
}

func TestPasswordAsText(t *testing.T) {
	s := newService(t)
	s.says(200, "text/xml", envelope(added))
	url := start(t, s, "", `{soap: {wsdl: `+calculator+`, usernameToken: {username: a, password: "p<w", type: text, mustUnderstand: false}}}`)
	call(t, "POST", url+"/calc/Add", "application/json", `{"a":1,"b":2}`)
	if !strings.Contains(s.body, `#PasswordText">p&lt;w</wsse:Password>`) || strings.Contains(s.body, "mustUnderstand") {
		t.Error(s.body)
	}
}

const rest = `{soap: {wsdl: ` + calculator + `, rest: {operations: {
  Divide: {method: GET, path: "/divide/{a}?by={b}", answer: result},
  Sum: {method: PUT, path: "/sums", body: item}}}}}`

func TestSOAPToREST(t *testing.T) {
	s := newService(t)
	url := start(t, s, "", rest)
	for _, version := range []struct{ kind, envelope string }{{"text/xml", env11}, {"application/soap+xml; charset=utf-8", env12}} {
		soap := func(body string) string { return fmt.Sprintf(version.envelope, body) }
		s.says(200, "application/json", `{"result": 12345678901234567890.10, "more": true}`)
		res, body := call(t, "POST", url+"/calc", version.kind, soap(`<Add xmlns="urn:sluice:calculator"><a>1</a><b>2</b></Add>`), "SOAPAction", `"urn:sluice:calculator#Add"`)
		if res.StatusCode != 200 || !strings.Contains(body, `<n0:AddResponse xmlns:n0="urn:sluice:calculator"><n0:result>12345678901234567890.10</n0:result></n0:AddResponse>`) ||
			!strings.HasPrefix(res.Header.Get("Content-Type"), strings.Split(version.kind, ";")[0]) {
			t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
		}
		if s.method != "POST" || s.uri != "/Add" || s.body != `{"a":1,"b":2}` || s.got.Get("SOAPAction") != "" || s.got.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s %v", s.method, s.uri, s.body, s.got)
		}
		s.says(200, "application/json", `4`)
		res, body = call(t, "POST", url+"/calc", version.kind, soap(`<Divide xmlns="urn:sluice:calculator"><a>-8.50</a><b>2</b></Divide>`))
		if res.StatusCode != 200 || !strings.Contains(body, "<n0:result>4</n0:result>") || s.method != "GET" || s.uri != "/divide/-8.50?by=2" || s.body != "" {
			t.Errorf("%d %s; %s %s %s", res.StatusCode, body, s.method, s.uri, s.body)
		}
		s.says(200, "application/json", `{"total":1,"count":1}`)
		call(t, "POST", url+"/calc", version.kind, soap(`<Sum xmlns="urn:sluice:calculator"><item label="x">1</item></Sum>`))
		if s.method != "PUT" || s.uri != "/sums" || s.body != `[{"@label":"x","#text":1}]` {
			t.Errorf("%s %s %s", s.method, s.uri, s.body)
		}
	}
	res, body := call(t, "GET", url+"/calc?wsdl", "", "")
	if res.StatusCode != 200 || !strings.Contains(body, `location="`+url+`/calc"`) || strings.Contains(body, "7110") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if res, _ = call(t, "GET", url+"/calc?xsd=7", "", ""); res.StatusCode != 404 {
		t.Error(res.StatusCode)
	}
	s.says(200, "application/json", `untouched`)
	if _, body = call(t, "POST", url+"/calc/any", "application/json", `mine`); body != "untouched" || s.body != "mine" {
		t.Errorf("%s %s", body, s.body)
	}
}

func TestFailuresAreFaults(t *testing.T) {
	add := `<Add xmlns="urn:sluice:calculator"><a>1</a><b>2</b></Add>`
	s := newService(t)
	s.says(200, "application/json", `{"result":3}`)
	guarded := start(t, s, "keyAuth: {}", rest)
	open := start(t, s, "", rest)
	down := newService(t)
	down.Close()
	gone := start(t, down, "", rest)
	const must = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header><x:A xmlns:x="urn:x" s:mustUnderstand="1"/></s:Header><s:Body/></s:Envelope>`
	for _, test := range []struct {
		name, url, body string
		answer          func()
		s11, s12        int
		code11, code12  string
		want            string
	}{
		{"401", guarded, add, nil, 401, 401, "Client", "Sender", "No credential"},
		{"502", gone, add, nil, 502, 502, "Server", "Receiver", "connection_refused"},
		{"unknown operation", open, `<Multiply/>`, nil, 500, 400, "Client", "Sender", "no operation &apos;Multiply&apos;"},
		{"does not fit", open, `<Add xmlns="urn:sluice:calculator"><a>x</a></Add>`, nil, 500, 400, "Client", "Sender", "Add.a"},
		{"half", open, `<Add`, nil, 500, 400, "Client", "Sender", "not well-formed"},
		{"404 of the service", open, add, func() {
			s.says(404, "application/problem+json", `{"title":"Gone","detail":"No such sum."}`)
		}, 500, 400, "Client", "Sender", "No such sum."},
		{"503 of the service", open, add, func() { s.says(503, "text/html", "<b>secret</b>") }, 503, 503, "Server", "Receiver", "status 503"},
		{"wrong type", open, add, func() { s.says(200, "application/json", `{"result":"many"}`) }, 502, 502, "Server", "Receiver", "is no decimal"},
		{"no JSON", open, add, func() { s.says(200, "text/html", `x`) }, 502, 502, "Server", "Receiver", "not application/json"},
		{"half JSON", open, add, func() { s.says(200, "application/json", `{"result":`) }, 502, 502, "Server", "Receiver", "not valid JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.says(200, "application/json", `{"result":3}`)
			if test.answer != nil {
				test.answer()
			}
			res, body := call(t, "POST", test.url+"/calc", "text/xml", fmt.Sprintf(env11, test.body))
			if res.StatusCode != test.s11 || !strings.Contains(body, `<faultcode>soapenv:`+test.code11+`</faultcode>`) || strings.Contains(body, "secret") {
				t.Errorf("1.1: %d %s", res.StatusCode, body)
			}
			if !strings.Contains(strings.ReplaceAll(body, "'", "&apos;"), test.want) {
				t.Errorf("%s does not tell of %s", body, test.want)
			}
			res, body = call(t, "POST", test.url+"/calc", "application/soap+xml", fmt.Sprintf(env12, test.body))
			if res.StatusCode != test.s12 || !strings.Contains(body, `<soapenv:Value>soapenv:`+test.code12+`</soapenv:Value>`) ||
				!strings.HasPrefix(res.Header.Get("Content-Type"), "application/soap+xml") {
				t.Errorf("1.2: %d %s", res.StatusCode, body)
			}
		})
	}
	if res, body := call(t, "POST", open+"/calc", "text/xml", must); res.StatusCode != 500 || !strings.Contains(body, "soapenv:MustUnderstand") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if res, body := call(t, "POST", open+"/calc", "text/xml", `<Envelope xmlns="urn:soap9"/>`); res.StatusCode != 500 || !strings.Contains(body, "soapenv:VersionMismatch") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestQueriesAndOnlyFields(t *testing.T) {
	s := newService(t)
	url := start(t, s, "", `{soap: {wsdl: `+calculator+`, rest: {operations: {Sum: {method: GET, path: /sums}, Divide: {path: "/divide/{a}"}}}}}`)
	s.says(200, "application/json", `{"total":1,"count":1}`)
	call(t, "POST", url+"/calc", "text/xml", envelope(`<Sum xmlns="urn:sluice:calculator"><item label="x y">1</item><item>2</item></Sum>`))
	if s.method != "GET" || s.uri != "/sums?item.%40label=x+y&item.%23text=1&item.%23text=2" || s.body != "" || s.got.Get("Content-Type") != "" {
		t.Errorf("%s %s %q", s.method, s.uri, s.body)
	}
	s.says(200, "application/json", ` 7`)
	res, body := call(t, "POST", url+"/calc", "text/xml", envelope(`<Divide xmlns="urn:sluice:calculator"><a>14</a><b>2</b></Divide>`))
	if res.StatusCode != 200 || !strings.Contains(body, "result>7</") || s.uri != "/divide/14" || s.body != `{"b":2}` {
		t.Errorf("%d %s; %s %s", res.StatusCode, body, s.uri, s.body)
	}
}

func TestOneWay(t *testing.T) {
	const shop = "../../backend/translate/soap/testdata/shop.wsdl"
	s := newService(t)
	s.says(202, "", "")
	url := start(t, s, "", `{soap: {wsdl: `+shop+`}}`)
	if res, body := call(t, "POST", url+"/calc/Notify", "application/json", `7`); res.StatusCode != 202 || body != "" || !strings.Contains(s.body, ">7</n0:Bare>") {
		t.Errorf("%d %s; %s", res.StatusCode, body, s.body)
	}
	s.says(200, "text/xml", envelope(""))
	if res, body := call(t, "POST", url+"/calc/Notify", "application/json", `7`); res.StatusCode != 202 || body != "" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	url = start(t, s, "", `{soap: {wsdl: `+shop+`, rest: {}}}`)
	s.says(204, "", "")
	res, body := call(t, "POST", url+"/calc", "text/xml", envelope(`<Bare xmlns="urn:shop">7</Bare>`), "SOAPAction", "urn:shop/Notify")
	if res.StatusCode != 202 || body != "" || s.uri != "/Notify" || s.body != "7" {
		t.Errorf("%d %s; %s %s", res.StatusCode, body, s.uri, s.body)
	}
	res, body = call(t, "GET", url+"/calc?xsd=1", "", "")
	if res.StatusCode != 200 || !strings.Contains(body, `schemaLocation="`+url+`/calc?xsd=2"`) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

package interop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/gatewaytest"
	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
)

const exampleServer = "github.com/grpc-ecosystem/grpc-gateway/v2/examples/internal/cmd/example-grpc-server"

// A question to grpc-gateway's example, asked of us. What its integration tests (examples/internal/integration of its
// module, v2.33.0) ask is here as data. want is a part of the JSON that is answered; lines of a stream are compared one
// by one. differs says why we answer otherwise than grpc-gateway does.
type question struct {
	test, method, path, body string
	header                   []string // name: value
	status                   int      // 0: 200
	want                     []string
	fields                   []string // name: value, of the answer's header; a value of * is any
	trailers                 []string
	differs                  string
}

const abe = "/v1/example/a_bit_of_everything"

var questions = []question{
	{test: "Echo", method: "POST", path: "/v1/example/echo/myid", body: "{}", want: []string{`{"id":"myid"}`}, fields: []string{"Content-Type: application/json"}},
	{test: "EchoOneof", method: "GET", path: "/v1/example/echo/myid/10/golang", want: []string{`{"id":"myid","num":"10","lang":"golang"}`}},
	{test: "EchoOneof1", method: "GET", path: "/v1/example/echo1/myid/10/golang", want: []string{`{"id":"myid","lineNum":"10","status":{"note":"golang"}}`}},
	{test: "EchoOneof2", method: "GET", path: "/v1/example/echo2/golang", want: []string{`{"no":{"note":"golang"}}`}},
	{test: "EchoPathParamOverwrite", method: "GET", path: "/v1/example/echo/resource/my_resource_id?resourceId=bad_resource_id", want: []string{`{"resourceId":"my_resource_id"}`}},
	{test: "EchoNested", method: "GET", path: "/v1/example/echo/nested/my_nested_id?n_id.val=foo", want: []string{`{"nId":{"nId":"my_nested_id","val":"foo"}}`}},
	{test: "EchoNestedOverride", method: "GET", path: "/v1/example/echo/nested/my_nested_id?nId.nId=bad_id", want: []string{`{"nId":{"nId":"my_nested_id"}}`}},
	{test: "EchoBody", method: "POST", path: "/v1/example/echo_body", body: `{"id":"example"}`, want: []string{`{"id":"example"}`},
		fields: []string{"Foo: foo1", "Bar: bar1"}, differs: "metadata is passed under its own name, not as Grpc-Metadata-Foo"},
	{test: "EchoBody, trailers", method: "POST", path: "/v1/example/echo_body", body: `{"id":"example"}`, header: []string{"TE: trailers"},
		fields: []string{"Grpc-Trailer-Foo: foo2", "Grpc-Trailer-Bar: bar2"}, differs: "a unary answer's trailers are known before its head, and stand there for every client"},
	{test: "EchoUnauthorized", method: "GET", path: "/v1/example/echo_unauthorized", status: 401, want: []string{`{"code":16}`}, fields: []string{"Www-Authenticate: *"}},
	{test: "EchoPatch", method: "PATCH", path: "/v1/example/echo_patch",
		body:    `{"struct_field":{"struct_key":{"layered_struct_key":"struct_val"}},"value_field":{"value_struct_key":"value_struct_val"}}`,
		want:    []string{`{"body":{"structField":{"struct_key":{"layered_struct_key":"struct_val"}},"valueField":{"value_struct_key":"value_struct_val"}},"updateMask":null}`},
		differs: "an update mask is the client's to send; google.api.http knows of no mask made of the body"},
	{test: "EchoNonASCIIHeader", method: "POST", path: "/v1/example/echo/myid", body: "{}", header: []string{"Grpc-Metadata-Location: Gjøvik"}, want: []string{`{"id":"myid"}`}},
	{test: "EchoInvalidHeaderKey", method: "POST", path: "/v1/example/echo/myid", body: "{}", header: []string{"Grpc-Metadata-Foo!: bar"}, want: []string{`{"id":"myid"}`}},
	{test: "ABECreate", method: "POST", body: "{}",
		path: abe + "/1.5/2.5/4294967296/separator/9223372036854775807/-2147483648/9223372036854775807/4294967295/true/strprefix/foo/4294967295/2147483647/-4611686018427387904/2147483647/4611686018427387903/camelCase/ZERO/ABC/GHI/ONE",
		want: []string{`{"floatValue":1.5,"doubleValue":2.5,"int64Value":"4294967296","uint64Value":"9223372036854775807","int32Value":-2147483648,"boolValue":true,"stringValue":"strprefix/foo","sint64Value":"4611686018427387903","nonConventionalNameValue":"camelCase","enumValue":"ZERO","pathEnumValue":"ABC","nestedPathEnumValue":"GHI","enumValueAnnotation":"ONE"}`}},
	{test: "ABECreateBody", method: "POST", path: abe,
		body: `{"floatValue":1.5,"int64Value":4294967296,"stringValue":"strprefix/foo","nested":[{"name":"bar","amount":10},{"name":"baz","amount":20}],"mapValue":{"a":1,"b":"ZERO"},"mappedStringValue":{"a":"x"},"mappedNestedValue":{"a":{"name":"x","amount":1}},"oneofString":"x","timestampValue":"2016-05-10T10:19:13.123Z","optionalStringValue":"strprefix/foo"}`,
		want: []string{`{"floatValue":1.5,"int64Value":"4294967296","stringValue":"strprefix/foo","nested":[{"name":"bar","amount":10},{"name":"baz","amount":20}],"mapValue":{"a":"ONE","b":"ZERO"},"mappedStringValue":{"a":"x"},"mappedNestedValue":{"a":{"name":"x","amount":1}},"oneofString":"x","timestampValue":"2016-05-10T10:19:13.123Z","optionalStringValue":"strprefix/foo"}`}},
	{test: "ABEBulkCreate", method: "POST", path: abe + "/bulk", body: strings.Repeat(`{"floatValue":1.5,"stringValue":"strprefix/foo","nested":[{"name":"hoge","amount":10}]}`+"\n", 5),
		want: []string{`{}`}, fields: []string{"Count: 5", "Grpc-Trailer-Foo: foo2"}, differs: "metadata and trailers as above"},
	{test: "ABEBulkCreateWithError", method: "POST", path: abe + "/bulk", header: []string{"Grpc-Metadata-error: some error"},
		body: strings.Repeat(`{"stringValue":"strprefix/foo"}`+"\n", 5), status: 400, want: []string{`{"code":3}`}},
	{test: "ABELookup", method: "GET", path: abe + "/{uuid}", want: []string{`{"uuid":"{uuid}","boolValue":true,"stringValue":"strprefix/example"}`}},
	{test: "ABEExists", method: "HEAD", path: abe + "/{uuid}"},
	{test: "ABEExistsNotFound", method: "HEAD", path: abe + "/not_exist", status: 404},
	{test: "ABELookupNotFound", method: "GET", path: abe + "/not_exist", status: 404, want: []string{`{"code":5,"message":"not found"}`},
		fields: []string{"Uuid: not_exist", "Grpc-Trailer-Foo: foo2"}, differs: "metadata and trailers as above"},
	{test: "ABEPatch", method: "PATCH", path: "/v2/example/a_bit_of_everything/{uuid}?updateMask=string_value", body: `{"string_value":"strprefix/foo"}`, want: []string{`{}`},
		differs: "the mask is sent, as above"},
	{test: "ABEPatchBody, mask", method: "PATCH", path: "/v2a/example/a_bit_of_everything/{uuid}", body: `{"abe":{"stringValue":"no","singleNested":{"amount":456}},"updateMask":"singleNested"}`, want: []string{`{}`}},
	{test: "ABEPatchBody, result", method: "GET", path: abe + "/{uuid}", want: []string{`{"stringValue":"strprefix/foo","singleNested":{"name":"","amount":456}}`}},
	{test: "ABEPatchBody, empty mask", method: "PATCH", path: "/v2a/example/a_bit_of_everything/{uuid}", body: `{"abe":{"stringValue":"new","singleNested":{"amount":456}},"updateMask":""}`, want: []string{`{}`}},
	{test: "ABEPatchBody, no mask", method: "PATCH", path: "/v2a/example/a_bit_of_everything/{uuid}", body: `{"abe":{"stringValue":"newer","singleNested":{"amount":657}}}`, want: []string{`{}`}},
	{test: "ABEList", method: "GET", path: abe, want: []string{`{"result":{}}`, "…"}, fields: []string{"Count: *"}, differs: "metadata as above"},
	{test: "ABEDownload", method: "GET", path: "/v1/example/download", want: []string{"Hello 1Hello 2"}, fields: []string{"Content-Type: text/html"},
		differs: "pieces of a file follow each other with nothing between them; grpc-gateway puts line ends there"},
	{test: "ABEBulkEcho", method: "POST", path: abe + "/echo", body: `{"value":"message 0"}{"value":"message 1"} {"value":"message 2"}`,
		want: []string{`{"result":{"value":"message 0"}}`, `{"result":{"value":"message 1"}}`, `{"result":{"value":"message 2"}}`}},
	{test: "ABEBulkEchoZeroLength", method: "POST", path: abe + "/echo", want: []string{""}},
	{test: "AdditionalBindings, GET", method: "GET", path: abe + "/echo/hello", want: []string{`{"value":"hello"}`}},
	{test: "AdditionalBindings, POST", method: "POST", path: "/v2/example/echo", body: `"hello"`, want: []string{`{"value":"hello"}`}},
	{test: "AdditionalBindings, query", method: "GET", path: "/v2/example/echo?value=hello", want: []string{`{"value":"hello"}`}},
	{test: "ABERepeated", method: "GET",
		path: abe + "_repeated/1.5,-1.5/2.5,-2.5/4294967296,-4294967296/0,9223372036854775807/2147483647,-2147483648/0,9223372036854775807/0,4294967295/true,false/foo,bar/AA==,_w==/0,4294967295/ZERO,ONE/2147483647,-2147483648/4294967296,-4294967296/2147483647,-2147483648/4611686018427387903,-4611686018427387904",
		want: []string{`{"pathRepeatedFloatValue":[1.5,-1.5],"pathRepeatedInt64Value":["4294967296","-4294967296"],"pathRepeatedBoolValue":[true,false],"pathRepeatedStringValue":["foo","bar"],"pathRepeatedBytesValue":["AA==","/w=="],"pathRepeatedEnumValue":["ZERO","ONE"]}`}},
	{test: "Timeout", method: "GET", path: "/v2/example/timeout", header: []string{"Grpc-Timeout: 10m"}, status: 504},
	{test: "InvalidTimeout", method: "GET", path: "/v2/example/timeout", header: []string{"Grpc-Timeout: INVALID"}, status: 400},
	{test: "ErrorWithDetails", method: "GET", path: "/v2/example/errorwithdetails", status: 500, want: []string{`{"code":2,"message":"with details","details":[{"@type":"type.googleapis.com/google.rpc.DebugInfo","stackEntries":["foo:1"],"detail":"error debug details"}]}`}},
	{test: "PostWithEmptyBody", method: "POST", path: "/v2/example/postwithemptybody/name", want: []string{`{}`}},
	{test: "UnknownPath", method: "POST", path: "/", body: "{}", status: 404},
	{test: "NotImplemented", method: "GET", path: "/v1/example/echo/myid", status: 405, fields: []string{"Allow: POST"}, differs: "a method that the path does not take is a 405 with Allow (RFC 9110), where grpc-gateway says 501"},
	{test: "InvalidArgument", method: "GET", path: "/v1/example/echo/myid/not_int64", status: 400},
	{test: "ResponseBody", method: "GET", path: "/responsebody/foo", want: []string{`{"data":"foo"}`}},
	{test: "ResponseBodySameName", method: "GET", path: "/responsebody/samename/foo", want: []string{`"foo"`}},
	{test: "ResponseBodyImportedType", method: "GET", path: "/responsebody/importedtype/foo", want: []string{`"foo"`}},
	{test: "ResponseBodyStream", method: "GET", path: "/responsebody/stream/foo", want: []string{`{"result":{"data":"first foo"}}`, `{"result":{"data":"second foo"}}`}},
	{test: "ResponseBodyStreamHttpBody", method: "GET", path: "/v1/example/download", want: []string{"Hello 1Hello 2"}, differs: "pieces of a file as above"},
	{test: "ResponseBodies", method: "GET", path: "/responsebodies/foo", want: []string{`[{"data":"foo","type":"UNKNOWN"}]`}},
	{test: "ResponseStrings", method: "GET", path: "/responsestrings/foo", want: []string{`["hello","foo"]`}},
	{test: "ResponseStrings, empty", method: "GET", path: "/responsestrings/empty", want: []string{`[]`}},
	{test: "QueryParams", method: "GET", path: abe + "/params/get/foo?double_value=1234.56&bool_value=true&mapped_string_value[map_key]=map_value",
		want: []string{`{"singleNested":{"name":"foo"},"doubleValue":1234.56,"boolValue":true,"mappedStringValue":{"map_key":"map_value"}}`}},
	{test: "QueryParams, nested enum", method: "GET", path: abe + "/params/get/nested_enum/TRUE", want: []string{`{"singleNested":{"ok":"TRUE"}}`}},
	{test: "QueryParams, nested enum by number", method: "GET", path: abe + "/params/get/nested_enum/1", want: []string{`{"singleNested":{"ok":"TRUE"}}`}},
	{test: "QueryParams, empty oneof", method: "GET", path: abe + "/params/get/foo?oneof_empty=", want: []string{`{"singleNested":{"name":"foo"},"oneofEmpty":{}}`}},
	{test: "QueryParams, POST", method: "POST", path: abe + "/params/post/hello-world?double_value=1234.56&bool_value=true", body: `{"name":"foo","amount":100}`,
		want: []string{`{"singleNested":{"name":"foo","amount":100},"doubleValue":1234.56,"boolValue":true,"stringValue":"hello-world"}`}},
	{test: "QueryParams, form", method: "POST", path: abe + "/params/get/foo?double_value=1234.56", header: []string{"Content-Type: application/x-www-form-urlencoded"}, body: "string_value=hello", status: 405,
		differs: "a form is not the query of a GET; grpc-gateway takes it for one"},
	{test: "RequestParseForm", method: "POST", path: "/v1/example/echo/myid1", header: []string{"Content-Type: application/x-www-form-urlencoded"}, body: "num=1",
		want: []string{`{"id":"myid1"}`}, differs: "a form is not read; the rule has no body"},
	{test: "Verb", method: "POST", path: abe + "/{uuid}:custom", body: "{}", want: []string{`{"uuid":"{uuid}"}`}},
	{test: "Verb with a colon", method: "POST", path: abe + "/{uuid}:custom:custom", body: "{}", want: []string{`{"uuid":"{uuid}"}`}},
	{test: "NonStandardNames", method: "PATCH", path: "/v1/example/non_standard/update?update_mask=id,line_num,en_GB,no,thing",
		body: `{"id":"foo","Num":"1","line_num":"42","langIdent":"English","STATUS":"good","en_GB":"1","no":"yes","thing":{"subThing":{"sub_value":"hi"}}}`,
		want: []string{`{"id":"foo","lineNum":"42","enGB":"1","no":"yes","thing":{"subThing":{"subValue":"hi"}}}`}, differs: "the mask is sent, as above"},
	{test: "NonStandardNames, JSON names", method: "PATCH", path: "/v1/example/non_standard/update_with_json_names?update_mask=id,line_num,no,thing",
		body: `{"ID":"foo","Num":"1","LineNum":"42","langIdent":"English","status":"good","En_GB":"1","yes":"no","Thingy":{"SubThing":{"sub_Value":"hi"}}}`,
		want: []string{`{"ID":"foo","LineNum":"42","yes":"no","Thingy":{"SubThing":{"sub_Value":"hi"}}}`}, differs: "the mask is sent, as above"},
	{test: "ABEOptions", method: "OPTIONS", path: abe + "/{uuid}", fields: []string{"Allow: OPTIONS, GET, HEAD, POST, PUT, TRACE"}, differs: "metadata as above"},
	{test: "ABETrace", method: "TRACE", path: abe + "/{uuid}", status: 405, differs: "the gateway refuses TRACE on every route (it reflects credentials)"},
	{test: "ExcessBody", method: "POST", path: "/rpc/excess-body/rpc/with-body", header: []string{"Grpc-Timeout: 50m"}, body: "{}", status: 504},
	{test: "ExcessBody, none", method: "POST", path: "/rpc/excess-body/rpc", header: []string{"Grpc-Timeout: 50m"}, body: "{}", status: 504},
}

// TestGRPCGateway asks them all and prints how many are answered as grpc-gateway answers them.
func TestGRPCGateway(t *testing.T) {
	gateway := gatewaytest.Start(t, fmt.Sprintf(exampleGateway, exampleProtos(t), exampleModule(t), exampleAddress(t)))
	url := gateway.URL("public", "")
	uuid := created(t, url)
	same, other := 0, 0
	for _, q := range questions {
		ok := t.Run(q.test, func(t *testing.T) { q.ask(t, url, uuid) })
		switch {
		case !ok:
		case q.differs == "":
			same++
		default:
			other++
			t.Logf("%-28s differs: %s", q.test, q.differs)
		}
	}
	t.Logf("%d questions, %d answered as by grpc-gateway, %d otherwise for the reason given", len(questions), same, other)
}

const exampleGateway = `
listeners: [{name: public, address: "127.0.0.1:0"}]
routes:
  - name: example
    match: {path: /*}
    service: example
    translate: {grpc: {protos: [%s], importPaths: [%s], printDefaults: true}, openapi: /openapi.json}
services: [{name: example, protocol: grpc, endpoints: [{url: "http://%s"}]}]
`

func exampleModule(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", "github.com/grpc-ecosystem/grpc-gateway/v2").Output() // go list knows no Dir before that
	if err != nil {
		t.Fatal(err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil || module.Dir == "" {
		t.Fatalf("%v\n%s", err, out)
	}
	return module.Dir
}

func exampleProtos(t *testing.T) string {
	t.Helper()
	var all []string
	for _, name := range []string{"a_bit_of_everything", "echo_service", "flow_combination", "non_standard_names", "response_body_service", "stream",
		"excess_body", "wrappers", "camel_case_service", "generate_unbound_methods"} {
		all = append(all, filepath.Join(exampleModule(t), "examples/internal/proto/examplepb", name+".proto"))
	}
	return strings.Join(all, ", ")
}

// exampleAddress runs the example server until the test ends.
func exampleAddress(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "server")
	if out, err := exec.Command("go", "build", "-o", program, exampleServer).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := freeport.For(t)
	server := exec.Command(program, "-addr", address)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	awaitServer(t, address)
	return address
}

func created(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Post(url+abe, "application/json", strings.NewReader(`{"bool_value":true,"string_value":"strprefix/example"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var made struct{ UUID string }
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.UUID == "" {
		t.Fatal(res.StatusCode, err)
	}
	return made.UUID
}

func (q *question) ask(t *testing.T, url, uuid string) {
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequest(q.method, url+strings.ReplaceAll(q.path, "{uuid}", uuid), body)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range q.header {
		name, value, _ := strings.Cut(field, ": ")
		r.Header[name] = []string{value}
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if status := max(q.status, 200); res.StatusCode != status {
		t.Errorf("status %d, want %d: %.400s", res.StatusCode, status, text)
		return
	}
	for _, field := range q.fields {
		name, value, _ := strings.Cut(field, ": ")
		if have := res.Header.Get(name); have != value && (value != "*" || have == "") {
			t.Errorf("%s is %q, want %q", name, have, value)
		}
	}
	q.compare(t, strings.ReplaceAll(string(text), uuid, "{uuid}"))
}

// compare looks for what is wanted in what is answered.
func (q *question) compare(t *testing.T, text string) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if n := len(q.want); n > 0 && q.want[n-1] == "…" && len(lines) >= n-1 {
		lines = lines[:n-1]
		q.want = q.want[:n-1]
	}
	if q.want != nil && len(lines) != len(q.want) {
		t.Errorf("%d lines, want %d: %.400s", len(lines), len(q.want), text)
		return
	}
	for i, want := range q.want {
		if lines[i] == want {
			continue
		}
		var a, b any
		if errors := [2]error{decodeNumbers(lines[i], &a), decodeNumbers(want, &b)}; errors[0] != nil || errors[1] != nil || !holds(a, b) {
			t.Errorf("answered %.1000s\nwant     %s", lines[i], want)
		}
	}
}

func decodeNumbers(text string, into any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	return d.Decode(into)
}

// holds reports whether all of part is in whole; lists are equal item by item.
func holds(whole, part any) bool {
	switch p := part.(type) {
	case map[string]any:
		w, ok := whole.(map[string]any)
		if !ok {
			return false
		}
		for name, value := range p {
			if !holds(w[name], value) {
				return false
			}
		}
		return true
	case []any:
		w, ok := whole.([]any)
		if !ok || len(w) != len(p) {
			return false
		}
		for i := range p {
			if !holds(w[i], p[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(whole, part)
}

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluice-gateway/sluice/config"
)

const explained = `listeners:
  - {name: public, address: ":8080"}
  - {name: internal, address: "127.0.0.1:8081"}
filters: [{compress: {}}]
routes:
  - name: order
    listeners: [public]
    hosts: [api.test]
    match: {path: "/orders/{id}", methods: [GET]}
    filters: [{rewrite: {path: "/v2/{id}"}}, {rateLimit: {limit: 5, window: 1m}}]
    service: orders
  - name: beta
    listeners: [public]
    hosts: [api.test]
    match: {path: "/orders/{id}", headers: {x-beta: "1"}, clientIPs: [10.0.0.0/8]}
    split: [{service: orders, weight: 9}, {service: next, weight: 1}]
  - {name: ops, listeners: [internal], match: {path: /ops/*}, respond: {status: 200}}
services:
  - {name: orders, endpoints: [{url: "http://10.0.0.1:8080", weight: 2}, {url: "http://10.0.0.2:8080"}]}
  - {name: next, endpoints: [{url: "unix:/run/next.sock"}]}
`

// sluice runs a command and gives what it printed.
func sluice(t *testing.T, args ...string) (code int, out, errors string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(args, console{&o, &e})
	return code, o.String(), e.String()
}

func explainFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sluice.yaml")
	writeFile(t, name, explained)
	return name
}

func TestExplain(t *testing.T) {
	file := explainFile(t)
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"found", []string{"get", "http://api.test//orders/%37?x=1"}, `request    get http://api.test//orders/%37?x=1
path       /orders/7
listener   public
route      order
`},
		{"another method", []string{"DELETE", "http://api.test/orders/7"}, "route      none: 405, Allow: GET, HEAD\n"},
		{"another host", []string{"GET", "http://other.test/orders/7"}, "route      none: 404\n"},
		{"a header and an address", []string{"GET", "/orders/7", "-H", "Host: API.test.", "-H", "x-beta: 1", "--client-ip", "10.1.2.3"},
			"listener   public\nroute      order\n"},
		{"only a header", []string{"POST", "/orders/7", "-H", "Host: api.test", "-H", "x-beta: 1", "--client-ip", "10.1.2.3"},
			"end        split orders 9 : next 1\nservice    orders: http://10.0.0.1:8080 (weight 2), http://10.0.0.2:8080 (weight 1)\nservice    next: unix:/run/next.sock (weight 1)\n"},
		{"filters", []string{"GET", "http://api.test/orders/7"}, `filters    Respond       compress           from top
           Admit         rateLimit          from route/order
           Transform     rewrite            from route/order
`},
		{"captures", []string{"GET", "http://api.test/orders/a%2Fb"}, "{id} = a%2Fb\n"},
		{"the listener that has it", []string{"GET", "/ops/x"}, "listener   internal\nroute      ops\n"},
		{"the listener named", []string{"GET", "/ops/x", "--listener", "public"}, "listener   public\nroute      none: 404\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, out, errors := sluice(t, append([]string{"explain", file}, test.args...)...)
			if code != 0 || !strings.Contains(out, test.want) {
				t.Errorf("exit code %d: %s%s\nwant\n%s", code, out, errors, test.want)
			}
		})
	}
}

func TestExplainJSON(t *testing.T) {
	code, out, errors := sluice(t, "explain", explainFile(t), "GET", "http://api.test/orders/7", "--format", "json")
	if code != 0 || errors != "" {
		t.Fatalf("exit code %d: %s", code, errors)
	}
	var e explanation
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Others) == 0 || e.Others[0].Route != "beta" || e.Others[0].Why == "" || e.Why == "" {
		t.Errorf("why it won: %q; why others did not: %+v", e.Why, e.Others)
	}
	e.Why, e.Others = "", nil
	want := explanation{
		Listener: "public", Request: "GET http://api.test/orders/7", Canonical: "/orders/7", Outcome: "found",
		Route: "order", Captures: map[string]string{"id": "7"}, End: "service orders",
		Filters:  []explainedFilter{{"Respond", "compress", "top"}, {"Admit", "rateLimit", "route/order"}, {"Transform", "rewrite", "route/order"}},
		Services: []explainedTarget{{"orders", []string{"http://10.0.0.1:8080 (weight 2)", "http://10.0.0.2:8080 (weight 1)"}, ""}},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +have)\n%s", diff)
	}
}

// Nobody is asked: that DNS knows nothing of the name, and that there is no such file, is no matter of the configuration.
func TestExplainAndCheckKnowDiscovery(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	text := `listeners: [{name: public, address: ":1"}]
routes: [{name: all, split: [{service: a, weight: 1}, {service: b, weight: 1}]}]
services:
  - {name: a, discovery: {dns: {name: no.such.invalid, port: 80, type: both, server: "192.0.2.1:53"}}}
  - {name: b, discovery: {consul: {service: b, token: s3cret}, scheme: https}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errors := sluice(t, "check", file); code != 0 || !strings.Contains(out, "0 errors, 0 warnings") {
		t.Errorf("check: %d %s%s", code, out, errors)
	}
	_, out, _ := sluice(t, "explain", file, "GET", "/")
	for _, want := range []string{"a: found by dns both no.such.invalid at 192.0.2.1:53\n", "b: found by consul b at http://127.0.0.1:8500\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	_, out, _ = sluice(t, "explain", file, "GET", "/", "--format", "json")
	if !strings.Contains(out, `"discovery": "consul b at http://127.0.0.1:8500"`) || strings.Contains(out, "s3cret") {
		t.Errorf("as JSON:\n%s", out)
	}
}

func TestExplainRefuses(t *testing.T) {
	file := explainFile(t)
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"GET", "/a", "--client-ip", "nowhere"}, exitUsage, "--client-ip"},
		{[]string{"GET", "/a", "--listener", "pubic"}, exitUsage, "there are: public, internal"},
		{[]string{"GET", "/a", "-H", "nonsense"}, exitUsage, "write NAME: VALUE"},
		{[]string{"GET", "http://%zz/"}, exitUsage, "the URL cannot be read"},
		{[]string{"GET", "http://api.test/../../etc"}, exitFailed, "the gateway refuses this request"},
		{[]string{"GET"}, exitUsage, "<url>"},
	} {
		code, out, errors := sluice(t, append([]string{"explain", file}, test.args...)...)
		if code != test.code || !strings.Contains(errors, test.want) {
			t.Errorf("%v: exit code %d, want %d\n%s%s", test.args, code, test.code, out, errors)
		}
	}
	if code, _, errors := sluice(t, "explain", file+".gone", "GET", "/"); code != exitFailed || !strings.Contains(errors, "no such file") {
		t.Errorf("a missing file: exit code %d\n%s", code, errors)
	}
}

func TestCheck(t *testing.T) {
	good := explainFile(t)
	bad := filepath.Join(filepath.Dir(good), "bad.yaml")
	writeFile(t, bad, "listeners: [{name: a, address: \":1\"}]\nroutes: [{name: r, match: {path: /*, expression: '1'}, respond: {status: 200}}]\n")
	warned := filepath.Join(filepath.Dir(good), "warned.yaml")
	writeFile(t, warned, "listeners: [{name: a, address: \":1\"}]\nservices: [{name: s, endpoints: [{url: \"http://a\"}]}]\n")
	for _, test := range []struct {
		files []string
		code  int
		want  string
	}{
		{[]string{good}, 0, "0 errors, 0 warnings\n"},
		{[]string{bad}, exitFailed, "bad.yaml:2:50: error: routes[0].match.expression: "},
		{[]string{warned}, 0, "0 errors, 1 warning\n"},
		{[]string{good, bad, warned, good + ".gone"}, exitFailed, "2 errors, 1 warning\n"},
		{[]string{filepath.Dir(good)}, exitFailed, "error"},
	} {
		code, out, errors := sluice(t, append([]string{"check"}, test.files...)...)
		if code != test.code || !strings.Contains(out, test.want) || errors != "" {
			t.Errorf("%v: exit code %d, want %d and %q\n%s%s", test.files, code, test.code, test.want, out, errors)
		}
	}
	if code, _, _ := sluice(t, "check"); code != exitUsage {
		t.Errorf("without a file: exit code %d, want 2", code)
	}
}

func TestCheckJSON(t *testing.T) {
	good := explainFile(t)
	if code, out, _ := sluice(t, "check", "--format", "json", good); code != 0 || strings.TrimSpace(out) != "[]" {
		t.Errorf("exit code %d: %s", code, out)
	}
	code, out, errors := sluice(t, "check", "--format=json", good+".gone")
	var found config.Diagnostics
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != exitFailed || errors != "" {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, errors)
	}
	if len(found) != 1 || found[0].Severity != config.Error || found[0].File != good+".gone" {
		t.Errorf("%+v", found)
	}
}

// Editors take the schema as it is: it must be one, and know what a valid file has.
func TestSchema(t *testing.T) {
	code, out, errors := sluice(t, "schema")
	if code != 0 || errors != "" {
		t.Fatalf("exit code %d: %s", code, errors)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("sluice.json", document); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compile("sluice.json"); err != nil {
		t.Errorf("it is no JSON Schema: %v", err)
	}
	var top struct{ Properties map[string]any }
	if err := json.Unmarshal([]byte(out), &top); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"listeners", "filters", "routes", "services", "consumers", "telemetry", "admin"} {
		if top.Properties[key] == nil {
			t.Errorf("the top level has no %s", key)
		}
	}
	if code, out, _ := sluice(t, "schema", "--reference"); code != 0 || !strings.Contains(out, "rateLimit") {
		t.Errorf("the reference page: exit code %d, %.200s", code, out)
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		out  string
	}{
		{nil, 0, "Commands:"},
		{[]string{"--help"}, 0, "Commands:"},
		{[]string{"version"}, 0, "sluice "},
		{[]string{"rnu"}, exitUsage, ""},
		{[]string{"run", "--drain-timeout=soon"}, exitUsage, ""},
		{[]string{"check", "--format=xml", "x"}, exitUsage, ""},
	} {
		code, out, errors := sluice(t, test.args...)
		if code != test.code || !strings.Contains(out, test.out) {
			t.Errorf("%v: exit code %d, want %d\n%s%s", test.args, code, test.code, out, errors)
		}
		if test.code == exitUsage && !strings.Contains(errors, "sluice --help") {
			t.Errorf("%v: no way out is shown: %s", test.args, errors)
		}
	}
}

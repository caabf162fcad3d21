package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const minimal = `
listeners: [{name: public, address: ":8080"}]
services: [{name: a, endpoints: [{url: "http://10.0.0.1:80"}]}]
routes: [{name: r, service: a}]
`

// whole is every key of the language that is built, with a value that is not its default where there is another.
const whole = `
listeners:
  - name: public
    address: ":8443"
    protocols: [http2]
    tls:
      certificates: [{certFile: api.crt, keyFile: api.key}]
      clientAuth: {mode: request, caFile: clients.pem}
      minVersion: "1.3"
    trustedProxies: [10.0.0.0/8, 192.0.2.7, "2001:db8::1"]
    proxyProtocol: true
    limits: {headerBytes: 32KiB, headerCount: 0, uriBytes: 4096, headerTimeout: 1s, idleTimeout: 0, stallTimeout: 1m30s,
             streamIdleTimeout: 24h, bodyBytes: 1GiB, connections: 7, streams: 8}
    filters: [{cors: }]
filters:
  - compress: {}
routes:
  - name: orders
    hosts: [api.example.com, "*.example.net"]
    match:
      path: /orders/{id}
      methods: [GET]
      headers: {x-api-version: "2", a: {present: false}, b: {prefix: p}, c: {suffix: s}, d: {regex: '^v\d$'}, e: {not: ""}}
      query: {preview: ""}
      cookies: {beta: "yes"}
      clientIPs: [10.0.0.0/8]
      expression: 'request.method == "GET"'
    priority: -5
    filters: [{keyAuth: {}}, {compress: off}]
    service: orders
    bodyBytes: 0
    timeout: 250ms
    retry: {attempts: 3, on: [timeout, 5xx, 502, grpc-unavailable], perAttempt: 5s, methods: [POST], bodyBytes: 1MiB, backoff: {max: 1s}}
  - name: checkout
    match: [{path: /checkout/*}, {path: {regex: '^/v\d+/'}}]
    split: [{service: orders, weight: 95}, {service: next}]
    stickyBy: "cookie:sid"
    retry: off
  - {name: health, respond: {status: 204, body: "ok\n", headers: {x-a: b}}}
  - {name: old, redirect: {scheme: https, host: example.com, port: 8443, path: /new/*, status: 301}}
services:
  - name: orders
    endpoints: [{url: "https://10.0.0.1:8080", weight: 0}, {url: "unix:/run/orders.sock"}]
    protocol: grpc
    host: orders.internal
    upgrades: []
    tls: {caFile: ca.pem, serverName: orders.internal, certFile: c.crt, keyFile: c.key}
    balance: {policy: leastRequest}
    connections: {max: 1, maxIdle: 2, idleTimeout: 3s, connectTimeout: 4s, pending: 5}
    retryBudget: {percent: 12.5, minPerSecond: 0}
    panic: false
  - {name: next, endpoints: [{url: "http://next"}]}
consumers:
  - {name: mobile-app, groups: [partners], credentials: [{key: "${KEY}"}]}
telemetry:
  accessLog: {to: /var/log/sluice.log, sample: 0.5}
  metrics: {}
admin: {address: "0.0.0.0:9901", token: "${file:/run/token}"}
`

var outside = optionsOf(map[string]string{"KEY": "k3y", "PORT": "8080"}, map[string][]byte{"/run/token": []byte("t0ken\n")})

func parse(t testing.TB, text string) *Config {
	t.Helper()
	c, found := Parse([]File{{"sluice.yaml", []byte(text)}}, outside)
	if len(found) > 0 {
		t.Fatal(found.Err(), found)
	}
	return c
}

var models = cmp.Options{
	cmpopts.IgnoreUnexported(Config{}, Route{}, Service{}, Endpoint{}, Balance{}),
	cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}),
	cmp.Comparer(func(a, b Node) bool { return a.Equal(b) }),
}

func ptr[T any](v T) *T { return &v }

func TestDefaults(t *testing.T) {
	c := parse(t, minimal)
	want := &Config{
		Listeners: []Listener{{
			Name: "public", Address: ":8080", Protocols: []string{"http1", "http2"},
			Limits: Limits{
				HeaderBytes: 64 << 10, HeaderCount: 100, URIBytes: 8 << 10, HeaderTimeout: 10 * time.Second,
				IdleTimeout: time.Minute, StallTimeout: 30 * time.Second, StreamIdleTimeout: 10 * time.Minute,
				BodyBytes: 10 << 20, Streams: 100,
			},
		}},
		Routes: []Route{{
			Name: "r", Listeners: []string{"public"}, Service: "a", Criticality: "default", Timeout: 30 * time.Second,
			Retry: &Retry{Attempts: 2, On: []RetryCondition{OnConnectFailure, OnReset}, BodyBytes: 64 << 10,
				Backoff: Backoff{Base: 25 * time.Millisecond, Max: 250 * time.Millisecond}},
		}},
		Services: []Service{{
			Name: "a", Endpoints: []Endpoint{{URL: "http://10.0.0.1:80", Weight: 1}}, Protocol: "http1",
			Upgrades: []string{"websocket"}, Balance: Balance{Policy: "roundRobin"},
			Connections: Connections{Max: 1024, MaxIdle: 256, IdleTimeout: time.Minute, ConnectTimeout: 3 * time.Second, Pending: 1024},
			RetryBudget: RetryBudget{Percent: 20, MinPerSecond: 3}, Panic: true,
		}},
		Telemetry: Telemetry{AccessLog: &AccessLog{To: "stdout", Format: "json", Sample: 1}},
		Admin:     &Admin{Address: "127.0.0.1:9901"},
	}
	if diff := cmp.Diff(want, c, models); diff != "" {
		t.Errorf("(-want +have)\n%s", diff)
	}
}

func TestWholeLanguage(t *testing.T) {
	c := parse(t, whole)
	settings := func(text string) Node {
		n, _ := (&document{files: []File{{Data: []byte(text)}}}).parseFile(0)
		return Node{n: n}
	}
	want := &Config{
		Listeners: []Listener{{
			Name: "public", Address: ":8443", Protocols: []string{"http2"},
			TLS: &TLS{Certificates: []Certificate{{"api.crt", "api.key"}},
				ClientAuth: &ClientAuth{"request", "clients.pem"}, MinVersion: "1.3"},
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"),
				netip.MustParsePrefix("2001:db8::1/128")},
			ProxyProtocol: true,
			Limits: Limits{HeaderBytes: 32 << 10, URIBytes: 4096, HeaderTimeout: time.Second,
				StallTimeout: 90 * time.Second, StreamIdleTimeout: 24 * time.Hour, BodyBytes: 1 << 30, Connections: 7, Streams: 8},
			Filters: []Filter{{Name: "cors", Settings: Node{n: &node{tag: nullTag}}}},
		}},
		Filters: []Filter{{Name: "compress", Settings: settings("{}")}},
		Routes: []Route{
			{
				Name: "orders", Listeners: []string{"public"}, Hosts: []string{"api.example.com", "*.example.net"},
				Match: []Match{{
					Path: &PathMatch{Pattern: "/orders/{id}"}, Methods: []string{"GET"},
					Headers: map[string]ValueMatch{"x-api-version": {Exact: ptr("2")}, "a": {Present: ptr(false)},
						"b": {Prefix: ptr("p")}, "c": {Suffix: ptr("s")}, "d": {Regex: ptr(`^v\d$`)}, "e": {Not: ptr("")}},
					Query:   map[string]ValueMatch{"preview": {Exact: ptr("")}},
					Cookies: map[string]ValueMatch{"beta": {Exact: ptr("yes")}}, ClientIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
					Expression: `request.method == "GET"`,
				}},
				Priority: -5, Filters: []Filter{{Name: "keyAuth", Settings: settings("{}")}, {Name: "compress", Off: true}},
				Service: "orders", BodyBytes: ptr(Size(0)), Criticality: "default", Timeout: 250 * time.Millisecond,
				Retry: &Retry{Attempts: 3, On: []RetryCondition{OnTimeout, On5xx, "502", "grpc-unavailable"}, PerAttempt: 5 * time.Second,
					Methods: []string{"POST"}, BodyBytes: 1 << 20, Backoff: Backoff{25 * time.Millisecond, time.Second}},
			},
			{
				Name: "checkout", Listeners: []string{"public"}, StickyBy: "cookie:sid", Criticality: "default", Timeout: 30 * time.Second,
				Match: []Match{{Path: &PathMatch{Pattern: "/checkout/*"}}, {Path: &PathMatch{Regex: `^/v\d+/`}}},
				Split: []SplitEnd{{Service: "orders", Weight: 95}, {Service: "next", Weight: 1}},
			},
			{Name: "health", Criticality: "default", Respond: &Respond{204, "ok\n", map[string]string{"x-a": "b"}}},
			{Name: "old", Criticality: "default", Redirect: &Redirect{"https", "example.com", 8443, "/new/*", 301}},
		},
		Services: []Service{
			{
				Name: "orders", Endpoints: []Endpoint{{URL: "https://10.0.0.1:8080"}, {URL: "unix:/run/orders.sock", Weight: 1}},
				Protocol: "grpc", Host: "orders.internal", Upgrades: []string{},
				TLS:         &ServiceTLS{CAFile: "ca.pem", ServerName: "orders.internal", CertFile: "c.crt", KeyFile: "c.key"},
				Balance:     Balance{Policy: "leastRequest"},
				Connections: Connections{1, 2, 3 * time.Second, 4 * time.Second, 5}, RetryBudget: RetryBudget{12.5, 0},
			},
			parse(t, strings.NewReplacer("name: a", "name: next", "service: a", "service: next", "10.0.0.1:80", "next").Replace(minimal)).Services[0],
		},
		Consumers: []Consumer{{"mobile-app", []string{"partners"}, []Credential{{"k3y"}}}},
		Telemetry: Telemetry{AccessLog: &AccessLog{"/var/log/sluice.log", "json", 0.5}},
		Admin:     &Admin{"0.0.0.0:9901", "t0ken"},
	}
	for i := range want.Routes[2:] {
		r := &want.Routes[i+2]
		r.Listeners, r.Timeout, r.Retry = []string{"public"}, 30*time.Second, parse(t, minimal).Routes[0].Retry
	}
	if diff := cmp.Diff(want, c, models); diff != "" {
		t.Errorf("(-want +have)\n%s", diff)
	}
}

func TestOff(t *testing.T) {
	for _, off := range []string{"off", `"off"`, "false", "False", "${NO:-off}", "${NO:-false}"} {
		c := parse(t, minimal+"admin: "+off+"\ntelemetry:\n  accessLog: "+off+"\nfilters:\n  - compress: "+off+"\n")
		if c.Admin != nil || c.Telemetry.AccessLog != nil || !c.Filters[0].Off {
			t.Errorf("%s: %+v %+v %+v", off, c.Admin, c.Telemetry.AccessLog, c.Filters)
		}
	}
	if c := parse(t, minimal+"telemetry: {accessLog: {to: off}}"); c.Telemetry.AccessLog != nil {
		t.Errorf("to: off leaves %+v", c.Telemetry.AccessLog)
	}
}

func TestSubstitution(t *testing.T) {
	for text, want := range map[string]string{
		`"${KEY}"`:                        "k3y",
		`${KEY}`:                          "k3y",
		`${PORT}`:                         "8080", // without quotes it is of the type wanted
		`"a ${KEY} b ${NONE:-c} $${KEY}"`: "a k3y b c ${KEY}",
		`"$ $$ }{ $${"`:                   "$ $$ }{ ${",
		`"${file:/run/token}"`:            "t0ken",
		`"${NONE:-}"`:                     "",
		`"${NONE:-$${KEY}"`:               "$${KEY", // a default is taken as it is written
	} {
		c, found := Parse([]File{{"a.yaml", []byte(minimal + "  \n" + "consumers:\n  - name: c\n    groups:\n      - " + text + "\n    credentials: [{key: x}]\n")}}, outside)
		if found.HasErrors() {
			t.Errorf("%s: %v", text, found.Err())
		} else if have := c.Consumers[0].Groups[0]; have != want {
			t.Errorf("%s is %q, want %q", text, have, want)
		}
	}
	c := parse(t, strings.Replace(minimal, `address: ":8080"`, `address: ":8080", limits: {streams: 5}`, 1)+
		"telemetry:\n  accessLog:\n    sample: ${NONE:-0.5}\n")
	if c.Telemetry.AccessLog.Sample != 0.5 {
		t.Errorf("sample is %v", c.Telemetry.AccessLog.Sample)
	}
}

func TestSubstitutionOnce(t *testing.T) {
	reads := 0
	o := Options{
		LookupEnv: func(string) (string, bool) { return "${file:/x}", true },
		ReadFile:  func(string) ([]byte, error) { reads++; return []byte("${KEY}\r\n"), nil },
	}
	text := minimal + `consumers: [{name: c, groups: ["${file:/x}", "${file:/x}", "${E}"], credentials: [{key: x}]}]`
	c, found := Parse([]File{{"a.yaml", []byte(text)}}, o)
	if found.HasErrors() {
		t.Fatal(found.Err())
	}
	if diff := cmp.Diff([]string{"${KEY}", "${KEY}", "${file:/x}"}, c.Consumers[0].Groups); diff != "" || reads != 1 {
		t.Errorf("%d reads, (-want +have)\n%s", reads, diff)
	}
}

func TestSubstitutionBounds(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"file":  {`["${file:/2MiB}"]`, "more than 1 MiB"},
		"total": {"[" + strings.Repeat(`"${file:/1MiB}", `, 17) + "]", "more than 16 MiB"},
		"utf8":  {`["${file:/bytes}"]`, "not UTF-8"},
		"env":   {`["${BYTES}"]`, "not UTF-8"},
		"path":  {`["${file:}"]`, "no path"},
		"other": {`["${file:/fail}"]`, "boom"},
	} {
		o := Options{
			LookupEnv: func(string) (string, bool) { return "\xff", true },
			ReadFile: func(path string) ([]byte, error) {
				switch path {
				case "/2MiB":
					return make([]byte, 2<<20), nil
				case "/1MiB":
					return make([]byte, 1<<20), nil
				case "/bytes":
					return []byte{0xff}, nil
				}
				return nil, errors.New("boom")
			},
		}
		_, found := Parse([]File{{"a.yaml", []byte("routes: [{name: r, hosts: " + test.text + "}]")}}, o)
		if err := found.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptionsOfTheProcess(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLUICE_TEST_NAME", "from-env")
	text := minimal + `consumers: [{name: "${SLUICE_TEST_NAME}", credentials: [{key: "${file:` + secret + `}"}]}]`
	c, found := Parse([]File{{"a.yaml", []byte(text)}}, Options{})
	if found.HasErrors() {
		t.Fatal(found.Err())
	}
	if got := c.Consumers[0]; got.Name != "from-env" || got.Credentials[0].Key != "s3cret" {
		t.Errorf("%+v", got)
	}
	_, found = Parse([]File{{"a.yaml", []byte(strings.Replace(text, secret, secret+"-none", 1))}}, Options{})
	if err := found.Err(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

func TestFileBounds(t *testing.T) {
	big := bytes.Repeat([]byte("#"), maxFileBytes)
	for name, test := range map[string]struct {
		files []File
		want  string
	}{
		"file":    {[]File{{"a.yaml", append([]byte("x"), big...)}}, "a.yaml:1:1: error: the file is larger than the 16 MiB that are read"},
		"all":     {[]File{{"a", big}, {"b", big}, {"c", big}, {"d", big}, {"e.yaml", []byte("a")}}, "e.yaml:1:1: error: the files together"},
		"values":  {[]File{{"a.yaml", bytes.Repeat([]byte("[],"), 800_000)}}, "more than 1500000 values"},
		"items":   {[]File{{"a.yaml", bytes.Repeat([]byte("- - - - -\n"), 400_000)}}, "more than 1500000 values"},
		"utf8":    {[]File{{"a.yaml", []byte("a: b\nc: \xff")}}, "a.yaml:2:4: error: the file is not UTF-8"},
		"utf16":   {[]File{{"a.yaml", []byte("\xff\xfea\x00")}}, "a.yaml:1:1: error: the file is not UTF-8"},
		"control": {[]File{{"a.yaml", []byte("a: \x01")}}, `a.yaml:1:4: error: control character U+0001`},
		"LS":      {[]File{{"a.yaml", []byte("é: 'x\u2028y'")}}, "a.yaml:1:6: error: control character U+2028"},
		"NEL":     {[]File{{"a.yaml", []byte("# \u0085")}}, "a.yaml:1:3: error: control character U+0085"},
		"CR":      {[]File{{"a.yaml", []byte("a: 1\r\n# \r")}}, "a.yaml:2:3: error: control character U+000D"},
		"DEL":     {[]File{{"a.yaml", []byte("a: \x7f")}}, "a.yaml:1:4: error: control character U+007F"},
		"depth":   {[]File{{"a.json", []byte(strings.Repeat("[", 70) + strings.Repeat("]", 70))}}, "nested deeper than 64"},
		"none":    {nil, "error: listeners: there is no listener"},
	} {
		_, found := Parse(test.files, outside)
		if err := found.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManyMistakes(t *testing.T) {
	_, found := Parse([]File{{"a.yaml", []byte("routes:\n" + strings.Repeat("  - {x: 1}\n", 2*maxDiagnostics))}}, outside)
	if len(found) != maxDiagnostics+1 {
		t.Errorf("%d diagnostics", len(found))
	}
}

func TestErrorf(t *testing.T) {
	c := parse(t, whole)
	for path, want := range map[string]string{
		"routes[0].match[0].path":                     `sluice.yaml:21:13: error: routes[0].match.path: boom 7`,
		"routes[0].match.path":                        `sluice.yaml:21:13: error: routes[0].match.path: boom 7`,
		"routes[1].match[1].path.regex":               `sluice.yaml:35:49: error: routes[1].match[1].path.regex: boom 7`,
		`routes[0].match[0].headers["x-api-version"]`: `sluice.yaml:23:32: error: routes[0].match.headers.x-api-version: boom 7`,
		"routes[0].match.headers.none":                `sluice.yaml:23:7: error: routes[0].match.headers.none: boom 7`,
		"routes[0].filters[1].compress":               `sluice.yaml:29:41: error: routes[0].filters[1].compress: boom 7`,
		"routes[99].name":                             `sluice.yaml:17:1: error: routes[99].name: boom 7`,
		"services[1]":                                 `sluice.yaml:52:5: error: services[1]: boom 7`,
		"listeners[0].tls":                            `sluice.yaml:6:5: error: listeners[0].tls: boom 7`,
		"listeners[0].limits.nothing[3].there":        `sluice.yaml:12:5: error: listeners[0].limits.nothing[3].there: boom 7`,
		"":                                            `sluice.yaml:1:1: error: boom 7`,
		"nothing":                                     `sluice.yaml:1:1: error: nothing: boom 7`,
		"[":                                           `sluice.yaml:1:1: error: [: boom 7`,
		`["`:                                          `sluice.yaml:1:1: error: [": boom 7`,
	} {
		if have := c.Errorf(path, "boom %d", 7).Error(); have != want {
			t.Errorf("%q\nhave %s\nwant %s", path, have, want)
		}
	}
	if w := c.Warnf("routes[0].name", "hm"); w.Severity != Warning || w.Source != "  - name: orders" || w.Line != 18 {
		t.Errorf("%+v", w)
	}
	all := Diagnostics{c.Errorf("routes[0]", "b"), c.Warnf("listeners[0]", "a")}
	all.Sort()
	if all[0].Message != "a" || !all.HasErrors() || (Diagnostics{all[0]}).HasErrors() || (Diagnostics{all[0]}).Err() != nil {
		t.Errorf("%v", all)
	}
}

func TestRedacted(t *testing.T) {
	c := parse(t, minimal+`
telemetry: {accessLog: {sample: 0.5, to: "<a>"}, metrics: }
consumers: [{name: c, groups: ["${file:/run/token}", "${KEY}", ], credentials: [{key: literal}]}]
admin: {address: "127.0.0.1:0", token: "${KEY}"}
filters: [{rateLimit: {key: consumer, password: hidden, limit: 5, on: true}}]
`)
	var settings struct {
		Key      string `yaml:"key"`
		Password string `yaml:"password" secret:"true"`
		Limit    int    `yaml:"limit"`
		On       bool   `yaml:"on"`
	}
	if found := c.Filters[0].Settings.Decode(&settings); found != nil || settings.Password != "hidden" {
		t.Fatal(settings, found)
	}
	have, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"listeners":[{"name":"public","address":":8080"}],` +
		`"services":[{"name":"a","endpoints":[{"url":"http://10.0.0.1:80"}]}],"routes":[{"name":"r","service":"a"}],` +
		`"telemetry":{"accessLog":{"sample":0.5,"to":"\u003ca\u003e"},"metrics":null},` +
		`"consumers":[{"name":"c","groups":["[redacted]","k3y"],"credentials":[{"key":"[redacted]"}]}],` +
		`"admin":{"address":"127.0.0.1:0","token":"[redacted]"},` +
		`"filters":[{"rateLimit":{"key":"consumer","password":"[redacted]","limit":5,"on":true}}]}`
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("(-want +have)\n%s", diff)
	}
	if empty, err := json.Marshal(shownNode{}); string(empty) != "{}" || err != nil {
		t.Errorf("%s %v", empty, err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, c.Consumers[0].Credentials) + fmt.Sprintf(format, *c.Admin); strings.Contains(text, "literal") || strings.Contains(text, "k3y") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

func TestDiagnosticsJSON(t *testing.T) {
	_, found := Parse([]File{{"a.yaml", []byte("listeners: [{name: a, address: \":1\", timout: 1}]\n")}}, outside)
	have, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"severity":"error","file":"a.yaml","line":1,"column":38,"path":"listeners[0].timout",` +
		`"message":"unknown key ` + "`timout`" + `","hint":"the keys here are name, address, protocols, tls, trustedProxies, proxyProtocol, limits, filters",` +
		`"source":"listeners: [{name: a, address: \":1\", timout: 1}]"}]`
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("(-want +have)\n%s", diff)
	}
	var back Diagnostics
	if err := json.Unmarshal(have, &back); err != nil || back[0].Severity != Error {
		t.Error(back, err)
	}
	if none, _ := json.Marshal(Diagnostics(nil)); string(none) != "[]" {
		t.Errorf("none is %s", none)
	}
	var s Severity
	if s.UnmarshalText([]byte("warning")) != nil || s != Warning || s.UnmarshalText([]byte("fatal")) == nil {
		t.Error(s)
	}
}

func TestPrintFails(t *testing.T) {
	if err := (Diagnostics{{Message: "a"}}).Print(failingWriter{}); err == nil {
		t.Error("a writer's error is lost")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

// TestNothingUnprintable: what comes from the file reaches the terminal without its control characters.
func TestNothingUnprintable(t *testing.T) {
	_, found := Parse([]File{{"a.json", []byte(`{"a\u001b[31mb\u0007": 1, "routes": [{"name": "\u001b]0;x"}]}` + " \t")}}, outside)
	var out bytes.Buffer
	if err := found.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("%q", out.String())
	}
}

func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("listeners: [{name: public, address: \":8080\"}]\nservices: [{name: a, endpoints: [{url: \"http://a\"}]}]\nroutes:\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "  - name: route-%d\n    hosts: [host%d.example.com]\n    match: {path: \"/api/%d/{id}\", methods: [GET, POST]}\n    service: a\n", i, i%100, i)
	}
	files := []File{{"a.yaml", []byte(text.String())}}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, found := Parse(files, outside); found.HasErrors() {
			b.Fatal(found.Err())
		}
	}
}

// TestByteOrderMark: what an editor does not show moves no position and breaks neither notation.
func TestByteOrderMark(t *testing.T) {
	for _, name := range []string{"a.yaml", "a.json"} {
		_, found := Parse([]File{{name, []byte("\ufeff{\"x\": 1}")}}, outside)
		if len(found) != 2 || found[1].Column != 2 || found[1].Source != `{"x": 1}` {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// TestWindowsLineEnds: CR LF is one line end, and no part of the offending line.
func TestWindowsLineEnds(t *testing.T) {
	_, found := Parse([]File{{"a.yaml", []byte(strings.ReplaceAll(minimal, "\n", "\r\n") + "x: 1\r\n")}}, outside)
	if len(found) != 1 || found[0].Line != 5 || found[0].Source != "x: 1" {
		t.Errorf("%+v", found)
	}
}

func TestTooManyEndpoints(t *testing.T) {
	for n, want := range map[int]string{maxEndpoints: "", maxEndpoints + 1: "10001 endpoints, at most 10000 are possible"} {
		var b strings.Builder
		b.WriteString("listeners: [{name: public, address: \":1\"}]\nroutes: [{name: r, service: s}]\nservices:\n  - name: s\n    endpoints:\n")
		for i := range n {
			fmt.Fprintf(&b, "      - {url: \"http://10.0.%d.%d\"}\n", i/250, i%250)
		}
		_, found := Parse([]File{{Name: "f.yaml", Data: []byte(b.String())}}, Options{})
		switch {
		case want == "" && len(found) > 0:
			t.Errorf("%d endpoints: %v", n, found[0])
		case want != "" && (len(found) != 1 || found[0].Message != want):
			t.Errorf("%d endpoints: %v", n, found)
		}
	}
}

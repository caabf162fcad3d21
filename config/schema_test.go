package config

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// shipped is a set of filters such as a binary ships.
var shipped = map[string]any{
	"cors": &everything{}, "keyAuth": &nested{}, "compress": &nested{}, "rateLimit": nested{},
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema(shipped)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("sluice.json", value); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sluice.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validates(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	var value any
	if err := yaml.Load([]byte(text), &value); err != nil {
		t.Fatal(err, text)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(instance)
}

// TestSchemaAcceptsWhatParseAccepts: every text of these tests without a mistake is valid by the schema too.
func TestSchemaAcceptsWhatParseAccepts(t *testing.T) {
	schema := compileSchema(t)
	texts := []string{minimal, whole,
		minimal + "admin: off\ntelemetry: {accessLog: off}\nconsumers:\n",
		minimal + "filters: [{cors: }, {keyAuth: {}}, {compress: off}, {compress: false}, {rateLimit: {name: x}}]\n",
		minimal + "filters: [{cors: {wait: 0, room: 5, room2: 1}}]\n",
		minimal + `filters: [{cors: {wait: "${W:-5s}", on: "${O:-true}", int: "${I:-1}", modes: ["${M:-a}"], path: x, more: {name: a}, word: 5, maybe: off, later: [1]}}]`,
	}
	texts[4] = strings.Replace(texts[4], ", room2: 1", "", 1)
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(archive.Files[len(archive.Files)-1].Data) == 0 {
			texts = append(texts, string(archive.Files[0].Data))
		}
	}
	for _, text := range texts {
		if err := validates(t, schema, text); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	for _, text := range []string{
		"rutes: []", "routes: {}", "listeners: [{name: a}]", `listeners: [{name: "", address: ":1"}]`,
		`listeners: [{name: a, address: ":1", protocols: [http3]}]`, `listeners: [{name: a, address: ":1", limits: {headerBytes: 1 KiB}}]`,
		"routes: [{name: a, timeout: 30}]", "routes: [{name: a, timeout: soon}]", "routes: [{name: a, respond: {status: 99}}]",
		"routes: [{name: a, mirror: {}}]", "routes: [{name: a, match: {headers: {x: 2}}}]", "routes: [{name: a, redirect: {status: 200}}]",
		"routes: [{name: a, filters: [{unknown: {}}]}]", "routes: [{name: a, filters: [{}]}]", "routes: [{name: a, filters: [keyAuth]}]",
		"routes: [{name: a, filters: [{keyAuth: {}, compress: {}}]}]", "filters: [{cors: {unknown: 1}}]", "filters: [{cors: {int: 6}}]",
		"services: [{name: a, endpoints: []}]", "services: [{name: a, endpoints: [{url: a, weight: -1}]}]", "admin: on",
		"services: [{name: a, endpoints: [{url: a}], panic: 1}]", "routes: [{name: a, retry: on}]",
	} {
		if validates(t, schema, text) == nil {
			t.Errorf("the schema accepts %s", text)
		}
		if _, found := Parse([]File{{"a.yaml", []byte(text)}}, outside); !found.HasErrors() {
			t.Errorf("Parse accepts %s", text)
		}
	}
}

func TestSchemaShape(t *testing.T) {
	text, err := Schema(shipped)
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties           map[string]map[string]any
		AdditionalProperties *bool
		Defs                 map[string]struct {
			Properties map[string]map[string]any
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.Properties) != 10 || schema.AdditionalProperties == nil || *schema.AdditionalProperties {
		t.Errorf("top level: %v", schema)
	}
	for path, want := range map[string]any{
		"Limits.headerCount": 100.0, "Limits.headerTimeout": "10s", "Limits.bodyBytes": "10MiB", "Service.panic": true,
		"Retry.on": []any{"connectFailure", "reset"}, "Redirect.status": 308.0, "TLS.minVersion": "1.2",
	} {
		owner, key, _ := strings.Cut(path, ".")
		if have := schema.Defs[owner].Properties[key]["default"]; !reflect.DeepEqual(have, want) {
			t.Errorf("the default of %s is %v, want %v", path, have, want)
		}
	}
	if strings.Contains(string(text), "http3\"") {
		t.Error("a key that is not built is in the schema")
	}
}

func TestSchemaFails(t *testing.T) {
	for name, settings := range map[string]any{
		"nil": nil, "string": "x", "untagged": &struct{ A int }{},
		"below": &struct {
			A struct{ B int } `yaml:"a"`
		}{},
	} {
		if _, err := Schema(map[string]any{name: settings}); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
}

// TestEveryKeyIsDocumented: a key without a comment would be an empty cell of the reference page.
func TestEveryKeyIsDocumented(t *testing.T) {
	seen := make(map[reflect.Type]bool)
	var visit func(reflect.Type)
	visit = func(owner reflect.Type) {
		if seen[owner] {
			return
		}
		seen[owner] = true
		info := infoOf(owner)
		if info.err != nil {
			t.Error(info.err)
		}
		if typeComment(owner) == "" {
			t.Errorf("%v has no comment; is comments.json fresh?", owner)
		}
		for _, f := range append(info.fields, info.short) {
			if f == nil {
				continue
			}
			if fieldComment(owner, f) == "" {
				t.Errorf("%v.%s has no comment; is comments.json fresh?", owner, f.goName)
			}
			if below := scalarType(f.typ); isStruct(below) {
				visit(below)
			}
		}
	}
	visit(reflect.TypeFor[Config]())
	if len(seen) < 20 {
		t.Errorf("only %d structures were visited", len(seen))
	}
}

func TestReference(t *testing.T) {
	page := string(Reference(shipped))
	for _, want := range []string{
		"## The file\n", "### Limits\n", "### `keyAuth`\n", "## Filters\n", "| `headerBytes` | size | `64KiB` | ",
		"| `admin` | [Admin](#admin) or `off` | as below | ", "| `protocols` | list of `http1` · `http2` | `[http1, http2]` | ",
		"| `match` | list of [Match](#match), or one alone |  | ", "| `key` | secret string | required | ",
		"| (a plain value) | string |  | The pattern,", "From 0 to 16MiB. |", "| `weight` | whole number | `1` | ",
		"| `trustedProxies` | list of address or prefix |", "| `headers` | mapping of names to [ValueMatch](#valuematch) |",
		"| `later` | anything |", "| `word` | word or number |", "| `float` | number |  | At least 0.5. |", "| `room` | size |  | At most 1KiB. |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for line := range strings.Lines(page) {
		if cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); strings.HasPrefix(line, "|") && cells != 5 {
			t.Errorf("a row of %d bars: %s", cells, line)
		}
	}
	for _, planned := range []string{"http3"} {
		if strings.Contains(page, "`"+planned+"`") {
			t.Errorf("%s is not built, but on the page", planned)
		}
	}
}

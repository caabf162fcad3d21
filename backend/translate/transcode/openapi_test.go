package transcode

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluice-gateway/sluice/failure"
)

var update = flag.Bool("update", false, "write the document into testdata")

func TestDocument(t *testing.T) {
	const golden = "testdata/openapi.json"
	s := newService(t)
	tr := translator(s, Options{OpenAPI: "/openapi.json", Title: "shop"})
	x := ask("GET", "/openapi.json", "")
	if err := tr.Answer(t.Context(), x, s); err != nil {
		t.Fatal(err)
	}
	have := read(t, x)
	if *update {
		if err := os.WriteFile(golden, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), have); diff != "" {
		t.Errorf("(-want +have)\n%s", diff)
	}
	if s.path != "" {
		t.Error("the service was asked")
	}
	if err := tr.Answer(t.Context(), ask("POST", "/openapi.json", "{}"), s); failure.From(err).Code() != 405 {
		t.Error(err)
	}
}

// What the document says of a message holds for its JSON, and every reference leads somewhere.
func TestDocumentDescribesTheMessages(t *testing.T) {
	s := newService(t)
	a := newAPI(s.set, &Options{OpenAPI: "/o"})
	var parsed any
	if err := json.Unmarshal(a.document, &parsed); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("doc.json", parsed); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("doc.json#/components/schemas/shop.GetRequest")
	if err != nil {
		t.Fatal(err)
	}
	for text, fits := range map[string]bool{
		`{"id":"1","view":"FULL","filter":{"inner":{"tags":["a"]}},"labels":{"a":"1"},"since":"2024-01-01T00:00:00Z","open":null}`: true,
		`{"view":"HALF"}`:          false,
		`{"numbers":["a"]}`:        false,
		`{"labels":{"a":1}}`:       false,
		`{"filter":{"inner":"a"}}`: false,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); (err == nil) != fits {
			t.Errorf("%s: %v", text, err)
		}
	}
}

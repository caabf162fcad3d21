package examples_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tables of docs/ name every kind of failure, every series and every key of the access log that the code has.
func TestTablesAreComplete(t *testing.T) {
	for _, table := range []struct{ page, source, name string }{
		{"../docs/errors.md", "../failure/failure.go", `Kind\s*= "([a-z_]+)"`},
		{"../docs/operations.md", "../telemetry/names.go", `"(sluice_[a-z_]+)"`},
		{"../docs/operations.md", "../telemetry/encode.go", "`[,{]\"([a-z_]+)\":"},
		{"../CONTRIBUTING.md", "../filter/filter.go", `(?m)^\t(On[A-Z][a-z]+)\(`},
	} {
		page := read(t, table.page)
		found := regexp.MustCompile(table.name).FindAllStringSubmatch(read(t, table.source), -1)
		if len(found) < 3 {
			t.Errorf("%s names only %d things by %s", table.source, len(found), table.name)
		}
		for _, m := range found {
			if !strings.Contains(page, "`"+m[1]) {
				t.Errorf("%s does not tell of %s", table.page, m[1])
			}
		}
	}
}

func TestReferenceIsFresh(t *testing.T) {
	out, err := exec.Command(filepath.Join(sluice(t), "sluice"), "schema", "--reference").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, generated, found := strings.Cut(read(t, "../docs/configuration.md"), "make generate -->\n\n")
	if !found || generated != string(out) {
		t.Error("docs/configuration.md is not what `sluice schema --reference` prints: run make generate")
	}
}

package config

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse: whatever the bytes are, Parse returns; every diagnostic points into the file; what it accepts can be shown,
// and reads back as the same configuration.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(whole))
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"a.yaml", "a.json"} {
			c, found := Parse([]File{{name, data}}, outside)
			for _, d := range found {
				pointsIntoFile(t, d, string(data))
			}
			if err := found.Print(discard{t}); err != nil {
				t.Fatal(err)
			}
			for _, filter := range c.Filters {
				var settings everything
				filter.Settings.Decode(&settings)
			}
			text, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if !found.HasErrors() {
				again(t, text)
			}
		}
	})
}

func pointsIntoFile(t *testing.T, d Diagnostic, data string) {
	t.Helper()
	lines := strings.Count(data, "\n") + 1
	if lines += strings.Count(data, "\r"); d.Message == "" || d.File != "" && (d.Line < 1 || d.Line > lines+1 || d.Column < 1) {
		t.Fatalf("%+v of %q", d, data)
	}
	if !utf8.ValidString(d.Source) || utf8.RuneCountInString(d.Source) > excerptWidth+2 {
		t.Fatalf("source %q", d.Source)
	}
}

// again parses what is shown of a configuration. Redacted secrets may then collide, and a `${` that was meant literally
// is one no more, so only the syntax must hold.
func again(t *testing.T, text []byte) {
	t.Helper()
	_, found := Parse([]File{{"again.json", text}}, outside)
	for _, d := range found {
		if strings.HasPrefix(d.Message, "malformed") || strings.HasPrefix(d.Message, "unknown key") {
			t.Fatalf("%v\n%s", d, text)
		}
	}
}

// discard checks that nothing printed would upset a terminal.
type discard struct{ t *testing.T }

func (w discard) Write(p []byte) (int, error) {
	if strings.ContainsAny(string(p), "\x1b\x00\x07\r") {
		w.t.Fatalf("unprintable: %q", p)
	}
	return len(p), nil
}

// FuzzNearest: no path, however broken, is more than not found.
func FuzzNearest(f *testing.F) {
	c, _ := Parse([]File{{"a.yaml", []byte(whole)}}, outside)
	for _, path := range []string{"routes[0].match[0].path", `routes[0].match.headers["x"]`, "[", `["`, "a..b", "[-1]", "]", "a]b"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if d := c.Errorf(path, "x"); d.Line < 1 || d.File == "" {
			t.Fatalf("%+v", d)
		}
	})
}

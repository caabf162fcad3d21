package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what is printed into the golden files")

// TestDiagnostics parses the files of every archive and compares what is printed with its last file, `want`. A file
// `env` holds NAME=value lines; files under `secrets/` are what ${file:…} reads.
func TestDiagnostics(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var have bytes.Buffer
			found := parseArchive(archive)
			if err := found.Print(&have); err != nil {
				t.Fatal(err)
			}
			want := &archive.Files[len(archive.Files)-1]
			if want.Name != "want" {
				t.Fatalf("the last file is %s, not want", want.Name)
			}
			if *update {
				want.Data = have.Bytes()
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want.Data), have.String()); diff != "" {
				t.Errorf("(-want +have)\n%s", diff)
			}
		})
	}
}

func parseArchive(archive *txtar.Archive) Diagnostics {
	var files []File
	env, secrets := map[string]string{}, map[string][]byte{}
	for _, f := range archive.Files {
		switch {
		case f.Name == "want":
		case f.Name == "env":
			for line := range strings.Lines(string(f.Data)) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				env[name] = value
			}
		case strings.HasPrefix(f.Name, "secrets/"):
			secrets[f.Name] = f.Data
		default:
			files = append(files, File{f.Name, f.Data})
		}
	}
	c, found := Parse(files, optionsOf(env, secrets))
	if !found.HasErrors() {
		found = append(found, c.CheckFilters([]string{"cors", "keyAuth", "rateLimit", "compress"})...)
	}
	return found
}

func optionsOf(env map[string]string, files map[string][]byte) Options {
	return Options{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			if data, ok := files[path]; ok {
				return data, nil
			}
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		},
	}
}

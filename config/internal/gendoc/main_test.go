package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCommentsAreFresh(t *testing.T) {
	want, err := generate("../../..")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../comments.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Error("config/comments.json is stale: run `go generate ./config`")
	}
}

func TestGenerate(t *testing.T) {
	module := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("config/a.go", "package config\n\n// A is\n// a thing.\ntype A struct {\n\t// B counts.\n\tB int `yaml:\"b\"`\n\tC int `yaml:\"c\"` // C too.\n\tD int // internal\n}\n")
	put("config/a_test.go", "package config\n\n// T is not part of it.\ntype T struct{}\n")
	put("config/internal/x.go", "package x\n\n// X is not part of it.\ntype X struct{}\n")
	put("filter/cors/cors.go", "package cors\n\ntype (\n\t// Config allows.\n\tConfig struct{}\n\tother struct{}\n)\n")
	have, err := generate(module)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "config.A": "A is a thing.",
  "config.A.B": "B counts.",
  "config.A.C": "C too.",
  "filter/cors.Config": "Config allows."
}
`
	if string(have) != want {
		t.Errorf("got\n%s\nwant\n%s", have, want)
	}
	if err := write(module, filepath.Join(module, "out.json")); err != nil {
		t.Error(err)
	}
	put("config/bad.go", "package")
	if _, err := generate(module); err == nil {
		t.Error("a file that does not parse is no error")
	}
}

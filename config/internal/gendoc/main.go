// Gendoc writes config/comments.json: the doc comments of every struct in config and in the filters' folders, from which
// the JSON Schema and the reference page take their descriptions. `go generate ./config` runs it in config.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

func main() {
	if err := write("..", "comments.json"); err != nil {
		fmt.Fprintln(os.Stderr, "gendoc:", err)
		os.Exit(1)
	}
}

func write(module, file string) error {
	text, err := generate(module)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// generate is the content of comments.json for the module in a folder.
func generate(module string) ([]byte, error) {
	comments := make(map[string]string)
	for _, top := range []string{"config", "filter"} {
		if err := collect(module, top, comments); err != nil {
			return nil, err
		}
	}
	text, err := json.MarshalIndent(comments, "", "  ") // sorts the keys
	return append(text, '\n'), err
}

// collect reads every Go file below top but tests.
func collect(module, top string, comments map[string]string) error {
	return filepath.WalkDir(filepath.Join(module, top), func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "internal" || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(module, filepath.Dir(name))
		if err != nil {
			return err
		}
		structs(path.Clean(filepath.ToSlash(folder)), file, comments)
		return nil
	})
}

func structs(folder string, file *ast.File, comments map[string]string) {
	for _, declared := range file.Decls {
		types, ok := declared.(*ast.GenDecl)
		if !ok || types.Tok != token.TYPE {
			continue
		}
		for _, spec := range types.Specs {
			named := spec.(*ast.TypeSpec)
			body, ok := named.Type.(*ast.StructType)
			if !ok || !named.Name.IsExported() {
				continue
			}
			doc := named.Doc
			if doc == nil {
				doc = types.Doc
			}
			key := folder + "." + named.Name.Name
			put(comments, key, doc)
			fields(key, body, comments)
		}
	}
}

// fields records what has a yaml tag: a comment above the field, else the one beside it.
func fields(key string, body *ast.StructType, comments map[string]string) {
	for _, f := range body.Fields.List {
		if f.Tag == nil || !strings.Contains(f.Tag.Value, "yaml:") {
			continue
		}
		doc := f.Doc
		if doc == nil {
			doc = f.Comment
		}
		for _, name := range f.Names {
			put(comments, key+"."+name.Name, doc)
		}
	}
}

// put stores a comment as one paragraph.
func put(comments map[string]string, key string, doc *ast.CommentGroup) {
	if text := strings.Join(strings.Fields(doc.Text()), " "); text != "" {
		comments[key] = text
	}
}

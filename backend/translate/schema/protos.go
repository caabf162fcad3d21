package schema

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// FromProtos compiles .proto files. A name of several lines is no name but a source itself. An import is looked for below each of importPaths in turn; without any, below the
// folder of each file. open reads a file by name. Google's own files need not be there.
func FromProtos(names, importPaths []string, open func(string) ([]byte, error)) (*Set, error) {
	r := &sources{open: open, roots: importPaths, texts: make(map[string][]byte)}
	if len(r.roots) == 0 {
		r.roots = foldersOf(names)
	}
	imports := make([]string, len(names))
	for i, name := range names {
		imports[i] = r.importName(name)
		if isSource(name) {
			imports[i] = "source" + strconv.Itoa(i+1) + ".proto"
			if err := r.take(imports[i], []byte(name)); err != nil {
				return nil, err
			}
		}
	}
	c := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(r),
		MaxParallelism: 1,
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := c.Compile(context.Background(), imports...)
	if r.refused != nil {
		return nil, r.refused // what is said of the importer is only a consequence
	}
	if err != nil {
		return nil, err
	}
	all := make([]protoreflect.FileDescriptor, len(files))
	for i, f := range files {
		all[i] = f
	}
	set, err := collect(all)
	if err != nil {
		return nil, err
	}
	return New(set)
}

func foldersOf(names []string) []string {
	var folders []string
	for _, name := range names {
		if !isSource(name) {
			folders = append(folders, path.Dir(name))
		}
	}
	return folders
}

func isSource(name string) bool { return strings.Contains(name, "\n") }

// collect makes descriptors of files and all that they import. Options are written and read again, so that extensions
// such as google.api.http have the types that this program knows.
func collect(files []protoreflect.FileDescriptor) (*descriptorpb.FileDescriptorSet, error) {
	set := new(descriptorpb.FileDescriptorSet)
	seen := make(map[string]bool)
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	for _, f := range files {
		add(f)
	}
	data, err := proto.Marshal(set)
	if err != nil {
		return nil, err
	}
	again := new(descriptorpb.FileDescriptorSet)
	return again, proto.Unmarshal(data, again)
}

// sources finds the files that others import. The compiler asks from several goroutines.
type sources struct {
	open  func(string) ([]byte, error)
	roots []string

	mu      sync.Mutex
	texts   map[string][]byte
	bytes   int
	refused error // the first reason of ours not to read on
}

// importName is how a file would be imported: its name below the first root that holds it.
func (r *sources) importName(name string) string {
	for _, root := range r.roots {
		if root == "." {
			return path.Clean(name)
		}
		if below, ok := strings.CutPrefix(path.Clean(name), path.Clean(root)+"/"); ok {
			return below
		}
	}
	return name
}

// FindFileByPath implements protocompile.Resolver.
func (r *sources) FindFileByPath(name string) (protocompile.SearchResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := r.find(name)
	if err == nil {
		return protocompile.SearchResult{Source: bytes.NewReader(text)}, nil
	}
	if known, e := wellKnown(name); e == nil && r.refused == nil {
		return protocompile.SearchResult{Desc: known}, nil
	}
	return protocompile.SearchResult{}, err
}

func (r *sources) find(name string) ([]byte, error) {
	if r.refused != nil {
		return nil, r.refused
	}
	if text, ok := r.texts[name]; ok {
		return text, nil
	}
	if err := importable(name); err != nil {
		return nil, r.refuse(err)
	}
	var first error = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	for i, root := range r.roots {
		text, err := r.open(path.Join(root, name))
		if err == nil {
			return text, r.take(name, text)
		}
		if i == 0 || !errors.Is(err, fs.ErrNotExist) {
			first = err
		}
	}
	return nil, first
}

func (r *sources) refuse(err error) error {
	if r.refused == nil {
		r.refused = err
	}
	return err
}

func (r *sources) take(name string, text []byte) error {
	r.texts[name] = text
	r.bytes += len(text)
	switch {
	case r.bytes > MaxBytes:
		return r.refuse(fmt.Errorf("with %s the sources come to more than %d bytes", name, MaxBytes))
	case len(r.texts) > MaxFiles:
		return r.refuse(fmt.Errorf("with %s there are more than %d files", name, MaxFiles))
	case braces(text) > maxDepth:
		return r.refuse(fmt.Errorf("%s: braces stand inside each other more than %d deep", name, maxDepth))
	}
	return nil
}

// importable refuses names that lead out of the import paths, to another machine included. Nothing is ever fetched.
func importable(name string) error {
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsAny(name, ":\\\x00") || path.Clean(name) != name || strings.HasPrefix(name, "../") || name == ".." {
		return fmt.Errorf("the import %q is no path below the import paths", name)
	}
	return nil
}

// braces is how deep a source opens brackets before it closes them. What stands in strings and comments counts for
// nothing. The compiler recurses, so it must not be shown more than a bound.
func braces(text []byte) (deepest int) {
	var open [256]int // of each kind, by its opening bracket: a stray closing one of another kind closes nothing
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{', '[', '<', '(':
			open[c]++
			depth++
			deepest = max(deepest, depth)
		case '}', ']', '>', ')':
			if kind := opening[c]; open[kind] > 0 {
				open[kind]--
				depth--
			}
		case '"', '\'':
			for i++; i < len(text) && text[i] != c && text[i] != '\n'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '/':
			i = skipComment(text, i)
		}
	}
	return deepest
}

var opening = map[byte]byte{'}': '{', ']': '[', '>': '<', ')': '('}

// skipComment returns the last byte of the comment that begins at i, or i if none does.
func skipComment(text []byte, i int) int {
	switch {
	case bytes.HasPrefix(text[i:], []byte("//")):
		if n := bytes.IndexByte(text[i:], '\n'); n >= 0 {
			return i + n
		}
		return len(text)
	case bytes.HasPrefix(text[i:], []byte("/*")):
		if n := bytes.Index(text[i+2:], []byte("*/")); n >= 0 {
			return i + 2 + n + 1
		}
		return len(text)
	}
	return i
}

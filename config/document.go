package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Bounds of what is read. They are far above any honest file and far below what would hurt.
const (
	maxFileBytes  = 16 << 20  // of one file
	maxTotalBytes = 64 << 20  // of all files of a directory
	maxSeparators = 1_500_000 // bytes that can begin a value, in one file: each costs some 600 bytes of memory
	maxDepth      = 64        // lists and mappings inside each other
	maxAliased    = 100_000   // nodes that aliases expand to, in one file
)

// document is the text that a tree was parsed from, for positions and offending lines.
type document struct {
	files []File
	lines [][]int // offset of each line's beginning, by file; nil until somebody asks

	secrets  map[lineOf][]*node // literal secrets by the line they begin on, so that no offending line shows them
	unsorted bool               // secrets were added since they were last sorted by column
}

// newDocument drops byte order marks: they are no part of the first line.
func newDocument(files []File) *document {
	d := &document{files: slices.Clone(files)}
	for i, f := range d.files {
		d.files[i].Data = bytes.TrimPrefix(f.Data, []byte("\ufeff"))
	}
	return d
}

type lineOf struct{ file, line int32 }

// maxLine is how many bytes of a line are looked at.
const maxLine = 1 << 16

// line is the text of a line, without its end; empty if there is none.
func (d *document) line(file, line int32) string {
	if int(file) >= len(d.files) || line < 1 {
		return ""
	}
	starts, data := d.starts(file), d.files[file].Data
	if int(line) > len(starts) {
		return ""
	}
	end := len(data)
	if int(line) < len(starts) {
		end = starts[line]
	}
	text := data[starts[line-1]:end]
	return strings.TrimRight(strings.ToValidUTF8(string(text[:min(len(text), maxLine)]), ""), "\r\n")
}

func (d *document) starts(file int32) []int {
	if d.lines == nil {
		d.lines = make([][]int, len(d.files))
	}
	if d.lines[file] == nil {
		starts := []int{0}
		for i, c := range d.files[file].Data {
			if c == '\n' {
				starts = append(starts, i+1)
			}
		}
		d.lines[file] = starts
	}
	return d.lines[file]
}

// at turns a byte offset of a file into a position.
func (d *document) at(file int32, offset int) position {
	data := d.files[file].Data
	offset = min(max(offset, 0), len(data))
	line := bytes.Count(data[:offset], []byte{'\n'})
	start := bytes.LastIndexByte(data[:offset], '\n') + 1
	return position{file, int32(line + 1), int32(utf8.RuneCount(data[start:offset]) + 1)}
}

// parseFile turns one file into a tree. A nil tree without a diagnostic is a file with nothing in it.
func (d *document) parseFile(file int32) (*node, []finding) {
	f := d.files[file]
	switch {
	case len(f.Data) > maxFileBytes:
		return nil, []finding{{position{file, 1, 1}, Diagnostic{
			Message: fmt.Sprintf("the file is larger than the %d MiB that are read", maxFileBytes>>20)}}}
	case !utf8.Valid(f.Data):
		return nil, []finding{{d.at(file, invalidUTF8(f.Data)), Diagnostic{
			Message: "the file is not UTF-8", Hint: "save it as UTF-8, without a byte order mark"}}}
	case separators(f.Data) > maxSeparators:
		return nil, []finding{{position{file, 1, 1}, Diagnostic{
			Message: fmt.Sprintf("the file has more than %d values", maxSeparators),
			Hint:    "split it into several files in a directory"}}}
	case looksLikeJSON(f):
		return parseJSON(d, file)
	}
	return parseYAML(d, file)
}

// separators bounds the number of values in a text from above, before anything is built from it.
func separators(data []byte) (n int) {
	for _, separator := range []string{"\n", ",", "[", "{", "- ", "? "} {
		n += bytes.Count(data, []byte(separator))
	}
	return n
}

func invalidUTF8(data []byte) (offset int) {
	for offset < len(data) {
		r, size := utf8.DecodeRune(data[offset:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		offset += size
	}
	return offset
}

func parseYAML(d *document, file int32) (*node, []finding) {
	data := d.files[file].Data
	if i := forbidden(data); i >= 0 {
		r, _ := utf8.DecodeRune(data[i:])
		return nil, []finding{{d.at(file, i), Diagnostic{
			Message: fmt.Sprintf("control character %U", r),
			Hint:    `remove it; inside double quotes it may be written as an escape: "\u2028"`}}}
	}
	var documents []yaml.Node
	limits := loaderlimits.New(loaderlimits.DepthValue(maxDepth))
	err := yaml.Load(data, &documents, yaml.WithAllDocuments(), yaml.WithPlugin(limits))
	if err != nil {
		return nil, []finding{yamlMistake(d, file, err)}
	}
	if len(documents) > 1 {
		second := documents[1]
		return nil, []finding{{position{file, int32(second.Line), int32(second.Column)}, Diagnostic{
			Message: "a second document begins here", Hint: "put it into a file of its own, or remove the `---`"}}}
	}
	if len(documents) == 0 || len(documents[0].Content) == 0 {
		return nil, nil
	}
	b := &treeBuilder{file: file}
	root := b.build(documents[0].Content[0], 0)
	if b.refused || root != nil && root.isNull() {
		root = nil
	}
	return root, b.found
}

// forbidden is the offset of the first character that no file may contain, or -1: control characters (YAML 1.2 section
// 5.1), for which the library knows no position, and the line breaks that are none to an editor (a lone CR, NEL, LS, PS),
// because they would set our line numbers apart from its.
func forbidden(data []byte) int {
	for i := 0; i < len(data); {
		c := data[i]
		if c == '\r' && (i+1 == len(data) || data[i+1] != '\n') || c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return i
		}
		if c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		if r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return i
		}
		i += size
	}
	return -1
}

// yamlMistake words a syntax error for people, with its position.
func yamlMistake(d *document, file int32, err error) finding {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return finding{position{file, 1, 1}, Diagnostic{Message: "malformed YAML: " + err.Error()}}
	}
	at := position{file, int32(max(load.Mark.Line, 1)), int32(max(load.Mark.Column, 1))}
	message := "malformed YAML: "
	if load.ContextMsg != "" && load.ContextMark.Line > 0 {
		message += fmt.Sprintf("%s that began at line %d: ", load.ContextMsg, load.ContextMark.Line)
	}
	hint := yamlHint(d.line(file, at.line), load.Message)
	return finding{at, Diagnostic{Message: message + load.Message, Hint: hint, guess: true}}
}

func yamlHint(line, message string) string {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(message, "max depth"):
		return "a configuration is never nested that deep"
	case strings.Contains(indent, "\t"):
		return "indent with spaces: YAML allows no tabs there"
	case strings.Contains(line, "${"):
		return `inside { } and [ ] a substitution must be in quotes: "${NAME}"`
	case strings.Contains(message, "did not find expected ',' or '}'") && strings.Contains(strings.TrimLeft(line, " -{"), "{"):
		return `inside { } and [ ] a value with braces must be in quotes: "/orders/{id}"`
	case strings.Contains(message, "mapping values are not allowed"):
		return "a value that contains `: ` must be in quotes; or the line above is indented otherwise"
	case strings.Contains(message, "cannot start any token"):
		return "a value that begins with a special character must be in quotes"
	}
	return ""
}

// treeBuilder turns the library's nodes into ours.
type treeBuilder struct {
	file    int32
	found   []finding
	aliased int          // nodes made inside aliases so far
	outer   *yaml.Node   // the alias in the text that is being expanded
	inside  []*yaml.Node // anchors being expanded, so that one cannot contain itself
	refused bool         // the alias bound was passed and reported
}

func (b *treeBuilder) at(y *yaml.Node) position {
	return position{b.file, int32(max(y.Line, 1)), int32(max(y.Column, 1))}
}

func (b *treeBuilder) errorAt(y *yaml.Node, hint, message string) {
	if len(b.found) < maxDiagnostics {
		b.found = append(b.found, finding{b.at(y), Diagnostic{Message: message, Hint: hint}})
	}
}

// build returns nil after a mistake that leaves nothing to look at.
func (b *treeBuilder) build(y *yaml.Node, depth int) *node {
	if b.refused {
		return nil
	}
	if len(b.inside) > 0 {
		if b.aliased++; b.aliased > maxAliased {
			b.refused = true
			b.found = nil // what is left of the tree means nothing
			b.errorAt(b.outer, "write the repeated parts out, or put them into services and filters that are named once",
				fmt.Sprintf("aliases expand to more than %d values", maxAliased))
			return nil
		}
	}
	if depth > maxDepth {
		b.errorAt(y, "", fmt.Sprintf("nested deeper than %d levels", maxDepth))
		return nil
	}
	switch y.Kind {
	case yaml.AliasNode:
		return b.alias(y, depth)
	case yaml.ScalarNode:
		return b.scalar(y)
	case yaml.SequenceNode:
		return b.list(y, depth)
	case yaml.MappingNode:
		return b.mapping(y, depth)
	}
	b.errorAt(y, "", "not a value")
	return nil
}

func (b *treeBuilder) alias(y *yaml.Node, depth int) *node {
	for _, open := range b.inside {
		if open == y.Alias {
			b.errorAt(y, "", fmt.Sprintf("alias *%s stands inside its own anchor", clip(y.Value)))
			return nil
		}
	}
	if y.Alias == nil {
		b.errorAt(y, "", fmt.Sprintf("alias *%s has no anchor", clip(y.Value)))
		return nil
	}
	if len(b.inside) == 0 {
		b.outer = y
	}
	b.inside = append(b.inside, y.Alias)
	n := b.build(y.Alias, depth+1)
	b.inside = b.inside[:len(b.inside)-1]
	return n
}

func (b *treeBuilder) scalar(y *yaml.Node) *node {
	n := &node{kind: scalarNode, pos: b.at(y), text: y.Value, plain: y.Style&^yaml.TaggedStyle == 0}
	switch y.ShortTag() {
	case "!!str", "!!timestamp": // a date is no type of this language
		n.tag = stringTag
	case "!!null":
		n.tag = nullTag
	case "!!bool":
		n.tag, n.text = boolTag, strings.ToLower(y.Value)
	case "!!int":
		n.tag = intTag
	case "!!float":
		n.tag = floatTag
	case "!!merge":
		n.tag = stringTag
	default:
		b.errorAt(y, "remove the tag", fmt.Sprintf("tag %s is not part of the language", clip(y.ShortTag())))
	}
	return n
}

func (b *treeBuilder) list(y *yaml.Node, depth int) *node {
	b.plainTag(y, "!!seq")
	n := &node{kind: listNode, pos: b.at(y)}
	for _, c := range y.Content {
		if item := b.build(c, depth+1); item != nil {
			n.items = append(n.items, item)
		}
	}
	return n.adopt()
}

func (b *treeBuilder) mapping(y *yaml.Node, depth int) *node {
	b.plainTag(y, "!!map")
	n := &node{kind: mappingNode, pos: b.at(y)}
	seen := make(map[string]int, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		if key.Kind == yaml.AliasNode && key.Alias != nil {
			key = key.Alias
		}
		if !b.usableKey(key, y.Content[i]) {
			continue
		}
		if line, twice := seen[key.Value]; twice {
			b.errorAt(y.Content[i], "keep one of the two",
				fmt.Sprintf("key `%s` is given twice, first at line %d", clip(key.Value), line))
			continue
		}
		seen[key.Value] = y.Content[i].Line
		if item := b.build(y.Content[i+1], depth+1); item != nil {
			item.key, item.keyPos = key.Value, b.at(y.Content[i])
			n.items = append(n.items, item)
		}
	}
	return n.adopt()
}

func (b *treeBuilder) usableKey(key, written *yaml.Node) bool {
	switch {
	case key.Kind != yaml.ScalarNode:
		b.errorAt(written, "", "a key must be a word, not a list or a mapping")
	case key.ShortTag() == "!!merge":
		b.errorAt(written, "write the keys out, or use an alias for the whole mapping",
			"merge keys (`<<`) are not part of the language")
	default:
		return true
	}
	return false
}

func (b *treeBuilder) plainTag(y *yaml.Node, want string) {
	if tag := y.ShortTag(); tag != want {
		b.errorAt(y, "remove the tag", fmt.Sprintf("tag %s is not part of the language", clip(tag)))
	}
}

// looksLikeJSON chooses the parser by name, and by content for a file named otherwise: JSON is nearly YAML, but its tabs
// and surrogate pairs are not.
func looksLikeJSON(f File) bool {
	if strings.EqualFold(filepath.Ext(f.Name), ".json") {
		return true
	}
	text := bytes.TrimLeft(f.Data, " \t\r\n")
	return len(text) > 0 && text[0] == '{' && json.Valid(text)
}

package route

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
)

// Path says which canonical paths a rule takes. At most one field is set; the zero Path is every path.
type Path struct {
	// Pattern is exact, but for {name}, which is one whole segment that is not empty, and a trailing /*, which is this
	// path and all below it: /old/* takes /old, /old/ and /old/x. Literal parts are made canonical.
	Pattern string
	// Regex is RE2, matched somewhere in the canonical path: write ^ and $ to anchor it. Named groups are captures.
	Regex string
}

// MaxCaptures is how many segments one path can bind: as many as an Exchange holds without allocating.
const MaxCaptures = 8

// maxRegex bounds the text of a regular expression, in bytes.
const maxRegex = 4096

// Captures lists the names that p binds. It is nil for a path that Build refuses.
func (p Path) Captures() []string {
	compiled, err := p.compile()
	if err != nil {
		return nil
	}
	return compiled.names
}

// pathKind orders paths: patterns, whose order the tree knows, then expressions, then none at all.
type pathKind uint8

const (
	byPattern pathKind = iota
	byRegex
	anyPath
)

// path is a Path compiled.
type path struct {
	kind     pathKind
	text     string // as it was given
	segments []segment
	rest     bool // ends in /*
	regex    *regexp.Regexp
	names    []string // of the captures, in order
	groups   []int    // of a regex, the group of each name
}

// segment is a literal in its canonical spelling, or a capture.
type segment struct {
	literal string
	capture bool
}

func (p Path) compile() (path, error) {
	switch {
	case p.Pattern != "" && p.Regex != "":
		return path{}, errors.New("a path is either a pattern or a regular expression")
	case p.Regex != "":
		return compileRegexPath(p.Regex)
	case p.Pattern != "":
		return compilePattern(p.Pattern)
	}
	return path{kind: anyPath}, nil
}

// field names the part of a path that is wrong.
func (p Path) field() string {
	if p.Regex != "" {
		return "path.regex"
	}
	return "path"
}

func compileRegexPath(text string) (path, error) {
	re, err := compileRegex(text)
	if err != nil {
		return path{}, err
	}
	p := path{kind: byRegex, text: text, regex: re}
	for group, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		if err := p.name(name); err != nil {
			return path{}, err
		}
		p.groups = append(p.groups, group)
	}
	return p, nil
}

// compileRegex compiles text, which comes from the configuration; its matching takes linear time whatever it says.
func compileRegex(text string) (*regexp.Regexp, error) {
	if len(text) > maxRegex {
		return nil, fmt.Errorf("the regular expression is longer than %d bytes", maxRegex)
	}
	return regexp.Compile(text)
}

func compilePattern(text string) (path, error) {
	if text[0] != '/' {
		return path{}, fmt.Errorf("a path starts with a slash: write %q", "/"+text)
	}
	p := path{kind: byPattern, text: text}
	for rest, more := text[1:], true; more; {
		var word string
		word, rest, more = strings.Cut(rest, "/")
		if word == "*" && !more {
			p.rest = true
			break
		}
		s, err := p.segment(word, !more)
		if err != nil {
			return path{}, err
		}
		p.segments = append(p.segments, s)
	}
	return p, nil
}

// segment reads one segment of a pattern. Only the last one can be empty.
func (p *path) segment(word string, last bool) (segment, error) {
	switch {
	case word == "" && !last:
		return segment{}, errors.New("a canonical path has no empty segment: write one slash")
	case strings.ContainsAny(word, "{}"):
		name, ok := captureName(word)
		if !ok {
			return segment{}, fmt.Errorf("%q: a capture is one whole segment, as in /orders/{id}; a brace itself is %%7B or %%7D", word)
		}
		return segment{capture: true}, p.name(name)
	case strings.Contains(word, "*"):
		return segment{}, fmt.Errorf("%q: * stands only at the end, as a whole segment; for one segment write {name}, for the rest use regex", word)
	}
	return literalSegment(word)
}

// captureName takes {name} apart.
func captureName(word string) (string, bool) {
	name, ok := strings.CutPrefix(word, "{")
	if !ok || !strings.HasSuffix(name, "}") {
		return "", false
	}
	name = name[:len(name)-1]
	return name, !strings.ContainsAny(name, "{}")
}

// name adds a capture.
func (p *path) name(name string) error {
	if !validName(name) {
		return fmt.Errorf("%q cannot name a capture: use letters, digits and _, and a letter or _ first", name)
	}
	for _, n := range p.names {
		if n == name {
			return fmt.Errorf("there are two captures named %q", name)
		}
	}
	if len(p.names) == MaxCaptures {
		return fmt.Errorf("there are more than %d captures", MaxCaptures)
	}
	p.names = append(p.names, name)
	return nil
}

func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// literalSegment makes word canonical. One that would change the segments around it cannot be meant.
func literalSegment(word string) (segment, error) {
	if word == "" {
		return segment{}, nil
	}
	canonical, err := exchange.CanonicalPath("/" + word)
	switch {
	case strings.ContainsAny(word, "?#"):
		return segment{}, fmt.Errorf("%q: a path has no query and no fragment: use the query conditions of the match", word)
	case strings.Contains(word, `\`):
		return segment{}, fmt.Errorf("%q: a path is separated by slashes", word)
	case err != nil && strings.Trim(strings.ReplaceAll(strings.ToLower(word), "%2e", "."), ".") != "":
		return segment{}, fmt.Errorf("%q cannot stand in a path: it holds a broken percent-encoding or a character that no request path has", word)
	case err != nil || canonical == "/":
		return segment{}, fmt.Errorf("%q: a canonical path has no dot segments, so this would never match", word)
	}
	return segment{literal: canonical[1:]}, nil
}

// matches reports whether p takes the canonical path text. Only explanations ask one path at a time.
func (p *path) matches(text string) bool {
	switch p.kind {
	case byRegex:
		return p.regex.MatchString(text)
	case anyPath:
		return true
	}
	shared, rest := p.shared(text)
	return shared == len(p.segments) && (rest == "" || p.rest)
}

// shared is how many leading segments of text fit p, and what is left of text after them.
func (p *path) shared(text string) (n int, rest string) {
	for rest = text; n < len(p.segments) && rest != ""; n++ {
		word, after := nextSegment(rest)
		if s := p.segments[n]; s.capture && word == "" || !s.capture && s.literal != word {
			break
		}
		rest = after
	}
	return n, rest
}

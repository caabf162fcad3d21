package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Bounds of substitution.
const (
	maxSecretFile  = 1 << 20  // bytes of one ${file:…}
	maxSubstituted = 16 << 20 // bytes of all that is put in, over the whole configuration
)

// substituter replaces ${NAME}, ${NAME:-default} and ${file:/path} inside scalar values. `$${` is a literal `${`. Nothing
// that was put in is looked at again, so a value from outside can never reach for another.
type substituter struct {
	options Options
	read    map[string]secretFile // each file is read once
	total   int
	found   []finding
}

type secretFile struct {
	text string
	err  error
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// apply replaces in n and everything below it.
func (s *substituter) apply(n *node) {
	n.walk(func(n *node) {
		if n.kind == scalarNode && strings.Contains(n.text, "${") {
			s.scalar(n)
		}
	})
}

func (s *substituter) scalar(n *node) {
	written := n.text
	var b strings.Builder
	replaced := false
	for rest := written; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		if !found {
			b.WriteString(rest)
			break
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before[:len(before)-1] + "${")
			rest = after
			continue
		}
		inside, tail, closed := strings.Cut(after, "}")
		if !closed {
			s.errorAt(n, "close it, or write `$${` for a literal `${`", "`${` without `}`")
			return
		}
		value, ok := s.value(n, inside)
		if !ok {
			return
		}
		b.WriteString(before + value)
		rest, replaced = tail, true
	}
	n.text = b.String()
	n.reference = replaced && wholeReference(written)
	n.loose = replaced && n.plain
}

// wholeReference reports whether a scalar is one reference and nothing else, so that it says nothing by itself.
func wholeReference(written string) bool {
	return strings.HasPrefix(written, "${") && strings.Index(written, "}") == len(written)-1 && !strings.Contains(written, ":-")
}

// value is what stands for the text between ${ and }.
func (s *substituter) value(n *node, inside string) (value string, ok bool) {
	if path, isFile := strings.CutPrefix(inside, "file:"); isFile {
		n.secret = true
		value, ok = s.file(n, path)
	} else {
		value, ok = s.variable(n, inside)
	}
	if !ok {
		return "", false
	}
	if s.total += len(value); s.total > maxSubstituted {
		s.errorAt(n, "", fmt.Sprintf("substitutions add up to more than %d MiB", maxSubstituted>>20))
		return "", false
	}
	return value, true
}

func (s *substituter) variable(n *node, inside string) (string, bool) {
	name, fallback, hasFallback := strings.Cut(inside, ":-")
	if !variableName.MatchString(name) {
		s.errorAt(n, "write ${NAME}, ${NAME:-default} or ${file:/path}; `$${` is a literal `${`",
			fmt.Sprintf("`${%s}` names no variable", clip(inside)))
		return "", false
	}
	value, set := s.options.LookupEnv(name)
	switch {
	case hasFallback && value == "":
		return fallback, true
	case !set:
		s.errorAt(n, fmt.Sprintf("set it, or write ${%s:-default}", clip(name)),
			fmt.Sprintf("environment variable %s is not set", clip(name)))
		return "", false
	case !utf8.ValidString(value):
		s.errorAt(n, "", fmt.Sprintf("environment variable %s is not UTF-8", clip(name)))
		return "", false
	}
	return value, true
}

func (s *substituter) file(n *node, path string) (string, bool) {
	f, known := s.read[path]
	if !known {
		f.text, f.err = readSecret(s.options.ReadFile, path)
		s.read[path] = f
	}
	if f.err != nil {
		s.errorAt(n, "", fmt.Sprintf("cannot read ${file:%s}: %v", clip(path), f.err))
		return "", false
	}
	return f.text, true
}

// readSecret reads a file and trims the newline that editors put at its end.
func readSecret(read func(string) ([]byte, error), path string) (string, error) {
	data, err := read(path)
	var pathError *os.PathError
	switch {
	case path == "":
		return "", errors.New("no path is given")
	case errors.As(err, &pathError):
		return "", pathError.Err // the path is in the message already
	case err != nil:
		return "", err
	case len(data) > maxSecretFile:
		return "", fmt.Errorf("more than %d MiB", maxSecretFile>>20)
	case !utf8.Valid(data):
		return "", errors.New("not UTF-8")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// readBounded is the ReadFile of whoever gives none.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSecretFile+1))
}

func (s *substituter) errorAt(n *node, hint, message string) {
	n.broken = true
	if len(s.found) < maxDiagnostics {
		s.found = append(s.found, finding{n.pos, Diagnostic{Path: n.path(), Message: message, Hint: hint}})
	}
}

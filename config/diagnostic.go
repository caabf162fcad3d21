package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDiagnostics bounds what is reported of one configuration: nobody reads more, and a hostile file could have millions.
const maxDiagnostics = 1000

// Severity says whether a configuration may run in spite of what was found.
type Severity uint8

const (
	Error   Severity = iota // it may not
	Warning                 // it may, but it is surely not what was meant
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText writes "error" or "warning".
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	switch string(text) {
	case "error":
		*s = Error
	case "warning":
		*s = Warning
	default:
		return fmt.Errorf("severity %q is neither error nor warning", text)
	}
	return nil
}

// Diagnostic is one thing that is wrong with a configuration.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`   // from 1; 0 if it is about no line
	Column   int      `json:"column,omitempty"` // from 1, in characters
	Path     string   `json:"path,omitempty"`   // routes[2].match.path
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`   // what to do
	Source   string   `json:"source,omitempty"` // the offending line, secrets redacted; the part around Column of a long one

	caret int  // where Column is in Source, from 0
	guess bool // the text could not be parsed, so that secrets in Source are known by the names of keys only
}

// Error is the diagnostic on one line.
func (d Diagnostic) Error() string {
	var b strings.Builder
	if d.File != "" {
		b.WriteString(d.File + ":")
		if d.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", d.Line, d.Column)
		}
		b.WriteByte(' ')
	}
	b.WriteString(d.Severity.String() + ": ")
	if d.Path != "" {
		b.WriteString(d.Path + ": ")
	}
	b.WriteString(d.Message)
	return b.String()
}

// Diagnostics is all that is wrong with a configuration, in the order of the text.
type Diagnostics []Diagnostic

// HasErrors reports whether the configuration may not run.
func (d Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(d, func(one Diagnostic) bool { return one.Severity == Error })
}

// Err is the errors among d as one error, or nil if there are only warnings.
func (d Diagnostics) Err() error {
	var all []error
	for _, one := range d {
		if one.Severity == Error {
			all = append(all, one)
		}
	}
	return errors.Join(all...)
}

// Sort orders d by file, line and column. What was found at one place keeps its order.
func (d Diagnostics) Sort() {
	slices.SortStableFunc(d, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Print writes d for people: the position and the message, the offending line with a caret under it, and the hint.
func (d Diagnostics) Print(w io.Writer) error {
	for _, one := range d {
		if _, err := io.WriteString(w, one.block()); err != nil {
			return err
		}
	}
	return nil
}

func (d Diagnostic) block() string {
	var b strings.Builder
	b.WriteString(d.Error() + "\n")
	if d.Source != "" {
		gutter := fmt.Sprintf("%5d | ", d.Line)
		fmt.Fprintf(&b, "%s%s\n%*s | %s^\n", gutter, d.Source, len(gutter)-3, "", under(d.Source, d.caret))
	}
	if d.Hint != "" {
		b.WriteString("      = " + d.Hint + "\n")
	}
	return b.String()
}

// under is the white space that puts a caret under the character number caret of source.
func under(source string, caret int) string {
	var b strings.Builder
	for _, r := range source {
		if caret--; caret < 0 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// MarshalJSON makes an empty list of none, so that a reader need not know null.
func (d Diagnostics) MarshalJSON() ([]byte, error) {
	if d == nil {
		d = Diagnostics{}
	}
	return json.Marshal([]Diagnostic(d))
}

// A finding is a diagnostic that still has its position in the document's terms.
type finding struct {
	at position
	Diagnostic
}

// finish turns findings into diagnostics, in the order of the text. It comes last, when all secrets are known.
func (d *document) finish(found []finding) Diagnostics {
	if len(found) == 0 {
		return nil
	}
	all := make(Diagnostics, 0, min(len(found), maxDiagnostics+1))
	for _, f := range found {
		if len(all) == maxDiagnostics {
			all = append(all, Diagnostic{Message: "there are more mistakes; only the first are shown"})
			break
		}
		all = append(all, d.diagnostic(f))
	}
	all.Sort()
	return all
}

func (d *document) diagnostic(f finding) Diagnostic {
	one := f.Diagnostic
	if f.at.line == 0 || d == nil || int(f.at.file) >= len(d.files) {
		return one
	}
	one.File, one.Line, one.Column = d.files[f.at.file].Name, int(f.at.line), int(f.at.column)
	one.Source, one.caret = d.source(f.at, one.guess)
	return one
}

// source is the offending line as it may be shown, and where in it the position is.
func (d *document) source(at position, guess bool) (text string, caret int) {
	if at.column > maxLine {
		return "", 0 // a file of one line: nobody reads it there
	}
	text, caret = redactLine(d.line(at.file, at.line), int(at.column)-1, d.secretsOn(at))
	if guess {
		text = looksSecret.ReplaceAllString(text, "${1}"+redacted)
	}
	return excerpt(text, caret)
}

// looksSecret is for text that could not be parsed: what follows a key that holds a secret somewhere in the language.
var looksSecret = regexp.MustCompile(`(?i)(\b\w*(?:key|token|secret|password)["']?[ \t]*:[ \t]*)[^$\s{\[][^\r\n]*`)

// secretsOn is the secrets that begin on a position's line, in their order.
func (d *document) secretsOn(at position) []*node {
	if d.unsorted {
		for _, line := range d.secrets {
			slices.SortFunc(line, func(a, b *node) int { return cmp.Compare(a.pos.column, b.pos.column) })
		}
		d.unsorted = false
	}
	return d.secrets[lineOf{at.file, at.line}]
}

// redactLine replaces the secrets that begin on a line. caret moves along with what it points at.
func redactLine(line string, caret int, secrets []*node) (string, int) {
	var b strings.Builder
	done, column, moved := 0, 0, 0 // bytes copied or replaced; the characters they were; how far that moves the caret
	for _, secret := range secrets {
		start := done + byteOffset(line[done:], int(secret.pos.column)-1-column)
		if start == len(line) {
			break
		}
		if int(secret.pos.column)-1 < column {
			continue // inside the last one
		}
		end := start + scalarLength(line[start:], secret.text)
		b.WriteString(line[done:start] + redacted)
		column += utf8.RuneCountInString(line[done:end])
		if caret >= column {
			moved += len(redacted) - utf8.RuneCountInString(line[start:end])
		}
		done = end
	}
	return b.String() + line[done:], caret + moved
}

// scalarLength is the length of the scalar that text begins with, or of all that is left if that cannot be told.
func scalarLength(text, value string) int {
	for _, quote := range []string{`"`, `'`, ``} {
		if raw := quote + value + quote; strings.HasPrefix(text, raw) {
			return len(raw)
		}
	}
	return len(text)
}

func byteOffset(line string, runes int) int {
	for i := range line {
		if runes--; runes < 0 {
			return i
		}
	}
	return len(line)
}

// excerptWidth is how many characters of a line are shown.
const excerptWidth = 120

// excerpt is the part of a line around caret, without what would upset a terminal.
func excerpt(line string, caret int) (string, int) {
	runes := []rune(line)
	caret = min(max(caret, 0), len(runes))
	cut := ""
	if len(runes) > excerptWidth && caret > excerptWidth*2/3 {
		from := caret - excerptWidth/2
		runes, caret, cut = runes[from:], caret-from+1, "…"
	}
	if len(runes) > excerptWidth {
		runes = append(runes[:excerptWidth:excerptWidth], '…')
	}
	return cut + printable(string(runes)), caret
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// clip makes a piece of input fit for a message: short and printable.
func clip(s string) string {
	const most = 64
	if utf8.RuneCountInString(s) > most {
		s = s[:byteOffset(s, most)] + "…"
	}
	return printable(strings.ReplaceAll(s, "\t", " "))
}

// Package template fills texts of the configuration with values of a request and of answers, escaped by the place they
// go to.
//
// A reference is a name in braces, with a path into what it names and a default for when there is nothing:
//
//	/users/{id}/orders?since={query.since:-2000-01-01}&region={user.region.id}
//
// Of the request there are {NAME} for a segment captured by the route, {query.NAME}, {header.NAME}, {cookie.NAME},
// {claim.NAME}, {consumer}, {client.ip}, {host}, {route}, {method} and {requestId}. Other names are the caller's: see
// Reference.Slot.
//
// What a value becomes depends on where it stands, so that it cannot be more than a value there: %XX for all but unreserved
// characters in a path, a query and a form; in a header field as it is, and refused if a field cannot hold it; in a JSON
// string without its quotes and escaped, elsewhere in JSON a whole value; &…; in XML. A missing value without a default is an
// error: a request with a hole in it is never sent.
package template

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/exchange"
)

// Place is where a text goes.
type Place uint8

const (
	Target  Place = iota // a path, and a query behind a question mark
	Header               // the value of a header field
	Method               // a method
	JSON                 // a body of JSON
	XML                  // a body of XML
	Form                 // a body of a form
	Text                 // a body of any other type, without escaping
	segment              // in the path of a Target
	query                // in its query
	inside               // in a string of a JSON body
)

// PlaceOf is the place that a body of a media type is.
func PlaceOf(media string) Place {
	switch {
	case document.IsJSON(media):
		return JSON
	case document.IsXML(media):
		return XML
	case document.IsForm(media):
		return Form
	}
	return Text
}

// A Template is a text with references. It is not changed after Parse, but for what the caller sets in its References, and
// then safe for concurrent use.
type Template struct {
	parts []part
}

// part is a literal, or a reference in its place.
type part struct {
	literal   string
	reference *Reference
	place     Place
}

const (
	maxTemplate   = 64 << 10
	maxReferences = 64
)

// Parse reads a template. What it can know to be wrong it reports, in words for whoever wrote it.
func Parse(text string, place Place) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("the text is longer than %d characters", maxTemplate)
	}
	p := parser{rest: text, place: place}
	if place == Target {
		p.place = segment
	}
	if err := p.run(); err != nil {
		return nil, err
	}
	t := &Template{p.parts}
	return t, t.check(place)
}

// parser cuts a text into parts. In bodies a brace is a reference only before a letter, because JSON has braces of its own.
type parser struct {
	rest    string
	place   Place
	parts   []part
	literal strings.Builder
	count   int
}

func (p *parser) run() error {
	for p.rest != "" {
		c := p.rest[0]
		switch {
		case c == '{':
			if err := p.brace(); err != nil {
				return err
			}
			continue
		case c == '}' && !p.isBody():
			if !strings.HasPrefix(p.rest, "}}") {
				return errors.New("a brace is closed that was not opened: a literal one is written }}")
			}
			p.rest = p.rest[1:]
		case c == '?' && p.place == segment:
			p.place = query
		case c == '"' && p.place == JSON:
			p.place = inside
		case c == '"' && p.place == inside:
			p.place = JSON
		case c == '\\' && p.place == inside && len(p.rest) > 1:
			p.literal.WriteByte(c)
			p.rest = p.rest[1:]
			c = p.rest[0]
		}
		p.literal.WriteByte(c)
		p.rest = p.rest[1:]
	}
	p.flush()
	return nil
}

func (p *parser) isBody() bool {
	switch p.place {
	case JSON, inside, XML, Form, Text:
		return true
	}
	return false
}

// brace takes a reference, or the literal brace that {{ stands for.
func (p *parser) brace() error {
	after := p.rest[1:]
	doubled := strings.HasPrefix(after, "{")
	if p.isBody() {
		name := strings.TrimPrefix(after, "{")
		if doubled = doubled && name != "" && isLetter(name[0]); !doubled && (after == "" || !isLetter(after[0])) {
			p.literal.WriteByte('{')
			p.rest = after
			return nil
		}
	}
	if doubled {
		p.literal.WriteByte('{')
		p.rest = after[1:]
		return nil
	}
	end := closing(after)
	if end < 0 {
		return errors.New("a brace is not closed: a reference is {name}, a literal brace {{")
	}
	r, err := parseReference(after[:end])
	if err != nil {
		return err
	}
	if p.count++; p.count > maxReferences {
		return fmt.Errorf("there are more than %d references", maxReferences)
	}
	p.flush()
	p.parts = append(p.parts, part{reference: r, place: p.place})
	p.rest = after[end+1:]
	return nil
}

func (p *parser) flush() {
	if p.literal.Len() > 0 {
		p.parts = append(p.parts, part{literal: p.literal.String()})
		p.literal.Reset()
	}
}

// closing is the index of the brace that closes, outside of quotes, or -1.
func closing(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '}' && !quoted:
			return i
		}
	}
	return -1
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }

// check looks at the literal text, with something harmless in the place of the references.
func (t *Template) check(place Place) error {
	sample := t.sample()
	switch place {
	case Target:
		return checkTarget(sample)
	case Header:
		return checkField(sample)
	case Method:
		if t.IsLiteral() {
			return checkMethod(sample)
		}
	case JSON:
		if _, err := document.Parse([]byte(sample), document.MaxDepth); err != nil {
			return fmt.Errorf("the body is not JSON: %w (a reference outside of quotes is a whole value)", err)
		}
	}
	return nil
}

func (t *Template) sample() string {
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case p.reference == nil:
			b.WriteString(p.literal)
		case p.place == JSON:
			b.WriteString("null")
		case p.place != inside:
			b.WriteString("x")
		}
	}
	return b.String()
}

func checkTarget(sample string) error {
	path, query, _ := strings.Cut(sample, "?")
	if !strings.HasPrefix(path, "/") {
		return errors.New("a path begins with /")
	}
	if i := strings.IndexFunc(sample, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>\^|#`+"`", r) }); i >= 0 {
		return fmt.Errorf("%q cannot stand in a path or query: write it as %%XX", sample[i:][:1])
	}
	if strings.ContainsAny(query, "{}") {
		return errors.New("braces in a query are written %7B and %7D")
	}
	if canonical, err := exchange.CanonicalPath(path); err != nil || canonical != path {
		return errors.New("the path is not in its canonical spelling: no empty or dot segments, no needless escapes, %XX in capitals")
	}
	return nil
}

// IsLiteral reports whether there are no references.
func (t *Template) IsLiteral() bool { return len(t.References()) == 0 }

// References are those of the text, in their order.
func (t *Template) References() (all []*Reference) {
	for _, p := range t.parts {
		if p.reference != nil {
			all = append(all, p.reference)
		}
	}
	return all
}

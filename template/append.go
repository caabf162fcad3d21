package template

import (
	"errors"
	"fmt"
	"net/url"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/document"
)

// Source finds values.
type Source interface {
	Find(r *Reference) Value
}

// An Error is a reference that could not be filled in.
type Error struct {
	Reference *Reference
	Err       error
}

func (e *Error) Error() string { return fmt.Sprintf("%v %v", e.Reference, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

var (
	errMissing    = errors.New("is not there")
	errEncoding   = errors.New("is not UTF-8")
	errFieldValue = errors.New("holds a character that no header field can carry")
)

// Append appends the text with its references filled in. The error is an *Error, and dst then worth nothing.
func (t *Template) Append(dst []byte, from Source) ([]byte, error) {
	for i := range t.parts {
		p := &t.parts[i]
		if p.reference == nil {
			dst = append(dst, p.literal...)
			continue
		}
		var err error
		if dst, err = p.append(dst, from.Find(p.reference)); err != nil {
			return nil, &Error{p.reference, err}
		}
	}
	return dst, nil
}

// String is Append for those who want a string. Most texts are literal, and cost nothing.
func (t *Template) String(from Source) (string, error) {
	switch {
	case len(t.parts) == 0:
		return "", nil
	case len(t.parts) == 1 && t.parts[0].reference == nil:
		return t.parts[0].literal, nil
	}
	var room [256]byte
	text, err := t.Append(room[:0], from)
	return string(text), err
}

func (p *part) append(dst []byte, v Value) ([]byte, error) {
	if !v.found {
		if !p.reference.hasFallback {
			return nil, errMissing
		}
		v = p.fallback()
	}
	if p.place == JSON && v.JSON != nil {
		return append(dst, v.JSON...), nil
	}
	text, err := p.text(v)
	if err != nil {
		return nil, err
	}
	switch p.place {
	case segment:
		if v.Encoded {
			return append(dst, text...), nil
		}
		return document.AppendEscaped(dst, text), nil
	case query, Form:
		return document.AppendEscaped(dst, text), nil
	case JSON:
		return document.AppendQuoted(dst, text), nil
	case inside:
		return document.AppendInside(dst, text), nil
	case XML:
		return document.AppendXMLText(dst, text)
	case Header:
		if checkField(text) != nil {
			return nil, errFieldValue
		}
	}
	return append(dst, text...), nil
}

// fallback is the default: in JSON a value if it is one, and a string if not.
func (p *part) fallback() Value {
	if p.place == JSON {
		if v, err := document.Parse([]byte(p.reference.fallback), document.MaxDepth); err == nil {
			return Value{JSON: v}
		}
	}
	return OfText(p.reference.fallback)
}

// text is a value in characters. Objects and arrays have none, except in a plain text, where they stand as JSON.
func (p *part) text(v Value) (string, error) {
	switch k := v.JSON.Kind(); {
	case k == document.None:
	case (k == document.Object || k == document.Array) && p.place != Text:
		return "", fmt.Errorf("is %v, which has no place here", k)
	default:
		return v.JSON.Text(), nil
	}
	if !v.Encoded || p.place == segment {
		return v.Text, p.checkUTF8(v.Text)
	}
	text, err := url.PathUnescape(v.Text)
	if err != nil {
		return "", err
	}
	return text, p.checkUTF8(text)
}

// checkUTF8 keeps octets that are no characters out of where characters are meant. %FF in a path or a query harms nobody.
func (p *part) checkUTF8(text string) error {
	switch p.place {
	case segment, query, Form:
		return nil
	}
	if !utf8.ValidString(text) {
		return errEncoding
	}
	return nil
}

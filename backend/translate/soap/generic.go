package soap

import (
	"encoding/xml"
	"strings"
	"unicode"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// What the schema does not describe (xs:any, xs:anyType) is the same XML in a general form of JSON: an element is a
// string if it has nothing but text, else an object with its children by local name, lists for what is repeated, @name
// for attributes, #text for text, and @xmlns where the namespace changes.

// generic ends the start tag and writes the value in it.
func (w *writer) generic(v int32) error {
	switch w.doc.values[v].kind {
	case jsonObject:
		return w.genericObject(v, w.around)
	case jsonArray:
		return fault("must not be a list here: its name is unknown")
	}
	w.out = append(w.out, '>')
	return w.text(xsd.Builtin("anySimpleType"), v)
}

func (w *writer) genericObject(v int32, space string) error {
	text := int32(-1)
	var children []int32
	err := w.doc.each(v, func(child int32) error {
		switch key := w.doc.key(child); {
		case key == textKey:
			text = child
		case key == namespaceKey, key == typeKey:
		case strings.HasPrefix(key, "@"):
			return w.genericAttribute(key, child)
		default:
			children = append(children, child)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.out = append(w.out, '>')
	if text >= 0 {
		if err := w.text(xsd.Builtin("anySimpleType"), text); err != nil {
			return within(textKey, err)
		}
	}
	for _, child := range children {
		if err := w.genericMember(child, space); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) genericAttribute(key string, v int32) error {
	name, ok := nameOf(key[1:])
	if !ok {
		return &misfit{clip(key), "cannot be the name of an attribute"}
	}
	text, err := w.scalar(xsd.Builtin("anySimpleType"), v)
	if err == nil {
		err = w.attribute(name, text)
	}
	return within(key, err)
}

// genericMember writes a member as one element, or as one for each item of a list.
func (w *writer) genericMember(v int32, space string) error {
	key := w.doc.key(v)
	name, ok := nameOf(key)
	if !ok {
		return &misfit{clip(key), "cannot be the name of an element"}
	}
	if name.Space == "" {
		name.Space = space
	}
	if w.doc.values[v].kind != jsonArray {
		return within(key, w.genericElement(name, v))
	}
	return w.doc.each(v, func(child int32) error { return within(key, w.genericElement(name, child)) })
}

func (w *writer) genericElement(name xml.Name, v int32) error {
	if len(w.out) > w.limit {
		return errTooLarge
	}
	declared := len(w.spaces)
	defer func() { w.spaces = w.spaces[:declared] }()
	object := w.doc.values[v].kind == jsonObject
	if object {
		if member := w.member(v, namespaceKey); member >= 0 {
			name.Space = w.doc.str(member)
			if !validXML(name.Space) {
				return fault("has a namespace that XML cannot carry")
			}
		}
	}
	tag := w.open(name)
	var err error
	switch {
	case w.doc.values[v].kind == jsonNull:
		w.out = append(w.out, ` xsi:nil="true"/>`...)
		return nil
	case object:
		err = w.genericObject(v, name.Space)
	case w.doc.values[v].kind == jsonArray:
		return fault("must not be a list in a list: it has no name")
	default:
		err = w.generic(v)
	}
	w.close(tag)
	return err
}

// extras writes the members of a typed object that its schema lets in without naming them.
func (w *writer) extras(members []int32) error {
	for _, v := range members {
		if strings.HasPrefix(w.doc.key(v), "@") {
			continue
		}
		if err := w.genericMember(v, ""); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) otherAttributes(members []int32) error {
	for _, v := range members {
		if key := w.doc.key(v); strings.HasPrefix(key, "@") {
			if err := w.genericAttribute(key, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// nameOf reads a key as an XML name, with a namespace in braces before it or without.
func nameOf(key string) (xml.Name, bool) {
	var name xml.Name
	if strings.HasPrefix(key, "{") {
		space, local, closed := strings.Cut(key[1:], "}")
		if !closed || !validXML(space) {
			return name, false
		}
		name.Space, key = space, local
	}
	name.Local = key
	for i, r := range key {
		letter := r == '_' || unicode.IsLetter(r)
		if !letter && (i == 0 || r != '-' && r != '.' && !unicode.IsDigit(r)) {
			return name, false
		}
	}
	return name, key != "" && !strings.EqualFold(key, "xmlns")
}

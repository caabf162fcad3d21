package soap

import (
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// show writes an element that was read as JSON: what repeats may repeat is a list even if there is one.
func (r *reader) show(b []byte, at int32) []byte {
	it := &r.items[at]
	switch {
	case it.null:
		return append(b, "null"...)
	case it.typ == nil || it.typ.AnyType:
		return r.showGeneric(b, at, it.name.Space)
	case it.typ.IsSimple():
		return showText(b, it.typ.Simple, r.text[it.from:it.to])
	}
	return r.showObject(b, at)
}

// showText writes the text of a simple type as the JSON it is.
func showText(b []byte, s *xsd.Simple, text []byte) []byte {
	switch s.Kind {
	case xsd.Union:
		if m := s.MemberFor(string(text)); m != s {
			return showText(b, m, text)
		}
	case xsd.List:
		return showList(b, s, string(text))
	case xsd.Boolean:
		if t := s.Trim(string(text)); t == "true" || t == "1" {
			return append(b, "true"...)
		}
		return append(b, "false"...)
	case xsd.Decimal, xsd.Integer, xsd.Float:
		if with, ok := xsd.AppendNumber(b, s.Trim(string(text))); ok {
			return with
		}
	}
	if s.Kind != xsd.Text || s.Builtin != "string" {
		text = []byte(s.Trim(string(text)))
	}
	return appendString(b, text)
}

func showList(b []byte, s *xsd.Simple, text string) []byte {
	b = append(b, '[')
	first := true
	for item := range strings.FieldsSeq(text) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = showText(b, s.Item, []byte(item))
	}
	return append(b, ']')
}

// object writes members with their commas.
type object struct {
	b     []byte
	begun bool
}

func (o *object) key(prefix, key string) {
	if o.begun {
		o.b = append(o.b, ',')
	} else {
		o.b = append(o.b, '{')
	}
	o.begun = true
	o.b = appendString(o.b, []byte(prefix+key))
	o.b = append(o.b, ':')
}

func (o *object) end() []byte {
	if !o.begun {
		o.b = append(o.b, '{')
	}
	return append(o.b, '}')
}

func (r *reader) showObject(b []byte, at int32) []byte {
	it := &r.items[at]
	t := it.typ
	o := &object{b: b}
	if it.declared != nil {
		o.key("", typeKey)
		o.b = appendString(o.b, []byte(t.Name.Local))
	}
	r.showAttributes(o, at)
	if t.Simple != nil {
		o.key("", textKey)
		o.b = showText(o.b, t.Simple, r.text[it.from:it.to])
		return o.end()
	}
	if text := r.text[it.from:it.to]; t.Mixed && !blank(text) {
		o.key("", textKey)
		o.b = appendString(o.b, text)
	}
	r.showFields(o, at)
	return o.end()
}

func blank(text []byte) bool {
	for _, c := range text {
		if c > ' ' {
			return false
		}
	}
	return true
}

func (r *reader) showAttributes(o *object, at int32) {
	t := r.items[at].typ
	for i := r.items[at].first; i != 0; i = r.items[i].next {
		it := &r.items[i]
		switch {
		case !it.attr:
		case it.simple != nil:
			o.key("", t.Attrs[it.field].Key)
			o.b = showText(o.b, it.simple, r.text[it.from:it.to])
		default:
			o.key("@", full(it.name.Space, it.name.Local, it.name.Space != ""))
			o.b = appendString(o.b, r.text[it.from:it.to])
		}
	}
}

func full(space, local string, with bool) string {
	if !with {
		return local
	}
	return "{" + space + "}" + local
}

// showFields writes the elements by name, in the order of the schema; then those that it does not name.
func (r *reader) showFields(o *object, at int32) {
	t := r.items[at].typ
	n := len(t.Fields)
	base := len(r.counts)
	r.counts = append(r.counts, make([]int, 2*n)...) // the first and the last of each field
	defer func() { r.counts = r.counts[:base] }()
	first, last := r.counts[base:base+n], r.counts[base+n:base+2*n]
	var extras []int32
	for i := r.items[at].first; i != 0; i = r.items[i].next {
		it := &r.items[i]
		if it.attr {
			continue
		}
		if it.field == xsd.Extra {
			extras = append(extras, i)
			continue
		}
		it.same = 0
		if first[it.field] == 0 {
			first[it.field] = int(i)
		} else {
			r.items[last[it.field]].same = i
		}
		last[it.field] = int(i)
	}
	for i, f := range t.Fields {
		if head := int32(first[i]); head != 0 {
			o.key("", f.Key)
			o.b = r.showField(o.b, f, head, t.Array)
		}
	}
	r.showExtras(o, extras, "", t)
}

func (r *reader) showField(b []byte, f *xsd.Field, head int32, array bool) []byte {
	if !f.Many && !array {
		return r.showOr(b, f, head)
	}
	b = append(b, '[')
	for i := head; i != 0; i = r.items[i].same {
		if i != head {
			b = append(b, ',')
		}
		b = r.showOr(b, f, i)
	}
	return append(b, ']')
}

// showOr shows an element, or what an empty one means by its declaration.
func (r *reader) showOr(b []byte, f *xsd.Field, at int32) []byte {
	it := &r.items[at]
	if it.typ != nil && it.typ.IsSimple() && it.from == it.to && !it.null {
		if text := f.Fixed + f.Default; text != "" {
			return showText(b, it.typ.Simple, []byte(text))
		}
	}
	return r.show(b, at)
}

// showExtras groups elements by name: repeated ones are a list.
func (r *reader) showExtras(o *object, extras []int32, space string, t *xsd.Type) {
	byName := make(map[string][]int32, len(extras))
	var order []string
	for _, i := range extras {
		key := r.items[i].name.Local
		if t != nil {
			if _, taken := t.FieldByKey(key); taken {
				key = full(r.items[i].name.Space, key, true)
			}
		}
		if byName[key] == nil {
			order = append(order, key)
		}
		byName[key] = append(byName[key], i)
	}
	for _, key := range order {
		all := byName[key]
		o.key("", key)
		if len(all) == 1 {
			o.b = r.showExtra(o.b, all[0], space)
			continue
		}
		for n, i := range all {
			o.b = append(o.b, "[,"[min(n, 1)])
			o.b = r.showExtra(o.b, i, space)
		}
		o.b = append(o.b, ']')
	}
}

func (r *reader) showExtra(b []byte, at int32, space string) []byte {
	it := &r.items[at]
	if it.null || it.typ != nil && !it.typ.AnyType {
		return r.show(b, at)
	}
	return r.showGeneric(b, at, space)
}

func (r *reader) showGeneric(b []byte, at int32, space string) []byte {
	it := &r.items[at]
	text := r.text[it.from:it.to]
	changed := it.name.Space != space
	if it.first == 0 && !changed {
		return appendString(b, text)
	}
	o := &object{b: b}
	if changed {
		o.key("", namespaceKey)
		o.b = appendString(o.b, []byte(it.name.Space))
	}
	var children []int32
	for i := it.first; i != 0; i = r.items[i].next {
		if c := &r.items[i]; c.attr {
			o.key("@", full(c.name.Space, c.name.Local, c.name.Space != ""))
			o.b = appendString(o.b, r.text[c.from:c.to])
		} else {
			children = append(children, i)
		}
	}
	if !blank(text) || len(children) == 0 {
		o.key("", textKey)
		o.b = appendString(o.b, text)
	}
	r.showExtras(o, children, it.name.Space, nil)
	return o.end()
}

package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// The decoder fills structs from nodes, strictly: an unknown key, a wrong type, a value out of bounds is a mistake with a
// position, and nothing else of the tree is given up for it. Structs say what they take by tags, filters' Config structs
// the same as ours:
//
//	yaml:"name"           the key; every exported field has one, "-" for none
//	default:"30s"         taken when the key is absent; "a,b" for a list; "{}" for a pointer that is on by default
//	required:"true"       the key must be there, and a string, list or mapping must not be empty
//	filled:"true"         the key may be absent, but a string, list or mapping that is written must not be empty
//	enum:"a,b"            the only values, of each element in a list
//	min:"0" max:"1m"      the bounds, included, in the field's own notation; of each element in a list
//	secret:"true"         never shown in messages, /config or logs
//	off:"true"            a pointer: `off` makes it nil
//	one:"true"            a list: one element may stand without its brackets
//	short:"true"          with yaml:"-": takes a scalar written in place of the whole mapping
//	yet:"a,b"             values, or on a blank field keys, that the language has and this version lacks
//
// Types: string, bool, integers, floats, time.Duration ("250ms"), Size ("64KiB"), netip.Prefix (a bare address too), any
// encoding.TextUnmarshaler, structs, pointers, slices, maps with string keys, and Node for what is decoded later. After a
// struct is filled without a mistake, its Validate() error is asked, if it has one; an error (or each of those joined)
// with a method Field() string is reported at that key: "allow[2]".
type decoder struct {
	doc   *document
	found []finding
	above []level // the structs around the value at hand

	// partial says that some of the text could not be read, so that a missing key may have been there.
	partial bool
}

type level struct {
	info *structInfo
	node *node
}

// customDecoder is a type of this package with a shape that tags cannot say.
type customDecoder interface {
	decodeNode(d *decoder, n *node)
}

type validator interface{ Validate() error }

// into decodes n, or an empty mapping if there is none, into the struct that target points to.
func (d *decoder) into(n *node, target any) {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		d.errorAt(n, "", fmt.Sprintf("settings cannot be decoded into a %T", target))
		return
	}
	if n == nil {
		n = &node{kind: mappingNode}
	}
	d.value(n, v.Elem(), anyField)
}

// value decodes n into v, as f's tags say.
func (d *decoder) value(n *node, v reflect.Value, f *field) {
	if n.broken {
		return
	}
	if f.secret {
		d.hide(n)
	}
	switch custom, isCustom := v.Addr().Interface().(customDecoder); {
	case isCustom:
		custom.decodeNode(d, n)
	case v.Type() == nodeType:
		v.Set(reflect.ValueOf(Node{n, d.doc}))
	case v.Kind() == reflect.Pointer:
		d.pointer(n, v, f)
	case isStruct(v.Type()):
		d.structure(n, v, f)
	case v.Kind() == reflect.Slice && !isText(v.Type()):
		d.list(n, v, f)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, f)
	default:
		d.scalar(n, v, f)
	}
}

func (d *decoder) pointer(n *node, v reflect.Value, f *field) {
	if f.off && n.isOff() {
		v.SetZero()
		return
	}
	v.Set(reflect.New(v.Type().Elem()))
	d.value(n, v.Elem(), f)
}

func (d *decoder) structure(n *node, v reflect.Value, f *field) {
	info, before := infoOf(v.Type()), len(d.found)
	if info.err != nil {
		d.errorAt(n, "", "mistake in the program: "+info.err.Error())
		return
	}
	if info.short != nil && n.kind == scalarNode && !n.isNull() {
		d.value(n, v.Field(info.short.index), info.short)
		return
	}
	if n.kind != mappingNode && (!n.isNull() || info.short != nil) {
		want := "a mapping"
		if f.off {
			want += " or `off`"
		}
		d.wrongType(n, want)
		return
	}
	d.above = append(d.above, level{info, n})
	var meant []string
	for _, item := range n.items {
		meant = append(meant, d.key(item, v, info)...)
	}
	d.above = d.above[:len(d.above)-1]
	for _, f := range info.fields {
		if n.child(f.name) == nil {
			d.absent(n, v.Field(f.index), f, slices.Contains(meant, f.name))
		}
	}
	if len(d.found) == before {
		d.validate(n, v)
	}
}

// key decodes one key of a structure. meant is the known key that an unknown one was probably meant to be.
func (d *decoder) key(item *node, v reflect.Value, info *structInfo) (meant []string) {
	f, known := info.byName[item.key]
	switch {
	case known:
		before := len(d.found)
		d.value(item, v.Field(f.index), f)
		if f.filled && !item.broken && len(d.found) == before && isEmpty(v.Field(f.index)) {
			d.errorAt(item, "", fmt.Sprintf("`%s` must not be empty", f.name))
		}
	case slices.Contains(info.yet, item.key):
		d.errorAtKey(item, "remove it", notBuilt(item.key))
	default:
		return d.unknownKey(item, info)
	}
	return nil
}

func notBuilt(word string) string {
	return fmt.Sprintf("`%s` is part of the language but not built yet", word)
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String, reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return false
}

func (d *decoder) absent(n *node, v reflect.Value, f *field, misspelt bool) {
	if f.required && !f.hasDefault {
		if !misspelt && !d.partial {
			d.errorAt(n, "", fmt.Sprintf("the key `%s` is missing", f.name))
		}
		return
	}
	if err := setDefault(v, f); err != nil {
		d.errorAt(n, "", fmt.Sprintf("mistake in the program: default of `%s`: %v", f.name, err))
	}
}

func (d *decoder) list(n *node, v reflect.Value, f *field) {
	switch {
	case n.isNull():
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return
	case n.kind == mappingNode && f.one:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.value(n, v.Index(0), elementField(f))
		return
	case n.kind == scalarNode:
		d.errorAt(n, "write it in brackets: ["+d.shown(n)+"]", wantedNot("a list", n))
		return
	case n.kind != listNode:
		d.errorAt(n, "begin each element with `- `", wantedNot("a list", n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		d.value(item, list.Index(i), elementField(f))
	}
	v.Set(list)
}

func (d *decoder) mapping(n *node, v reflect.Value, f *field) {
	if v.Type().Key().Kind() != reflect.String {
		d.errorAt(n, "", "mistake in the program: a map without string keys")
		return
	}
	if n.kind != mappingNode && !n.isNull() {
		d.wrongType(n, "a mapping")
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.items))
	for _, item := range n.items {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(item, element, elementField(f))
		m.SetMapIndex(reflect.ValueOf(item.key).Convert(v.Type().Key()), element)
	}
	v.Set(m)
}

// elementField is what of a list's tags is about its elements.
func elementField(f *field) *field {
	if f.enum == nil && f.yet == nil && !f.secret && !f.min.IsValid() && !f.max.IsValid() {
		return anyField
	}
	return &field{name: f.name, enum: f.enum, yet: f.yet, secret: f.secret, min: f.min, max: f.max}
}

// validate asks the struct itself, once everything in it is of the right type.
func (d *decoder) validate(n *node, v reflect.Value) {
	check, ok := v.Addr().Interface().(validator)
	if !ok {
		return
	}
	err := check.Validate()
	if err == nil {
		return
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		var named interface {
			error
			Field() string
		}
		path := ""
		if errors.As(err, &named) {
			path = named.Field()
		}
		d.add(belowNode(n, path, err.Error(), ""))
	}
}

// unknownKey looks for what was meant: a similar key here, or the same key one level up or down.
func (d *decoder) unknownKey(item *node, info *structInfo) (meant []string) {
	if len(d.found) > maxDiagnostics {
		return nil // it would not be shown, and a near name costs time
	}
	message := fmt.Sprintf("unknown key `%s`", clip(item.key))
	if near := nearName(item.key, slices.Concat(info.names, info.yet)); near != "" {
		if f := info.byName[near]; f != nil && holdsSecret(f) {
			d.hide(item)
		}
		d.errorAtKey(item, "", message+fmt.Sprintf(", did you mean `%s`?", near))
		return []string{near}
	}
	d.hideLikelySecret(item)
	hint := ""
	switch {
	case d.hintAbove(item.key) != "":
		hint = d.hintAbove(item.key)
	case hintBelow(info, item.key) != "":
		hint = hintBelow(info, item.key)
	case len(info.names) > 0:
		hint = "the keys here are " + strings.Join(info.names, ", ")
	default:
		hint = "no keys are known here"
	}
	d.errorAtKey(item, hint, message)
	return nil
}

func (d *decoder) hintAbove(key string) string {
	for i := len(d.above) - 2; i >= 0; i-- {
		if d.above[i].info.byName[key] != nil {
			place := d.above[i].node.path()
			if place == "" {
				place = "the top level"
			}
			return fmt.Sprintf("`%s` belongs to %s", key, place)
		}
	}
	return ""
}

func hintBelow(info *structInfo, key string) string {
	for _, f := range info.fields {
		if t := scalarType(f.typ); isStruct(t) && infoOf(t).byName[key] != nil {
			return fmt.Sprintf("`%s` belongs under `%s`", key, f.name)
		}
	}
	return ""
}

// hide makes everything at and below n a secret.
func (d *decoder) hide(n *node) {
	n.walk(func(n *node) {
		if n.kind == scalarNode && !n.secret {
			n.secret = true
			d.doc.addSecret(n)
		}
	})
}

var secretWords = []string{"token", "secret", "password", "credentials"}

// hideLikelySecret is for keys nobody knows: nothing says what they hold but their name.
func (d *decoder) hideLikelySecret(n *node) {
	n.walk(func(n *node) {
		if looksSecret.MatchString(n.key+": x") || nearName(n.key, secretWords) != "" {
			d.hide(n)
		}
	})
}

// holdsSecret reports whether a field is a secret or a structure with one somewhere in it.
func holdsSecret(f *field) bool {
	t := scalarType(f.typ)
	return f.secret || t == secretType || isStruct(t) && slices.ContainsFunc(infoOf(t).fields, holdsSecret)
}

// shown is a scalar as a message may quote it.
func (d *decoder) shown(n *node) string {
	if n.secret {
		return redacted
	}
	return clip(n.text)
}

func (d *decoder) wrongType(n *node, want string) {
	d.errorAt(n, "", wantedNot(want, n))
}

func wantedNot(want string, n *node) string {
	if n.isNull() {
		return want + " is wanted here, but there is nothing"
	}
	return want + " is wanted here, not " + n.kindName()
}

// errorAt reports a mistake in a value.
func (d *decoder) errorAt(n *node, hint, message string) {
	if n == nil {
		n = &node{}
	}
	n.faulty = true
	d.add(finding{n.pos, Diagnostic{Path: n.path(), Message: message, Hint: hint}})
}

func (d *decoder) errorAtKey(n *node, hint, message string) {
	n.faulty = true
	d.add(finding{n.keyPos, Diagnostic{Path: n.path(), Message: message, Hint: hint}})
}

func (d *decoder) add(f finding) {
	if len(d.found) <= maxDiagnostics {
		d.found = append(d.found, f)
	}
}

// belowNode is a mistake at a path below n, positioned at the nearest node that was written.
func belowNode(n *node, path, message, hint string) finding {
	at, left := n.nearest(path)
	whole := at.path()
	if left != "" && !strings.HasPrefix(left, "[") && whole != "" {
		whole += "."
	}
	return finding{at.place(), Diagnostic{Path: whole + left, Message: message, Hint: hint}}
}

// place is where a person looks for a node: at its key, unless the value itself can be pointed at.
func (n *node) place() position {
	if n.kind != scalarNode && n.keyPos.line > 0 {
		return n.keyPos
	}
	return n.pos
}

// addSecret remembers a secret that stands in the text, so that no offending line shows it.
func (d *document) addSecret(n *node) {
	if d == nil || n.reference || n.pos.line == 0 {
		return
	}
	if d.secrets == nil {
		d.secrets = make(map[lineOf][]*node)
	}
	at := lineOf{n.pos.file, n.pos.line}
	d.secrets[at], d.unsorted = append(d.secrets[at], n), true
}

// parsePrefix accepts a bare address as the prefix of itself.
func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errors.New("an address or a prefix is wanted: 10.0.0.0/8, 2001:db8::1")
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("an address or a prefix is wanted: 10.0.0.0/8, 2001:db8::1")
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("the prefix has bits beyond its length, did you mean %v?", p.Masked())
	}
	return p, nil
}

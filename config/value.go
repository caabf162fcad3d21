package config

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar decodes one word or number, then holds it against the field's enum and bounds.
func (d *decoder) scalar(n *node, v reflect.Value, f *field) {
	if mistake := typeMistake(n, v.Type()); mistake != "" {
		d.errorAt(n, typeHint(n, v.Type()), mistake)
		return
	}
	if err := setText(v, n.text); err != nil {
		if n.secret {
			err = errors.New("the value is malformed")
		}
		d.errorAt(n, typeHint(n, v.Type()), fmt.Sprintf("`%s`: %v", d.shown(n), err))
		return
	}
	d.inEnum(n, f)
	d.inBounds(n, v, f)
}

// typeMistake says why a scalar, as it is written, is not of a type; empty if it may be. A substituted value without
// quotes is of whatever type is wanted.
func typeMistake(n *node, t reflect.Type) string {
	want, tags := wantedOf(t)
	if n.kind == scalarNode && (n.loose || slices.Contains(tags, n.tag)) {
		return ""
	}
	return wantedNot(want, n)
}

func wantedOf(t reflect.Type) (want string, tags []scalarTag) {
	switch {
	case t == durationType:
		return "a duration", []scalarTag{stringTag, intTag, floatTag}
	case isSize(t):
		return "a size", []scalarTag{stringTag, intTag, floatTag}
	case t == secretType:
		return "a string", []scalarTag{stringTag}
	case isText(t):
		return "a word", []scalarTag{stringTag, intTag, floatTag}
	}
	switch kindOf(t) {
	case reflect.Bool:
		return "true or false", []scalarTag{boolTag}
	case reflect.Int64, reflect.Uint64:
		return "a whole number", []scalarTag{intTag, floatTag} // a fraction gets a better message from parseInt
	case reflect.Float64:
		return "a number", []scalarTag{intTag, floatTag}
	}
	return "a string", []scalarTag{stringTag}
}

// kindOf takes all sizes of a kind together.
func kindOf(t reflect.Type) reflect.Kind {
	switch k := t.Kind(); {
	case reflect.Int <= k && k <= reflect.Int64:
		return reflect.Int64
	case reflect.Uint <= k && k <= reflect.Uint64:
		return reflect.Uint64
	case k == reflect.Float32:
		return reflect.Float64
	default:
		return k
	}
}

func typeHint(n *node, t reflect.Type) string {
	if n.kind != scalarNode {
		return ""
	}
	numeric := n.tag == intTag || n.tag == floatTag
	switch want, _ := wantedOf(t); {
	case want == "a duration" && numeric:
		return "write the unit: 30s, 250ms"
	case want == "a string" && n.tag == nullTag:
		return "give it a value, or remove the key"
	case want == "a string" && (numeric || n.tag == boolTag) && !n.secret:
		return fmt.Sprintf(`write it in quotes: "%s"`, clip(n.text))
	case want == "a string" && n.tag != stringTag:
		return "write it in quotes"
	case want == "true or false" && slices.Contains([]string{"yes", "no", "on", "off"}, strings.ToLower(n.text)):
		return "write true or false"
	case (want == "a whole number" || want == "a number") && n.tag == stringTag && !n.plain:
		return "write it without quotes"
	}
	return ""
}

func (d *decoder) inEnum(n *node, f *field) {
	if f.enum == nil || slices.Contains(f.enum, n.text) {
		return
	}
	if slices.Contains(f.yet, n.text) {
		d.errorAt(n, "choose "+strings.Join(f.enum, " or "), notBuilt(n.text))
		return
	}
	message := fmt.Sprintf("unknown value `%s`", d.shown(n))
	if near := nearName(n.text, slices.Concat(f.enum, f.yet)); near != "" {
		message += fmt.Sprintf(", did you mean `%s`?", near)
	}
	d.errorAt(n, "it is one of "+strings.Join(f.enum, ", "), message)
}

func (d *decoder) inBounds(n *node, v reflect.Value, f *field) {
	switch {
	case f.min.IsValid() && compareNumbers(v, f.min) < 0:
		d.errorAt(n, "", fmt.Sprintf("`%s` is less than %s", d.shown(n), boundText(f.min)))
	case f.max.IsValid() && compareNumbers(v, f.max) > 0:
		d.errorAt(n, "", fmt.Sprintf("`%s` is more than %s", d.shown(n), boundText(f.max)))
	}
}

// boundText writes a bound as a person would in the file.
func boundText(v reflect.Value) string {
	switch bound := v.Interface().(type) {
	case time.Duration:
		return shortDuration(bound)
	case encoding.TextMarshaler:
		if text, err := bound.MarshalText(); err == nil {
			return string(text)
		}
	case float64:
		return strconv.FormatFloat(bound, 'f', -1, 64)
	}
	return fmt.Sprint(v.Interface())
}

func compareNumbers(a, b reflect.Value) int {
	var less, equal bool
	switch kindOf(a.Type()) {
	case reflect.Int64:
		less, equal = a.Int() < b.Int(), a.Int() == b.Int()
	case reflect.Uint64:
		less, equal = a.Uint() < b.Uint(), a.Uint() == b.Uint()
	case reflect.Float64:
		less, equal = a.Float() < b.Float(), a.Float() == b.Float()
	}
	switch {
	case less:
		return -1
	case equal:
		return 0
	}
	return 1
}

// setText sets v, of a scalar type, to what text says.
func setText(v reflect.Value, text string) error {
	switch t := v.Type(); {
	case t == prefixType:
		p, err := parsePrefix(text)
		v.Set(reflect.ValueOf(p))
		return err
	case t == reflect.TypeFor[netip.Addr]():
		a, err := netip.ParseAddr(text)
		if err != nil {
			return errors.New("an address is wanted: 10.0.0.1, 2001:db8::1")
		}
		v.Set(reflect.ValueOf(a))
		return nil
	case t == durationType:
		duration, err := ParseDuration(text)
		v.SetInt(int64(duration))
		return err
	case isText(t):
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	}
	return setKind(v, text)
}

func setKind(v reflect.Value, text string) error {
	switch kindOf(v.Type()) {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("it is true or false")
		}
		v.SetBool(text == "true")
	case reflect.Int64:
		n, err := parseInt(text)
		if err != nil || v.OverflowInt(n) {
			return orError(err, "the number is too large")
		}
		v.SetInt(n)
	case reflect.Uint64:
		n, err := parseInt(text)
		if err != nil || n < 0 || v.OverflowUint(uint64(n)) {
			return orError(err, "the number is too large, or negative")
		}
		v.SetUint(uint64(n))
	case reflect.Float64:
		n, err := parseFloat(text)
		if err != nil {
			return err
		}
		v.SetFloat(n)
	default:
		return fmt.Errorf("mistake in the program: %v is no type of the language", v.Type())
	}
	return nil
}

func orError(err error, otherwise string) error {
	if err != nil {
		return err
	}
	return errors.New(otherwise)
}

// setDefault fills in what the tags say for a key that is absent, in a structure also what lies below.
func setDefault(v reflect.Value, f *field) error {
	switch {
	case f.hasDefault && v.Kind() == reflect.Pointer && f.def == "{}":
		v.Set(reflect.New(v.Type().Elem()))
		return setDefaults(v.Elem())
	case f.hasDefault && v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return setText(v.Elem(), f.def)
	case f.hasDefault && v.Kind() == reflect.Slice && !isText(v.Type()):
		return setList(v, words(f.def))
	case f.hasDefault:
		return setText(v, f.def)
	case isStruct(v.Type()):
		return setDefaults(v)
	}
	return nil
}

func setDefaults(v reflect.Value) error {
	info := infoOf(v.Type())
	if info.err != nil {
		return info.err
	}
	for _, f := range info.fields {
		if err := setDefault(v.Field(f.index), f); err != nil {
			return err
		}
	}
	return nil
}

func setList(v reflect.Value, texts []string) error {
	list := reflect.MakeSlice(v.Type(), len(texts), len(texts))
	for i, text := range texts {
		if err := setText(list.Index(i), text); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

package filter

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"
)

// FieldEdits changes header fields: some are removed, then some set, then some added. It is made once and safe for
// concurrent use; the zero value changes nothing.
type FieldEdits struct {
	remove   []string
	set, add []field
}

type field struct {
	name   string // canonical
	values []string
}

// NewFieldEdits checks names and values (RFC 9110 sections 5.1 and 5.5). refused says why a field, by its canonical
// name, is not for a filter to change; empty: it is. Every mistake is reported as a SettingError at set, add or remove.
func NewFieldEdits(set, add map[string]string, remove []string, refused func(name string) string) (FieldEdits, error) {
	var e FieldEdits
	var errSet, errAdd error
	e.set, errSet = newFields("set", set, refused)
	e.add, errAdd = newFields("add", add, refused)
	errs := []error{errSet, errAdd}
	for i, name := range remove {
		if err := checkName(name, refused); err != nil {
			errs = append(errs, &SettingError{fmt.Sprintf("remove[%d]", i), err})
		}
		e.remove = append(e.remove, http.CanonicalHeaderKey(name))
	}
	return e, errors.Join(errs...)
}

// newFields sorts by name, so that what is written first does not hang on the order of a map.
func newFields(key string, named map[string]string, refused func(string) string) (fields []field, err error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(named)) {
		value, canonical := named[name], http.CanonicalHeaderKey(name)
		err := checkName(name, refused)
		switch {
		case err != nil:
		case !httpguts.ValidHeaderFieldValue(value):
			err = errors.New("the value holds a character that no header field can carry")
		case slices.ContainsFunc(fields, func(f field) bool { return f.name == canonical }):
			err = fmt.Errorf("%s is written twice: upper and lower case are the same", canonical)
		}
		if err != nil {
			errs = append(errs, &SettingError{key + "." + name, err})
			continue
		}
		fields = append(fields, field{canonical, []string{value}})
	}
	return fields, errors.Join(errs...)
}

func checkName(name string, refused func(string) string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q cannot be the name of a header field", name)
	}
	if why := refused(http.CanonicalHeaderKey(name)); why != "" {
		return errors.New(why)
	}
	return nil
}

// Names are the fields that Apply changes.
func (e *FieldEdits) Names() []string {
	names := slices.Clone(e.remove)
	for _, f := range slices.Concat(e.set, e.add) {
		names = append(names, f.name)
	}
	return names
}

// Apply edits h. Lists of values are never written in place: they may be shared with the request as received.
func (e *FieldEdits) Apply(h http.Header) {
	for _, name := range e.remove {
		delete(h, name)
	}
	for _, f := range e.set {
		h[f.name] = f.values
	}
	for _, f := range e.add {
		before := h[f.name]
		h[f.name] = append(before[:len(before):len(before)], f.values...)
	}
}

// BelongsToConnection says why a field of framing or of one connection (RFC 9110 section 7.6.1) is not for a filter to
// change, or is empty. name is canonical.
func BelongsToConnection(name string) string {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Upgrade", "Http2-Settings":
		return name + " belongs to one connection: the gateway itself removes and writes it"
	case "Content-Length", "Transfer-Encoding", "Trailer", "Expect":
		return name + " frames the message: the gateway writes it as it sends the body"
	}
	return ""
}

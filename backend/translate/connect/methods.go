package connect

import (
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
)

// Methods are those that a service has, and what their messages look like in JSON.
type Methods struct {
	byPath schema.Derived[map[string]*method]
}

// NewMethods knows what from knows.
func NewMethods(from *schema.Schema, o jsonwire.Options) *Methods {
	return &Methods{schema.Derived[map[string]*method]{From: from, Build: func(set *schema.Set) map[string]*method {
		codecs := jsonwire.New(set, o)
		byPath := make(map[string]*method, len(set.Methods()))
		for _, m := range set.Methods() {
			byPath[m.Path] = &method{m, codecs.For(m.Input), codecs.For(m.Output)}
		}
		return byPath
	}}}
}

// method finds one by its path. It is nil if there is none, and known is false while nothing is known of any.
func (m *Methods) method(path string) (_ *method, known bool) {
	byPath, known := m.byPath.Get()
	return byPath[path], known
}

type method struct {
	*schema.Method
	input, output *jsonwire.Codec
}

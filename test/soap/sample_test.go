package soap_test

import (
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// maxSampleDepth is how deep an example goes into types that hold each other.
const maxSampleDepth = 4

// sampleMessage makes up a message, as the value that JSON has for it. seed varies what is said.
func sampleMessage(m *wsdl.Message, seed int) any {
	switch {
	case m == nil || len(m.Roots) == 0:
		return map[string]any{}
	case len(m.Roots) == 1:
		return sampleType(m.Roots[0].Type, seed, 0)
	}
	all := make(map[string]any)
	for _, root := range m.Roots {
		all[root.Name.Local] = sampleType(root.Type, seed, 0)
	}
	return all
}

func sampleType(t *xsd.Type, seed, depth int) any {
	switch {
	case t.AnyType:
		return "anything"
	case t.IsSimple():
		return sampleText(t.Simple, seed)
	case t.Abstract && len(t.Derived) > 0:
		o := sampleType(t.Derived[0], seed, depth).(map[string]any)
		o["@xsi:type"] = t.Derived[0].Name.Local
		return o
	}
	o := make(map[string]any)
	for _, a := range t.Attrs {
		o[a.Key] = sampleText(a.Type, seed)
		if text, ok := o[a.Key].(string); ok && a.Type.Check("text") == nil && strings.HasPrefix(text, "text") {
			o[a.Key] = "text" // the npm client does not escape attributes
		}
	}
	if t.Simple != nil {
		o["#text"] = sampleText(t.Simple, seed)
		return o
	}
	if t.Content != nil {
		sampleParticle(o, t, t.Content, seed, depth)
	}
	return o
}

func sampleParticle(o map[string]any, t *xsd.Type, p *xsd.Particle, seed, depth int) {
	switch p.Is {
	case xsd.One:
		f := t.Fields[p.Field]
		if depth >= maxSampleDepth && !f.Required || o[f.Key] != nil {
			return
		}
		o[f.Key] = sampleType(f.Type, seed+p.Field, depth+1)
		if f.Many || t.Array {
			o[f.Key] = []any{o[f.Key], sampleType(f.Type, seed+p.Field+1, depth+1)}
		}
	case xsd.Choice:
		if len(p.Parts) > 0 {
			sampleParticle(o, t, p.Parts[0], seed, depth)
		}
	default:
		for _, part := range p.Parts {
			sampleParticle(o, t, part, seed, depth)
		}
	}
}

func sampleText(s *xsd.Simple, seed int) any {
	if len(s.Enum) > 0 {
		return s.Enum[seed%len(s.Enum)]
	}
	switch s.Kind {
	case xsd.Boolean:
		return seed%2 == 0
	case xsd.Integer, xsd.Decimal, xsd.Float:
		return 1 + seed%100
	case xsd.List:
		return []any{sampleText(s.Item, seed)}
	case xsd.Union:
		return sampleText(s.Members[0], seed)
	}
	if s.Name.Local == "boolean" {
		return "true" // a string type of somebody's own: the npm package goes by the local name
	}
	switch s.Name.Local {
	case "dateTime":
		return "2026-01-02T03:04:05.000Z"
	case "date":
		return "2026-01-02"
	case "time":
		return "03:04:05Z"
	case "base64Binary":
		return "AAEC"
	case "duration":
		return "PT1H"
	}
	text := "text <" + strings.Repeat("&", seed%3) + ">"
	for _, candidate := range []string{text, "text", "A1", "AB1", "1", "12345"} {
		if s.Check(candidate) == nil {
			return candidate
		}
	}
	return "x"
}

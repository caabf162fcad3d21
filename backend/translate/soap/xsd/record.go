package xsd

import "encoding/xml"

// Record makes the type of a message whose parts stand one after the other, each once: what a description says of
// itself, outside of any schema.
func Record(fields []*Field) *Type {
	t := &Type{
		Fields: fields, fieldNames: make(map[xml.Name]int), fieldKeys: make(map[string]int),
		attrNames: make(map[xml.Name]int), attrKeys: make(map[string]int),
		Content: &Particle{Is: Sequence, Min: 1, Max: 1},
	}
	for i, f := range fields {
		f.Key = key("", f.Name, t.fieldKeys)
		f.Required, f.Max = true, 1
		t.fieldNames[f.Name], t.fieldKeys[f.Key] = i, i
		t.Content.Parts = append(t.Content.Parts, &Particle{Is: One, Min: 1, Max: 1, Field: i})
	}
	new(sealer).seal(t.Content)
	return t
}

package exchange

import "strings"

// A Capture is one path segment bound by a pattern: {id} in /orders/{id}.
type Capture struct{ Name, Value string }

// Captures are in the order of the pattern.
type Captures []Capture

// Get returns the still encoded segment bound to name.
func (c Captures) Get(name string) (string, bool) {
	for i := range c {
		if c[i].Name == name {
			return c[i].Value, true
		}
	}
	return "", false
}

// ExpandCaptures replaces each {name} in template by the segment bound to it, still encoded, so that a captured %2F
// stays one segment. A name that is not bound is left out; compile has made sure that there is none.
func ExpandCaptures(template string, c Captures) string {
	open := strings.IndexByte(template, '{')
	if open < 0 {
		return template
	}
	var b strings.Builder
	for ; open >= 0; open = strings.IndexByte(template, '{') {
		end := strings.IndexByte(template[open:], '}')
		if end < 0 {
			break
		}
		b.WriteString(template[:open])
		value, _ := c.Get(template[open+1 : open+end])
		b.WriteString(value)
		template = template[open+end+1:]
	}
	b.WriteString(template)
	return b.String()
}

// CaptureNames lists the {name}s of a template.
func CaptureNames(template string) []string {
	var names []string
	for {
		_, after, found := strings.Cut(template, "{")
		if !found {
			return names
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed {
			return names
		}
		names = append(names, name)
		template = rest
	}
}

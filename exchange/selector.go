package exchange

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A Selector takes a key from a request: what to count by, to hash on, to keep a side by. Its text is one or more parts
// joined by "+":
//
//	client.ip · consumer · header:NAME · cookie:NAME · query:NAME · claim:NAME · path:NAME · route · host
//
// path:NAME is the segment captured by {NAME} in its canonical spelling, still encoded, so that it holds no slash. Of
// repeated header fields it takes all, joined by ", "; of cookies and query parameters the first. A claim counts if it is
// a string, a number or a boolean. An empty value is a missing one.
//
// The zero Selector selects nothing. A Selector is not changed after UnmarshalText and safe for concurrent use.
type Selector struct {
	parts []Part
	text  string
}

// Part is one part of a selector: Kind is what stands before the colon, Name what stands after it.
type Part struct{ Kind, Name string }

// partKinds are the parts there are; true: it takes a name.
var partKinds = map[string]bool{
	"client.ip": false, "consumer": false, "route": false, "host": false,
	"header": true, "cookie": true, "query": true, "claim": true, "path": true,
}

// maxParts and maxSelector bound a selector's text.
const (
	maxParts    = 8
	maxSelector = 1024
)

// UnmarshalText reads a selector. Its errors say what could have been meant.
func (s *Selector) UnmarshalText(text []byte) error {
	if len(text) > maxSelector {
		return fmt.Errorf("the selector is longer than %d characters", maxSelector)
	}
	words := strings.Split(string(text), "+")
	if len(words) > maxParts {
		return fmt.Errorf("the selector has %d parts, at most %d are possible", len(words), maxParts)
	}
	parts := make([]Part, 0, len(words))
	names := make([]string, 0, len(words))
	for _, word := range words {
		part, err := parsePart(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		parts, names = append(parts, part), append(names, part.String())
	}
	*s = Selector{parts: parts, text: strings.Join(names, "+")}
	return nil
}

// MarshalText writes the selector as it is read.
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.text), nil }

func (s Selector) String() string { return s.text }

func (p Part) String() string {
	if p.Name == "" {
		return p.Kind
	}
	return p.Kind + ":" + p.Name
}

func parsePart(word string) (Part, error) {
	kind, name, named := strings.Cut(word, ":")
	takesName, known := partKinds[kind]
	switch {
	case word == "":
		return Part{}, fmt.Errorf("the selector is empty or has an empty part: write for example client.ip")
	case !known:
		return Part{}, unknownPart(kind)
	case takesName && name == "":
		return Part{}, fmt.Errorf("%s needs a name: write %s:NAME", kind, kind)
	case !takesName && named:
		return Part{}, fmt.Errorf("%s takes no name: write %s", kind, kind)
	}
	switch kind {
	case "header":
		return headerPart(name)
	case "cookie":
		if !httpguts.ValidHeaderFieldName(name) {
			return Part{}, fmt.Errorf("%q cannot be the name of a cookie", name)
		}
	}
	return Part{kind, name}, nil
}

func headerPart(name string) (Part, error) {
	if !httpguts.ValidHeaderFieldName(name) {
		return Part{}, fmt.Errorf("%q cannot be the name of a header field", name)
	}
	name = http.CanonicalHeaderKey(name)
	if name == "Host" {
		return Part{}, fmt.Errorf("header:host is never there: write host")
	}
	return Part{"header", name}, nil
}

func unknownPart(kind string) error {
	best, distance := "", 3
	for known := range partKinds {
		d := editDistance(kind, known)
		if d < distance || d == distance && known < best {
			best, distance = known, d
		}
	}
	if best != "" {
		return fmt.Errorf("unknown selector %q, did you mean %q?", kind, best)
	}
	return fmt.Errorf("unknown selector %q: there are client.ip, consumer, route, host, and header:, cookie:, query:, claim:, path: with a name", kind)
}

// editDistance is Levenshtein's, for words of a few letters; longer ones are far from everything.
func editDistance(a, b string) int {
	if len(a) > 16 || len(b) > 16 {
		return 99
	}
	var row [17]int
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// IsZero reports whether nothing was selected.
func (s Selector) IsZero() bool { return len(s.parts) == 0 }

// AddressOnly reports whether the key depends on client.ip alone, which is known before anybody has authenticated.
func (s Selector) AddressOnly() bool {
	for _, p := range s.parts {
		if p.Kind != "client.ip" {
			return false
		}
	}
	return len(s.parts) > 0
}

// Parts are the parts in their order. The caller does not change them.
func (s Selector) Parts() []Part { return s.parts }

// Key is what the selector finds in x, or false if any part is missing. The key of a single part is its value. Joined
// parts are each preceded by their length, so that no two different lists of values have the same key.
func (s *Selector) Key(x *Exchange) (string, bool) {
	switch len(s.parts) {
	case 0:
		return "", false
	case 1:
		return s.parts[0].value(x)
	}
	key := make([]byte, 0, 64)
	for _, p := range s.parts {
		value, ok := p.value(x)
		if !ok {
			return "", false
		}
		key = strconv.AppendInt(key, int64(len(value)), 10)
		key = append(append(key, ':'), value...)
	}
	return string(key), true
}

// value is what one part finds; empty is missing.
func (p Part) value(x *Exchange) (string, bool) {
	var value string
	switch p.Kind {
	case "client.ip":
		if x.Client.IsValid() {
			value = x.Client.String()
		}
	case "consumer":
		value = x.Identity.Name()
	case "header":
		value = joined(x.In.Header[p.Name])
	case "cookie":
		value = cookie(x.In.Header, p.Name)
	case "query":
		value = parameter(x.In, p.Name)
	case "claim":
		value = x.Identity.claim(p.Name)
	case "path":
		value, _ = x.Captures.Get(p.Name)
	case "route":
		value = x.Route
	case "host":
		value = x.Host
	}
	return value, value != ""
}

func joined(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ", ")
}

func cookie(h http.Header, name string) string {
	for c := NewCookies(h); c.Next(); {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func parameter(in *http.Request, name string) string {
	if in.URL == nil {
		return ""
	}
	for q := NewQuery(in.URL.RawQuery); q.Next(); {
		if q.Name == name {
			return q.Value
		}
	}
	return ""
}

// claim is the text of a claim that is a single value. It is safe on nil.
func (i *Identity) claim(name string) string {
	if i == nil {
		return ""
	}
	switch v := i.Claims[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

package template

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/exchange"
)

// A Reference names a value.
type Reference struct {
	Root string        // the name before the first dot
	Path document.Path // what follows
	// Slot is the caller's, who sets it for the roots that it provides. FromRequest does not look at it.
	Slot int

	fallback    string
	hasFallback bool
	origin      origin
	selector    exchange.Selector // of origin selected
}

// origin is where in a request a value is found.
type origin uint8

const (
	external origin = iota // a captured segment, or the caller's
	selected               // by the selector
	method
	requestID
	claims // with a path into one
)

// Reserved are the names that mean something of the request. Nothing else may be called so.
var Reserved = []string{"query", "header", "cookie", "claim", "consumer", "client", "host", "route", "method", "requestId",
	"body", "item", "index"}

// parseReference reads what stands between the braces.
func parseReference(text string) (*Reference, error) {
	name, fallback, hasFallback := strings.Cut(text, ":-")
	n := strings.IndexAny(name, ".[")
	if n < 0 {
		n = len(name)
	}
	r := &Reference{Root: name[:n], fallback: fallback, hasFallback: hasFallback}
	if r.Root == "" || strings.IndexFunc(r.Root, func(c rune) bool { return !isNameRune(c) }) >= 0 {
		return nil, fmt.Errorf("{%s} is no reference: it begins with a name of letters, digits, _ and -", text)
	}
	path, err := document.ParsePath(name[n:])
	if err != nil {
		return nil, err
	}
	r.Path = path
	return r, r.find(text)
}

func isNameRune(c rune) bool {
	return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// find settles where in a request the value is.
func (r *Reference) find(text string) error {
	selector := ""
	switch r.Root {
	case "query", "header", "cookie", "claim":
		if len(r.Path) == 0 || r.Path[0].Indexed || r.Root != "claim" && len(r.Path) > 1 {
			return fmt.Errorf("{%s} needs one name: write {%s.NAME}", text, r.Root)
		}
		if name := r.Path[0].Name; r.Root == "header" && !clientsOwn(name) {
			return fmt.Errorf("{%s} is whatever the client likes to say: use {client.ip}, {consumer}, {host} or {requestId}", text)
		}
		selector = r.Root + ":" + r.Path[0].Name
		if len(r.Path) > 1 {
			r.origin = claims
			return nil
		}
	case "client":
		if r.Path.String() != ".ip" {
			return fmt.Errorf("there is no {%s}: write {client.ip}", text)
		}
		selector = "client.ip"
	case "consumer", "host", "route", "method", "requestId":
		if len(r.Path) > 0 {
			return fmt.Errorf("{%s} has no parts: write {%s}", text, r.Root)
		}
		switch r.Root {
		case "method":
			r.origin = method
			return nil
		case "requestId":
			r.origin = requestID
			return nil
		}
		selector = r.Root
	default:
		return nil
	}
	r.origin = selected
	if strings.ContainsAny(selector, "+") {
		return fmt.Errorf("{%s}: a name with + cannot be asked for", text)
	}
	return r.selector.UnmarshalText([]byte(selector))
}

// clientsOwn reports whether a header field is one that the client is asked for, not one that the gateway says.
func clientsOwn(name string) bool {
	name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	switch name {
	case "Forwarded", "X-Real-Ip", "X-Request-Id", "X-Consumer-Name", "X-Consumer-Groups", "X-Attempt":
		return false
	}
	return !strings.HasPrefix(name, "X-Forwarded-")
}

// IsExternal reports whether the reference is not one of the names that mean something of every request: a captured
// segment, or a name that the caller provides.
func (r *Reference) IsExternal() bool { return r.origin == external }

func (r *Reference) String() string {
	path := r.Path.String()
	if path == "." {
		path = ""
	}
	return "{" + r.Root + path + "}"
}

// Value is what a reference finds: JSON, or a text. The zero Value is nothing.
type Value struct {
	JSON    document.Value
	Text    string
	Encoded bool // Text is a path segment as received, in its canonical encoding
	found   bool
}

// Of makes a Value of JSON; no value at all, and null, are nothing.
func Of(v document.Value) Value {
	k := v.Kind()
	return Value{JSON: v, found: k != document.None && k != document.Null}
}

// OfText makes a Value of a text.
func OfText(text string) Value { return Value{Text: text, found: true} }

// FromRequest is what a reference finds in x.
func FromRequest(x *exchange.Exchange, r *Reference) Value {
	switch r.origin {
	case selected:
		text, ok := r.selector.Key(x)
		return Value{Text: text, found: ok}
	case method:
		return OfText(x.In.Method)
	case requestID:
		return OfText(x.RequestID)
	case claims:
		return fromClaims(x, r.Path)
	}
	if len(r.Path) > 0 {
		return Value{}
	}
	text, ok := x.Captures.Get(r.Root)
	return Value{Text: text, Encoded: true, found: ok}
}

// fromClaims is rare enough to be slow.
func fromClaims(x *exchange.Exchange, path document.Path) Value {
	if x.Identity == nil {
		return Value{}
	}
	text, err := json.Marshal(x.Identity.Claims[path[0].Name])
	if err != nil {
		return Value{}
	}
	found, _ := document.Value(text).Get(path[1:])
	return Of(found)
}

// Bind checks the references that are not of every request: each is a captured segment, or a name for which slot says
// what it is. known lists all there are, for the message.
func (t *Template) Bind(captures []string, slot func(r *Reference) (int, bool), known []string) error {
	for _, r := range t.References() {
		if !r.IsExternal() {
			continue
		}
		if n, ok := slot(r); ok {
			r.Slot = n
			continue
		}
		if !slices.Contains(captures, r.Root) {
			return fmt.Errorf("%v refers to nothing: there are %s", r, strings.Join(distinct(captures, known, ofRequest), ", "))
		}
		if len(r.Path) > 0 {
			return fmt.Errorf("%v: the captured segment {%s} has no parts", r, r.Root)
		}
		r.Slot = Captured
	}
	return nil
}

// ofRequest are the references that every request answers.
var ofRequest = []string{"query.NAME", "header.NAME", "cookie.NAME", "claim.NAME", "consumer", "client.ip", "host", "route", "method", "requestId"}

func distinct(lists ...[]string) (all []string) {
	for _, name := range slices.Concat(lists...) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// Captured is the slot of a captured segment.
const Captured = -1

func checkField(value string) error {
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("the value holds a character that no header field can carry")
	}
	return nil
}

func checkMethod(name string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%.40q is no method", name)
	case name == http.MethodConnect || name == http.MethodTrace:
		return fmt.Errorf("%s cannot be asked for", name)
	}
	return nil
}

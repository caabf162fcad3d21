package exchange

import (
	"net/http"
	"net/url"
	"strings"
)

// Query walks the parameters of a raw query in the order they were sent, without building a map. Names and values are
// decoded; a pair with a broken escape is skipped, as its sender and its reader would not agree on it.
//
//	for q := exchange.NewQuery(raw); q.Next(); { … q.Name, q.Value … }
type Query struct {
	Name, Value string
	rest        string
}

// NewQuery starts before the first parameter of raw, which has no "?".
func NewQuery(raw string) Query { return Query{rest: raw} }

// Next goes to the next parameter, if there is one.
func (q *Query) Next() bool {
	for q.rest != "" {
		var pair string
		pair, q.rest, _ = strings.Cut(q.rest, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		var ok1, ok2 bool
		q.Name, ok1 = decodeQuery(name)
		q.Value, ok2 = decodeQuery(value)
		if ok1 && ok2 {
			return true
		}
	}
	return false
}

// decodeQuery allocates only if there is something to decode.
func decodeQuery(s string) (string, bool) {
	if !strings.ContainsAny(s, "%+") {
		return s, true
	}
	s, err := url.QueryUnescape(s)
	return s, err == nil
}

// Cookies walks the cookies of a request in the order they were sent (RFC 6265 section 5.4). Quotes around a value are
// taken off, as net/http does.
type Cookies struct {
	Name, Value string
	lines       []string
	rest        string
}

// NewCookies starts before the first cookie in h.
func NewCookies(h http.Header) Cookies { return Cookies{lines: h["Cookie"]} }

// Next goes to the next cookie, if there is one.
func (c *Cookies) Next() bool {
	for {
		for c.rest == "" {
			if len(c.lines) == 0 {
				return false
			}
			c.rest, c.lines = c.lines[0], c.lines[1:]
		}
		var pair string
		pair, c.rest, _ = strings.Cut(c.rest, ";")
		name, value, ok := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); ok && name != "" {
			c.Name, c.Value = name, unquote(strings.TrimSpace(value))
			return true
		}
	}
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

package httprule

import (
	"fmt"
	"slices"
	"strings"
)

// Router finds the template of a path: segment by segment, a literal before * before **, and with a verb before without
// one. It walks back where a better beginning had no end. Each node of the tree is at one depth, so a search visits no
// more nodes than there are.
type Router[T any] struct {
	root   node[T]
	colons int // the most that a verb has inside
}

type node[T any] struct {
	literals map[string]*node[T]
	one      *node[T]
	rest     *node[T] // only its ends are used
	ends     []end[T]
}

// end is where a template ends.
type end[T any] struct {
	method, verb string
	template     *Template
	value        T
}

// Any is the method of a rule that holds for all.
const Any = "*"

// Add enters a template. It is an error if one of the same form is there for the method.
func (r *Router[T]) Add(method string, t *Template, value T) error {
	n := &r.root
	for _, s := range t.Segments {
		switch s.Kind {
		case Literal:
			if n.literals == nil {
				n.literals = make(map[string]*node[T])
			}
			if n.literals[s.Literal] == nil {
				n.literals[s.Literal] = new(node[T])
			}
			n = n.literals[s.Literal]
		case One:
			n = child(&n.one)
		default:
			n = child(&n.rest)
		}
	}
	for _, e := range n.ends {
		if e.method == method && e.verb == t.Verb {
			return fmt.Errorf("%s %s is there already, as %s", method, t, e.template)
		}
	}
	n.ends = append(n.ends, end[T]{method, t.Verb, t, value})
	r.colons = max(r.colons, strings.Count(t.Verb, ":"))
	return nil
}

func child[T any](n **node[T]) *node[T] {
	if *n == nil {
		*n = new(node[T])
	}
	return *n
}

// Match is a template found, and where its segments lie in the path.
type Match[T any] struct {
	Template *Template
	Value    T
	Allowed  []string // no template was found for the method, but for these

	path   string
	ends   []int // of the segments; each begins one after the end of the one before
	memory [16]int
}

// CopyFrom makes m the same match with memory of its own.
func (m *Match[T]) CopyFrom(other *Match[T]) {
	*m = *other
	m.ends = append(m.memory[:0], other.ends...)
}

// Find looks a path up, in the form that the gateway has for all paths: unreserved characters plain, all else encoded in
// upper case. m is overwritten, but for its memory.
func (r *Router[T]) Find(m *Match[T], method, path string) bool {
	m.Template, m.Allowed, m.path = nil, nil, path
	m.ends = m.memory[:0]
	if path != "/" {
		for i := 1; i < len(path); i++ {
			if path[i] == '/' {
				m.ends = append(m.ends, i)
			}
		}
		m.ends = append(m.ends, len(path))
	}
	last := strings.LastIndexByte(path, '/')
	colon, tries := strings.LastIndexByte(path, ':'), r.colons
	for ; tries > 0 && colon > last; tries-- { // a verb that has colons itself is longer, and goes first
		next := strings.LastIndexByte(path[:colon], ':')
		if next <= last {
			break
		}
		colon = next
	}
	for colon > last {
		if verb, ok := unescape(path[colon+1:], false); ok && verb != "" && r.find(m, method, verb, colon) {
			return true
		}
		next := strings.IndexByte(path[colon+1:], ':')
		if next < 0 {
			break
		}
		colon += 1 + next
	}
	return r.find(m, method, "", len(path))
}

// find searches among the templates of one verb; the path ends where that begins.
func (r *Router[T]) find(m *Match[T], method, verb string, length int) bool {
	ends := m.ends
	switch {
	case length == 1: // nothing but the verb
		m.ends = m.ends[:0]
	case len(m.ends) > 0:
		m.ends[len(m.ends)-1] = length
	}
	if m.search(&r.root, 0, method, verb) {
		return true
	}
	m.ends = ends
	return false
}

func (m *Match[T]) search(n *node[T], i int, method, verb string) bool {
	if i == len(m.ends) {
		if m.finish(n, method, verb) {
			return true
		}
	} else {
		segment := m.span(i, i+1)
		literal := segment
		if strings.IndexByte(segment, '%') >= 0 {
			if plain, ok := unescape(segment, false); ok {
				literal = plain
			}
		}
		if next := n.literals[literal]; next != nil && m.search(next, i+1, method, verb) {
			return true
		}
		if n.one != nil && segment != "" && m.search(n.one, i+1, method, verb) {
			return true
		}
	}
	return n.rest != nil && m.finish(n.rest, method, verb)
}

func (m *Match[T]) finish(n *node[T], method, verb string) bool {
	found := -1
	for i := range n.ends {
		e := &n.ends[i]
		switch {
		case e.verb != verb:
		case e.method == method:
			m.Template, m.Value = e.template, e.value
			return true
		case e.method == Any || e.method == "GET" && method == "HEAD":
			found = i
		case !slices.Contains(m.Allowed, e.method):
			m.Allowed = append(m.Allowed, e.method)
		}
	}
	if found >= 0 {
		m.Template, m.Value = n.ends[found].template, n.ends[found].value
	}
	return found >= 0
}

// span is the part of the path that lies on some segments.
func (m *Match[T]) span(from, to int) string {
	if to > len(m.ends) {
		to = len(m.ends)
	}
	if from >= to {
		return ""
	}
	start := 1
	if from > 0 {
		start = m.ends[from-1] + 1
	}
	return m.path[start:m.ends[to-1]]
}

// Variable is the value of a variable of the template found, decoded as google/api/http.proto says: all of it if the
// variable is one segment; if it may be several, all but %2F, which would make a slash that separates nothing. ok is
// false for what does not decode, which a canonical path has nothing of.
func (m *Match[T]) Variable(i int) (value string, ok bool) {
	v := &m.Template.Variables[i]
	to := v.To
	if m.Template.Segments[to-1].Kind == Rest {
		to = len(m.ends)
	}
	return unescape(m.span(v.From, to), v.Multi(m.Template))
}

// unescape decodes percent-encoding, but for slashes if those are kept.
func unescape(s string, keepSlash bool) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		high, low := hex(s[i+1]), hex(s[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		if c := byte(high<<4 | low); c == '/' && keepSlash {
			b = append(b, s[i:i+3]...)
		} else {
			b = append(b, c)
		}
		i += 2
	}
	return string(b), true
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

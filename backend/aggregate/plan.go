package aggregate

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/template"
)

// plan is one call, ready to be made.
type plan struct {
	*Call
	index  int    // its place among the calls
	quoted []byte // its name as a member of JSON, with the colon

	method, target *template.Template
	headers        []namedTemplate
	query          []namedTemplate // of which the names are escaped
	body           *template.Template
	accept         []string
	lines          []byte   // the fields that are always the same; nil: they go into the header
	reads          []string // the fields of an answer that are wanted; nil: all
	contentType    []string
	forward        map[string]bool // fields of the client's that go with it
	impersonal     bool            // nothing that is written of it tells who asks

	pick   *document.Pick
	list   document.Path // of ForEach
	listOf int           // the slot that it is found in
	waits  int           // for how many calls
	wakes  []int         // the calls that wait for it
	needs  []int         // the calls that it waits for
}

type namedTemplate struct {
	name string
	text *template.Template
}

// Slots of references that are no calls. Calls have their index.
const (
	slotBody  = -2 - iota // the request's body
	slotItem              // the element of a ForEach
	slotIndex             // its place in the list
)

// New makes the end, or says what is wrong with it. bound are the captured segments that every match of the route binds,
// captures those that any does.
func New(spec Spec, bound, captures []string) (*Aggregate, []Mistake) {
	a := &Aggregate{spec: spec}
	p := planner{a: a, bound: bound}
	p.names(captures)
	for i := range a.spec.Calls {
		a.calls = append(a.calls, p.call(i))
	}
	p.at = -1
	p.forward(make(map[string]bool), spec.Forward)
	if len(p.mistakes) == 0 {
		p.writeLines()
		p.order()
		for _, q := range a.calls {
			q.impersonal = q.isImpersonal()
		}
	}
	return a, p.mistakes
}

type planner struct {
	a        *Aggregate
	bound    []string
	at       int // the call at hand
	mistakes []Mistake
}

func (p *planner) wrong(key string, err error) {
	if err != nil {
		p.mistakes = append(p.mistakes, Mistake{p.at, key, err})
	}
}

func (p *planner) index(name string) int {
	return slices.IndexFunc(p.a.spec.Calls, func(c Call) bool { return c.Name == name })
}

// names checks that every name means one thing.
func (p *planner) names(captures []string) {
	if n := len(p.a.spec.Calls); n == 0 || n > MaxCalls {
		p.at = -1
		p.wrong("calls", fmt.Errorf("an aggregate has 1 to %d calls, here there are %d", MaxCalls, n))
	}
	for i, c := range p.a.spec.Calls {
		p.at = i
		switch {
		case !isCallName(c.Name):
			p.wrong("name", errors.New("a call's name is letters, digits, _ and -, at most 64, and begins with a letter"))
		case slices.Contains(template.Reserved, c.Name):
			p.wrong("name", fmt.Errorf("%s means something of the request: choose another name", c.Name))
		case slices.Contains(captures, c.Name):
			p.wrong("name", fmt.Errorf("the route's path captures a segment {%s}: choose another name, or {%s} would mean two things", c.Name, c.Name))
		case p.index(c.Name) < i:
			p.wrong("name", fmt.Errorf("there are two calls %s", c.Name))
		}
	}
}

func isCallName(name string) bool {
	for i, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || !(r == '_' || r == '-' || '0' <= r && r <= '9')) {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// call reads the texts of one call.
func (p *planner) call(i int) *plan {
	p.at = i
	c := &p.a.spec.Calls[i]
	q := &plan{Call: c, index: i, quoted: append(document.AppendQuoted(nil, c.Name), ':'), accept: accepts[c.Format]}
	p.forEach(q)
	if c.Method == "" {
		c.Method = http.MethodGet
		if c.Body != "" {
			c.Method = http.MethodPost
		}
	}
	q.method = p.template("method", c.Method, template.Method, q)
	q.target = p.template("path", c.Path, template.Target, q)
	q.headers = p.named("headers", c.Headers, template.Header, q)
	q.query = p.named("query", c.Query, template.Form, q)
	p.body(q)
	p.pick(q)
	q.forward = p.forwarded(q)
	return q
}

func (p *planner) template(key, text string, place template.Place, q *plan) *template.Template {
	t, err := template.Parse(text, place)
	if err != nil {
		p.wrong(key, err)
		return nil
	}
	known := []string{"body"}
	for _, c := range p.a.spec.Calls {
		if c.Name != q.Name {
			known = append(known, c.Name)
		}
	}
	if q.ForEach != "" {
		known = append(known, "item", "index")
	}
	if err := t.Bind(p.bound, func(r *template.Reference) (int, bool) { return p.slot(r, q) }, known); err != nil {
		p.wrong(key, err)
		return nil
	}
	for _, r := range t.References() {
		p.a.depends(r)
	}
	return t
}

// slot is where the values of a reference's root are.
func (p *planner) slot(r *template.Reference, q *plan) (slot int, ok bool) {
	switch i := p.index(r.Root); {
	case i >= 0:
		if !slices.Contains(q.needs, i) {
			q.needs = append(q.needs, i)
		}
		return i, true
	case r.Root == "body":
		p.a.body = true
		return slotBody, true
	case r.Root == "item" && q.ForEach != "":
		return slotItem, true
	case r.Root == "index" && q.ForEach != "" && len(r.Path) == 0:
		return slotIndex, true
	}
	return 0, false
}

func (p *planner) forEach(q *plan) {
	if q.ForEach == "" {
		return
	}
	path, err := document.ParsePath(q.ForEach)
	if err == nil && (len(path) == 0 || path[0].Indexed) {
		err = errors.New("forEach begins with the name of a call, or with body: .orders.items")
	}
	if err != nil {
		p.wrong("forEach", err)
		return
	}
	slot, ok := p.slot(&template.Reference{Root: path[0].Name}, q)
	if !ok || slot == slotItem || slot == slotIndex {
		p.wrong("forEach", fmt.Errorf("there is no call %s", path[0].Name))
	}
	q.list, q.listOf = path[1:], slot
}

// named reads texts by name. Names are as they go out: of a header canonical, of a query escaped.
func (p *planner) named(key string, texts map[string]string, place template.Place, q *plan) (all []namedTemplate) {
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		at := key + "." + name
		t := p.template(at, texts[name], place, q)
		if place == template.Header {
			if err := settable(name); err != nil {
				p.wrong(at, err)
			}
			name = http.CanonicalHeaderKey(name)
		} else {
			name = string(document.AppendEscaped(nil, name))
		}
		all = append(all, namedTemplate{name, t})
	}
	return all
}

func (p *planner) body(q *plan) {
	if q.Body == "" {
		if q.ContentType != "" {
			p.wrong("contentType", errors.New("there is no body that could have a type"))
		}
		return
	}
	if q.ContentType == "" {
		q.ContentType = "application/json"
	}
	media, _, err := mime.ParseMediaType(q.ContentType)
	if err != nil || !httpguts.ValidHeaderFieldValue(q.ContentType) {
		p.wrong("contentType", fmt.Errorf("%q is no media type", q.ContentType))
	}
	q.contentType = []string{q.ContentType}
	q.body = p.template("body", q.Body, template.PlaceOf(media), q)
}

func (p *planner) pick(q *plan) {
	if len(q.Pick) == 0 {
		return
	}
	if q.Format == Text {
		p.wrong("pick", errors.New("a plain text has no members to pick"))
	}
	var paths []document.Path
	for i, text := range q.Pick {
		path, err := document.ParsePath(text)
		if err == nil {
			_, err = document.NewPick([]document.Path{path})
		}
		p.wrong(fmt.Sprintf("pick[%d]", i), err)
		paths = append(paths, path)
	}
	q.pick, _ = document.NewPick(paths)
}

// order finds who waits for whom, and that nobody waits for himself.
func (p *planner) order() {
	for i, q := range p.a.calls {
		q.waits = len(q.needs)
		if q.waits == 0 {
			p.a.roots = append(p.a.roots, i)
		}
		for _, need := range q.needs {
			p.a.calls[need].wakes = append(p.a.calls[need].wakes, i)
		}
	}
	state := make([]uint8, len(p.a.calls)) // 1: on the way, 2: known to end
	for i := range p.a.calls {
		if circle := p.circle(i, state, nil); circle != nil {
			p.at = circle[0]
			p.wrong("path", fmt.Errorf("the calls wait for each other: %s", p.inWords(circle)))
			return
		}
	}
}

func (p *planner) circle(i int, state []uint8, way []int) []int {
	if state[i] == 2 {
		return nil
	}
	if state[i] == 1 {
		return append(way[slices.Index(way, i):], i)
	}
	state[i] = 1
	for _, need := range p.a.calls[i].needs {
		if circle := p.circle(need, state, append(way, i)); circle != nil {
			return circle
		}
	}
	state[i] = 2
	return nil
}

func (p *planner) inWords(circle []int) string {
	names := make([]string, len(circle))
	for i, at := range circle {
		names[i] = p.a.spec.Calls[at].Name
	}
	return strings.Join(names, " needs ")
}

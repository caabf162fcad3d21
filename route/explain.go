package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
)

// maxReasons is how many rules an explanation names beside the one that won.
const maxReasons = 5

// Reason says in words why a rule did or did not take a request.
type Reason struct {
	Rule int    `json:"-"` // index into what Build was given
	Name string `json:"route"`
	Won  bool   `json:"won"`
	Text string `json:"why"`
}

// Explain says which rule takes x and why, and for at most 5 others, the nearest first, why they do not. It is for
// people: it asks every rule, allocates, and leaves x as it was.
func (t *Table[T]) Explain(x *exchange.Exchange) []Reason {
	scratch := *x
	scratch.Captures = nil
	s := newSearch(&scratch)
	s.run(&t.hosts)

	var all []verdict
	for _, r := range t.rules {
		if r != s.best {
			all = append(all, s.judge(r))
		}
	}
	slices.SortStableFunc(all, func(a, b verdict) int { return cmp.Compare(a.distance, b.distance) })
	reasons := []Reason{}
	if s.best != nil {
		reasons = append(reasons, Reason{s.best.index, s.best.name, true, s.fitting(s.best)})
	}
	for _, v := range all[:min(len(all), maxReasons)] {
		reasons = append(reasons, Reason{v.rule.index, v.rule.name, false, v.text})
	}
	return reasons
}

// verdict is how far a rule is from taking a request.
type verdict struct {
	rule     *rule
	distance int // 0: it fits
	text     string
}

// What keeps a rule from a request counts by how unlikely it is that this rule was meant.
const (
	farCondition = 1
	farMethod    = 2
	farPath      = 40 // less 4 for every leading segment that fits, at most 32
	farHost      = 50
)

func (s *search) judge(r *rule) verdict {
	v := verdict{rule: r}
	var misses []string
	miss := func(distance int, text string) {
		v.distance += distance
		misses = append(misses, text)
	}
	s.judgePlace(r, miss)
	s.judgeMethod(r, miss)
	s.judgeConditions(r, miss)
	switch {
	case len(misses) == 0:
		v.text = "fits as well, but " + s.whyBefore(r)
	case r.path.kind != anyPath && r.path.matches(s.x.Path):
		v.text = "path fits, " + strings.Join(misses, ", ")
	default:
		v.text = strings.Join(misses, ", ")
	}
	return v
}

func (s *search) judgePlace(r *rule, miss func(int, string)) {
	if s.hostOf(r) == nil {
		miss(farHost, fmt.Sprintf("host %s is not %s", orNone(s.x.Host), hostList(r.hosts)))
	}
	if !r.path.matches(s.x.Path) {
		shared, _ := r.path.shared(s.x.Path)
		miss(farPath-4*min(shared, 8), fmt.Sprintf("path %s is not %s", s.x.Path, r.path.text))
	}
}

func (s *search) judgeMethod(r *rule, miss func(int, string)) {
	if !r.takes(s.method, s.bit) {
		miss(farMethod, fmt.Sprintf("method %s is not %s", s.method, strings.Join(r.methods.names(), " or ")))
	}
}

func (s *search) judgeConditions(r *rule, miss func(int, string)) {
	if len(r.clientIPs) > 0 && !contains(r.clientIPs, s.x.Client) {
		miss(farCondition, fmt.Sprintf("address %s is not in %s", s.x.Client, joinPrefixes(r)))
	}
	for i := range r.conditions {
		if c := &r.conditions[i]; !c.holds(s.x.In) {
			miss(farCondition, c.explain(s.x))
		}
	}
	if r.expression == nil {
		return
	}
	if held, err := r.expression.Eval(s.x); err != nil {
		miss(farCondition, "the "+err.Error())
	} else if !held {
		miss(farCondition, fmt.Sprintf("expression %q is false", r.expression))
	}
}

// explain says what is there and what should be.
func (c *condition) explain(x *exchange.Exchange) string {
	name := c.Name
	if c.part == inHeader {
		name = strings.ToLower(name)
	}
	value, present := c.value(x.In)
	if !present {
		return fmt.Sprintf("%s %s is missing, wants %s", partNames[c.part], name, c.wants())
	}
	return fmt.Sprintf("%s %s is %q, wants %s", partNames[c.part], name, value, c.wants())
}

// hostOf is the most specific of r's hosts that the request has; every host is the empty one.
func (s *search) hostOf(r *rule) *host {
	if len(r.hosts) == 0 {
		return &host{}
	}
	var best *host
	for i := range r.hosts {
		if h := &r.hosts[i]; h.takes(s.x.Host) && (best == nil || compareHosts(*h, *best) < 0) {
			best = h
		}
	}
	return best
}

func (h *host) takes(name string) bool {
	if h.wildcard {
		return len(name) > len(h.name) && strings.HasSuffix(name, h.name)
	}
	return name == h.name
}

// compareHosts orders hosts that take the same name: the exact one, the longest wildcard, every host.
func compareHosts(a, b host) int {
	rank := func(h host) int {
		switch {
		case h.wildcard:
			return 1000 - len(h.name)
		case h.name != "":
			return 0
		}
		return 1000
	}
	return cmp.Compare(rank(a), rank(b))
}

// whyBefore says why the winner was asked before r, which fits as well.
func (s *search) whyBefore(r *rule) string {
	w := s.best
	if w == nil {
		return "an expression changed its mind"
	}
	switch {
	case w.priority != r.priority:
		return fmt.Sprintf("%s has priority %d over %d", w.name, w.priority, r.priority)
	case compareHosts(*s.hostOf(w), *s.hostOf(r)) != 0:
		return fmt.Sprintf("the host of %s is more specific", w.name)
	case comparePaths(&w.path, &r.path) != 0:
		return fmt.Sprintf("the path of %s is more specific", w.name)
	case w.methods.any() != r.methods.any():
		return fmt.Sprintf("%s names its methods", w.name)
	case w.conditionCount() != r.conditionCount():
		return fmt.Sprintf("%s has more conditions", w.name)
	}
	return fmt.Sprintf("%s comes first in the file", w.name)
}

// comparePaths tells whether two paths have the same shape. It is 0 if so.
func comparePaths(a, b *path) int {
	if a.kind != b.kind || a.rest != b.rest {
		return 1
	}
	return slices.CompareFunc(a.segments, b.segments, func(s, t segment) int {
		if s == t {
			return 0
		}
		return 1
	})
}

// fitting is what the winner asked for.
func (s *search) fitting(r *rule) string {
	fits := []string{}
	add := func(is bool, text string) {
		if is {
			fits = append(fits, text)
		}
	}
	add(r.priority != 0, fmt.Sprintf("priority %d", r.priority))
	add(len(r.hosts) > 0, "host "+hostList(r.hosts))
	add(r.path.kind != anyPath, "path "+r.path.text)
	add(!r.methods.any(), "method "+strings.Join(r.methods.names(), " or "))
	add(r.conditionCount() == 1, "1 condition")
	add(r.conditionCount() > 1, fmt.Sprintf("%d conditions", r.conditionCount()))
	if len(fits) == 0 {
		return "takes every request"
	}
	return "fits: " + strings.Join(fits, ", ")
}

func hostList(hosts []host) string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		if names[i] = h.name; h.wildcard {
			names[i] = "*" + h.name
		}
	}
	return strings.Join(names, " or ")
}

func joinPrefixes(r *rule) string {
	texts := make([]string, len(r.clientIPs))
	for i, p := range r.clientIPs {
		texts[i] = p.String()
	}
	return strings.Join(texts, " or ")
}

func orNone(host string) string {
	if host == "" {
		return "(none)"
	}
	return host
}

package config

import (
	"fmt"
	"strings"
)

func (k *checker) route(r *Route, path string) {
	k.routeListeners(r, path)
	k.routeEnd(r, path)
	k.duplicates(path+".hosts", r.Hosts)
	for i := range r.Match {
		k.match(&r.Match[i], fmt.Sprintf("%s.match[%d]", path, i))
	}
	k.hedge(r.Hedge, path+".hedge")
	if r.Retry != nil {
		k.methods(path+".retry.methods", r.Retry.Methods)
		if b := r.Retry.Backoff; b.Base > b.Max && !k.faulty(path+".retry.backoff") {
			k.errorAt(path+".retry.backoff", "", fmt.Sprintf("base (%s) is longer than max (%s)",
				shortDuration(b.Base), shortDuration(b.Max)))
		}
	}
}

func (k *checker) routeListeners(r *Route, path string) {
	names := k.listenerNames.names
	if len(r.Listeners) == 0 && len(names) > 1 && !k.listenerNames.known[""] && !k.faulty(path) {
		k.errorAt(path+".listeners", fmt.Sprintf("write listeners: [%s]", listed(names)),
			"with several listeners a route says on which it stands")
	}
	if !k.written(path + ".listeners") {
		return // filled in by normalize
	}
	for i, name := range r.Listeners {
		k.reference(fmt.Sprintf("%s.listeners[%d]", path, i), name, k.listenerNames)
	}
	k.duplicates(path+".listeners", r.Listeners)
}

var ends = []string{"service", "split", "aggregate", "batch", "respond", "redirect"}

// routeEnd checks that there is exactly one end, and that it leads somewhere.
func (k *checker) routeEnd(r *Route, path string) {
	var given []string
	for _, end := range ends {
		if k.written(path + "." + end) {
			given = append(given, end)
		}
	}
	switch {
	case len(given) > 1:
		k.errorAt(path+"."+given[1], "keep one of them",
			"a route has exactly one end, here there are "+strings.Join(given, " and "))
	case len(given) == 0 && !k.faulty(path):
		k.errorAt(path, "", "the route has no end: write one of "+strings.Join(ends, ", "))
	}
	if r.StickyBy != "" && len(r.Split) == 0 && !k.written(path+".split") {
		k.errorAt(path+".stickyBy", "", "stickyBy is about split, and there is none")
	}
	k.reference(path+".service", r.Service, k.serviceNames)
	k.split(r.Split, path+".split")
	k.aggregate(r.Aggregate, path+".aggregate")
	k.redirect(r.Redirect, path+".redirect")
	k.translate(r, path+".translate")
	k.mirror(r, path+".mirror")
}

func (k *checker) split(ends []SplitEnd, path string) {
	sum, broken := 0, false
	seen := make(map[string]bool)
	for i, end := range ends {
		at := fmt.Sprintf("%s[%d].service", path, i)
		k.reference(at, end.Service, k.serviceNames)
		if seen[end.Service] && end.Service != "" {
			k.errorAt(at, "add the weights", fmt.Sprintf("service `%s` stands in the split twice", clip(end.Service)))
		}
		for j, when := range end.When {
			at := fmt.Sprintf("%s[%d].when[%d]", path, i, j)
			k.values(at, when)
			if len(when) == 0 && !k.faulty(at) {
				k.errorAt(at, "write a selector and its value, `header:x-canary: always`, or remove it", "an empty `when` takes every request")
			}
		}
		seen[end.Service] = true
		sum += end.Weight
		broken = broken || end.Service == ""
	}
	if len(ends) > 0 && sum == 0 && !broken {
		k.errorAt(path, "give at least one side a weight above 0", "all weights are 0, so no request has an end")
	}
	if n := k.root.at(path); n != nil && len(ends) == 0 && !n.faulty {
		k.errorAt(path, "", "a split needs at least one service")
	}
}

func (k *checker) redirect(r *Redirect, path string) {
	if r == nil {
		return
	}
	if r.Scheme == "" && r.Host == "" && r.Port == 0 && r.Path == "" && !k.faulty(path) {
		k.errorAt(path, "name at least one of scheme, host, port, path", "the redirect leads to where it came from")
	}
	if strings.ContainsAny(r.Host, "/:@ ") && !strings.HasPrefix(r.Host, "[") {
		k.errorAt(path+".host", "the scheme and the port have keys of their own",
			fmt.Sprintf("`%s` is no host", clip(r.Host)))
	}
	if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
		k.errorAt(path+".path", "", "a path begins with `/`")
	}
}

func (k *checker) match(m *Match, path string) {
	if p := m.Path; p != nil && p.Pattern != "" && !strings.HasPrefix(p.Pattern, "/") {
		k.errorAt(path+".path", "", "a path begins with `/`")
	}
	if p := m.Path; p != nil && p.Pattern == "" && p.Regex == "" && !k.faulty(path+".path") {
		k.errorAt(path+".path", "write a path, or {regex: ...}", "the path is empty")
	}
	k.methods(path+".methods", m.Methods)
	k.values(path+".headers", m.Headers)
	k.values(path+".query", m.Query)
	k.values(path+".cookies", m.Cookies)
	for name := range m.Headers {
		if !isToken(name) {
			k.errorAt(PathTo(path+".headers", name), "", fmt.Sprintf("`%s` is no header field name", clip(name)))
		}
	}
}

func (k *checker) methods(path string, methods []string) {
	for i, method := range methods {
		if err := parseMethod(method); err != nil {
			k.errorAt(fmt.Sprintf("%s[%d]", path, i), "", err.Error())
		}
	}
	k.duplicates(path, methods)
}

// values checks that each condition says one thing.
func (k *checker) values(path string, conditions map[string]ValueMatch) {
	for name, v := range conditions {
		given := 0
		for _, set := range []bool{v.Exact != nil, v.Present != nil, v.Prefix != nil, v.Suffix != nil, v.Regex != nil, v.Not != nil} {
			if set {
				given++
			}
		}
		if at := PathTo(path, name); given != 1 && !k.faulty(at) {
			k.errorAt(at, "the value itself, or one of present, prefix, suffix, regex, not",
				fmt.Sprintf("a condition says exactly one thing, here there are %d", given))
		}
	}
}

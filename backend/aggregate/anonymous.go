package aggregate

import (
	"slices"

	"github.com/sluice-gateway/sluice/template"
	"github.com/sluice-gateway/sluice/upstream"
)

// A call is anonymous, so that its service may keep the answer as a last good one and give it to others, if nothing in it tells
// one caller from another but what such an answer is kept under: the host, the path, the query and a few fields.
//
//   - The request is, as it must be on any route: it has no consumer.
//   - Its texts refer to nothing but what the client wrote into the path and the query of its own request, fields of the key, and
//     answers of calls that are anonymous themselves. Not to cookies, addresses and bodies: a path made of them is one caller's.
//   - It has no header of its own, and no field goes with it by forward, that is not part of the key: the key would take its
//     answer for that of a call without.
//   - It asks without a body. That, the method, and credentials that a filter has set, are looked at where the key is made.

// isImpersonal is the part of it that is known beforehand.
func (q *plan) isImpersonal() bool {
	if q.body != nil || q.ForEach != "" && q.listOf == slotBody || !isImpersonal(q.method) || !isImpersonal(q.target) {
		return false
	}
	for _, p := range q.query {
		if !isImpersonal(p.text) {
			return false
		}
	}
	for _, h := range q.headers {
		if !upstream.InLastGoodKey(h.name) || !isImpersonal(h.text) {
			return false
		}
	}
	return true
}

func isImpersonal(t *template.Template) bool {
	return !slices.ContainsFunc(t.References(), func(r *template.Reference) bool {
		switch {
		case r.IsExternal():
			return r.Slot == slotBody
		case r.Root == "header":
			return !upstream.InLastGoodKey(r.Path[0].Name)
		}
		return r.Root != "query" && r.Root != "host" && r.Root != "route" && r.Root != "method"
	})
}

// anonymous is the rest. The calls that q waits for have ended.
func (r *run) anonymous(q *plan) bool {
	if !q.impersonal || !r.x.Anonymous() {
		return false
	}
	for name := range q.forward {
		if len(r.x.Out.Header[name]) > 0 && !traced[name] && !upstream.InLastGoodKey(name) {
			return false
		}
	}
	return !slices.ContainsFunc(q.needs, func(i int) bool { return !r.calls[i].anonymous })
}

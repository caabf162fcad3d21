package compile

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/backend/aggregate"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/upstream"
)

// aggregate compiles the end of that name. A mistake in a text is told at its key.
func (k *compiler) aggregate(at string, r *config.Route, matches []match) end {
	c := r.Aggregate
	spec := aggregate.Spec{
		Timeout: c.Timeout,
		Flat:    c.Merge == "flat",
		Forward: c.Forward,
		Limits: aggregate.Limits{
			AnswerBytes: int64(c.Limits.AnswerBytes), TotalBytes: int64(c.Limits.TotalBytes),
			RequestBytes: int64(c.Limits.RequestBytes), Depth: c.Limits.Depth,
		},
	}
	if spec.Timeout == 0 {
		spec.Timeout = r.Timeout
	}
	if c.Response != "" {
		var err error
		if spec.Response, err = document.NewProgram(c.Response); err != nil {
			k.errorf(at+".response", "%v", err)
		}
	}
	var e end
	var names []string
	for i := range c.Calls {
		call := k.call(index(at+".calls", i), r, &c.Calls[i])
		spec.Calls = append(spec.Calls, call)
		names = append(names, call.Name)
		if !slices.Contains(e.services, call.Service) && call.Service != nil {
			e.services = append(e.services, call.Service)
		}
	}
	bound, captures := boundBy(matches)
	b, mistakes := aggregate.New(spec, bound, captures)
	for _, m := range mistakes {
		where := at
		if m.Call >= 0 {
			where = index(at+".calls", m.Call)
		}
		k.errorf(below(where, m.Key), "%v", m.Err)
	}
	e.backend, e.words = b, "aggregate "+strings.Join(names, ", ")
	return e
}

// below is the path of a key; what follows the first dot of it is one key, whatever it holds.
func below(at, key string) string {
	first, rest, nested := strings.Cut(key, ".")
	if !nested {
		return at + "." + key
	}
	return config.PathTo(at+"."+first, rest)
}

func (k *compiler) call(at string, r *config.Route, c *config.AggregateCall) aggregate.Call {
	call := aggregate.Call{
		Name: c.Name, Service: k.built[c.Service], Policy: k.callPolicy(at, r, c),
		Method: c.Method, Path: c.Path, Query: c.Query, Headers: c.Headers, Body: c.Body, ContentType: c.ContentType,
		Format: aggregate.Format(c.Format), Pick: c.Pick, Required: c.Required, Timeout: c.Timeout, Forward: c.Forward,
		ForEach: c.ForEach, Concurrency: c.Concurrency, Items: c.Items,
	}
	if c.Fallback == nil {
		return call
	}
	text, err := c.Fallback.JSON()
	if err == nil {
		call.Fallback, err = document.Parse(text, document.MaxDepth)
	}
	if err != nil {
		k.errorf(at+".fallback", "it cannot stand in a JSON answer: %v", err)
	}
	return call
}

// callPolicy is the route's, with the call's own retry if it has one. Its time is the call's affair.
func (k *compiler) callPolicy(at string, r *config.Route, c *config.AggregateCall) *upstream.Policy {
	own := *r
	if k.config.Written(at + ".retry") {
		own.Retry = c.Retry
	}
	p := k.policy(&own)
	p.Timeout = 0
	return p
}

// boundBy are the segments that every match captures, and those that any does.
func boundBy(matches []match) (bound, captures []string) {
	for i, m := range matches {
		if i == 0 {
			bound = slices.Clone(m.captures)
		}
		bound = slices.DeleteFunc(bound, func(name string) bool { return !slices.Contains(m.captures, name) })
		for _, name := range m.captures {
			if !slices.Contains(captures, name) {
				captures = append(captures, name)
			}
		}
	}
	return bound, captures
}

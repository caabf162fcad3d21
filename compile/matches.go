package compile

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/route"
	"github.com/sluice-gateway/sluice/snapshot"
)

// match is one of a route's matches as a rule that only lacks its value.
type match struct {
	at       string // routes[2].match, routes[2].match[1]
	route    string // routes[2]: where the hosts stand
	rule     route.Rule[*snapshot.Route]
	captures []string
}

// matches makes a rule of each; a route without any matches every request to its hosts.
func (k *compiler) matches(at string, c *config.Route) []match {
	if len(c.Match) == 0 {
		return []match{k.match(at, at+".match", c, &config.Match{})}
	}
	list := make([]match, len(c.Match))
	for i := range c.Match {
		list[i] = k.match(at, index(at+".match", i), c, &c.Match[i])
	}
	return list
}

func (k *compiler) match(routeAt, at string, c *config.Route, m *config.Match) match {
	rule := route.Rule[*snapshot.Route]{
		Name:      c.Name,
		Hosts:     c.Hosts,
		Methods:   m.Methods,
		Headers:   conditions(m.Headers),
		Query:     conditions(m.Query),
		Cookies:   conditions(m.Cookies),
		ClientIPs: m.ClientIPs,
		Priority:  c.Priority,
	}
	if m.Path != nil {
		rule.Path = route.Path{Pattern: m.Path.Pattern, Regex: m.Path.Regex}
	}
	if m.Expression != "" {
		e, err := exchange.CompileExpression(m.Expression, exchange.MatchRule)
		if err != nil {
			k.errorf(at+".expression", "%v", err)
		}
		rule.Expression = e
	}
	return match{at: at, route: routeAt, rule: rule, captures: rule.Path.Captures()}
}

// conditions are in the order of their names, so that the same file always makes the same table.
func conditions(byName map[string]config.ValueMatch) []route.Condition {
	var list []route.Condition
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, condition(name, byName[name]))
	}
	return list
}

func condition(name string, v config.ValueMatch) route.Condition {
	c := route.Condition{Name: name}
	switch {
	case v.Exact != nil:
		c.Test, c.Value = route.Exact, *v.Exact
	case v.Prefix != nil:
		c.Test, c.Value = route.Prefix, *v.Prefix
	case v.Suffix != nil:
		c.Test, c.Value = route.Suffix, *v.Suffix
	case v.Regex != nil:
		c.Test, c.Value = route.Regex, *v.Regex
	case v.Not != nil:
		c.Test, c.Value = route.Not, *v.Not
	case v.Present != nil && !*v.Present:
		c.Test = route.Absent
	default:
		c.Test = route.Present
	}
	return c
}

// place is where a mistake in one field of the rule stands in the configuration.
func (m *match) place(field string) string {
	if field == "hosts" || strings.HasPrefix(field, "hosts[") {
		return m.route + "." + field
	}
	return m.at + "." + field
}

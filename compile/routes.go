package compile

import (
	"slices"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/overload"
	"github.com/sluice-gateway/sluice/route"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream"
)

// rules are what one listener's table is built from. from[i] is the match that rule i came from.
type rules struct {
	list []route.Rule[*snapshot.Route]
	from []*match
}

// routes compiles every route once for each listener it stands on, then the tables.
func (k *compiler) routes(s *snapshot.Snapshot) {
	top := k.level("filters", "", "", k.config.Filters)
	outer := make([]level, len(s.Listeners))
	tables := make([]rules, len(s.Listeners))
	for i, l := range s.Listeners {
		outer[i] = k.level(index("listeners", i)+".filters", "listener/"+l.Name, "", k.config.Listeners[i].Filters)
		l.Unmatched = filter.NewPipeline(merge(top, outer[i]))
	}
	carried := k.carriedRoutes()
	for i := range k.config.Routes {
		c := &k.config.Routes[i]
		r := k.routeParts(index("routes", i), c)
		r.valve = k.valve(s, c)
		for j, l := range s.Listeners {
			if !standsOn(c, l.Name, len(s.Listeners)) {
				continue
			}
			compiled := k.route(r, l, k.pipeline(r, l, top, outer[j]))
			if before := carried[routeKey{l.Name, c.Name}]; before != nil {
				compiled.Stats = before.Stats
			}
			s.Routes = append(s.Routes, compiled)
			tables[j].add(r, compiled)
		}
	}
	for i, l := range s.Listeners {
		l.Table = k.table(&tables[i])
	}
}

type routeKey struct{ listener, route string }

func (k *compiler) carriedRoutes() map[routeKey]*snapshot.Route {
	carried := make(map[routeKey]*snapshot.Route)
	if k.Previous != nil {
		for _, r := range k.Previous.Routes {
			carried[routeKey{r.Listener, r.Name}] = r
		}
	}
	return carried
}

func standsOn(c *config.Route, listener string, listeners int) bool {
	return len(c.Listeners) == 0 && listeners == 1 || slices.Contains(c.Listeners, listener)
}

// routeParts is what a route is on whichever listener it stands.
type routeParts struct {
	at      string
	config  *config.Route
	filters level
	end     end
	valve   *overload.Valve
	matches []match
}

func (k *compiler) routeParts(at string, c *config.Route) routeParts {
	r := routeParts{at: at, config: c}
	r.matches = k.matches(at, c)
	r.filters = k.level(at+".filters", "route/"+c.Name, c.Name, c.Filters)
	r.end = k.translated(at, c, k.mirrored(c, k.end(at, c, r.matches)))
	return r
}

// pipeline is the filters of a route. Those that have none of their own share their listener's.
func (k *compiler) pipeline(r routeParts, l *snapshot.Listener, top, outer level) *filter.Pipeline {
	if len(r.filters.items) == 0 {
		return l.Unmatched
	}
	return filter.NewPipeline(merge(top, outer, r.filters))
}

func (k *compiler) route(r routeParts, l *snapshot.Listener, p *filter.Pipeline) *snapshot.Route {
	for _, m := range r.matches {
		k.checkCaptures(m.at, p.Placed(), m.captures)
	}
	compiled := &snapshot.Route{
		Name:      r.config.Name,
		Listener:  l.Name,
		Pipeline:  p,
		Backend:   r.end.backend,
		End:       r.end.words,
		Services:  r.end.services,
		BodyBytes: l.Limits.BodyBytes,
		Lines:     sendsLines(r.end.backend),
		Streams:   r.config.Translate != nil || slices.ContainsFunc(r.end.services, speaksHTTP2),
		Sheds:     r.valve != nil,
		Valve:     r.valve,
		Stats:     telemetry.NewRouteSeries(l.Name, r.config.Name).Expect(r.end.expected()),
	}
	if r.config.BodyBytes != nil {
		compiled.BodyBytes = int64(*r.config.BodyBytes)
	}
	return compiled
}

// sendsLines reports whether fields may go between client and service without the backend seeing them.
func sendsLines(b backend.Backend) bool {
	sender, ok := b.(backend.LineSender)
	return ok && sender.SendsLines()
}

func speaksHTTP2(s *upstream.Service) bool { return s != nil && s.SpeaksHTTP2() } // one that does not exist was reported

func (t *rules) add(r routeParts, compiled *snapshot.Route) {
	for i := range r.matches {
		rule := r.matches[i].rule
		rule.Value = compiled
		t.list = append(t.list, rule)
		t.from = append(t.from, &r.matches[i])
	}
}

// table builds one listener's route table and reports what can never match.
func (k *compiler) table(t *rules) *route.Table[*snapshot.Route] {
	table, mistakes := route.Build(t.list)
	for _, m := range mistakes {
		k.errorf(t.from[m.Rule].place(m.Field), "%v", m.Err)
	}
	if len(mistakes) > 0 {
		return nil
	}
	table.ExpressionFailed = func(r *snapshot.Route, _ error) { r.Stats.ExpressionError() }
	for _, s := range table.Shadowed() {
		k.warnf(t.from[s.Rule].at, "the route %s can never match here: %s always takes its requests",
			t.list[s.Rule].Name, t.list[s.By].Name)
	}
	return table
}

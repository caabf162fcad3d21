package telemetry

import (
	"sync"
	"weak"
)

// perRoute finds a series of a route by name: the same one to all who ask while any of them keeps it. Filters and
// backends ask while they are built, in a compile that may yet fail, so the map holds no series up: one disappears with
// the last part that counts on it.
type perRoute[T any] struct {
	mu      sync.Mutex
	byRoute map[string]weak.Pointer[T]
}

func (p *perRoute[T]) series(route string) *T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.byRoute[route].Value(); s != nil {
		return s
	}
	s := new(T)
	if p.byRoute == nil {
		p.byRoute = make(map[string]weak.Pointer[T])
	}
	p.byRoute[route] = weak.Make(s)
	return s
}

// all is every series still counted on, by route. It forgets the others.
func (p *perRoute[T]) all() map[string]*T {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]*T, len(p.byRoute))
	for route, w := range p.byRoute {
		if s := w.Value(); s != nil {
			all[route] = s
		} else {
			delete(p.byRoute, route)
		}
	}
	return all
}

// each shows the series of live routes and, with an empty name, those of the levels above them. The others belong to a
// snapshot that is not in force yet, or no longer. A route that stands on several listeners has one series.
func (p *perRoute[T]) each(routes []*RouteSeries, show func(route string, s *T)) {
	all := p.all()
	once := func(route string) {
		if s := all[route]; s != nil {
			delete(all, route)
			show(route, s)
		}
	}
	once("")
	for _, r := range routes {
		if r != nil {
			once(r.route)
		}
	}
}

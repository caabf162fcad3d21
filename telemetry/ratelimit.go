package telemetry

import (
	"sync"
	"weak"
)

// RateLimitSeries counts the decisions of the rate limits of one route.
type RateLimitSeries struct{ allowed, limited, shadow Counter }

// Allowed counts a request that was within all limits.
func (s *RateLimitSeries) Allowed() { s.allowed.Inc() }

// Limited counts a request that was refused.
func (s *RateLimitSeries) Limited() { s.limited.Inc() }

// Shadow counts a request that would have been refused by a limit that only watches.
func (s *RateLimitSeries) Shadow() { s.shadow.Inc() }

// rateLimits finds the series of a route by name. Filters ask while they are built, in a compile that may yet fail, so
// the map holds no series up: one disappears with the last filter that counts on it.
type rateLimits struct {
	mu      sync.Mutex
	byRoute map[string]weak.Pointer[RateLimitSeries]
}

func (r *rateLimits) series(route string) *RateLimitSeries {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.byRoute[route].Value(); s != nil {
		return s
	}
	s := new(RateLimitSeries)
	if r.byRoute == nil {
		r.byRoute = make(map[string]weak.Pointer[RateLimitSeries])
	}
	r.byRoute[route] = weak.Make(s)
	return s
}

// all is every series still counted on, by route. It forgets the others.
func (r *rateLimits) all() map[string]*RateLimitSeries {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]*RateLimitSeries, len(r.byRoute))
	for route, p := range r.byRoute {
		if s := p.Value(); s != nil {
			all[route] = s
		} else {
			delete(r.byRoute, route)
		}
	}
	return all
}

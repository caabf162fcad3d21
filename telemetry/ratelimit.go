package telemetry

// RateLimitSeries counts the decisions of the rate limits of one route.
type RateLimitSeries struct{ allowed, limited, shadow Counter }

// Allowed counts a request that was within all limits.
func (s *RateLimitSeries) Allowed() { s.allowed.Inc() }

// Limited counts a request that was refused.
func (s *RateLimitSeries) Limited() { s.limited.Inc() }

// Shadow counts a request that would have been refused by a limit that only watches.
func (s *RateLimitSeries) Shadow() { s.shadow.Inc() }

// RateLimit gives the series of a route's rate limits, the same one to all who ask while any of them keeps it; an empty
// route stands for the limits above routes. Nil metrics give a series that nobody sees.
func (m *Metrics) RateLimit(route string) *RateLimitSeries {
	if m == nil {
		return new(RateLimitSeries)
	}
	return m.limits.series(route)
}

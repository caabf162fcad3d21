package config

import "time"

// Hedge sends a request to a second endpoint when the first has not answered for a while; whichever answers first is the
// one, and the other is given up. It names exactly one of its keys. Only requests that may be repeated are hedged, and a
// hedge is taken out of the service's retry budget.
type Hedge struct {
	// How long the first endpoint is waited for.
	After time.Duration `yaml:"after" default:"0" min:"0" max:"1h"`

	// As long as this part of the service's answers takes: 0.95 hedges the slowest twentieth. From 0.5 to 0.999. Until fifty
	// answers of the last ten seconds or so are known, nothing is hedged.
	Quantile float64 `yaml:"quantile" default:"0" min:"0" max:"0.999"`
}

package config

import "time"

// CircuitBreaker stops calling what fails and tries it again later. An error is a connection that cannot be made or
// breaks, an attempt that times out, or a 5xx; attempts are counted, not requests.
type CircuitBreaker struct {
	// What has a breaker: the service as a whole, or each endpoint by itself.
	Per string `yaml:"per" default:"service" enum:"service,endpoint"`

	// The time over which attempts are counted; it slides.
	Window time.Duration `yaml:"window" default:"10s" min:"1s" max:"1h"`

	// Fewer attempts than these in the window open nothing.
	MinRequests int `yaml:"minRequests" default:"20" min:"1" max:"1000000"`

	// The share of errors that opens it.
	ErrorPercent float64 `yaml:"errorPercent" default:"50" min:"1" max:"100"`

	// The share of slow attempts that opens it.
	SlowPercent float64 `yaml:"slowPercent" default:"100" min:"1" max:"100"`

	// From when on an attempt is slow, until its answer begins; 0 means that none is.
	SlowAfter time.Duration `yaml:"slowAfter" default:"5s" min:"0" max:"1h"`

	// How long it stays open: requests get a 503 with `Retry-After`, or the fallback.
	OpenFor time.Duration `yaml:"openFor" default:"5s" min:"100ms" max:"1h"`

	// Requests that are let through after that. If one fails it opens again; when all have succeeded it closes.
	Probes int `yaml:"probes" default:"3" min:"1" max:"1000"`

	// What answers while it is open. Absent: a 503.
	Fallback *Fallback `yaml:"fallback"`
}

// Fallback answers in place of a service whose circuit breaker is open, or none of whose endpoints may be used. `lastGood` comes first; `service` or `status` is
// for what it does not have.
type Fallback struct {
	// The status code of a fixed answer. 503, if `body` or `headers` are given and this is not.
	Status int `yaml:"status" min:"200" max:"599"`

	// The body of the fixed answer, as text.
	Body string `yaml:"body"`

	// Header fields of the fixed answer. Content-Type is `text/plain; charset=utf-8` unless it is named here.
	Headers map[string]string `yaml:"headers"`

	// The service to ask instead.
	Service string `yaml:"service"`

	// Gives the last good answer to the same GET again, if it is no older than this. Only what anybody may see is kept:
	// no request of a consumer, with credentials or cookies, no answer that sets a cookie or says `private`, `no-store`,
	// `no-cache` or `must-revalidate`; at most 1,000 answers of 64 KiB, 8 MiB a service.
	LastGood time.Duration `yaml:"lastGood" min:"1s" max:"24h"`
}

// Concurrency bounds the requests that are in a service at once. More get 503 with `Retry-After`.
type Concurrency struct {
	// Requests at once, until their answers have ended; 0 means no limit but what `adaptive` finds.
	Max int `yaml:"max" default:"0" min:"0" max:"1000000"`

	// Finds the limit by itself, up to `max`: the number of requests at once beyond which more of them bring no more
	// answers.
	Adaptive bool `yaml:"adaptive" default:"false"`

	// Requests that may wait for a place; more are refused at once.
	Pending int `yaml:"pending" default:"0" min:"0" max:"100000"`

	// How long one may wait.
	Wait time.Duration `yaml:"wait" default:"1s" min:"1ms" max:"1m"`
}

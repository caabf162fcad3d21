package config

import "time"

// Service is a named group of interchangeable endpoints: one microservice.
type Service struct {
	_ struct{} `yet:"translate"`

	// What routes and metrics call the service. Letters, digits, `.`, `_` and `-`, at most 64; unique.
	Name string `yaml:"name" required:"true"`

	// Where it runs. At least one, unless `discovery` finds them.
	Endpoints []Endpoint `yaml:"endpoints" filled:"true"`

	// How the endpoints are found while the gateway runs, in place of `endpoints`.
	Discovery *Discovery `yaml:"discovery"`

	// What it speaks. http2 is HTTP/2 without TLS (h2c) on `http://` endpoints; grpc is http2 with gRPC's own errors.
	Protocol string `yaml:"protocol" default:"http1" enum:"http1,http2,grpc"`

	// The Host to send. Empty: the client's.
	Host string `yaml:"host"`

	// The Upgrade tokens that may pass. An empty list lets none pass; h2c never does.
	Upgrades []string `yaml:"upgrades" default:"websocket"`

	// How to speak TLS to `https://` endpoints. Absent: verified against the system's authorities.
	TLS *ServiceTLS `yaml:"tls"`

	// How an endpoint is chosen.
	Balance Balance `yaml:"balance"`

	// How long an endpoint that joins, or comes back, takes to get its full share, in twenty steps; 0: it gets it at once.
	// Endpoints that were there from the start are not new. consistentHash and sticky do without.
	SlowStart time.Duration `yaml:"slowStart" default:"0" min:"0" max:"1h"`

	// Connections to each endpoint.
	Connections Connections `yaml:"connections"`

	// Asks endpoints how they are. Absent: they are taken for healthy.
	HealthCheck *HealthCheck `yaml:"healthCheck"`

	// Leaves endpoints alone that answer worse than the others. Absent: off.
	OutlierDetection *OutlierDetection `yaml:"outlierDetection"`

	// Stops calling the service while it fails. Absent: off.
	CircuitBreaker *CircuitBreaker `yaml:"circuitBreaker"`

	// Bounds the requests that are in the service at once. Absent: no bound but those of `connections`.
	Concurrency *Concurrency `yaml:"concurrency"`

	// How many retries the service bears, over all its routes.
	RetryBudget RetryBudget `yaml:"retryBudget"`

	// While every endpoint is unhealthy, use all of them rather than none.
	Panic bool `yaml:"panic" default:"true"`
}

// Endpoint is one place where a service runs.
type Endpoint struct {
	// `http://host:port`, `https://host:port` or `unix:/path`. Host names are resolved when dialled, and every address is
	// tried. No path: that is what the rewrite filter is for.
	URL string `yaml:"url" required:"true"`

	// The share of requests, relative to the other endpoints; 0 drains it.
	Weight int `yaml:"weight" default:"1" min:"0" max:"1000000"`

	// Where it is. While the gateway's own `zone` is given, endpoints in it are preferred.
	Zone string `yaml:"zone"`
}

// ServiceTLS is how TLS is spoken to a service.
type ServiceTLS struct {
	// The authorities that may have signed its certificate, as a PEM file. Empty: the system's.
	CAFile string `yaml:"caFile"`

	// The name its certificate must carry. Empty: the host of the endpoint.
	ServerName string `yaml:"serverName"`

	// The gateway's own certificate, as a PEM file, for a service that asks for one. Needs `keyFile`.
	CertFile string `yaml:"certFile"`

	// The private key of `certFile`.
	KeyFile string `yaml:"keyFile"`

	// Accepts any certificate. It gives up what TLS is for, so `sluice check` warns of it.
	InsecureSkipVerify bool `yaml:"insecureSkipVerify"`
}

// Connections bounds the connections to each endpoint of a service.
type Connections struct {
	// Connections open at once; 0 means no limit.
	Max int `yaml:"max" default:"1024" min:"0" max:"1000000"`

	// Idle connections kept for the next request; 0 means no limit.
	MaxIdle int `yaml:"maxIdle" default:"256" min:"0" max:"1000000"`

	// How long an idle connection is kept; 0 means for ever.
	IdleTimeout time.Duration `yaml:"idleTimeout" default:"60s" min:"0"`

	// The time to connect, TLS included; 0 means no limit but the route's.
	ConnectTimeout time.Duration `yaml:"connectTimeout" default:"3s" min:"0"`

	// Requests that may wait for a connection while `max` are busy; more get 503. 0 means no limit.
	Pending int `yaml:"pending" default:"1024" min:"0" max:"1000000"`
}

// RetryBudget bounds retries and hedges over a sliding 10 s: at most percent of the requests, or minPerSecond where that is
// more.
type RetryBudget struct {
	// Retries for each hundred requests.
	Percent float64 `yaml:"percent" default:"20" min:"0" max:"100"`

	// Retries each second that are allowed however few the requests are.
	MinPerSecond float64 `yaml:"minPerSecond" default:"3" min:"0" max:"1000000"`
}

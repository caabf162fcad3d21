// Package upstream is the side we forward to: a Service is a named group of interchangeable Endpoints, and the attempt
// loop asks one after another until one answers or the policy says stop. It never sees an exchange.
package upstream

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/breaker"
	"github.com/sluice-gateway/sluice/upstream/concurrency"
	"github.com/sluice-gateway/sluice/upstream/health"
	"github.com/sluice-gateway/sluice/upstream/outlier"
)

// Protocol is what a service speaks.
type Protocol string

const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "http2" // h2c, with prior knowledge, on http:// endpoints
	GRPC  Protocol = "grpc"  // HTTP2, and failures are told as gRPC tells them
)

// Spec is what compile knows of a service. Two services of equal Spec are interchangeable.
type Spec struct {
	Name        string
	Endpoints   []EndpointSpec
	Protocol    Protocol
	Host        string      // the Host to send; empty: the request's own
	Upgrades    []string    // Upgrade tokens that may pass, in any case; nil: websocket; never over HTTP/2
	TLS         *tls.Config // for https:// endpoints; never nil there
	TLSKey      string      // equal keys mean equal TLS settings, file contents included
	Balance     Balance
	Connections Connections
	RetryBudget RetryBudget
	Panic       bool          // no endpoint is fit: use all of them
	SlowStart   time.Duration // how long an endpoint that joined takes to come to its full share; 0: at once
	Zone        string        // where the gateway is: its own endpoints are preferred; empty: none are
	Initially   Reason        // what keeps a new endpoint from taking requests, until somebody withdraws it
	// DiscoveryKey is equal while the settings of discovery are; empty: there is none, and Endpoints are all there will be.
	DiscoveryKey string
	Discovery    *Discovery // nil: somebody else calls SetEndpoints
	Series       *telemetry.ServiceSeries
	Events       *telemetry.Events // nil: nobody listens

	HealthCheck      *health.Settings      // nil: endpoints are not asked how they are
	OutlierDetection *outlier.Settings     // nil: nor is it learned from their answers
	Breaker          *Breaker              // nil: none
	Fallback         *Fallback             // nil: none
	Concurrency      *concurrency.Settings // nil: no limit
}

// EndpointSpec is one endpoint as configured.
type EndpointSpec struct {
	URL    *url.URL // http://host:port, https://host:port or unix:/path
	Weight int      // 0 drains: no new requests
	Zone   string   // where it is; empty: unknown
}

// Balance chooses the policy and holds the options of all of them.
type Balance struct {
	Policy string // roundRobin | leastRequest | peakEwma | random | consistentHash | sticky
	Secret string // sticky: what tokens are signed with; empty: a key derived from the service's name
}

// Connections bounds the pool of each endpoint. For all counts 0 means no limit.
type Connections struct {
	Max            int           // open at once, default 1024
	MaxIdle        int           // kept for reuse, default 256
	IdleTimeout    time.Duration // default 60s
	ConnectTimeout time.Duration // TCP and TLS together, default 3s
	Pending        int           // requests waiting for a connection, default 1024; over it 503 at once
}

// Breaker is the circuit breaker of a service, or of each of its endpoints.
type Breaker struct {
	breaker.Settings
	PerEndpoint bool
}

// RetryBudget bounds the retries and hedges of a service over a sliding 10 s: at most Percent/100 x requests, or
// MinPerSecond x 10 where that is more.
type RetryBudget struct {
	Percent      float64 // default 20
	MinPerSecond float64 // default 3
}

// Policy is what a route asks of the attempt loop. It is shared by all its requests and never changed.
type Policy struct {
	Timeout time.Duration // until the answer begins, retries included; 0: none. Streams are not cut by it
	Retry   RetryPolicy
	Hedge   *HedgePolicy // nil: attempts follow one another
}

// RetryPolicy says when a failed attempt is repeated.
type RetryPolicy struct {
	Attempts       int // the first included; 1: never repeat
	ConnectFailure bool
	Reset          bool // before any byte of the answer
	Timeout        bool // of one attempt
	Statuses       []StatusRange
	GRPCStatuses   []int         // codes of grpc-status in a trailers-only answer
	PerAttempt     time.Duration // until the answer begins; 0: only Policy.Timeout
	Methods        []string      // may be repeated though not idempotent
	BodyBytes      int64         // a longer request body is not kept for repeating
	BackoffBase    time.Duration // exponential, full jitter
	BackoffMax     time.Duration
}

// StatusRange is a range of status codes, both ends included.
type StatusRange struct{ From, To int }

// Call is one request to a service.
type Call struct {
	// Request is free of hop-by-hop fields, except for an upgrade that MayUpgrade allows. URL.Opaque is the canonical path
	// and URL.RawQuery the query; scheme and host of the URL do not count. ContentLength is as a server
	// means it: 0 is no body, -1 an unknown length. While Do runs, and until the answer's body is closed, the request
	// belongs to it. Close of its Body must wake a Read, as that of every server's does.
	Request *http.Request
	Lines   []byte                               // field lines to send beside Request.Header, which names none of theirs; each ends in CR LF
	Reads   []string                             // the fields of the answer that its Header must have; nil: all
	HashKey string                               // what consistentHash hashes, or the token that sticky gave; empty: none
	Policy  *Policy                              // nil: one attempt, no timeout
	Timeout time.Duration                        // the client's own, of grpc-timeout: wins over the policy's where it is shorter; 0: none
	Inform  func(status int, header http.Header) // passes 1xx answers on; nil drops them

	// Token is set where the policy is sticky and the client should be given another token than it has: that of the endpoint
	// which answered.
	Token string

	// Anonymous says that nobody in particular asks, so that anybody may be given the same answer.
	Anonymous bool

	// Attempts is appended to, one for each try. It must not be read while Do runs.
	Attempts []telemetry.Attempt
}

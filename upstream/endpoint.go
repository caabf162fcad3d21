package upstream

import (
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/upstream/balance"
	"github.com/sluice-gateway/sluice/upstream/breaker"
	"github.com/sluice-gateway/sluice/upstream/health"
	"github.com/sluice-gateway/sluice/upstream/outlier"
	"github.com/sluice-gateway/sluice/upstream/transport"
)

// Endpoint is one place where a service runs. It outlives the snapshot it was made for: a service whose specification
// still has an endpoint of equal key takes over the object, and with it the connections and what is known of it.
type Endpoint struct {
	key       endpointKey
	address   string
	scheme    string // of the URL sent: http or https
	host      string // what a request's Host is if nothing else says
	lineage   *lineage
	load      balance.Load
	reasons   atomic.Uint32 // why it takes no requests: a set of Reason
	joined    atomic.Int64  // when it began to take requests, in Unix nanoseconds; 0: with the service
	transport transport.Transport
	options   transport.Options // of transport

	// What else is known of an endpoint, and must outlive reloads, has its field here.
	health  health.State
	outlier outlier.State
	breaker atomic.Pointer[breaker.Breaker] // nil: it has none of its own
}

// endpointKey is everything an endpoint's connections depend on.
type endpointKey struct {
	service     string
	url         string
	tls         string
	protocol    Protocol
	connections Connections
}

func keyOf(spec *Spec, u *url.URL) endpointKey {
	key := endpointKey{service: spec.Name, url: u.String(), protocol: spec.Protocol, connections: spec.Connections}
	if u.Scheme == "https" {
		key.tls = spec.TLSKey
	}
	return key
}

func newEndpoint(spec *Spec, u *url.URL, l *lineage) *Endpoint {
	e := &Endpoint{key: keyOf(spec, u), address: address(u), scheme: "http", host: u.Host, lineage: l}
	e.reasons.Store(uint32(spec.Initially))
	network, address := transport.Endpoint(u.Scheme, u.Host, socketPath(u))
	c := spec.Connections
	o := transport.Options{
		Network: network, Address: address,
		HTTP2: spec.Protocol.overHTTP2(), Sparing: spec.Protocol == GRPC,
		Max: c.Max, MaxIdle: c.MaxIdle, Pending: c.Pending, IdleTimeout: c.IdleTimeout, ConnectTimeout: c.ConnectTimeout,
	}
	switch u.Scheme {
	case "https":
		e.scheme, o.TLS = "https", spec.TLS
	case "unix":
		e.host = "localhost"
	}
	e.options = o
	e.transport = transport.New(o)
	return e
}

// address is how people are shown the endpoint: as it was configured, and without what a URL has no place for here.
func address(u *url.URL) string {
	if u.Scheme == "unix" {
		return "unix:" + socketPath(u)
	}
	return u.Scheme + "://" + u.Host
}

// socketPath is the path of unix:/path, which url.Parse takes for a Path, or for Opaque in unix:path.
func socketPath(u *url.URL) string {
	if u.Path != "" {
		return u.Path
	}
	return u.Opaque
}

// Address is the endpoint's URL as configured: what logs and metrics call it.
func (e *Endpoint) Address() string { return e.address }

// InFlight is the number of requests sent to it whose answers have not ended.
func (e *Endpoint) InFlight() int { return int(e.load.InFlight.Load()) }

// Latency is the peak-sensitive moving average of the time to the head of its answers; 0: none came yet.
func (e *Endpoint) Latency() time.Duration { return e.load.Latency() }

// failed is how much slower than usual a failure counts. Without it an endpoint that refuses at once would be the fastest.
const failed = 10

// learn takes an outcome into the average latency.
func (e *Endpoint) learn(o Outcome, now time.Time) {
	switch {
	case o.Silent():
	case o.Failed():
		e.load.Learn(min(max(o.Latency, failed*e.load.Latency(), time.Millisecond), time.Minute), now)
	default:
		e.load.Learn(o.Latency, now)
	}
}

package upstream

import (
	"net/url"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/upstream/transport"
)

// Endpoint is one place where a service runs. It outlives the snapshot it was made for: a service whose specification
// still has an endpoint of equal key takes over the object, and with it the connections and what is known of it.
type Endpoint struct {
	key       endpointKey
	address   string
	scheme    string // of the URL sent: http or https
	host      string // what a request's Host is if nothing else says
	inFlight  atomic.Int64
	transport transport.Transport
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

func newEndpoint(spec *Spec, u *url.URL) *Endpoint {
	e := &Endpoint{key: keyOf(spec, u), address: address(u), scheme: "http", host: u.Host}
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
func (e *Endpoint) InFlight() int { return int(e.inFlight.Load()) }

// Member is an endpoint as one service has it. The weight is the service's: after a reload the same endpoint may carry
// another one, while requests still run that were dealt by the old.
type Member struct {
	*Endpoint
	weight int
}

// Weight is the endpoint's share of requests, relative to the other members; 0 drains it.
func (m Member) Weight() int { return m.weight }

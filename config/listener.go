package config

import (
	"net/netip"
	"time"
)

// Listener is one socket with its own routes, filters and limits.
type Listener struct {
	// What routes, metrics and logs call the listener. Letters, digits, `.`, `_` and `-`, at most 64; unique.
	Name string `yaml:"name" required:"true"`

	// Where to listen: `host:port`, `:port` for every address, or `unix:/path`. Port 0 takes any free one.
	Address string `yaml:"address" required:"true"`

	// The protocols spoken. http2 is chosen by ALPN on TLS and by its preface on plaintext.
	Protocols []string `yaml:"protocols" default:"http1,http2" enum:"http1,http2" yet:"http3" required:"true"`

	// Serves TLS. Absent: plaintext.
	TLS *TLS `yaml:"tls"`

	// Peers whose forwarding fields (`X-Forwarded-For` and its kin) and PROXY headers are believed: addresses or
	// prefixes. None by default.
	TrustedProxies []netip.Prefix `yaml:"trustedProxies"`

	// Expects a PROXY protocol header (version 1 or 2) before anything else. Needs `trustedProxies`; connections from
	// any other peer are closed.
	ProxyProtocol bool `yaml:"proxyProtocol"`

	// What one client may take.
	Limits Limits `yaml:"limits"`

	// Filters on every route of this listener, and where none of its routes matches.
	Filters []Filter `yaml:"filters"`
}

// TLS is how a listener serves TLS.
type TLS struct {
	// Certificates, chosen by server name (SNI), the first where none fits. Read again when their files change.
	Certificates []Certificate `yaml:"certificates" required:"true"`

	// Asks clients for a certificate. Absent: none is asked for.
	ClientAuth *ClientAuth `yaml:"clientAuth"`

	// The lowest TLS version accepted. Write it in quotes: it is a name, not a number.
	MinVersion string `yaml:"minVersion" default:"1.2" enum:"1.2,1.3"`
}

// Certificate is a certificate chain and its private key, as PEM files.
type Certificate struct {
	// The chain, leaf first.
	CertFile string `yaml:"certFile" required:"true"`

	// The private key of the leaf.
	KeyFile string `yaml:"keyFile" required:"true"`
}

// ClientAuth is how client certificates are asked for and verified.
type ClientAuth struct {
	// `require` refuses a client without a certificate; `request` verifies one only if it is shown.
	Mode string `yaml:"mode" default:"require" enum:"require,request"`

	// The authorities that may have signed it, as a PEM file.
	CAFile string `yaml:"caFile" required:"true"`
}

// Limits is what one client may take of a listener. 0 means no limit.
type Limits struct {
	// The size of a request's header block. Over it: 431.
	HeaderBytes Size `yaml:"headerBytes" default:"64KiB" min:"0" max:"16MiB"`

	// The number of header fields of a request. Over it: 431.
	HeaderCount int `yaml:"headerCount" default:"100" min:"0" max:"100000"`

	// The size of the request target. Over it: 414.
	URIBytes Size `yaml:"uriBytes" default:"8KiB" min:"0" max:"16MiB"`

	// The time from the first byte of a request to the end of its header block. Over it: 408.
	HeaderTimeout time.Duration `yaml:"headerTimeout" default:"10s" min:"0"`

	// How long a connection may wait between requests.
	IdleTimeout time.Duration `yaml:"idleTimeout" default:"60s" min:"0"`

	// How long no byte may move where one is owed, in either direction of a body.
	StallTimeout time.Duration `yaml:"stallTimeout" default:"30s" min:"0"`

	// How long tunnels, server-sent events and gRPC streams may be silent.
	StreamIdleTimeout time.Duration `yaml:"streamIdleTimeout" default:"10m" min:"0"`

	// The size of a request body. Over it: 413. Not enforced on upgrades, nor on streams of gRPC and Connect where the service
	// speaks HTTP/2 or the route translates; a route may set its own.
	BodyBytes Size `yaml:"bodyBytes" default:"10MiB" min:"0"`

	// Connections open at once on this listener; more wait to be accepted.
	Connections int `yaml:"connections" default:"0" min:"0"`

	// Streams open at once on one HTTP/2 connection.
	Streams int `yaml:"streams" default:"100" min:"0" max:"1000000"`
}

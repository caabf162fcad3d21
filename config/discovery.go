package config

import "time"

// Discovery is how the endpoints of a service are found, in place of `endpoints`. Exactly one of dns, file, consul and
// http. What is found is put in force as it changes, without a reload; when finding fails the last endpoints stay.
type Discovery struct {
	// Ask DNS for the addresses of a name, or its SRV records, as often as their TTL says.
	DNS *DNSDiscovery `yaml:"dns"`

	// Read them from a file that something else writes, whenever it changes.
	File *FileDiscovery `yaml:"file"`

	// Ask Consul for the instances whose checks pass, with blocking queries.
	Consul *ConsulDiscovery `yaml:"consul"`

	// Ask an HTTP endpoint at an interval.
	HTTP *HTTPDiscovery `yaml:"http"`

	// The scheme of endpoints that are found without one.
	Scheme string `yaml:"scheme" default:"http" enum:"http,https"`

	// Put an empty answer in force, so that requests get 503. Otherwise it counts as a failure and the last endpoints stay.
	AllowEmpty bool `yaml:"allowEmpty" default:"false"`
}

// DNSDiscovery finds endpoints by DNS.
type DNSDiscovery struct {
	// The name to ask for. Without `server` the search list of /etc/resolv.conf applies, unless it ends in a dot.
	Name string `yaml:"name" required:"true"`

	// The records to ask for: `A`, `AAAA`, `both` of these, or `SRV`, which has ports and weights of its own and of which
	// the most preferred priority is used.
	Type string `yaml:"type" default:"A" enum:"A,AAAA,both,SRV"`

	// The port of every address. Not with `SRV`.
	Port int `yaml:"port" min:"1" max:"65535"`

	// The server to ask, host:port; port 53 may be left out. Empty: those of /etc/resolv.conf.
	Server string `yaml:"server"`

	// Records are used for as long as their TTL says, but no shorter than this.
	MinTTL time.Duration `yaml:"minTTL" default:"1s" min:"100ms" max:"24h"`

	// And no longer than this.
	MaxTTL time.Duration `yaml:"maxTTL" default:"5m" min:"1s" max:"24h"`

	// How long one server may take to answer.
	Timeout time.Duration `yaml:"timeout" default:"2s" min:"1ms" max:"1m"`
}

// FileDiscovery finds endpoints in a file.
type FileDiscovery struct {
	// The file: YAML or JSON, a list of endpoints or a mapping with the key `endpoints`. An endpoint is `host:port`, a URL, or
	// a mapping of url, weight and zone. Replace it by renaming another one over it.
	Path string `yaml:"path" required:"true"`
}

// ConsulDiscovery finds endpoints in the catalog of Consul.
type ConsulDiscovery struct {
	// The name of the service there.
	Service string `yaml:"service" required:"true"`

	// Where Consul is asked.
	Address string `yaml:"address" default:"http://127.0.0.1:8500"`

	// The ACL token. It needs service:read and node:read.
	Token Secret `yaml:"token"`

	// The data centre. Empty: the agent's.
	Datacenter string `yaml:"datacenter"`

	// The namespace. Empty: the default.
	Namespace string `yaml:"namespace"`

	// Tags that an instance must all have.
	Tags []string `yaml:"tags"`

	// The key of an instance's Meta whose value is its zone. Empty: none.
	ZoneMeta string `yaml:"zoneMeta"`

	// How long a question waits for news.
	Wait time.Duration `yaml:"wait" default:"5m" min:"1s" max:"10m"`

	// How to speak TLS to an `https://` address. Absent: verified against the system's authorities.
	TLS *ServiceTLS `yaml:"tls"`
}

// HTTPDiscovery finds endpoints by asking an HTTP endpoint.
type HTTPDiscovery struct {
	// What to ask. It answers 200 with a document as `file` has, or 304 to an If-None-Match; redirects are not followed.
	URL string `yaml:"url" required:"true"`

	// How often.
	Interval time.Duration `yaml:"interval" default:"10s" min:"100ms" max:"24h"`

	// How long an answer may take.
	Timeout time.Duration `yaml:"timeout" default:"3s" min:"1ms" max:"1m"`

	// Sent as `Authorization: Bearer`. Empty: nothing is.
	Token Secret `yaml:"token"`

	// How to speak TLS to an `https://` URL. Absent: verified against the system's authorities.
	TLS *ServiceTLS `yaml:"tls"`
}

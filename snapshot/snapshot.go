// Package snapshot is the seam between the control plane and the data plane: the immutable runtime that compile makes
// and requests read, and the one atomic pointer to it.
package snapshot

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/overload"
	"github.com/sluice-gateway/sluice/route"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream"
)

// Snapshot is everything that runs. Nobody changes it after compile; the next configuration makes another one.
type Snapshot struct {
	Revision  string // names the configuration it came from: the first 12 hex digits of its SHA-256
	Loaded    time.Time
	Listeners []*Listener
	Routes    []*Route // each once, in the order of the file
	Services  map[string]*upstream.Service
	Parts     []NamedPart       // what else runs by itself
	Overload  *overload.Monitor // nil: off
	Consumers *exchange.Directory
	AccessLog AccessLog
	Admin     Admin
	Config    []byte               // the configuration as JSON, secrets redacted, for /config
	Log       *telemetry.AccessLog // opened by app before the swap; nil: off

	byListener map[string]*Listener
	byKey      map[string]filter.Filter
	filters    []Instance
}

// AccessLog says where the access log goes. The sink itself belongs to app and outlives snapshots.
type AccessLog struct {
	To     string // stdout | stderr | a path; empty: off
	Format string
	Sample float64 // 0 to 1
}

// Admin says where the admin listener is.
type Admin struct {
	Address string // empty: off
	Token   string
}

// Listener is one address and everything that is reached through it.
type Listener struct {
	Name           string
	Address        string // host:port, or unix:/path
	HTTP1, HTTP2   bool
	TLS            *tls.Config // nil: plaintext. Chooses certificates itself
	TLSKey         string      // equal keys mean equal TLS settings, file contents included
	TrustedProxies []netip.Prefix
	ProxyProtocol  bool
	Limits         Limits
	Table          *route.Table[*Route]
	Unmatched      *filter.Pipeline // runs when no route matches
	Series         *telemetry.ListenerSeries
	UnmatchedStats *telemetry.RouteSeries // requests of this listener that no route took
}

// Trusts reports whether forwarding fields and PROXY headers from addr are believed.
func (l *Listener) Trusts(addr netip.Addr) bool {
	for _, p := range l.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Limits bounds what one client can make us hold. 0 means no limit.
type Limits struct {
	HeaderBytes       int           // default 64 KiB; over it 431
	HeaderCount       int           // default 100 fields; over it 431
	URIBytes          int           // default 8 KiB; over it 414
	HeaderTimeout     time.Duration // default 10s from the first byte of a header block to its end; then 408
	IdleTimeout       time.Duration // default 60s between requests
	StallTimeout      time.Duration // default 30s without a byte moved where one is owed
	StreamIdleTimeout time.Duration // default 10m for tunnels, server-sent events and gRPC
	BodyBytes         int64         // default 10 MiB; over it 413
	Connections       int           // default no limit
	Streams           int           // default 100 per HTTP/2 connection
}

// Route is one route as it runs. Routes that stand on several listeners have one Route for each, as filters and limits may differ.
type Route struct {
	// What every request reads lies together, in 64 bytes: with many routes, what is read of one is not in the cache.
	Name      string
	Pipeline  *filter.Pipeline
	Backend   backend.Backend
	Stats     *telemetry.RouteSeries
	BodyBytes int64 // 0: no limit
	Lines     bool  // the backend reads none of the fields that only pass: they may go beside the headers
	Streams   bool  // there is somebody to stream to, by gRPC or Connect, and BodyBytes does not bound that
	Sheds     bool  // there is a Valve

	Valve    *overload.Valve // refuses requests while the gateway is overloaded; nil: never
	Listener string
	End      string              // the backend in words, for explain
	Services []*upstream.Service // those the backend may ask
}

// Instance is a filter that runs, with what makes it the same one after a reload.
type Instance struct {
	Key    string // scope, name and settings
	Filter filter.Filter
}

// Part is something beside services that runs by itself while a snapshot has it. Start is called after the swap, for
// those taken over from the snapshot before, too; Stop when no snapshot has it any more.
type Part interface {
	Start()
	Stop()
}

// NamedPart is a part with what makes it the same one after a reload.
type NamedPart struct {
	Key  string
	Part Part
}

// Part finds the part of a key, or nil.
func (s *Snapshot) Part(key string) Part {
	for _, p := range s.Parts {
		if p.Key == key {
			return p.Part
		}
	}
	return nil
}

// Listener finds a listener by name, or nil.
func (s *Snapshot) Listener(name string) *Listener { return s.byListener[name] }

// Filters are all instances that run, each once.
func (s *Snapshot) Filters() []Instance { return s.filters }

// Instance finds the filter of a key, or nil.
func (s *Snapshot) Instance(key string) filter.Filter { return s.byKey[key] }

// Seal completes the indexes. Compile calls it last.
func (s *Snapshot) Seal(filters []Instance) {
	s.filters = filters
	s.byKey = make(map[string]filter.Filter, len(filters))
	for _, f := range filters {
		s.byKey[f.Key] = f.Filter
	}
	s.byListener = make(map[string]*Listener, len(s.Listeners))
	for _, l := range s.Listeners {
		s.byListener[l.Name] = l
	}
}

// Live is what the metrics show of this snapshot.
func (s *Snapshot) Live() telemetry.Live {
	live := telemetry.Live{Revision: s.Revision}
	for _, l := range s.Listeners {
		live.Listeners = append(live.Listeners, l.Series)
		live.Routes = append(live.Routes, l.UnmatchedStats)
	}
	for _, r := range s.Routes {
		live.Routes = append(live.Routes, r.Stats)
	}
	for _, svc := range s.Services {
		live.Services = append(live.Services, svc.Series())
	}
	if s.Overload != nil {
		live.Overload = s.Overload.State()
	}
	return live
}

package telemetry

// ListenerSeries counts the client connections of one listener. It lives as long as a listener of its name does.
type ListenerSeries struct {
	listener string

	Open     Gauge // all connections accepted and not yet closed
	Upgraded Gauge // those that are tunnels now

	active   [activeLines]activeLine
	rejected [len(rejections)]Counter
}

// Every request makes its connection active and idle again. That is counted in as many cache lines as this, so that processors
// do not wait for each other's.
const activeLines = 16

type activeLine struct {
	Gauge
	_ [56]byte
}

// Active is the gauge in which the n-th connection counts that it is serving a request.
func (s *ListenerSeries) Active(n uint64) *Gauge { return &s.active[n%activeLines].Gauge }

// Connections are those of a listener by what they are doing.
type Connections struct {
	Open     int64 // accepted and not yet closed
	Active   int64 // of them, with a request being served
	Idle     int64 // between requests, or before the first
	Upgraded int64 // tunnels
}

// Connections is what is open now. What changes while it looks may be seen or not.
func (s *ListenerSeries) Connections() Connections {
	c := Connections{Open: s.Open.Load(), Upgraded: s.Upgraded.Load()}
	for i := range s.active {
		c.Active += s.active[i].Load()
	}
	c.Idle = max(c.Open-c.Active-c.Upgraded, 0)
	return c
}

// Rejection is why a connection was closed before its first request.
type Rejection uint8

// The reasons. Their labels are in rejections.
const (
	RejectedLimit         Rejection = iota // over the listener's limit of connections
	RejectedProxyProtocol                  // PROXY header missing, malformed, late, or from a peer that is not trusted
	RejectedTLS                            // the handshake failed or took too long
)

var rejections = [...]string{
	RejectedLimit:         "limit",
	RejectedProxyProtocol: "proxy_protocol",
	RejectedTLS:           "tls",
}

// NewListenerSeries makes the series of a listener.
func NewListenerSeries(listener string) *ListenerSeries { return &ListenerSeries{listener: listener} }

// Rejected counts a connection closed before its first request.
func (s *ListenerSeries) Rejected(why Rejection) {
	if int(why) < len(s.rejected) {
		s.rejected[why].Inc()
	}
}

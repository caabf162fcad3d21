package telemetry

// ListenerSeries counts the client connections of one listener. It lives as long as a listener of its name does.
type ListenerSeries struct {
	listener string

	Open     Gauge // all connections accepted and not yet closed
	Active   Gauge // those with a request being served
	Idle     Gauge // those between requests, or before the first
	Upgraded Gauge // those that are tunnels now

	rejected [len(rejections)]Counter
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

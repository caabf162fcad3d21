package telemetry

import (
	"net/netip"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// Attempt is one try of one request against one endpoint.
type Attempt struct {
	Endpoint string        // the endpoint's address as configured
	Duration time.Duration // from choosing the endpoint to the head of its answer, or to the failure
	Status   int           // 0: no answer
	Failure  failure.Kind  // empty: the answer's head arrived
	Reused   bool          // sent on a connection that had carried a request before
}

// Record is all that is said about one request once it is over: one line of the access log.
// It is filled by the proxy and must not be kept: its strings belong to the exchange.
type Record struct {
	Start     time.Time
	Duration  time.Duration // until the last byte was handed to the client's connection
	FirstByte time.Duration // until the answer's head was ready to be written; 0: there was none
	Upstream  time.Duration // sum of all attempts

	Listener  string
	Route     string
	Service   string
	RequestID string
	Client    netip.Addr
	Consumer  string

	Method    string
	Scheme    string
	Host      string
	Path      string // canonical; never the query, unless asked
	Query     string // only when the access log asks for it
	Proto     string
	UserAgent string

	Status        int
	RequestBytes  int64 // of the body
	ResponseBytes int64 // of the body
	Failure       *failure.Error
	Attempts      []Attempt
}

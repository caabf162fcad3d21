package upstream

import (
	"sync/atomic"

	"github.com/sluice-gateway/sluice/upstream/balance"
	"github.com/sluice-gateway/sluice/upstream/retry"
)

// lineage is what the services of one name have in common, one reload after the other: what must be the same whichever of
// them a request holds.
type lineage struct {
	// version counts the changes of any endpoint's reasons. A choice made for another version is made anew.
	version atomic.Uint64
	// balance is whose turn it is, and what is in flight.
	balance balance.Shared
	// latencies tell when an attempt takes unusually long.
	latencies retry.Latencies
	// panicking says that the last choice was made in panic.
	panicking atomic.Bool
	// drains are the addresses that operators drained.
	drains drains
	// discovered is the set that discovery found last; nil: none yet.
	discovered atomic.Pointer[discovered]
}

// discovered is a set of endpoints and the settings of the discovery that found it.
type discovered struct {
	key       string
	endpoints []EndpointSpec
}

// Package store is state that outlives a request: counters now, blobs when a filter needs them. Where it lives, in this
// process or beside it, is the implementation's affair.
package store

import (
	"context"
	"time"
)

// Rate is a limit of requests over a window, enforced by GCRA: an idle key may send Burst at once, then one every
// Window/Limit. Any window therefore holds at most Limit+Burst.
type Rate struct {
	Limit  int64         // requests a window, at least 1
	Window time.Duration // above 0
	Burst  int64         // at least 1
}

// Key names a counter: the rule it belongs to and the caller it counts.
type Key struct {
	Rule  string // scope and name of the filter, so that a reload does not refill it
	Value string // what the rule's selector found in the request
}

// Decision is a limiter's answer.
type Decision struct {
	Allowed    bool
	Remaining  int64         // how many more would be allowed at this instant
	RetryAfter time.Duration // until one would be allowed; 0 if it is now
	Reset      time.Duration // until the key is as good as new
}

// Limiter counts. Take asks for one request; one that is refused costs the key nothing.
type Limiter interface {
	Take(ctx context.Context, key Key, rate Rate) (Decision, error)
}

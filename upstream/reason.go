package upstream

import (
	"strings"
	"time"
)

// Reason is why an endpoint takes no requests. Several may hold at once; each has one owner, which sets and clears it, and
// the endpoint takes requests while none holds.
type Reason uint32

const (
	Unhealthy   Reason = 1 << iota // its health check failed
	Waiting                        // it has not had its first success yet: requireHealthy
	Ejected                        // outlier detection took it out
	BreakerOpen                    // its own circuit breaker is open
	Drained                        // an operator took it out
)

// unfit are the reasons that panic overrides: when they leave no endpoint, all are better than none.
const unfit = Unhealthy | Waiting | Ejected

var reasonNames = [...]string{"unhealthy", "waiting", "ejected", "breaker_open", "drained"}

// String is the reasons by name, joined by "+"; empty for none.
func (r Reason) String() string { return strings.Join(r.Names(), "+") }

// Names are the reasons one by one; nil for none.
func (r Reason) Names() (names []string) {
	for i, name := range reasonNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Reasons are why the endpoint takes no requests; 0 if it does.
func (e *Endpoint) Reasons() Reason { return Reason(e.reasons.Load()) }

// TakeOut lets the endpoint take no requests for reason r, and reports whether that is new. Requests it has are left alone.
func (e *Endpoint) TakeOut(r Reason) bool {
	before := Reason(e.reasons.Or(uint32(r)))
	if before&r == r {
		return false
	}
	e.lineage.version.Add(1)
	return true
}

// PutBack withdraws reason r, and reports whether it had held. With the last reason the endpoint joins anew, so that
// slowStart spares it.
func (e *Endpoint) PutBack(r Reason) bool {
	before := Reason(e.reasons.And(^uint32(r)))
	if before&r == 0 {
		return false
	}
	if before&^r == 0 {
		e.joined.Store(time.Now().UnixNano())
	}
	e.lineage.version.Add(1)
	return true
}

// Package balance chooses among the endpoints of a service. A Picker knows of each only a weight and how many requests it
// has in flight, by position; what an endpoint is, is none of its business.
package balance

import "sync/atomic"

// Candidate is what a picker may know of an endpoint.
type Candidate struct {
	Weight int   // the share of requests, relative to the others; 0 or less: never chosen
	Load   *Load // may be nil where the policy does not look
}

// Turn is whose turn it is. Pickers that follow one another share it, so that a change does not begin the round anew.
type Turn struct{ next atomic.Uint64 }

// Picker chooses. It may be used from many goroutines at once and does not allocate.
type Picker interface {
	// Pick is the position of the chosen candidate, none of those in tried. It is -1 if no candidate with a weight is left.
	Pick(tried []int) int
}

// New makes the picker of a policy: roundRobin, which the empty name means too, or leastRequest. It is nil for a policy
// that does not exist. The candidates are not kept changed: another set needs another picker.
func New(policy string, candidates []Candidate, turn *Turn) Picker {
	switch policy {
	case "", "roundRobin":
		return NewRoundRobin(candidates, turn)
	case "leastRequest":
		return NewLeastRequest(candidates)
	default:
		return nil
	}
}

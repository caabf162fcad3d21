// Package balance chooses among the endpoints of a service. A Set is all there are; a Picker chooses among those that take
// requests now, each by its weight now. Both know of an endpoint only its address, its weight and its load, by position;
// why one takes no requests is none of their business.
package balance

import (
	"slices"
	"sync/atomic"
	"time"
)

// Candidate is what may be known of an endpoint.
type Candidate struct {
	Address string // what hash tables and sticky tokens depend on
	Weight  int    // the share of requests, relative to the others; 0 or less: never chosen
	Load    *Load  // may be nil where the policy does not look
}

// Ask is for whom an endpoint is wanted.
type Ask struct {
	Key   string    // consistentHash: what is hashed; sticky: the token that Set.Token gave. Empty: none
	Now   time.Time // about
	Tried []int     // positions not to choose
}

// Picker chooses. It may be used from many goroutines at once and does not allocate.
type Picker interface {
	// Pick is the position of the chosen candidate, none of those tried. It counts one request in flight there, where loads
	// are known; Set.Done ends it. It is -1 if no candidate with a weight is left.
	Pick(ask Ask) int
}

// Shared is what the sets of one service have in common, one after the other, so that a change does not begin anew.
type Shared struct {
	turn     atomic.Uint64 // of round robin
	inFlight atomic.Int64  // of all endpoints, while the policy is consistentHash
}

// Options chooses the policy and holds the options of all of them.
type Options struct {
	Policy  string // roundRobin, which the empty name means too, leastRequest, peakEwma, random, consistentHash or sticky
	Service string // the key of sticky tokens while there is no Secret
	Secret  string
}

// Set is the candidates of a service, and what is worked out once for all pickers among them.
type Set struct {
	policy     string
	candidates []Candidate
	shared     *Shared
	table      []uint16       // consistentHash: which candidate has a slot
	tokens     []string       // sticky: by position
	positions  map[string]int // sticky: by token
}

// Policies are the names there are.
var Policies = []string{"roundRobin", "leastRequest", "peakEwma", "random", "consistentHash", "sticky"}

// NewSet makes the set of some candidates. It is nil for a policy that does not exist.
func NewSet(o Options, candidates []Candidate, shared *Shared) *Set {
	if o.Policy == "" {
		o.Policy = "roundRobin"
	}
	s := &Set{policy: o.Policy, candidates: candidates, shared: shared}
	switch {
	case o.Policy == "consistentHash":
		s.table = newTable(candidates)
	case o.Policy == "sticky":
		s.tokens, s.positions = newTokens(o, candidates)
	case !slices.Contains(Policies, o.Policy):
		return nil
	}
	return s
}

// Picker makes one that chooses among the candidates by these weights, which stand in for their own.
func (s *Set) Picker(weights []int64) Picker {
	l := newLine(s.candidates, weights)
	switch s.policy {
	case "leastRequest":
		return &leastRequest{l}
	case "peakEwma":
		return &peakEwma{l}
	case "random":
		return &random{l}
	case "consistentHash":
		return &consistentHash{l, s.table, s.shared}
	case "sticky":
		return &sticky{leastRequest{l}, s.positions}
	default:
		return newRoundRobin(l, s.shared)
	}
}

// ByKey reports whether the policy keeps a key, or a client, with its endpoint. Such a choice must depend on nothing that
// differs between gateways or passes by: no zones, no slow start.
func (s *Set) ByKey() bool { return s.policy == "consistentHash" || s.policy == "sticky" }

// Done ends what Pick began.
func (s *Set) Done(at int) {
	s.candidates[at].Load.InFlight.Add(-1)
	if s.table != nil {
		s.shared.inFlight.Add(-1)
	}
}

// Package outlier finds, from the outcomes of ordinary attempts, the endpoints of a service that do worse than the
// others, and has them left alone for a while.
//
// An endpoint is ejected at once when ConsecutiveErrors attempts in a row have failed. Besides, at the end of each
// Interval every endpoint that had enough attempts in it is compared with all the others together: it is ejected if it
// fails more often by ten percentage points at least, and by more than chance explains (a two-proportion z-test). Where
// all fail alike none is an outlier.
//
// The n-th ejection lasts n times EjectFor, at most maxTimes times that. Each EjectFor of service without another takes
// one from n again. No more than MaxEjectedPercent of the endpoints are out at once, but one always may be, and the only
// endpoint of a service never is. Coming back is a matter of time alone, and begins with a clean record.
package outlier

import (
	"math"
	"time"
)

// Settings are how a service finds its outliers.
type Settings struct {
	ConsecutiveErrors int
	Interval          time.Duration
	EjectFor          time.Duration
	MaxEjectedPercent float64
}

const (
	maxTimes    = 10 // an ejection lasts at most so many times EjectFor
	minAttempts = 20 // in an interval, for its share of errors to say something
	minExcess   = 0.10
	minScore    = 3.0 // standard deviations: one in 700 by chance
)

// most is how many of n endpoints may be out at once.
func (s *Settings) most(n int) int {
	if n < 2 {
		return 0
	}
	return max(1, min(n-1, int(float64(n)*s.MaxEjectedPercent/100)))
}

// tally is the attempts of an interval.
type tally struct{ attempts, errors uint64 }

func (t tally) rate() float64 { return float64(t.errors) / float64(t.attempts) }

// worse reports whether t fails more often than the others do.
func (t tally) worse(others tally) bool {
	if t.attempts < minAttempts || others.attempts < minAttempts {
		return false
	}
	excess := t.rate() - others.rate()
	if excess < minExcess {
		return false
	}
	n, m := float64(t.attempts), float64(others.attempts)
	pooled := float64(t.errors+others.errors) / (n + m)
	deviation := math.Sqrt(pooled * (1 - pooled) * (1/n + 1/m))
	return excess > minScore*deviation
}

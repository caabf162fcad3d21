package outlier

import (
	"sync"
	"sync/atomic"
	"time"
)

// State is what is known of one endpoint. It lives as long as the endpoint does: an ejection goes on under whatever
// detector watches it. The zero State is of an endpoint in good standing.
type State struct {
	inRow   atomic.Int32  // errors
	counts  atomic.Uint64 // of the interval: errors above, attempts below
	ejected atomic.Bool

	mu    sync.Mutex
	times int       // ejections, less those that were lived down
	until time.Time // of the ejection
	since time.Time // in service again; zero: never ejected
}

const errorUnit = 1 << 32

// Ejected reports whether the endpoint is left alone.
func (s *State) Ejected() bool { return s.ejected.Load() }

// Until is when the ejection ends; the zero time if there is none.
func (s *State) Until() time.Time {
	if !s.Ejected() {
		return time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.until
}

// Forgive ends an ejection because nobody looks for outliers any more.
func (s *State) Forgive() { s.readmit(time.Time{}) }

// take takes the counts of the interval that ends.
func (s *State) take() tally {
	n := s.counts.Swap(0)
	return tally{attempts: n % errorUnit, errors: n / errorUnit}
}

// count counts an attempt. It reports whether the row of errors has reached limit.
func (s *State) count(failed bool, limit int) (reached bool) {
	if !failed {
		s.counts.Add(1)
		if s.inRow.Load() != 0 {
			s.inRow.Store(0)
		}
		return false
	}
	s.counts.Add(errorUnit + 1)
	return int(s.inRow.Add(1)) >= limit
}

// eject begins an ejection and tells how long it lasts; 0 if one is under way.
func (s *State) eject(settings *Settings, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Ejected() {
		return 0
	}
	if !s.since.IsZero() {
		s.times = max(0, s.times-int(now.Sub(s.since)/settings.EjectFor))
	}
	s.times = min(maxTimes, s.times+1)
	d := time.Duration(s.times) * settings.EjectFor
	s.until = now.Add(d)
	s.ejected.Store(true)
	return d
}

// readmit ends an ejection that is over by now; one way or the other if now is the zero time. It reports whether it did.
func (s *State) readmit(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Ejected() || !now.IsZero() && s.until.After(now) {
		return false
	}
	s.since = now
	s.inRow.Store(0)
	s.counts.Store(0)
	s.ejected.Store(false)
	return true
}

package snapshot

import (
	"sync"
	"sync/atomic"
)

// Holder is the one pointer to the snapshot in force. A request loads it once and carries what it got.
//
// A listener that the snapshot in force no longer knows still drains: requests on its open connections are served by the
// last snapshot that knew it, which Holder keeps until the listener is forgotten.
type Holder struct {
	current  atomic.Pointer[Snapshot]
	retiring sync.Map // listener name → *Snapshot
}

// Load returns the snapshot in force, or nil before the first.
func (h *Holder) Load() *Snapshot { return h.current.Load() }

// Listener finds a listener by name and the snapshot to serve its requests with. Both are nil if it was forgotten.
func (h *Holder) Listener(name string) (*Snapshot, *Listener) {
	s := h.current.Load()
	if s == nil {
		return nil, nil
	}
	if l := s.Listener(name); l != nil {
		return s, l
	}
	if last, ok := h.retiring.Load(name); ok {
		s = last.(*Snapshot)
		return s, s.Listener(name)
	}
	return nil, nil
}

// Swap puts next in force and returns the one before.
func (h *Holder) Swap(next *Snapshot) *Snapshot {
	if before := h.current.Load(); before != nil {
		for _, l := range before.Listeners {
			if next.Listener(l.Name) == nil {
				h.retiring.Store(l.Name, before)
			}
		}
	}
	return h.current.Swap(next)
}

// Forget lets go of a listener that has drained, if last is still what serves it: it may have come back since, and gone
// again with a later snapshot.
func (h *Holder) Forget(listener string, last *Snapshot) { h.retiring.CompareAndDelete(listener, last) }

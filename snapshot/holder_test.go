package snapshot

import (
	"sync"
	"testing"
)

func of(names ...string) *Snapshot {
	s := new(Snapshot)
	for _, name := range names {
		s.Listeners = append(s.Listeners, &Listener{Name: name})
	}
	s.Seal(nil)
	return s
}

func wantHeld(t *testing.T, h *Holder, listener string, want *Snapshot) {
	t.Helper()
	s, l := h.Listener(listener)
	if s != want || (l == nil) != (want == nil) || l != nil && (l.Name != listener || l != want.Listener(listener)) {
		t.Errorf("%s is served by %p, want %p", listener, s, want)
	}
}

func TestHolderBeforeTheFirstSnapshot(t *testing.T) {
	h := new(Holder)
	if h.Load() != nil {
		t.Error("there is a snapshot")
	}
	wantHeld(t, h, "a", nil)
	h.Forget("a", nil)
}

func TestHolderKeepsWhatDrains(t *testing.T) {
	h := new(Holder)
	first, second, third := of("a", "b"), of("a"), of("a")
	if before := h.Swap(first); before != nil {
		t.Error("there was something before the first")
	}
	wantHeld(t, h, "b", first)
	if before := h.Swap(second); before != first || h.Load() != second {
		t.Error("swap does not give what was before")
	}
	wantHeld(t, h, "a", second)
	wantHeld(t, h, "b", first) // drains
	h.Swap(third)
	wantHeld(t, h, "b", first) // still
	h.Forget("b", first)
	wantHeld(t, h, "b", nil)
	wantHeld(t, h, "a", third)
}

// A listener that came back and went again drains on the later snapshot; the end of the first drain is not its end.
func TestHolderForgetsOnlyWhatDrained(t *testing.T) {
	h := new(Holder)
	first, without, second, again := of("a"), of(), of("a"), of()
	h.Swap(first)
	h.Swap(without)
	h.Swap(second)
	wantHeld(t, h, "a", second)
	h.Swap(again)
	wantHeld(t, h, "a", second)
	h.Forget("a", first)
	wantHeld(t, h, "a", second)
	h.Forget("a", second)
	wantHeld(t, h, "a", nil)
}

// Whoever looks while snapshots are swapped finds a listener and the snapshot it belongs to.
func TestHolderIsNeverTorn(t *testing.T) {
	h := new(Holder)
	h.Swap(of("a", "b"))
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if s, l := h.Listener("b"); l == nil || s.Listener("b") != l {
					t.Error("a listener without its snapshot")
					return
				}
			}
		})
	}
	for range 1000 {
		h.Swap(of("a"))
		h.Swap(of("a", "b"))
	}
	close(done)
	readers.Wait()
}

//go:build !linux

package http1

// Elsewhere than on Linux nobody watches: a client that has gone is noticed when its answer is written.
type watcher struct{}

func newWatcher(*Server) *watcher        { return &watcher{} }
func (w *watcher) close()                {}
func (w *watcher) add(a *accepted) bool  { return false }
func (w *watcher) rest(a *accepted) bool { return false }

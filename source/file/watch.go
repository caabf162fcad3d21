package file

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long the files must be quiet: an editor writes in several steps. A change is live well within 500 ms.
	settle = 60 * time.Millisecond
	// poll looks without being told: for network file systems, which tell nobody, and for directories made later.
	poll = 5 * time.Second
)

// Watch implements source.Source. It watches directories, not files: editors replace a file, and a ConfigMap is a
// symbolic link to a directory that is swapped.
func (s *Source) Watch(ctx context.Context, changed func()) {
	events, failures, watch, stop := notifications()
	defer stop()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	quiet := time.NewTimer(settle)
	quiet.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-s.rearm:
			for _, name := range s.watched() {
				watch(name)
			}
			quiet.Reset(settle) // what changed before the watch stood sent no event
		case <-events:
			quiet.Reset(settle)
		case <-failures:
			quiet.Reset(settle) // an overflow: something may have been missed
		case <-ticker.C:
			if s.changed() {
				changed()
			}
		case <-quiet.C:
			if s.changed() {
				changed()
			}
		}
	}
}

// notifications opens the system's file notifications. Where there are none to be had, polling remains.
func notifications() (events <-chan fsnotify.Event, failures <-chan error, watch func(string), stop func()) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, nil, func(string) {}, func() {}
	}
	watch = func(name string) {
		_ = w.Add(filepath.Dir(name)) // one that is not there yet is found by polling
		if target, err := filepath.EvalSymlinks(name); err == nil {
			_ = w.Add(filepath.Dir(target))
		}
	}
	return w.Events, w.Errors, watch, func() { w.Close() }
}

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
	// most is how long it may wait for quiet: a log in the same directory may be written without pause.
	most = 200 * time.Millisecond
	// poll looks without being told: for network file systems, which tell nobody, and for directories made later.
	poll = 5 * time.Second
)

// Watch implements source.Source. It watches directories, not files: editors replace a file, and a ConfigMap is a
// symbolic link to a directory that is swapped.
func (s *Source) Watch(ctx context.Context, changed func()) {
	events, failures, watch, stop := notifications()
	defer stop()
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	var quiet settling

	for {
		select {
		case <-ctx.Done():
			return
		case <-s.rearm:
			for _, name := range s.watched() {
				watch(name)
			}
			quiet.begin() // what changed before the watch stood sent no event
		case <-events:
			quiet.begin()
		case <-failures:
			quiet.begin() // an overflow: something may have been missed
		case <-ticker.C:
			if s.changed() {
				changed()
			}
		case <-quiet.over:
			quiet = settling{}
			if s.changed() {
				changed()
			}
		}
	}
}

// settling is the wait for quiet after an event. The zero value waits for nothing.
type settling struct {
	first time.Time
	over  <-chan time.Time
}

func (q *settling) begin() {
	if q.over == nil {
		q.first = time.Now()
	} else if time.Since(q.first) > most-settle {
		return // no longer put off
	}
	q.over = time.After(settle)
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

// Package file discovers endpoints from a file that somebody else writes: see discovery.Parse for what may stand in it.
//
// The directory is watched rather than the file, because editors and tools replace a file, and a ConfigMap is a symbolic
// link to a directory that is swapped. Events are many and vague, contents are not: whatever the event, what counts is
// whether the file holds something else than it did. Where no events are to be had, on a network file system, the file
// is looked at every few seconds. A file that is being written in place may be seen half: it is then garbage for a
// moment, or a shorter list; write another file and rename it.
package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sluice-gateway/sluice/upstream/discovery"
)

const (
	settle = 50 * time.Millisecond // without an event, so that a file written in steps is mostly seen whole
	most   = 300 * time.Millisecond
	poll   = 5 * time.Second
)

// Source reads one file. Make it with New.
type Source struct {
	path, scheme string
	poll         time.Duration
	told         bool
	seen         look // what was told last
}

// look is what a look at the file gave: the sum of its contents, or why it could not be read.
type look struct {
	sum    [sha256.Size]byte
	failed string
}

var _ discovery.Source = (*Source)(nil)

// New makes the source of the file at path. Nothing is read yet. Endpoints without a scheme are given this one.
func New(path, scheme string) *Source { return &Source{path: path, scheme: scheme, poll: poll} }

// String is how messages call the source.
func (s *Source) String() string { return "file " + s.path }

// Find implements discovery.Source. Garbage and a missing file are told once, and then it waits for a change as well.
func (s *Source) Find(ctx context.Context) (discovery.Answer, error) {
	if !s.told {
		_, answer, err := s.look()
		return answer, err
	}
	w := watch(s.path)
	defer w.close()
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	for { // the file may have changed before it was watched, so it is looked at first
		if changed, answer, err := s.look(); changed {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return discovery.Answer{}, ctx.Err()
		case <-w.events:
			quiet(ctx, w)
		case <-w.failures: // an overflow: something may have been missed
		case <-ticker.C:
		}
	}
}

// look reads the file and says whether it is another one than was told of.
func (s *Source) look() (changed bool, answer discovery.Answer, err error) {
	data, err := s.read()
	now := look{sum: sha256.Sum256(data)}
	if err != nil {
		err = plain(err)
		now = look{failed: err.Error()}
	}
	changed = !s.told || now != s.seen
	if !changed {
		return false, discovery.Answer{}, nil
	}
	s.told, s.seen = true, now
	answer.Waits = true
	if err == nil {
		answer.Endpoints, err = discovery.Parse(data, s.scheme)
	}
	return true, answer, err
}

// read reads no more than a document may have, and a byte by which Parse knows that there is more.
func (s *Source) read() ([]byte, error) {
	info, err := os.Stat(s.path) // first: to open a pipe is to wait for its writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("this is no regular file")
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, discovery.MaxDocument+1))
}

// plain says what went wrong without repeating the path, which is the source's name.
func plain(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return fmt.Errorf("the file cannot be read: %w", err)
}

// watcher tells of whatever happens in the directory of the file, and in that of the file it is a link to.
type watcher struct {
	events   <-chan fsnotify.Event
	failures <-chan error
	close    func() error
}

// watch begins to. What cannot be watched is looked at now and then.
func watch(path string) watcher {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return watcher{close: func() error { return nil }}
	}
	_ = w.Add(filepath.Dir(path))
	if target, err := filepath.EvalSymlinks(path); err == nil {
		_ = w.Add(filepath.Dir(target))
	}
	return watcher{w.Events, w.Errors, w.Close}
}

// quiet waits until there are no more events, but not for ever.
func quiet(ctx context.Context, w watcher) {
	over := time.After(most)
	for {
		select {
		case <-w.events:
		case <-w.failures:
		case <-time.After(settle):
			return
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

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
	seen         [sha256.Size]byte
	known        bool // seen holds the sum of the contents that were answered last
}

var _ discovery.Source = (*Source)(nil)

// New makes the source of the file at path. Nothing is read yet. Endpoints without a scheme are given this one.
func New(path, scheme string) *Source { return &Source{path: path, scheme: scheme, poll: poll} }

// String is how messages call the source.
func (s *Source) String() string { return "file " + s.path }

// Find implements discovery.Source.
func (s *Source) Find(ctx context.Context) (discovery.Answer, error) {
	if !s.known {
		return s.load()
	}
	changes, stop := watch(s.path)
	defer stop()
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	for { // the file may have changed before it was watched, so it is looked at first
		if sum, _, err := s.read(); err != nil || sum != s.seen {
			return s.load()
		}
		select {
		case <-ctx.Done():
			return discovery.Answer{}, ctx.Err()
		case <-changes:
			quiet(ctx, changes)
		case <-ticker.C:
		}
	}
}

// load reads the file. After a failure the file is read again as soon as it is asked for.
func (s *Source) load() (discovery.Answer, error) {
	s.known = false
	sum, data, err := s.read()
	if err != nil {
		return discovery.Answer{}, plain(err)
	}
	endpoints, err := discovery.Parse(data, s.scheme)
	if err != nil {
		return discovery.Answer{}, err
	}
	s.seen, s.known = sum, true
	return discovery.Answer{Endpoints: endpoints}, nil
}

// read reads no more than a document may have, and a byte by which Parse knows that there is more.
func (s *Source) read() (sum [sha256.Size]byte, data []byte, err error) {
	info, err := os.Stat(s.path) // first: to open a pipe is to wait for its writer
	if err != nil {
		return sum, nil, err
	}
	if !info.Mode().IsRegular() {
		return sum, nil, errors.New("this is no regular file")
	}
	f, err := os.Open(s.path)
	if err != nil {
		return sum, nil, err
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, discovery.MaxDocument+1))
	return sha256.Sum256(data), data, err
}

// plain says what went wrong without repeating the path, which is the source's name.
func plain(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return fmt.Errorf("the file cannot be read: %w", err)
}

// watch tells of whatever happens in the directory of the file, and in that of the file it is a link to.
func watch(path string) (changes <-chan fsnotify.Event, stop func()) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, func() {}
	}
	_ = w.Add(filepath.Dir(path)) // what cannot be watched is looked at now and then
	if target, err := filepath.EvalSymlinks(path); err == nil {
		_ = w.Add(filepath.Dir(target))
	}
	return w.Events, func() { w.Close() }
}

// quiet waits until there are no more events, but not for ever.
func quiet(ctx context.Context, changes <-chan fsnotify.Event) {
	over := time.After(most)
	for {
		select {
		case <-changes:
		case <-time.After(settle):
			return
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

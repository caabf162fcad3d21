// Package file is the source that reads YAML or JSON files: one, or a directory of them merged in the order of their names.
package file

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/source"
)

// maxBytes is read of one file at most; config refuses what is over its own, smaller limit.
const maxBytes = 16<<20 + 1

// Source reads one path. Make it with New.
type Source struct {
	path string
	poll time.Duration

	mu       sync.Mutex
	contents sums // of the configuration, the files it names and those of also, as last loaded
	listed   bool // the path was there when last loaded
	also     []string
	rearm    chan struct{}
}

// sums are contents by file name. A file that cannot be read counts as empty: that it can be read again is a change.
type sums map[string][sha256.Size]byte

func (s sums) read(name string) ([]byte, error) {
	data, err := readFile(name)
	s[name] = sha256.Sum256(data)
	return data, err
}

// New is the source of a file or a directory. Nothing is read yet.
func New(path string) *Source {
	return &Source{path: path, poll: poll, contents: make(sums), rearm: make(chan struct{}, 1)}
}

func (s *Source) String() string { return s.path }

// Load implements source.Source.
func (s *Source) Load() source.Loaded {
	contents := make(sums)
	for _, name := range s.named() {
		contents.read(name) // before those who use it do, so that no change falls between
	}
	names, err := list(s.path)
	defer s.remember(contents, err == nil)
	var files []config.File
	if err == nil {
		files, err = contents.files(names)
	}
	if err != nil {
		return source.Loaded{Diagnostics: config.Diagnostics{{Severity: config.Error, File: s.path, Message: plain(err)}}}
	}
	revision := sha256.New()
	for _, f := range files {
		revision.Write(f.Data)
	}
	c, diagnostics := config.Parse(files, config.Options{ReadFile: func(name string) ([]byte, error) {
		data, err := contents.read(name)
		revision.Write(data)
		return data, err
	}})
	return source.Loaded{Config: c, Diagnostics: diagnostics, Revision: hex.EncodeToString(revision.Sum(nil))[:12]}
}

// files reads the files that make up the configuration. All are read even if one cannot be, so that all are known.
func (s sums) files(names []string) ([]config.File, error) {
	var failed error
	files := make([]config.File, len(names))
	for i, name := range names {
		data, err := s.read(name)
		if failed == nil {
			failed = err
		}
		files[i] = config.File{Name: name, Data: data}
	}
	return files, failed
}

func (s *Source) named() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.also
}

func (s *Source) remember(contents sums, listed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contents, s.listed = contents, listed
	s.armed()
}

// Also implements source.Source.
func (s *Source) Also(files []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.also = slices.Clone(files)
	for _, name := range files {
		if _, known := s.contents[name]; !known {
			s.contents.read(name)
		}
	}
	s.armed()
}

// armed tells Watch that the set of files is another one. mu is held.
func (s *Source) armed() {
	select {
	case s.rearm <- struct{}{}:
	default:
	}
}

// changed compares what is on disk with what was loaded. Events are many and vague; contents are not.
func (s *Source) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := list(s.path)
	if err != nil {
		return s.listed // it was there and is not: worth a message, once
	}
	for _, name := range names {
		if _, known := s.contents[name]; !known {
			return true
		}
	}
	for name, sum := range s.contents {
		data, _ := readFile(name)
		if sha256.Sum256(data) != sum {
			return true
		}
	}
	return false
}

// watched are the files whose directories are worth watching, and the path itself if it is a directory.
func (s *Source) watched() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := []string{s.path}
	if info, err := os.Stat(s.path); err == nil && info.IsDir() {
		names = append(names, filepath.Join(s.path, "any"))
	}
	for name := range s.contents {
		names = append(names, name)
	}
	return names
}

// list names the file at path, or the configuration files of the directory, sorted.
func list(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".yaml", ".yml", ".json":
			if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				names = append(names, filepath.Join(path, e.Name()))
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the directory holds no .yaml, .yml or .json file")
	}
	return names, nil
}

// readFile reads at most maxBytes, so that a file that grows without end cannot take our memory.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(io.LimitReader(f, maxBytes))
	return b.Bytes(), err
}

// plain says what went wrong with a path without repeating the path, which the diagnostic shows.
func plain(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return "cannot read the configuration: " + err.Error()
}

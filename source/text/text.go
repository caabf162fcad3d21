// Package text is the source that holds its configuration in memory: the demo's embedded file, and tests.
package text

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/source"
)

// Source is a text that can be replaced. Make it with New.
type Source struct {
	name    string
	options config.Options

	mu      sync.Mutex
	text    string
	changed chan struct{}
}

// New is a source of one document. Messages call it name.
func New(name, text string, o config.Options) *Source {
	return &Source{name: name, text: text, options: o, changed: make(chan struct{}, 1)}
}

func (s *Source) String() string { return s.name }

// Set replaces the text; whoever watches is told.
func (s *Source) Set(text string) {
	s.mu.Lock()
	s.text = text
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

// Load implements source.Source.
func (s *Source) Load() source.Loaded {
	s.mu.Lock()
	text := s.text
	s.mu.Unlock()
	sum := sha256.Sum256([]byte(text))
	c, diagnostics := config.Parse([]config.File{{Name: s.name, Data: []byte(text)}}, s.options)
	return source.Loaded{Config: c, Diagnostics: diagnostics, Revision: hex.EncodeToString(sum[:])[:12]}
}

// Watch implements source.Source.
func (s *Source) Watch(ctx context.Context, changed func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
			changed()
		}
	}
}

// Also implements source.Source. Files that the text names are not watched: nobody edits them under a demo.
func (s *Source) Also([]string) {}

// Package source is where configuration comes from. Each source yields a config.Config and tells when it may have
// changed; what becomes of it is the application's affair.
package source

import (
	"context"

	"github.com/sluice-gateway/sluice/config"
)

// Source is one origin of configuration.
type Source interface {
	// Load reads and parses the configuration as it is now.
	Load() Loaded
	// Watch calls changed, never twice at once, whenever what Load or a file in also gave may be different now. It
	// returns when ctx ends.
	Watch(ctx context.Context, changed func())
	// Also names further files whose change matters, in place of those named before.
	Also(files []string)
	// String names the source in messages.
	String() string
}

// Loaded is one reading of a source.
type Loaded struct {
	Config      *config.Config // nil if nothing could be read at all
	Diagnostics config.Diagnostics
	Revision    string // the first 12 hex digits of the SHA-256 of all that was read
}

package upstream

import (
	"context"

	"github.com/sluice-gateway/sluice/http1"
)

// Scope is a context for calls, one at a time, that are made besides others for one request: it can be cancelled alone, and
// costs next to nothing where context.WithCancel would take a lock, a map entry and the answers' memory from their pool.
type Scope = http1.Scope

// NewScope makes a scope that is cancelled with parent. End has to be called; nothing of the answers is valid after.
func NewScope(parent context.Context) *Scope { return http1.NewScope(parent) }

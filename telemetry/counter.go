package telemetry

import "sync/atomic"

// Counter only goes up. The zero value is ready and all methods may be called at once from anywhere.
type Counter struct{ n atomic.Uint64 }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Load is the count so far.
func (c *Counter) Load() uint64 { return c.n.Load() }

// Gauge goes up and down. The zero value is ready and all methods may be called at once from anywhere.
type Gauge struct{ n atomic.Int64 }

// Add adds n, which may be negative, and returns the value then.
func (g *Gauge) Add(n int64) int64 { return g.n.Add(n) }

// Load is the value now.
func (g *Gauge) Load() int64 { return g.n.Load() }

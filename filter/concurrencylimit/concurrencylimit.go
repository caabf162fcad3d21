// Package concurrencylimit is the filter concurrencyLimit: so many requests in flight at once for each key, and 429 for
// those over it.
//
// A request takes a place when it comes by and gives it back when its exchange has finished: after the last byte of the
// answer, the end of a tunnel, a panic, or the client's going away. Requests over the limit may wait in a small queue for
// a place, in the order in which they came; one that is given back goes to whoever has waited longest. Who waited maxWait
// in vain is refused; a client that goes away leaves the queue at once.
//
// What is counted by is a filter.Key; by client.ip alone the filter runs in phase Admit, before anybody is authenticated,
// otherwise in phase Limit. Several may be written, and a request needs a place of each. A key is remembered while it has
// requests in flight, so there are never more keys than requests. The places belong to the filter's instance: a reload
// that leaves its settings alone changes nothing, one that changes them begins to count anew.
package concurrencylimit

import (
	"context"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/telemetry"
)

// Config limits how many requests a caller may have in flight at once: 429 for those over it.
type Config struct {
	// Limit is how many requests of one key may be in flight, tunnels and streams included, 1 to 1,000,000.
	Limit int `yaml:"limit" required:"true" min:"1" max:"1000000"`
	// Key is the selector to count by. A request that lacks a part of it is counted by its client's address.
	Key exchange.Selector `yaml:"key" default:"client.ip"`
	// Queue is how many requests of one key may wait for a place, 0 to 10,000; more are refused at once.
	Queue int `yaml:"queue" default:"0" min:"0" max:"10000"`
	// MaxWait is how long a request waits in the queue, 1ms to 5m; then it is refused.
	MaxWait time.Duration `yaml:"maxWait" default:"1s" min:"1ms" max:"5m"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("concurrencyLimit", filter.Limit, New).Repeated() }

// Filter is one concurrencyLimit.
type Filter struct {
	places  places
	key     filter.Key
	maxWait time.Duration
	series  *telemetry.ConcurrencySeries
}

var (
	_ filter.RequestFilter = (*Filter)(nil)
	_ filter.FinishFilter  = (*Filter)(nil)
	_ filter.Phaser        = (*Filter)(nil)
)

// New makes the filter.
func New(env filter.Env, c Config) (filter.Filter, error) {
	key, err := filter.NewKey(env, c.Key)
	if err != nil {
		return nil, err
	}
	f := &Filter{key: key, maxWait: c.MaxWait, series: env.Metrics.ConcurrencyLimit(env.Route)}
	f.places.init(c.Limit, c.Queue)
	return f, nil
}

// Phase is Admit if the address is all that the key reads.
func (f *Filter) Phase() filter.Phase { return f.key.Phase() }

// OnRequest takes a place, waits for one, or refuses.
func (f *Filter) OnRequest(ctx context.Context, x *exchange.Exchange) error {
	counter, waiter := f.places.take(f.key.Of(x))
	switch {
	case counter == nil:
		return f.refuse()
	case waiter != nil:
		if err := f.wait(ctx, counter, waiter); err != nil {
			return err
		}
	}
	f.series.Allowed()
	f.series.InFlight(1)
	x.Keep(f, counter)
	return nil
}

// wait is in the queue until there is a place, which then is the waiter's, or an end to waiting.
func (f *Filter) wait(ctx context.Context, c *counter, w *waiter) error {
	f.series.Waiting(1)
	defer f.series.Waiting(-1)
	patience := time.NewTimer(f.maxWait)
	defer patience.Stop()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
		if !c.leave(w) {
			c.giveBack() // it was granted while its client left
		}
		f.series.Gone()
		return context.Cause(ctx)
	case <-patience.C:
		if !c.leave(w) {
			return nil // granted in the last moment
		}
		return f.refuse()
	}
}

func (f *Filter) refuse() error {
	f.series.Limited()
	refused := failure.Denied(http.StatusTooManyRequests, "Too many requests are in flight. Retry-After says when to come back.")
	refused.Header = http.Header{"Retry-After": {"1"}} // nobody knows when one of them ends
	return refused
}

// OnFinish gives the place back, if the exchange had come to take one.
func (f *Filter) OnFinish(x *exchange.Exchange) {
	if c, ok := x.Kept(f).(*counter); ok {
		f.series.InFlight(-1)
		c.giveBack()
	}
}

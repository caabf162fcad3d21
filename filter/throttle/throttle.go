// Package throttle is the filter throttle: so many requests a window for each key, and those over it wait for their turn
// instead of being refused.
//
// The rate is that of rateLimit, GCRA: an idle key may send `burst` requests at once, then one every window/limit. A
// request that comes too early joins its key's line. Only the first in a line asks the limiter, sleeps as long as it is
// told, and asks again; when it passes, or gives up, the next one becomes the first. So the order is that of arrival,
// nobody overtakes, and whoever leaves makes all those behind wait less: no turn is lost with a client that went away.
//
// How long a newcomer would wait is known beforehand: until the turn of the first, and window/limit for each of those
// ahead. If that is more than maxWait it is refused at once with 429 and the time in Retry-After, and so it is if the
// line is full. Between the limiter and the line it may wait longer than foreseen, if gateways share a limiter: maxWait
// then ends it. A limiter that cannot be asked lets the request pass.
//
// What is counted by is a filter.Key; by client.ip alone the filter runs in phase Admit, otherwise in phase Limit.
// Several may be written, and a request waits in each. A key's line is forgotten with the last that waits in it, and
// `queueTotal` bounds all lines of the filter together; what the limiter remembers of keys is bounded there.
package throttle

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/telemetry"
)

// Config slows a caller down to a rate: requests over it wait for their turn, and only those that would wait too long get 429.
type Config struct {
	// Limit is how many requests a window may hold in the long run, 1 to 1,000,000,000.
	Limit int64 `yaml:"limit" required:"true" min:"1" max:"1000000000"`
	// Window is what the limit counts over, 1s to 24h.
	Window time.Duration `yaml:"window" default:"1s" min:"1s" max:"24h"`
	// Burst is how many requests an idle caller may send at once without waiting, 1 to 1,000,000,000.
	Burst int64 `yaml:"burst" default:"1" min:"1" max:"1000000000"`
	// Key is the selector to count by. A request that lacks a part of it is counted by its client's address.
	Key exchange.Selector `yaml:"key" default:"client.ip"`
	// Queue is how many requests of one key may wait, 1 to 10,000; more are refused.
	Queue int `yaml:"queue" default:"100" min:"1" max:"10000"`
	// QueueTotal is how many requests of all keys together may wait, 1 to 1,000,000; more are refused.
	QueueTotal int `yaml:"queueTotal" default:"10000" min:"1" max:"1000000"`
	// MaxWait is how long a request waits at most, 1ms to 10m; one that would have to wait longer is refused at once.
	MaxWait time.Duration `yaml:"maxWait" default:"5s" min:"1ms" max:"10m"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("throttle", filter.Limit, New).Repeated() }

// Filter is one throttle.
type Filter struct {
	limiter store.Limiter
	key     filter.Key
	rate    store.Rate
	maxWait time.Duration
	lines   lines
	series  *telemetry.ThrottleSeries
}

var (
	_ filter.RequestFilter = (*Filter)(nil)
	_ filter.Phaser        = (*Filter)(nil)
)

// New makes the filter.
func New(env filter.Env, c Config) (filter.Filter, error) {
	key, err := filter.NewKey(env, c.Key)
	if err != nil {
		return nil, err
	}
	f := &Filter{
		limiter: env.Limiter,
		key:     key,
		rate:    store.Rate{Limit: c.Limit, Window: c.Window, Burst: c.Burst},
		maxWait: c.MaxWait,
		series:  env.Metrics.Throttle(env.Route),
	}
	f.lines.init(c.Queue, c.QueueTotal, c.Window/time.Duration(c.Limit))
	return f, nil
}

// Phase is Admit if the address is all that the key reads.
func (f *Filter) Phase() filter.Phase { return f.key.Phase() }

// OnRequest lets the request pass, now or when its turn has come, or refuses it.
func (f *Filter) OnRequest(ctx context.Context, x *exchange.Exchange) error {
	key := f.key.Of(x)
	var turn time.Time
	if f.lines.empty(key) {
		d, err := f.limiter.Take(ctx, key, f.rate)
		if err != nil || d.Allowed {
			f.series.Passed()
			return nil
		}
		turn = time.Now().Add(d.RetryAfter)
	}
	w, wait := f.lines.join(key, turn, f.maxWait)
	if w == nil {
		return f.refuse(wait)
	}
	f.series.Waiting(1)
	defer f.series.Waiting(-1)
	defer w.leave()
	return f.wait(ctx, key, w)
}

// wait is in line until the limiter lets the request pass, or until waiting is of no use.
func (f *Filter) wait(ctx context.Context, key store.Key, w *waiter) error {
	end := time.Now().Add(f.maxWait)
	timer := time.NewTimer(f.maxWait)
	defer timer.Stop()
	select {
	case <-w.first:
	case <-timer.C:
		return f.refuse(f.maxWait)
	case <-ctx.Done():
		return f.gone(ctx)
	}
	for {
		d, err := f.limiter.Take(ctx, key, f.rate)
		switch {
		case ctx.Err() != nil:
			return f.gone(ctx)
		case err != nil || d.Allowed:
			f.series.Delayed()
			return nil
		case time.Until(end) < d.RetryAfter:
			return f.refuse(d.RetryAfter)
		}
		w.expect(time.Now().Add(d.RetryAfter))
		timer.Reset(d.RetryAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return f.gone(ctx)
		}
	}
}

func (f *Filter) gone(ctx context.Context) error {
	f.series.Gone()
	return context.Cause(ctx)
}

func (f *Filter) refuse(wait time.Duration) error {
	f.series.Refused()
	refused := failure.Denied(http.StatusTooManyRequests, "Too many requests are waiting. Retry-After says when to come back.")
	seconds := max(1, (wait+time.Second-1)/time.Second)
	refused.Header = http.Header{"Retry-After": {strconv.FormatInt(int64(seconds), 10)}}
	return refused
}

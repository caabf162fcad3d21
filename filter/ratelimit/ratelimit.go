// Package ratelimit is the filter rateLimit: so many requests a window for each key, and 429 for those over it.
//
// The limit is GCRA: a key that was idle may send `burst` requests at once, then one every window/limit. Any window
// thus holds at most limit + burst. A refused request costs nothing. What is counted by is a filter.Key.
//
// A limit by client.ip alone runs in phase Admit, before anybody is authenticated; one with another key runs in phase
// Limit, when the consumer is known. Several may be written, at one level or at different ones: a request must pass all
// of them, in their order. Counters belong to the rule, by its scope and ordinal: a limit at the top is shared by all
// routes, one on a route is the route's own, and a reload refills neither.
//
// Every response of a limited route, success included, tells where the client stands: X-RateLimit-Limit, -Remaining and
// -Reset (seconds until the count is as good as new) for the most restrictive limit, the one with the fewest requests
// left, and RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers) for all that were asked, named
// "default", "default-2" and so on in their order. A 429 has Retry-After in seconds, rounded up. Fields of these names
// from the service are replaced. A limiter that cannot be asked lets the request pass.
package ratelimit

import (
	"context"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/telemetry"
)

// Config limits how many requests a caller may send: 429 for those over it.
type Config struct {
	// Limit is how many requests a window may hold in the long run, 1 to 1,000,000,000.
	Limit int64 `yaml:"limit" required:"true" min:"1" max:"1000000000"`
	// Window is what the limit counts over, 1s to 24h. For less than a second write a limit a second and a small burst.
	Window time.Duration `yaml:"window" default:"1m" min:"1s" max:"24h"`
	// Burst is how many requests an idle caller may send at once, 1 to 1,000,000,000. Default: limit.
	Burst int64 `yaml:"burst" min:"1" max:"1000000000"`
	// Key is the selector to count by. A request that lacks a part of it is counted by its client's address.
	Key exchange.Selector `yaml:"key" default:"client.ip"`
	// Shadow only counts, in the metric sluice_ratelimit_total, what would have been refused. It tells the client nothing.
	Shadow bool `yaml:"shadow" default:"false"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("rateLimit", filter.Limit, New).Repeated() }

// Filter is one rateLimit.
type Filter struct {
	limiter store.Limiter
	series  *telemetry.RateLimitSeries
	key     filter.Key
	rate    store.Rate
	shadow  bool
	fields  fields
}

var (
	_ filter.RequestFilter  = (*Filter)(nil)
	_ filter.ResponseFilter = (*Filter)(nil)
	_ filter.Phaser         = (*Filter)(nil)
	_ filter.FieldChanger   = (*Filter)(nil)
)

// New makes the filter.
func New(env filter.Env, c Config) (filter.Filter, error) {
	if c.Burst == 0 {
		c.Burst = c.Limit
	}
	key, err := filter.NewKey(env, c.Key)
	if err != nil {
		return nil, err
	}
	return &Filter{
		limiter: env.Limiter,
		series:  env.Metrics.RateLimit(env.Route),
		key:     key,
		rate:    store.Rate{Limit: c.Limit, Window: c.Window, Burst: c.Burst},
		shadow:  c.Shadow,
		fields:  newFields(c.Limit, c.Window),
	}, nil
}

// Phase is Admit if the address is all that the key reads.
func (f *Filter) Phase() filter.Phase { return f.key.Phase() }

// OnRequest takes one request from the caller's limit.
func (f *Filter) OnRequest(ctx context.Context, x *exchange.Exchange) error {
	d, err := f.limiter.Take(ctx, f.key.Of(x), f.rate)
	if err != nil {
		return nil // a limit that refuses everybody while its counters are away is worse than none
	}
	if f.shadow {
		f.count(d.Allowed, f.series.Shadow)
		return nil
	}
	f.count(d.Allowed, f.series.Limited)
	x.Limits = append(x.Limits, exchange.Limit{
		By: f, Quota: f.rate.Limit, Window: f.rate.Window, Remaining: d.Remaining, Reset: d.Reset, Refused: !d.Allowed,
	})
	if d.Allowed {
		return nil
	}
	return refusal(d.RetryAfter)
}

func (f *Filter) count(allowed bool, over func()) {
	if allowed {
		f.series.Allowed()
	} else {
		over()
	}
}

func refusal(after time.Duration) error {
	refused := failure.Denied(http.StatusTooManyRequests, "Too many requests. Retry-After says when to come back.")
	refused.Header = http.Header{"Retry-After": {decimal(max(1, seconds(after)))}}
	return refused
}

// ResponseFields implements filter.FieldChanger.
func (f *Filter) ResponseFields() []string {
	return names[:]
}

// OnResponse writes the fields. Of several limits the first that was asked speaks for all: it is placed before the
// others, so whichever of them answered, its hook runs, and runs last.
func (f *Filter) OnResponse(_ context.Context, x *exchange.Exchange) error {
	if len(x.Limits) == 0 || x.Limits[0].By != any(f) {
		return nil
	}
	h := x.Response.Header
	if len(x.Limits) > 1 {
		writeAll(h, x.Limits)
		return nil
	}
	if lines := x.ResponseLines(); lines != nil {
		for _, name := range names {
			delete(h, name)
		}
		*lines = f.fields.appendOne(*lines, x.Limits[0])
		return nil
	}
	f.fields.writeOne(h, x.Limits[0])
	return nil
}

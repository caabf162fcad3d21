// Package faultinjection is the filter faultInjection: it delays some requests and fails some on purpose, to rehearse
// what callers, retries and alarms do when a service is slow or down.
//
// Whether a request is delayed, and whether it is aborted, is drawn by two percentages, each by itself; a request for
// which both are drawn is delayed and then aborted. Only requests for which everything in `when` and the `expression`
// hold are drawn for. An abort answers with a status, or breaks the client's connection (on HTTP/2 the stream) off. A
// service never sees a request that was aborted; one that was delayed reaches it late.
//
// Nobody is to hunt a fault that was made: an abort has the kind fault_injected, in the body, in Proxy-Status and in the
// access log; an answer that was delayed says so in Proxy-Status; both are counted in sluice_faults_total. While
// maxActive requests are being delayed no further one is, which is counted as skipped: a rehearsal must not be what takes
// the gateway down.
//
// The filter runs in phase Cache, behind authentication and limits: what it plays is a service that fails.
package faultinjection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/telemetry"
)

// Config delays or fails some requests on purpose, to rehearse failures. Every answer so made is marked as a fault.
type Config struct {
	// Delay holds requests up before they go on. Absent: none is.
	Delay *Delay `yaml:"delay"`
	// Abort fails requests. Absent: none is.
	Abort *Abort `yaml:"abort"`
	// When says which requests may meet a fault: each selector must find precisely this value, as in `"header:x-rehearse": "yes"`. Empty: all of them.
	When map[string]string `yaml:"when"`
	// Expression is a CEL condition that must hold besides. A runtime error is no fault.
	Expression string `yaml:"expression"`
	// MaxActive is how many requests may be held up at once, 1 to 100,000; those over it are not delayed.
	MaxActive int64 `yaml:"maxActive" default:"1000" min:"1" max:"100000"`
}

// Delay holds a share of the requests up.
type Delay struct {
	// Percent is the share of the requests, 0 to 100.
	Percent float64 `yaml:"percent" default:"100" min:"0" max:"100"`
	// Duration is how long each is held up, 1ms to 5m.
	Duration time.Duration `yaml:"duration" required:"true" min:"1ms" max:"5m"`
	// Jitter is the upper bound of what is added at random, evenly spread.
	Jitter time.Duration `yaml:"jitter" default:"0" min:"0" max:"5m"`
}

// Abort fails a share of the requests.
type Abort struct {
	// Percent is the share of the requests, 0 to 100.
	Percent float64 `yaml:"percent" default:"100" min:"0" max:"100"`
	// Status answers with this code, 400 to 599. Either this or connection.
	Status int `yaml:"status" min:"400" max:"599"`
	// Connection breaks the client's connection off without an answer, on HTTP/2 its stream.
	Connection bool `yaml:"connection" default:"false"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("faultInjection", filter.Cache, New) }

// Filter is one faultInjection.
type Filter struct {
	delay      Delay
	abort      Abort
	fault      *failure.Error // of the abort
	when       []condition
	expression *exchange.Expression // nil: none
	maxActive  int64
	active     atomic.Int64
	series     *telemetry.FaultSeries
}

type condition struct {
	selector exchange.Selector
	value    string
}

var (
	_ filter.RequestFilter  = (*Filter)(nil)
	_ filter.ResponseFilter = (*Filter)(nil)
)

// New makes the filter.
func New(env filter.Env, c Config) (filter.Filter, error) {
	f := &Filter{maxActive: c.MaxActive, series: env.Metrics.Fault(env.Route)}
	if c.Delay == nil && c.Abort == nil {
		return nil, errors.New("there is nothing to inject: write delay, abort or both")
	}
	if c.Delay != nil {
		f.delay = *c.Delay
	}
	var errs []error
	if c.Abort != nil {
		f.abort = *c.Abort
		errs = append(errs, f.setFault())
	}
	errs = append(errs, f.setConditions(c))
	return f, errors.Join(errs...)
}

func (f *Filter) setFault() error {
	switch {
	case f.abort.Connection && f.abort.Status != 0:
		return filter.Setting("abort", "an abort answers with a status or breaks the connection off, not both")
	case !f.abort.Connection && f.abort.Status == 0:
		return filter.Setting("abort", "write status, or connection: true")
	}
	f.fault = &failure.Error{
		Source: failure.Gateway, Kind: failure.FaultInjected, Status: f.abort.Status, BreakOff: f.abort.Connection,
		Detail: "This failure was injected on purpose.",
	}
	return nil
}

func (f *Filter) setConditions(c Config) error {
	var errs []error
	for _, text := range slices.Sorted(maps.Keys(c.When)) {
		want, at := condition{value: c.When[text]}, "when["+strconv.Quote(text)+"]"
		if err := want.selector.UnmarshalText([]byte(text)); err != nil {
			errs = append(errs, filter.Setting(at, "%w", err))
		}
		if want.value == "" {
			errs = append(errs, filter.Setting(at, "an empty value is a missing one, which no selector finds"))
		}
		f.when = append(f.when, want)
	}
	if c.Expression != "" {
		var err error
		if f.expression, err = exchange.CompileExpression(c.Expression, exchange.AccessRule); err != nil {
			errs = append(errs, filter.Setting("expression", "%w", err))
		}
	}
	return errors.Join(errs...)
}

// OnRequest draws, waits, and fails.
func (f *Filter) OnRequest(ctx context.Context, x *exchange.Exchange) error {
	delay, abort := drawn(f.delay.Percent), f.fault != nil && drawn(f.abort.Percent)
	if !delay && !abort || !f.meant(x) {
		return nil
	}
	if delay {
		if err := f.hold(ctx, x); err != nil {
			return err
		}
	}
	if abort {
		f.series.Aborted()
		return f.fault
	}
	return nil
}

func drawn(percent float64) bool {
	return percent > 0 && (percent >= 100 || rand.Float64()*100 < percent)
}

// meant reports whether a fault may hit the request.
func (f *Filter) meant(x *exchange.Exchange) bool {
	for i := range f.when {
		if value, ok := f.when[i].selector.Key(x); !ok || value != f.when[i].value {
			return false
		}
	}
	if f.expression == nil {
		return true
	}
	holds, err := f.expression.Eval(x)
	if err != nil {
		f.series.ExpressionFailed()
	}
	return holds && err == nil
}

// hold keeps the request for a while, if there is room.
func (f *Filter) hold(ctx context.Context, x *exchange.Exchange) error {
	defer f.active.Add(-1)
	if f.active.Add(1) > f.maxActive {
		f.series.Skipped()
		return nil
	}
	f.series.Delayed()
	pause := f.delay.Duration
	if f.delay.Jitter > 0 {
		pause += rand.N(f.delay.Jitter + 1)
	}
	x.Keep(f, pause)
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// OnResponse marks an answer that was delayed; one that was aborted says so by its failure.
func (f *Filter) OnResponse(_ context.Context, x *exchange.Exchange) error {
	pause, delayed := x.Kept(f).(time.Duration)
	if !delayed || x.Response.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	const name = "Proxy-Status"
	mark := fmt.Sprintf(`sluice; details="fault injected: delayed by %d ms"`, pause.Milliseconds())
	before := x.Response.Header[name]
	x.Response.Header[name] = append(before[:len(before):len(before)], mark)
	return nil
}

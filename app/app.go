// Package app wires the packages together and holds no logic of its own: it loads a configuration, compiles it, opens
// what is new, swaps the snapshot, starts and retires, and drains at the end.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/admin"
	"github.com/sluice-gateway/sluice/compile"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/listen"
	"github.com/sluice-gateway/sluice/proxy"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/source"
	"github.com/sluice-gateway/sluice/store/memory"
	"github.com/sluice-gateway/sluice/telemetry"
)

// Options is how a gateway runs, beside what it does.
type Options struct {
	Source       source.Source
	Registry     filter.Registry
	Log          *slog.Logger
	Diagnostics  func(config.Diagnostics) // shows what was found in a configuration to the person at the terminal; may be nil
	DrainTimeout time.Duration            // for what is open when the end comes; then it is broken off
	DrainDelay   time.Duration            // not ready, yet still accepting, so that load balancers notice first
	PProf        bool
}

// App is one running gateway.
type App struct {
	Options
	snapshots snapshot.Holder
	proxy     *proxy.Server
	metrics   *telemetry.Metrics
	limiter   *memory.Limiter
	status    admin.Status

	mu        sync.Mutex                  // one reload or drain at a time
	listeners map[string]*listen.Listener // by socketOf
	accessLog *telemetry.AccessLog
	admin     *admin.Server
	serving   sync.WaitGroup // the accept loops
	retiring  sync.WaitGroup // what drains behind a reload
	draining  bool
	drained   sync.Once
	stopped   context.Context
	stop      context.CancelFunc
}

// New makes a gateway that does nothing yet.
func New(o Options) *App {
	a := &App{Options: o, listeners: make(map[string]*listen.Listener), limiter: memory.New(0)}
	a.metrics = telemetry.NewMetrics(a.live)
	a.metrics.SetEvents(telemetry.NewEvents(o.Log))
	a.proxy = &proxy.Server{Snapshots: &a.snapshots, Metrics: a.metrics, Log: o.Log}
	a.stopped, a.stop = context.WithCancel(context.Background())
	return a
}

func (a *App) live() telemetry.Live {
	if s := a.snapshots.Load(); s != nil {
		return s.Live()
	}
	return telemetry.Live{}
}

// Run serves until ctx ends, then drains. It returns an error only if the gateway could not start: what goes wrong
// later is in the log, and the last good configuration stays.
func (a *App) Run(ctx context.Context) error {
	if err := a.Start(); err != nil {
		return err
	}
	watching, done := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { a.Source.Watch(watching, func() { a.Reload("a file changed") }) })
	<-ctx.Done()
	done()
	watch.Wait()
	a.Drain()
	return nil
}

var errEnding = errors.New("the gateway is draining")

// ErrConfiguration is returned by Start for a configuration that cannot run; the diagnostics have been shown.
var ErrConfiguration = errors.New("the configuration cannot run")

// Start loads the first configuration and serves it.
func (a *App) Start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.load(); err != nil {
		a.closeAll()
		return err
	}
	a.becomeReady(a.snapshots.Load())
	return nil
}

// Reload puts the configuration in force as it is now. A mistake changes nothing and is told in the log, in a metric
// and at /readyz?verbose.
func (a *App) Reload(why string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.draining || a.stopped.Err() != nil {
		return errEnding
	}
	began := time.Now()
	err := a.load()
	a.metrics.Reload(err == nil)
	a.status.Reloaded(time.Now(), err)
	if err != nil {
		a.Log.Error("the new configuration was refused; the one before stays", "why", why, "error", err.Error())
		return err
	}
	a.Log.Info("configuration in force", "why", why, "revision", a.snapshots.Load().Revision,
		"took", time.Since(began).Round(time.Microsecond).String())
	return nil
}

// Reopen opens log files anew, after somebody moved them away.
func (a *App) Reopen() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accessLog == nil {
		return
	}
	if err := a.accessLog.Reopen(); err != nil {
		a.Log.Error("cannot reopen the access log", "error", err.Error())
	}
}

// load is one pass of compile, open, swap, start, retire. mu is held.
func (a *App) load() error {
	next, diagnostics := a.compile(a.Source.Load())
	if a.Diagnostics != nil && len(diagnostics) > 0 {
		a.Diagnostics(diagnostics)
	}
	if next == nil {
		return fmt.Errorf("%w: %w", ErrConfiguration, diagnostics.Err())
	}
	opened, err := a.open(next)
	if err != nil {
		return err
	}
	a.retire(a.swap(next, opened), next)
	return nil
}

// compile also has the files watched that the configuration names, all the more if it is refused for one of them: a
// certificate is renewed before its key, and a missing file may come.
func (a *App) compile(loaded source.Loaded) (*snapshot.Snapshot, config.Diagnostics) {
	if loaded.Config == nil {
		return nil, loaded.Diagnostics
	}
	var named []string
	next, diagnostics := compile.Compile(loaded.Config, loaded.Diagnostics, compile.Options{
		Registry: a.Registry,
		Limiter:  a.limiter,
		Metrics:  a.metrics,
		ReadFile: func(name string) ([]byte, error) {
			named = append(named, name)
			return readFile(name)
		},
		Previous: a.snapshots.Load(),
		Revision: loaded.Revision,
	})
	a.Source.Also(named)
	return next, diagnostics
}

// Address is where a listener is bound, for tests and for the demo, which listen on port 0.
func (a *App) Address(listener string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.listeners {
		if l.Name() == listener {
			return l.Addr().String()
		}
	}
	return ""
}

// AdminAddress is where the admin listener is bound; empty if it is off.
func (a *App) AdminAddress() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.admin == nil {
		return ""
	}
	return a.admin.Addr().String()
}

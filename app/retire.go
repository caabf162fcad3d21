package app

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/listen"
	"github.com/sluice-gateway/sluice/snapshot"
)

// swap puts next in force and lets what is new begin. What it displaces waits for retire.
func (a *App) swap(next *snapshot.Snapshot, o *opened) (before *snapshot.Snapshot) {
	next.Log = o.accessLog
	displacedLog, displacedAdmin := a.accessLog, a.admin
	before = a.snapshots.Swap(next)
	a.accessLog, a.admin = o.accessLog, o.admin

	for _, svc := range next.Services {
		svc.Start()
	}
	for _, p := range next.Parts {
		p.Part.Start()
	}
	for socket, l := range o.listeners {
		a.listeners[socket] = l
		a.serving.Go(func() { l.Serve(&a.snapshots, a.proxy) })
	}
	for _, spec := range next.Listeners {
		a.listeners[socketOf(spec)].Rename(spec.Name)
	}
	if a.admin != nil && a.admin != displacedAdmin {
		a.admin.Serve()
	}
	if displacedAdmin != nil && displacedAdmin != a.admin {
		a.later(func(context.Context) { displacedAdmin.Close() })
	}
	if displacedLog != nil && displacedLog != a.accessLog {
		a.later(func(ctx context.Context) { <-ctx.Done(); displacedLog.Close() })
	}
	return before
}

// retire lets go of what before had and next has not. Nothing in flight is hurt: it has the drain timeout to end.
func (a *App) retire(before, next *snapshot.Snapshot) {
	if before == nil {
		return
	}
	for socket, l := range a.listeners {
		if !listensOn(next, socket) {
			delete(a.listeners, socket)
			l.Stop() // now, so that the next reload can have the address again
			a.later(func(ctx context.Context) { a.drainListener(ctx, l) })
		}
	}
	for _, l := range before.Listeners {
		if next.Listener(l.Name) == nil {
			a.later(func(ctx context.Context) { <-ctx.Done(); a.snapshots.Forget(l.Name, before) })
		}
	}
	for name, svc := range before.Services {
		if kept := next.Services[name]; kept != svc {
			svc.Retire(kept)
		}
	}
	for _, p := range before.Parts {
		if next.Part(p.Key) != p.Part {
			p.Part.Stop()
		}
	}
	if gone := goneRoutes(before, next); len(gone) > 0 {
		listeners := a.all()
		a.later(func(ctx context.Context) {
			<-ctx.Done()
			closeTunnels(listeners, goneRoutes(before, a.snapshots.Load())) // one that came back stays
		})
	}
	if closers := goneFilters(before, next); len(closers) > 0 {
		a.later(func(ctx context.Context) {
			<-ctx.Done()
			for _, c := range closers {
				c.Close()
			}
		})
	}
}

// later runs f beside the traffic, with a context that ends when the drain timeout is over or the gateway stops.
func (a *App) later(f func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(a.stopped, a.DrainTimeout)
	a.retiring.Go(func() {
		defer cancel()
		f(ctx)
	})
}

func (a *App) drainListener(ctx context.Context, l *listen.Listener) {
	if err := l.Drain(ctx); err != nil {
		a.Log.Warn("a removed listener had open requests at the drain timeout; they were broken off", "listener", l.Name())
	}
}

func listensOn(s *snapshot.Snapshot, socket string) bool {
	for _, l := range s.Listeners {
		if socketOf(l) == socket {
			return true
		}
	}
	return false
}

type routeOn struct{ listener, route string }

func goneRoutes(before, next *snapshot.Snapshot) map[routeOn]bool {
	gone := make(map[routeOn]bool)
	for _, r := range before.Routes {
		gone[routeOn{r.Listener, r.Name}] = true
	}
	for _, r := range next.Routes {
		delete(gone, routeOn{r.Listener, r.Name})
	}
	return gone
}

func closeTunnels(listeners []*listen.Listener, gone map[routeOn]bool) {
	for _, l := range listeners {
		l.CloseRoutes(func(listener, route string) bool { return gone[routeOn{listener, route}] })
	}
}

// goneFilters are the instances that hold something and run no more.
func goneFilters(before, next *snapshot.Snapshot) []io.Closer {
	running := make(map[filter.Filter]bool)
	for _, f := range next.Filters() {
		running[f.Filter] = true
	}
	var closers []io.Closer
	for _, f := range before.Filters() {
		if c, ok := f.Filter.(io.Closer); ok && !running[f.Filter] {
			closers = append(closers, c)
		}
	}
	return closers
}

// Drain ends the gateway: it stops being ready, stops accepting, lets what is open finish within the drain timeout and
// breaks off the rest. The admin listener stays up until the end.
func (a *App) Drain() { a.drained.Do(a.drain) }

func (a *App) drain() {
	a.mu.Lock()
	if a.stopped.Err() != nil { // it never started
		a.mu.Unlock()
		return
	}
	a.draining = true // and from here on nothing is reloaded, so nobody changes what is read below
	open := a.all()
	a.mu.Unlock()

	a.status.Draining()
	a.Log.Info("draining", "delay", a.DrainDelay.String(), "timeout", a.DrainTimeout.String())
	time.Sleep(a.DrainDelay) // who cannot wait sends the second signal, which ends the process

	ctx, cancel := context.WithTimeout(context.Background(), a.DrainTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, l := range open {
		all.Go(func() {
			if err := l.Drain(ctx); err != nil {
				a.Log.Warn("requests were still open at the drain timeout; they were broken off", "listener", l.Name())
			}
		})
	}
	all.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closeAll()
	a.Log.Info("stopped")
}

// closeAll lets go of everything. mu is held.
func (a *App) closeAll() {
	a.stop()
	a.retiring.Wait()
	for _, l := range a.listeners {
		l.Close()
	}
	a.serving.Wait()
	if s := a.snapshots.Load(); s != nil {
		for _, svc := range s.Services {
			svc.Retire(nil)
		}
		for _, p := range s.Parts {
			p.Part.Stop()
		}
		for _, f := range s.Filters() {
			if c, ok := f.Filter.(io.Closer); ok {
				c.Close()
			}
		}
	}
	if a.accessLog != nil {
		a.accessLog.Close()
	}
	if a.admin != nil {
		a.admin.Close()
	}
}

// all are the listeners that are open. mu is held.
func (a *App) all() []*listen.Listener {
	all := make([]*listen.Listener, 0, len(a.listeners))
	for _, l := range a.listeners {
		all = append(all, l)
	}
	return all
}

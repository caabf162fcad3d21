package app

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/snapshot"
)

// maxFinding is how long the gateway waits, before it is ready, for services whose endpoints have yet to be found. It
// serves meanwhile: requests for those services get 503 at once. It is not waited for longer, as one registry that is
// down must not keep traffic from the services that have nothing to do with it.
const maxFinding = 10 * time.Second

// becomeReady tells that traffic is welcome once the endpoints of every service of the first snapshot were found.
func (a *App) becomeReady(s *snapshot.Snapshot) {
	if len(unfound(s)) == 0 {
		a.ready(s)
		return
	}
	a.retiring.Go(func() {
		ctx, cancel := context.WithTimeout(a.stopped, maxFinding)
		defer cancel()
		a.awaitFound(ctx, s)
		if a.stopped.Err() != nil {
			return
		}
		if names := unfound(s); len(names) > 0 {
			a.Log.Warn("ready, though no endpoints have been found for some services", "services", names, "waited", maxFinding.String())
		}
		a.ready(s)
	})
}

func (a *App) awaitFound(ctx context.Context, s *snapshot.Snapshot) {
	for _, svc := range s.Services {
		if svc.Discovered() == nil {
			continue
		}
		select {
		case <-svc.Discovered():
		case <-ctx.Done():
			return
		}
	}
}

// unfound names the services that wait for their discovery's first answer, sorted.
func unfound(s *snapshot.Snapshot) (names []string) {
	for name, svc := range s.Services {
		if svc.Discovered() == nil {
			continue
		}
		select {
		case <-svc.Discovered():
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (a *App) ready(s *snapshot.Snapshot) {
	a.status.Ready()
	a.Log.Info("ready", "revision", s.Revision, "source", a.Source.String())
}

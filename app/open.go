package app

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sluice-gateway/sluice/admin"
	"github.com/sluice-gateway/sluice/listen"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
)

// maxFile is read of a certificate, key or authority file at most.
const maxFile = 16 << 20

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// opened is what a configuration needs and the one before had not. Until the swap it can be closed as if nothing was.
type opened struct {
	listeners map[string]*listen.Listener // by socketOf
	accessLog *telemetry.AccessLog        // what the snapshot writes to: new, or kept
	admin     *admin.Server               // new, or kept
}

// open binds addresses and opens files. On an error nothing stays open that was not before.
func (a *App) open(next *snapshot.Snapshot) (*opened, error) {
	o := &opened{listeners: make(map[string]*listen.Listener), accessLog: a.accessLog, admin: a.admin}
	err := a.openListeners(o, next)
	if err == nil {
		err = a.openAccessLog(o, next)
	}
	if err == nil {
		err = a.openAdmin(o, next)
	}
	if err != nil {
		a.close(o)
		return nil, err
	}
	return o, nil
}

// socketOf says which listeners share a socket across a reload: those of equal address. Port 0 is a new port each time, so
// there the name decides.
func socketOf(spec *snapshot.Listener) string {
	if strings.HasSuffix(spec.Address, ":0") {
		return spec.Name + "@" + spec.Address
	}
	return spec.Address
}

func (a *App) openListeners(o *opened, next *snapshot.Snapshot) error {
	for _, spec := range next.Listeners {
		if a.listeners[socketOf(spec)] != nil {
			continue // stays open, whatever else about it changes
		}
		l, err := listen.Open(spec)
		if err != nil {
			return err
		}
		o.listeners[socketOf(spec)] = l
	}
	return nil
}

func (a *App) openAccessLog(o *opened, next *snapshot.Snapshot) error {
	want := next.AccessLog
	if before := a.snapshots.Load(); before != nil && before.AccessLog == want {
		return nil
	}
	if o.accessLog = nil; want.To == "" {
		return nil
	}
	log, err := telemetry.OpenAccessLog(want.To, want.Format, want.Sample, a.metrics, a.Log)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	o.accessLog = log
	return nil
}

func (a *App) openAdmin(o *opened, next *snapshot.Snapshot) error {
	if before := a.snapshots.Load(); before != nil && before.Admin.Address == next.Admin.Address {
		return nil
	}
	if o.admin = nil; next.Admin.Address == "" {
		return nil
	}
	s, err := admin.Listen(next.Admin.Address, admin.New(admin.Options{
		Snapshots: &a.snapshots, Metrics: a.metrics, Status: &a.status, PProf: a.PProf,
	}))
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	o.admin = s
	return nil
}

// close undoes open.
func (a *App) close(o *opened) {
	for _, l := range o.listeners {
		l.Close()
	}
	if o.accessLog != a.accessLog && o.accessLog != nil {
		o.accessLog.Close()
	}
	if o.admin != a.admin && o.admin != nil {
		o.admin.Close()
	}
}

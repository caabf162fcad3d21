package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/sluice-gateway/sluice/app"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter/all"
	"github.com/sluice-gateway/sluice/source"
	"github.com/sluice-gateway/sluice/source/file"
)

type runCommand struct {
	File         string        `arg:"" optional:"" help:"The configuration: a YAML or JSON file, or a directory of them. Default: sluice.yaml here."`
	DrainTimeout time.Duration `default:"30s" help:"How long open requests have to finish after SIGTERM."`
	DrainDelay   time.Duration `default:"0s" help:"How long to go on accepting, not ready, before draining."`
	PProf        bool          `name:"pprof" help:"Serve Go profiles at /debug/pprof/ on the admin listener."`
}

const defaultFile = "sluice.yaml"

func (c *runCommand) Run(to console) error {
	name, err := c.file(to)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(to.Err, nil))
	gateway, err := newGateway(file.New(name), log, to.Err)
	if err != nil {
		return err
	}
	collectLater(log)
	gateway.DrainTimeout, gateway.DrainDelay, gateway.PProf = c.DrainTimeout, c.DrainDelay, c.PProf
	return serve(gateway, log)
}

// collectLater spends a little memory on garbage collection that costs little: what is live here is some ten megabytes,
// and Go's default would collect for every four that requests leave behind. In a container the limit is respected.
func collectLater(log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if _, err := memlimit.Set(); err != nil {
		log.Debug("no memory limit is known", "error", err.Error())
	}
}

// file is the one named, or sluice.yaml; without either it says what to do.
func (c *runCommand) file(to console) (string, error) {
	if c.File != "" {
		return c.File, nil
	}
	if _, err := os.Stat(defaultFile); err == nil {
		return defaultFile, nil
	}
	fmt.Fprint(to.Err, `sluice: there is no sluice.yaml here.

  sluice run FILE      runs another file
  sluice demo          shows a gateway at work without one

A file to begin with:

`+starter)
	return "", errSaid
}

const starter = `listeners:
  - {name: public, address: ":8080"}
routes:
  - name: api
    match: {path: /api/*}
    service: api
services:
  - name: api
    endpoints: [{url: "http://127.0.0.1:3000"}]
`

func newGateway(from source.Source, log *slog.Logger, diagnostics io.Writer) (*app.App, error) {
	registry, err := all.Registry()
	if err != nil {
		return nil, err
	}
	return app.New(app.Options{
		Source: from, Registry: registry, Log: log,
		DrainTimeout: 30 * time.Second,
		Diagnostics:  func(d config.Diagnostics) { _ = d.Print(diagnostics) },
	}), nil
}

// serve runs until SIGTERM or SIGINT, and reloads on SIGHUP. A second SIGTERM or SIGINT ends the process at once.
func serve(gateway *app.App, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // hands the second signal back to the runtime, which ends the process

	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				gateway.Reopen()
				_ = gateway.Reload("SIGHUP") // told in the log
			}
		}
	}()

	err := gateway.Run(ctx)
	if errors.Is(err, app.ErrConfiguration) {
		return errSaid // every mistake has been shown with its line
	}
	if err != nil {
		log.Error("cannot start", "error", err.Error())
		return errSaid
	}
	return nil
}

package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/sluice-gateway/sluice/compile"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter/all"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/source/file"
	"github.com/sluice-gateway/sluice/store/memory"
	"github.com/sluice-gateway/sluice/telemetry"
)

type checkCommand struct {
	Files  []string `arg:"" name:"file" help:"Configurations to check, each by itself: files or directories."`
	Format string   `enum:"text,json" default:"text" help:"text for people, json for editors and CI."`
}

func (c *checkCommand) Run(to console) error {
	var found config.Diagnostics
	for _, name := range c.Files {
		_, diagnostics := load(name)
		found = append(found, diagnostics...)
	}
	if err := c.show(found, to); err != nil {
		return err
	}
	if found.HasErrors() {
		return errSaid
	}
	return nil
}

func (c *checkCommand) show(found config.Diagnostics, to console) error {
	if c.Format == "json" {
		return writeJSON(to, found)
	}
	if err := found.Print(to.Out); err != nil {
		return err
	}
	errors := 0
	for _, d := range found {
		if d.Severity == config.Error {
			errors++
		}
	}
	_, err := fmt.Fprintf(to.Out, "%s, %s\n", count(errors, "error"), count(len(found)-errors, "warning"))
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func writeJSON(to console, v any) error {
	e := json.NewEncoder(to.Out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// load compiles a configuration without running it: all that `run` would report before it opens anything.
func load(name string) (*snapshot.Snapshot, config.Diagnostics) {
	registry, err := all.Registry()
	if err != nil {
		return nil, config.Diagnostics{{Message: err.Error()}}
	}
	loaded := file.New(name).Load()
	if loaded.Config == nil {
		return nil, loaded.Diagnostics
	}
	return compile.Compile(loaded.Config, loaded.Diagnostics, compile.Options{
		Registry: registry,
		Limiter:  memory.New(0),
		Metrics:  telemetry.NewMetrics(func() telemetry.Live { return telemetry.Live{} }),
		ReadFile: os.ReadFile,
		Revision: loaded.Revision,
	})
}

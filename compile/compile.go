// Package compile turns a configuration into a snapshot. The snapshot is inert: nothing is opened, started or resolved,
// and files are read only through an opener that remembers them. Every mistake found is reported, not just the first.
//
//	config ──services──▶ upstream.Service ─┐
//	       ──filters───▶ filter.Pipeline ──┼─▶ snapshot.Route ──▶ route.Table of each listener ──▶ snapshot
//	       ──ends──────▶ backend.Backend ──┘
//
// What need not change is taken over from the snapshot before: endpoints with their connections, filters of equal scope,
// name and settings, and the counters of routes, services and listeners of the same name.
package compile

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream"
)

// Options is what compile needs beside the configuration.
type Options struct {
	Registry filter.Registry
	Limiter  store.Limiter
	Metrics  *telemetry.Metrics
	ReadFile func(string) ([]byte, error) // certificates, keys, authorities
	Previous *snapshot.Snapshot           // nil at the start
	Revision string
}

// Compile makes the snapshot, or reports why it cannot be made. It takes what parsing found and returns it with its own
// findings, so that the mistakes of all stages are seen at once. The snapshot is nil if and only if there is an error.
func Compile(c *config.Config, found config.Diagnostics, o Options) (*snapshot.Snapshot, config.Diagnostics) {
	k := &compiler{Options: o, config: c, diagnostics: found, read: make(map[string][]byte), ways: make(map[way]*backend.Service)}
	k.diagnostics = append(k.diagnostics, c.CheckFilters(o.Registry.Names())...)
	s := &snapshot.Snapshot{
		Revision:  o.Revision,
		Loaded:    time.Now(),
		AccessLog: accessLog(c.Telemetry.AccessLog),
		Admin:     admin(c.Admin),
	}
	s.Consumers = k.consumers()
	s.Services = k.services()
	k.listeners(s)
	k.overload(s)
	k.routes(s)
	s.Parts = k.parts
	s.Config = k.redacted()
	k.diagnostics.Sort()
	if k.diagnostics.HasErrors() {
		return nil, k.diagnostics
	}
	s.Seal(k.instances)
	return s, k.diagnostics
}

// compiler is one run of Compile: what has been made so far, and what was found wrong.
type compiler struct {
	Options
	config      *config.Config
	diagnostics config.Diagnostics
	built       map[string]*upstream.Service
	affinities  map[string]*backend.Affinity
	ways        map[way]*backend.Service
	policies    []*upstream.Policy // those told apart so far
	instances   []snapshot.Instance
	parts       []snapshot.NamedPart
	schemas     map[string]*schema.Schema // nil: it could not be read
	read        map[string][]byte         // nil: it could not be
}

// errorf reports a mistake, unless one at the same place is known: a value that could not be read is not also wrong.
func (k *compiler) errorf(path, format string, args ...any) {
	d := k.config.Errorf(path, format, args...)
	known := func(other config.Diagnostic) bool { return other.Path == d.Path && other.Severity == config.Error }
	if d.Path == "" || !slices.ContainsFunc(k.diagnostics, known) {
		k.diagnostics = append(k.diagnostics, d)
	}
}

// warnf reports what is legal and surely not meant. While there are errors a guess at the meaning is worth nothing.
func (k *compiler) warnf(path, format string, args ...any) {
	if !k.diagnostics.HasErrors() {
		k.diagnostics = append(k.diagnostics, k.config.Warnf(path, format, args...))
	}
}

// file reads a file that a setting names. It is read once however often it is named.
func (k *compiler) file(path, name string) ([]byte, bool) {
	data, known := k.read[name]
	if known && data == nil {
		k.errorf(path, "cannot read the file %s either", name)
	}
	if known {
		return data, data != nil
	}
	data, err := k.ReadFile(name)
	if err != nil {
		k.read[name] = nil
		k.errorf(path, "cannot read the file: %v", err)
		return nil, false
	}
	k.read[name] = append([]byte{}, data...)
	return k.read[name], true
}

func (k *compiler) redacted() []byte {
	data, err := json.MarshalIndent(k.config.Redacted(), "", "  ")
	if err != nil {
		k.errorf("", "cannot show the configuration as JSON: %v", err)
	}
	return data
}

func accessLog(a *config.AccessLog) snapshot.AccessLog {
	if a == nil || a.To == "off" {
		return snapshot.AccessLog{}
	}
	return snapshot.AccessLog{To: a.To, Format: a.Format, Sample: a.Sample}
}

func admin(a *config.Admin) snapshot.Admin {
	if a == nil {
		return snapshot.Admin{}
	}
	return snapshot.Admin{Address: a.Address, Token: string(a.Token)}
}

func index(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

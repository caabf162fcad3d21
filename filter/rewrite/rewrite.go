// Package rewrite is the filter rewrite: it changes the path and the host of the request that is forwarded.
//
// `stripPrefix` takes a prefix off the path, by whole segments: /orders of /orders/7 leaves /7, of /orders leaves /,
// and /ordersets is left alone. `path` replaces the path: {name} is the segment that the route's pattern captured,
// still encoded, so that a captured %2F separates nothing; a trailing /* is the path there was, after stripPrefix if it
// is given too: {stripPrefix: /v1, path: /v2/*} makes /v2/7 of /v1/7. `host` is the Host that the service sees; a
// `host` in the service's own settings goes before it. The query is left as it is.
//
// What was matched and authorised is the path before. The new path is held to the same rule as a received one: if what
// the client sent makes it lead elsewhere, by a dot segment put together from two captures, the answer is 400. Several
// may be written, at one level or at different ones; they run in their order, each on what the one before left.
package rewrite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
)

// Config changes the path and the host of the request that is forwarded.
type Config struct {
	// StripPrefix is taken off the path, by whole segments: /orders of /orders/7 leaves /7.
	StripPrefix string `yaml:"stripPrefix"`
	// Path replaces the path. {name} is a segment captured by the route, a trailing /* the path after stripPrefix.
	Path string `yaml:"path"`
	// Host is the Host field that the service sees: a name or an address, with or without a port.
	Host string `yaml:"host"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("rewrite", filter.Transform, New).Repeated() }

// Filter is one rewrite.
type Filter struct {
	strip    string // without a final slash
	template string // without a final /*; empty: the path is not replaced
	rest     bool   // the template ended in /*
	host     string
	captures []string
}

var _ filter.RequestFilter = (*Filter)(nil)

// maxPath bounds a path in the settings, in bytes.
const maxPath = 8192

// New makes the filter.
func New(_ filter.Env, c Config) (filter.Filter, error) {
	if c == (Config{}) {
		return nil, errors.New("write stripPrefix, path or host: rewrite without any does nothing")
	}
	f := &Filter{strip: strings.TrimSuffix(c.StripPrefix, "/"), host: c.Host, captures: exchange.CaptureNames(c.Path)}
	f.template, f.rest = strings.CutSuffix(c.Path, "/*")
	if err := errors.Join(checkPrefix(c.StripPrefix), checkPath(c.Path), checkHost(c.Host)); err != nil {
		return nil, err
	}
	return f, nil
}

// Captures are the names of the segments that the route's pattern must bind.
func (f *Filter) Captures() []string { return f.captures }

func checkPrefix(prefix string) error {
	switch {
	case prefix == "":
		return nil
	case prefix == "/":
		return filter.Setting("stripPrefix", "/ strips nothing: write the segments to take off, like /orders")
	case strings.ContainsAny(prefix, "{}*"):
		return filter.Setting("stripPrefix", "a prefix is literal: captures and * stand in path")
	}
	return checkCanonical("stripPrefix", prefix)
}

func checkPath(path string) error {
	if path == "" {
		return nil
	}
	literal := strings.TrimSuffix(path, "/*")
	for _, name := range exchange.CaptureNames(path) {
		if name == "" || strings.ContainsAny(name, "{/") {
			return filter.Setting("path", "{%s} is no capture: write {name} for the segment that the route's path calls so", name)
		}
		literal = strings.ReplaceAll(literal, "{"+name+"}", "x")
	}
	switch {
	case strings.ContainsAny(literal, "{}"):
		return filter.Setting("path", "a brace is not closed or not opened: a capture is {name}, a literal brace %%7B or %%7D")
	case strings.ContainsAny(literal, "?#"):
		return filter.Setting("path", "a path has no query and no fragment: the query of the request is kept")
	case literal == "" && strings.HasSuffix(path, "/*"):
		return nil
	}
	return checkCanonical("path", literal)
}

func checkCanonical(key, path string) error {
	if len(path) > maxPath {
		return filter.Setting(key, "the path is longer than %d bytes", maxPath)
	}
	canonical, err := exchange.CanonicalPath(path)
	if err != nil {
		return filter.Setting(key, "%s", failure.From(err).Detail)
	}
	if canonical != path {
		return filter.Setting(key, "the path is not in its canonical spelling: write %s", canonical)
	}
	return nil
}

func checkHost(host string) error {
	if _, _, err := exchange.CanonicalHost(host); err != nil {
		return &filter.SettingError{Key: "host", Err: fmt.Errorf("%q is no host: write a name or an address, with or without a port", host)}
	}
	return nil
}

// OnRequest rewrites what will be forwarded. The path stands in URL.Opaque, canonical.
func (f *Filter) OnRequest(_ context.Context, x *exchange.Exchange) error {
	if f.host != "" {
		x.Out.Host = f.host
	}
	path := stripped(x.Out.URL.Opaque, f.strip)
	if f.template != "" || f.rest {
		replaced := exchange.ExpandCaptures(f.template, x.Captures)
		if f.rest {
			replaced += path
		}
		path = replaced
	}
	if canonical, err := exchange.CanonicalPath(path); err != nil || canonical != path {
		return failure.Request(http.StatusBadRequest, "The path cannot be rewritten.")
	}
	x.Out.URL.Opaque = path
	return nil
}

// stripped takes prefix off path if it is whole segments of it.
func stripped(path, prefix string) string {
	rest, ok := strings.CutPrefix(path, prefix)
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return path
	case rest == "":
		return "/"
	}
	return rest
}

// Package requestheaders is the filter requestHeaders: it changes header fields of the request that is forwarded.
//
// Fields in `remove` are deleted, then those in `set` replace what is there, then those in `add` are added beside it.
// Names are in any case; values are literal. It runs in phase Transform, after the gateway has set its own fields, so it
// may change X-Forwarded-For, X-Request-Id and X-Consumer-Name; it does not change what earlier filters or the route
// saw. Several may be written, at one level or at different ones; they run in their order.
//
// Not to be changed: fields of one connection (Connection, TE, Upgrade, …), of framing (Content-Length,
// Transfer-Encoding, …), Via, by which loops are found, and Host, which is rewrite's.
package requestheaders

import (
	"context"
	"errors"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
)

// Config changes header fields of the request that is forwarded: removes some, then sets some, then adds some.
type Config struct {
	// Set replaces fields, or makes them: name to value.
	Set map[string]string `yaml:"set"`
	// Add adds a value beside those that are there: name to value.
	Add map[string]string `yaml:"add"`
	// Remove are the names of fields that are not forwarded.
	Remove []string `yaml:"remove"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("requestHeaders", filter.Transform, New).Repeated() }

// Filter is one requestHeaders.
type Filter struct{ edits filter.FieldEdits }

var _ filter.RequestFilter = (*Filter)(nil)

var errEmpty = errors.New("write set, add or remove: requestHeaders without any does nothing")

// New makes the filter.
func New(_ filter.Env, c Config) (filter.Filter, error) {
	if len(c.Set)+len(c.Add)+len(c.Remove) == 0 {
		return nil, errEmpty
	}
	edits, err := filter.NewFieldEdits(c.Set, c.Add, c.Remove, refused)
	if err != nil {
		return nil, err
	}
	return &Filter{edits}, nil
}

func refused(name string) string {
	switch name {
	case "Host":
		return "Host is not changed here: use the filter rewrite with its key host"
	case "Via":
		return "Via is how loops are found: the gateway itself writes it"
	}
	return filter.BelongsToConnection(name)
}

// OnRequest edits what will be forwarded.
func (f *Filter) OnRequest(_ context.Context, x *exchange.Exchange) error {
	f.edits.Apply(x.Out.Header)
	return nil
}

// Package responseheaders is the filter responseHeaders: it changes header fields of the response.
//
// Fields in `remove` are deleted, then those in `set` replace what is there, then those in `add` are added beside it.
// Names are in any case; values are literal. It runs in phase Respond, the outermost, so that refusals and failures of the
// gateway pass it too. Several may be written, at one level or at different ones; responses pass them last to first, so
// what the wider level sets stands.
//
// Not to be changed: fields of one connection (Connection, Upgrade, …), of framing (Content-Length, Transfer-Encoding,
// …), and X-Request-Id, which is on every response.
package responseheaders

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
)

// Config changes header fields of the response, whoever gave it: removes some, then sets some, then adds some.
type Config struct {
	// Set replaces fields, or makes them: name to value.
	Set map[string]string `yaml:"set"`
	// Add adds a value beside those that are there: name to value.
	Add map[string]string `yaml:"add"`
	// Remove are the names of fields that the client does not see.
	Remove []string `yaml:"remove"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("responseHeaders", filter.Respond, New).Repeated() }

// Filter is one responseHeaders.
type Filter struct{ edits filter.FieldEdits }

var (
	_ filter.ResponseFilter = (*Filter)(nil)
	_ filter.FieldChanger   = (*Filter)(nil)
)

var errEmpty = errors.New("write set, add or remove: responseHeaders without any does nothing")

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
	if name == "X-Request-Id" {
		return "X-Request-Id is on every response: the gateway itself writes it"
	}
	return filter.BelongsToConnection(name)
}

// ResponseFields implements filter.FieldChanger.
func (f *Filter) ResponseFields() []string { return f.edits.Names() }

// OnResponse edits what will be written.
func (f *Filter) OnResponse(_ context.Context, x *exchange.Exchange) error {
	if x.Response.Header == nil {
		x.Response.Header = make(http.Header)
	}
	f.edits.Apply(x.Response.Header)
	return nil
}

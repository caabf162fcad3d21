package filter

import (
	"fmt"
	"slices"

	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/telemetry"
)

// Env is what the gateway lends to a filter while it is built.
type Env struct {
	Scope   string             // where the filter stands: "", "listener/NAME" or "route/NAME"; counters belong to it
	Name    string             // the filter's name, with its ordinal in the scope if it repeats: rateLimit, rateLimit#2
	Route   string             // the route's name; empty above a route
	Limiter store.Limiter      // counters that outlive a reload
	Metrics *telemetry.Metrics // series that a filter may add to
}

// Type is one kind of filter: what the registry knows of a folder under filter/.
type Type struct {
	Name   string
	Phase  Phase // unless an instance says otherwise, see Phaser
	Repeat bool  // all that are written run; otherwise the narrower level replaces the wider
	// Settings is a pointer to a zero Config, for the schema and the reference page.
	Settings func() any
	// Build decodes the settings strictly and makes an inert instance. The decoder reports what it finds wrong with
	// its position, so Build's own error speaks of what only the filter can know; a *SettingError names the key, and
	// errors.Join holds several.
	Build func(env Env, decode func(settings any) error) (Filter, error)
}

// Define ties a Config type to the function that makes a filter from it.
func Define[C any](name string, phase Phase, build func(Env, C) (Filter, error)) Type {
	return Type{
		Name:     name,
		Phase:    phase,
		Settings: func() any { return new(C) },
		Build: func(env Env, decode func(any) error) (Filter, error) {
			var settings C
			if err := decode(&settings); err != nil {
				return nil, err
			}
			return build(env, settings)
		},
	}
}

// Repeated marks a type of which every one written runs.
func (t Type) Repeated() Type {
	t.Repeat = true
	return t
}

// SettingError is a mistake in one setting. Key is its path below the filter: "allow[2]".
type SettingError struct {
	Key string
	Err error
}

// Setting is a SettingError in short.
func Setting(key, format string, args ...any) error {
	return &SettingError{Key: key, Err: fmt.Errorf(format, args...)}
}

func (e *SettingError) Error() string { return fmt.Sprintf("%s: %v", e.Key, e.Err) }
func (e *SettingError) Unwrap() error { return e.Err }

// Registry is the filters that this binary ships. It is a value handed to compile, never a global.
type Registry map[string]Type

// NewRegistry collects types; two of one name are a mistake of the programmer's and reported as such.
func NewRegistry(types ...Type) (Registry, error) {
	r := make(Registry, len(types))
	for _, t := range types {
		if _, twice := r[t.Name]; twice {
			return nil, fmt.Errorf("filter %q is registered twice", t.Name)
		}
		r[t.Name] = t
	}
	return r, nil
}

// Names are the registered names, sorted.
func (r Registry) Names() []string {
	names := make([]string, 0, len(r))
	for name := range r {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

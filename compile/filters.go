package compile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/snapshot"
)

// level is the filters written in one place: at the top, on a listener, or on a route.
type level struct {
	at    string // the path of the list: "filters", "listeners[0].filters"
	scope string // "", "listener/NAME", "route/NAME"
	route string
	items []item
}

// item is one filter of a level, built.
type item struct {
	config.Filter
	at     string
	typ    filter.Type
	placed filter.Placed
}

// level builds the filters of one place, each once.
func (k *compiler) level(at, scope, route string, list []config.Filter) level {
	l := level{at: at, scope: scope, route: route}
	seen := make(map[string]int)
	for i, f := range list {
		it := item{Filter: f, at: index(at, i)}
		var known bool
		if it.typ, known = k.Registry[f.Name]; !known {
			continue // config has said so: it knows the names
		}
		seen[f.Name]++
		if seen[f.Name] > 1 && (!it.typ.Repeat || f.Off) {
			k.errorf(it.at, "the filter %s is written twice here; only one can run", f.Name)
			continue
		}
		if !f.Off {
			it.placed = k.place(l, it, seen[f.Name])
		}
		l.items = append(l.items, it)
	}
	return l
}

// place makes the instance of a filter, or takes over the equal one of the snapshot before.
func (k *compiler) place(l level, it item, ordinal int) filter.Placed {
	name := it.Name
	if ordinal > 1 {
		name = fmt.Sprintf("%s#%d", it.Name, ordinal)
	}
	p := filter.Placed{Name: name, Scope: l.scope, Phase: it.typ.Phase}
	key := l.scope + "\x00" + name + "\x00" + it.Settings.Fingerprint()
	if p.Filter = k.carried(key); p.Filter == nil {
		p.Filter = k.build(l, it, name)
	}
	if p.Filter != nil {
		k.instances = append(k.instances, snapshot.Instance{Key: key, Filter: p.Filter})
	}
	if f, ok := p.Filter.(filter.Phaser); ok {
		p.Phase = f.Phase()
	}
	return p
}

func (k *compiler) carried(key string) filter.Filter {
	if k.Previous == nil {
		return nil
	}
	return k.Previous.Instance(key)
}

func (k *compiler) build(l level, it item, name string) filter.Filter {
	env := filter.Env{Scope: l.scope, Name: name, Route: l.route, Limiter: k.Limiter, Metrics: k.Metrics}
	f, err := it.typ.Build(env, func(settings any) error {
		if found := it.Settings.Decode(settings); found.HasErrors() {
			k.diagnostics = append(k.diagnostics, found...)
			return errReported
		}
		return nil
	})
	if err != nil {
		k.settingErrors(it.at+"."+it.Name, err)
		return nil
	}
	return f
}

// settingErrors reports what Build found wrong, each of those joined at its own key.
func (k *compiler) settingErrors(at string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			k.settingErrors(at, err)
		}
		return
	}
	if setting, ok := errors.AsType[*filter.SettingError](err); ok {
		k.errorf(at+"."+setting.Key, "%v", setting.Err)
	} else if err != nil && !errors.Is(err, errReported) {
		k.errorf(at, "%v", err)
	}
}

var errReported = errors.New("the mistakes in the settings have been reported")

// merge lays levels over each other, the widest first. A narrower filter replaces one of its name unless the type
// repeats, and `off` removes it.
func merge(levels ...level) []filter.Placed {
	var items []item
	for _, l := range levels {
		for _, it := range l.items {
			if it.Off || !it.typ.Repeat {
				items = slices.DeleteFunc(items, func(wider item) bool {
					return wider.Name == it.Name && wider.placed.Scope != l.scope
				})
			}
			if !it.Off && it.placed.Filter != nil {
				items = append(items, it)
			}
		}
	}
	placed := make([]filter.Placed, len(items))
	for i := range items {
		placed[i] = items[i].placed
	}
	return placed
}

// captureReader is a filter whose settings name segments of the route's pattern.
type captureReader interface{ Captures() []string }

// checkCaptures reports filters that name a segment which a pattern of the route does not bind.
func (k *compiler) checkCaptures(at string, placed []filter.Placed, bound []string) {
	for _, p := range placed {
		reader, ok := p.Filter.(captureReader)
		if !ok {
			continue
		}
		for _, name := range reader.Captures() {
			if !slices.Contains(bound, name) {
				k.errorf(at, "the filter %s names the captured segment {%s}, which this route's path does not bind", p.Name, name)
			}
		}
	}
}

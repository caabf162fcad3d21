package compile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/upstream"
)

// mirrored puts the mirror of a route before its end, if it has one. It stands behind translators: a copy is what the
// primary gets.
func (k *compiler) mirrored(c *config.Route, e end) end {
	if c.Mirror == nil || e.backend == nil {
		return e
	}
	m := c.Mirror
	key := "mirror/" + c.Name
	to := k.built[m.Service]
	e.backend = &backend.Mirror{
		Primary: e.backend, To: to, Percent: m.Percent, BodyBytes: int64(m.BodyBytes), Credentials: m.Credentials,
		Policy: &upstream.Policy{Timeout: m.Timeout, Retry: upstream.RetryPolicy{Attempts: 1}},
		Series: k.Metrics.Mirror(c.Name), Copies: k.copies(key),
	}
	e.words += fmt.Sprintf(", %g %% mirrored to %s", m.Percent, m.Service)
	e.services = append(e.services, to)
	return e
}

func (k *compiler) copies(key string) *backend.Copies {
	var copies *backend.Copies
	if k.Previous != nil {
		copies, _ = k.Previous.Part(key).(*backend.Copies)
	}
	if copies == nil {
		copies = backend.NewCopies()
	}
	k.parts = append(k.parts, snapshot.NamedPart{Key: key, Part: copies})
	return copies
}

// when compiles the conditions by which a side of a split takes requests whatever the weights.
func (k *compiler) when(at string, list []map[string]config.ValueMatch) []backend.When {
	var all []backend.When
	for i, bySelector := range list {
		var when backend.When
		for _, text := range slices.Sorted(maps.Keys(bySelector)) {
			here := config.PathTo(index(at, i), text)
			var c backend.Condition
			if err := c.Selector.UnmarshalText([]byte(text)); err != nil {
				k.errorf(here, "%v", err)
			}
			var err error
			if c.Fits, err = fits(bySelector[text]); err != nil {
				k.errorf(here, "%v", err)
			}
			when = append(when, c)
		}
		all = append(all, when)
	}
	return all
}

// fits is a condition on one value as a function of it.
func fits(v config.ValueMatch) (func(value string, found bool) bool, error) {
	switch {
	case v.Exact != nil:
		return func(value string, found bool) bool { return found && value == *v.Exact }, nil
	case v.Prefix != nil:
		return func(value string, found bool) bool { return found && strings.HasPrefix(value, *v.Prefix) }, nil
	case v.Suffix != nil:
		return func(value string, found bool) bool { return found && strings.HasSuffix(value, *v.Suffix) }, nil
	case v.Not != nil:
		return func(value string, found bool) bool { return !found || value != *v.Not }, nil
	case v.Regex != nil:
		re, err := regexp.Compile(*v.Regex)
		if err != nil {
			return nil, fmt.Errorf("the regular expression is malformed: %w", err)
		}
		return func(value string, found bool) bool { return found && re.MatchString(value) }, nil
	}
	present := v.Present == nil || *v.Present
	return func(_ string, found bool) bool { return found == present }, nil
}

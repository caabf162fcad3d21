package config

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// checker looks at what no single value can know: names, references, one key against another. It works on the decoded
// model and finds positions by path.
type checker struct {
	root  *node
	doc   *document
	found []finding

	listenerNames, serviceNames directory
	compared                    int // names that were compared in search of near ones
}

// directory is the names that a reference may mean.
type directory struct {
	kind  string // listener
	names []string
	known map[string]bool
}

func newDirectory(kind string, names []string) directory {
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	return directory{kind, names, known}
}

// check asks every question that needs the whole file. clean says that nothing was wrong with it so far.
func (c *Config) check(clean bool) []finding {
	k := &checker{
		root: c.root, doc: c.doc,
		listenerNames: newDirectory("listener", namesOf(c.Listeners, func(l Listener) string { return l.Name })),
		serviceNames:  newDirectory("service", namesOf(c.Services, func(s Service) string { return s.Name })),
	}
	k.listeners(c)
	for i := range c.Routes {
		k.route(&c.Routes[i], fmt.Sprintf("routes[%d]", i))
	}
	for i := range c.Services {
		k.service(&c.Services[i], fmt.Sprintf("services[%d]", i))
	}
	k.fallbacks(c)
	k.switches(c)
	k.overload(c)
	k.consumers(c)
	k.admin(c.Admin)
	k.names(c)
	if clean && len(k.found) == 0 {
		k.unusedServices(c) // a route with a mistake may be the one that uses it
	}
	return k.found
}

// normalize fills in what depends on other parts of the file.
func (c *Config) normalize() {
	if log := c.Telemetry.AccessLog; log != nil && log.To == "off" {
		c.Telemetry.AccessLog = nil
	}
	c.turn()
	if len(c.Listeners) != 1 {
		return
	}
	for i := range c.Routes {
		if len(c.Routes[i].Listeners) == 0 {
			c.Routes[i].Listeners = []string{c.Listeners[0].Name}
		}
	}
}

func (k *checker) add(severity Severity, path, hint, message string) {
	if len(k.found) > maxDiagnostics {
		return
	}
	f := belowNode(k.root, path, message, hint)
	f.Severity = severity
	k.found = append(k.found, f)
}

func (k *checker) errorAt(path, hint, message string) { k.add(Error, path, hint, message) }

// written reports whether a path stands in the file.
func (k *checker) written(path string) bool { return k.root.at(path) != nil }

// faulty reports whether the decoder found a mistake at a path or directly below it, so that what is missing there is no
// mistake of its own.
func (k *checker) faulty(path string) bool {
	n := k.root.at(path)
	return n != nil && (n.faulty || slices.ContainsFunc(n.items, func(item *node) bool { return item.faulty }))
}

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// names checks the form and the uniqueness of every name.
func (k *checker) names(c *Config) {
	check := func(kind, list string, names []string) {
		first := make(map[string]int, len(names))
		for i, name := range names {
			path := fmt.Sprintf("%s[%d].name", list, i)
			if name == "" {
				continue // missing, and reported as such
			}
			if !validName.MatchString(name) {
				k.errorAt(path, "letters, digits, `.`, `_` and `-`, at most 64 of them", fmt.Sprintf("`%s` is no name", clip(name)))
			}
			if j, twice := first[name]; twice {
				n, _ := k.root.nearest(fmt.Sprintf("%s[%d].name", list, j))
				k.errorAt(path, "", fmt.Sprintf("there are two %ss `%s`, the first at %s:%d", kind, clip(name),
					k.doc.files[n.pos.file].Name, n.pos.line))
				continue
			}
			first[name] = i
		}
	}
	check("listener", "listeners", k.listenerNames.names)
	check("route", "routes", namesOf(c.Routes, func(r Route) string { return r.Name }))
	check("service", "services", k.serviceNames.names)
	check("consumer", "consumers", namesOf(c.Consumers, func(c Consumer) string { return c.Name }))
}

func namesOf[T any](all []T, name func(T) string) []string {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = name(one)
	}
	return names
}

// maxCompared is how many names are compared in search of near ones: thousands against thousands would take seconds.
const maxCompared = 100_000

func listed(names []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(names))), ", ")
}

// reference checks that a name means something, unless one of those it might mean could not be read.
func (k *checker) reference(path, name string, d directory) {
	if name == "" || d.known[name] || d.known[""] || k.faulty(d.kind+"s") {
		return
	}
	message, hint := fmt.Sprintf("there is no %s `%s`", d.kind, clip(name)), ""
	near := ""
	if k.compared += len(d.names); k.compared <= maxCompared {
		near = nearName(name, d.names)
	}
	if near != "" {
		message += fmt.Sprintf(", did you mean `%s`?", near)
	} else if len(d.names) > 0 && len(d.names) <= 10 {
		hint = fmt.Sprintf("the %ss are %s", d.kind, listed(d.names))
	}
	k.errorAt(path, hint, message)
}

// consumers checks that no two share a key, and that groups can be told to a service in one field. The message names the
// consumers and never the key.
func (k *checker) consumers(c *Config) {
	owner := make(map[Secret]string)
	for i, consumer := range c.Consumers {
		for j, group := range consumer.Groups {
			if strings.ContainsFunc(group, func(r rune) bool { return r == ',' || r < ' ' || r == 0x7f }) {
				k.errorAt(fmt.Sprintf("consumers[%d].groups[%d]", i, j), "groups are sent to the service joined by commas",
					fmt.Sprintf("a group holds neither a comma nor a control character: %q", clip(group)))
			}
		}
		for j, credential := range consumer.Credentials {
			path := fmt.Sprintf("consumers[%d].credentials[%d].key", i, j)
			first, twice := owner[credential.Key]
			switch {
			case credential.Key == "":
			case twice && first == consumer.Name:
				k.errorAt(path, "keep one of the two", fmt.Sprintf("consumer `%s` has this key already", clip(first)))
			case twice:
				k.errorAt(path, "give each consumer a key of its own",
					fmt.Sprintf("consumer `%s` has the same key", clip(first)))
			default:
				owner[credential.Key] = consumer.Name
			}
		}
	}
}

func (k *checker) admin(a *Admin) {
	if a == nil || a.Address == "" {
		return
	}
	if _, err := parseAddress(a.Address); err != nil {
		k.errorAt("admin.address", "", err.Error())
		return
	}
	if a.Token == "" && !isLoopback(a.Address) {
		k.errorAt("admin.address", `set admin.token: "${ADMIN_TOKEN}", or listen on 127.0.0.1`,
			"beyond loopback the admin listener needs a token")
	}
}

// unusedServices warns of services that no route ends in and no other falls back to.
func (k *checker) unusedServices(c *Config) {
	used := make(map[string]bool)
	for _, r := range c.Routes {
		used[r.Service] = true
		for _, end := range r.Split {
			used[end.Service] = true
		}
		if r.Aggregate != nil {
			for _, call := range r.Aggregate.Calls {
				used[call.Service] = true
			}
		}
		if r.Mirror != nil {
			used[r.Mirror.Service] = true
		}
	}
	for _, s := range c.Switches {
		for _, name := range s.Services {
			used[name] = true
		}
	}
	for _, s := range c.Services {
		if b := s.CircuitBreaker; b != nil && b.Fallback != nil {
			used[b.Fallback.Service] = true
		}
	}
	for i, s := range c.Services {
		if s.Name != "" && !used[s.Name] {
			k.add(Warning, fmt.Sprintf("services[%d].name", i), "", fmt.Sprintf("no route uses the service `%s`", clip(s.Name)))
		}
	}
}

// parseMethod checks one element of a methods list (RFC 9110 section 9.1: methods are case-sensitive tokens).
func parseMethod(method string) error {
	upper := strings.ToUpper(method)
	switch {
	case !isToken(method):
		return fmt.Errorf("`%s` is no method", clip(method))
	case method != upper && slices.Contains(knownMethods, upper):
		return fmt.Errorf("methods are written in capitals: %s", upper)
	case method == http.MethodConnect || method == http.MethodTrace:
		return errors.New("the gateway answers CONNECT and TRACE with 405, so no route sees them")
	}
	return nil
}

var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodOptions, http.MethodConnect, http.MethodTrace,
}

// isToken is RFC 9110 section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r >= 0x7f || !plainKey(string(r)) && !strings.ContainsRune("!#$%&'*+.^`|~", r)
	})
}

// Package config is the model a person writes: one YAML or JSON file, or several merged, parsed strictly.
//
// Parse goes through five steps and reports the mistakes of all of them at once, each with its position:
//
//  1. document.go, json.go: bytes to a tree of nodes; aliases are expanded under a bound, tags and merge keys refused
//  2. merge.go: several files become one tree
//  3. substitute.go: ${NAME}, ${NAME:-default} and ${file:/path} inside scalar values
//  4. decode.go: the tree into the structs of the model, by reflection over their tags; defaults are filled in here
//  5. check*.go: what one value cannot know: names, references, addresses
//
// The tree is kept: compile asks for positions by path (Errorf, Warnf), filters decode their settings from it (Node),
// and the admin listener shows it without its secrets (Redacted). The JSON Schema and the reference page come from the
// same structs, tags and comments, so they cannot differ from what Parse accepts.
package config

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

//go:generate go run ./internal/gendoc

// Config is one gateway's configuration.
type Config struct {
	// The sockets that clients connect to. At least one.
	Listeners []Listener `yaml:"listeners"`

	// Filters on every route of every listener, and where no route matches.
	Filters []Filter `yaml:"filters"`

	// What requests match, and what happens to them. The most specific match wins, not the first.
	Routes []Route `yaml:"routes"`

	// The microservices behind the gateway.
	Services []Service `yaml:"services"`

	// Where the gateway is, such as `${ZONE:-}`: endpoints of the same `zone` are preferred, as long as enough of them take
	// requests. Empty: all are equally near.
	Zone string `yaml:"zone"`

	// Names for several services of which one is active.
	Switches []Switch `yaml:"switches"`

	// Named callers and their credentials.
	Consumers []Consumer `yaml:"consumers"`

	// When the gateway itself has too much to do. Absent: it never refuses for that.
	Overload *Overload `yaml:"overload"`

	// What the gateway says about itself.
	Telemetry Telemetry `yaml:"telemetry"`

	// The listener for operators: metrics, health, the running configuration. `off` for none.
	Admin *Admin `yaml:"admin" default:"{}" off:"true"`

	root *node
	doc  *document
}

// File is one file of the configuration.
type File struct {
	Name string // as shown in diagnostics; a name that ends in .json is parsed as JSON
	Data []byte // at most 16 MiB; more is refused unread
}

// Options are Parse's connections to the outside.
type Options struct {
	LookupEnv func(name string) (string, bool)  // nil: os.LookupEnv
	ReadFile  func(path string) ([]byte, error) // for ${file:path}, once for each path; nil: the file system
}

// Parse reads the files, in their order, as one configuration. It reports every mistake it finds, at most 1000, sorted by
// position. The Config is never nil and has every default filled in; it may run only if the diagnostics have no errors.
func Parse(files []File, o Options) (*Config, Diagnostics) {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = readBounded
	}
	c := &Config{doc: newDocument(files)}
	found, readable := c.read(o)
	d := &decoder{doc: c.doc, found: found, partial: !readable}
	d.value(c.root, reflect.ValueOf(c).Elem(), anyField)
	if readable {
		c.normalize()
		d.found = append(d.found, c.check(len(d.found) == 0)...)
	}
	return c, c.doc.finish(d.found)
}

// read makes the tree. readable says that nothing of it is missing, so that what is not there was not written.
func (c *Config) read(o Options) (found []finding, readable bool) {
	var roots []*node
	total := 0
	for i, f := range c.doc.files {
		if total += len(f.Data); total > maxTotalBytes {
			found = append(found, finding{position{int32(i), 1, 1}, Diagnostic{
				Message: fmt.Sprintf("the files together have more than the %d MiB that are read", maxTotalBytes>>20)}})
			break
		}
		root, mistakes := c.doc.parseFile(int32(i))
		found = append(found, mistakes...)
		if root != nil {
			roots = append(roots, root)
		}
	}
	var mistakes []finding
	c.root, mistakes = merge(c.doc, roots)
	readable = len(found) == 0 && len(mistakes) == 0
	s := &substituter{options: o, read: make(map[string]secretFile)}
	s.apply(c.root)
	found = append(append(found, mistakes...), s.found...)
	return found, readable
}

// Errorf makes an error at the node that path names, or at the nearest above it that was written.
func (c *Config) Errorf(path, format string, args ...any) Diagnostic {
	return c.diagnostic(Error, path, fmt.Sprintf(format, args...))
}

// Written reports whether a path stands in the file.
func (c *Config) Written(path string) bool { return c.root != nil && c.root.at(path) != nil }

// Warnf is Errorf for what may run all the same.
func (c *Config) Warnf(path, format string, args ...any) Diagnostic {
	return c.diagnostic(Warning, path, fmt.Sprintf(format, args...))
}

func (c *Config) diagnostic(severity Severity, path, message string) Diagnostic {
	f := belowNode(c.root, path, message, "")
	f.Severity = severity
	return c.doc.diagnostic(f)
}

// CheckFilters reports every filter whose name is not among those that this binary ships.
func (c *Config) CheckFilters(shipped []string) Diagnostics {
	var found []finding
	c.eachFilter(func(path string, f Filter) {
		if f.Name == "" || slices.Contains(shipped, f.Name) {
			return
		}
		message, hint := fmt.Sprintf("unknown filter `%s`", clip(f.Name)), ""
		if near := nearName(f.Name, shipped); near != "" {
			message += fmt.Sprintf(", did you mean `%s`?", near)
		} else {
			hint = "the filters are " + strings.Join(shipped, ", ")
		}
		m := belowNode(c.root, path, message, hint)
		m.Path = PathTo(path, f.Name)
		found = append(found, m)
	})
	return c.doc.finish(found)
}

// eachFilter visits every item of every filters list with its path.
func (c *Config) eachFilter(visit func(path string, f Filter)) {
	list := func(path string, filters []Filter) {
		for i, f := range filters {
			visit(fmt.Sprintf("%sfilters[%d]", path, i), f)
		}
	}
	list("", c.Filters)
	for i, l := range c.Listeners {
		list(fmt.Sprintf("listeners[%d].", i), l.Filters)
	}
	for i, r := range c.Routes {
		list(fmt.Sprintf("routes[%d].", i), r.Filters)
	}
}

// MarshalJSON writes the configuration as it was written, in the order of its keys, with substitutions made and secrets
// redacted. Call it after compile: only the decoding of a filter's settings tells which of them are secret.
func (c *Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.Redacted()) }

// Redacted is what MarshalJSON writes, as a value that marshals to it.
func (c *Config) Redacted() any { return shownNode{c.root} }

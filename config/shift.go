package config

import (
	"fmt"
	"slices"
	"time"
)

// Mirror sends copies of a route's requests to another service as well. Nobody waits for it, and its answers are thrown
// away. At most 100 copies of a route are in flight; those over it are dropped and counted. A copy is never retried.
type Mirror struct {
	// The service that gets the copies.
	Service string `yaml:"service" required:"true"`

	// The share of the requests that is copied.
	Percent float64 `yaml:"percent" default:"100" min:"0" max:"100"`

	// The largest body that is copied. A request with a larger one is not mirrored.
	BodyBytes Size `yaml:"bodyBytes" default:"64KiB" min:"0" max:"16MiB"`

	// The time until the answer of a copy begins. It may take as long again to end.
	Timeout time.Duration `yaml:"timeout" default:"5s" min:"1ms" max:"5m"`

	// Whether copies carry `Authorization`, `Cookie`, and keys: `apikey`, `Api-Key`, `X-Api-Key`, `X-Auth-Token`.
	Credentials bool `yaml:"credentials" default:"false"`
}

// Switch is one name for several services, of which one is active: blue/green. Routes name it as they name a service;
// turning it turns all of them at once. It is resolved when the file is read, so metrics and logs show the active service.
type Switch struct {
	// What routes call it. Shares its names with services.
	Name string `yaml:"name" required:"true"`

	// The services it chooses from. Those that are not active stay warm: their health is checked, their endpoints kept.
	Services []string `yaml:"services" required:"true"`

	// The one that gets the requests.
	Active string `yaml:"active" required:"true"`
}

// turn puts the active service in place of a switch wherever a route names one. A switch that is itself wrong stands for
// the first of its services, so that its mistake is told once and not at every route; and so does of two of one name the
// first, of a service and a switch the service.
func (c *Config) turn() {
	active := make(map[string]string, len(c.Switches))
	taken := make(map[string]bool, len(c.Services))
	for _, s := range c.Services {
		taken[s.Name] = true
	}
	for _, s := range c.Switches {
		if taken[s.Name] {
			continue
		}
		taken[s.Name] = true
		switch {
		case slices.Contains(s.Services, s.Active):
			active[s.Name] = s.Active
		case len(s.Services) > 0:
			active[s.Name] = s.Services[0]
		}
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		names := []*string{&r.Service}
		for j := range r.Split {
			names = append(names, &r.Split[j].Service)
		}
		if r.Mirror != nil {
			names = append(names, &r.Mirror.Service)
		}
		for _, name := range names {
			if to, ok := active[*name]; ok {
				*name = to
			}
		}
	}
}

func (k *checker) switches(c *Config) {
	first := make(map[string]int, len(c.Switches))
	for i, s := range c.Switches {
		path := fmt.Sprintf("switches[%d]", i)
		for j, name := range s.Services {
			k.reference(fmt.Sprintf("%s.services[%d]", path, j), name, k.serviceNames)
		}
		k.duplicates(path+".services", s.Services)
		if s.Active != "" && len(s.Services) > 0 && !slices.Contains(s.Services, s.Active) && !k.faulty(path+".services") {
			k.errorAt(path+".active", "it is one of "+listed(s.Services), fmt.Sprintf("`%s` is not among the switch's services", clip(s.Active)))
		}
		if s.Name == "" {
			continue // missing, and reported as such
		}
		if !validName.MatchString(s.Name) {
			k.errorAt(path+".name", "letters, digits, `.`, `_` and `-`, at most 64 of them", fmt.Sprintf("`%s` is no name", clip(s.Name)))
		}
		if k.serviceNames.known[s.Name] {
			k.errorAt(path+".name", "give one of them another name", fmt.Sprintf("there is a service `%s` too, and a route could mean either", clip(s.Name)))
		}
		if j, twice := first[s.Name]; twice {
			k.errorAt(path+".name", "", fmt.Sprintf("there are two switches `%s`, the first is switches[%d]", clip(s.Name), j))
			continue
		}
		first[s.Name] = i
	}
}

func (k *checker) mirror(r *Route, path string) {
	m := r.Mirror
	if m == nil {
		return
	}
	k.reference(path+".service", m.Service, k.serviceNames)
	if r.Service == "" && len(r.Split) == 0 {
		k.errorAt(path, "", "mirror stands beside service or split: there is nothing here to copy")
	}
	to := slices.ContainsFunc(r.Split, func(side SplitEnd) bool { return side.Service == m.Service })
	if m.Service != "" && (to || r.Service == m.Service) {
		k.errorAt(path+".service", "", fmt.Sprintf("the route sends its requests to `%s` already", clip(m.Service)))
	}
}

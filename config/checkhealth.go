package config

import (
	"fmt"
	"strings"
)

// resilience checks what keeps a failing service from taking its callers along.
func (k *checker) resilience(s *Service, path string) {
	k.healthCheck(s, path+".healthCheck")
	if s.CircuitBreaker != nil && s.CircuitBreaker.Fallback != nil {
		k.fallback(s, path+".circuitBreaker.fallback")
	}
	if c := s.Concurrency; c != nil && c.Max == 0 && !c.Adaptive && !k.faulty(path+".concurrency") {
		k.add(Warning, path+".concurrency", "set max, or adaptive: true", "nothing is limited here")
	}
}

// maxExpect is how many ranges of status codes a health check may expect.
const maxExpect = 8

func (k *checker) healthCheck(s *Service, path string) {
	h := s.HealthCheck
	if h == nil {
		return
	}
	for key, types := range map[string]string{"path": "http", "expect": "http", "host": "http grpc", "service": "grpc"} {
		if k.written(path+"."+key) && !strings.Contains(types, h.Type) {
			k.errorAt(path+"."+key, "remove it", fmt.Sprintf("a check of type %s has no %s", h.Type, key))
		}
	}
	switch {
	case h.Type == "grpc" && s.Protocol == "http1":
		k.errorAt(path+".type", "write protocol: grpc or http2", "a gRPC health check needs a service that speaks HTTP/2")
	case h.Type == "http" && s.Protocol == "grpc":
		k.add(Warning, path, "write type: grpc", "a gRPC server seldom answers a GET")
	}
	if h.Type == "http" && !k.faulty(path) {
		k.healthPath(h.Path, path+".path")
	}
	if strings.ContainsAny(h.Host, "/?#@\\ \t\r\n") {
		k.errorAt(path+".host", "", fmt.Sprintf("`%s` is no host", clip(h.Host)))
	}
	if len(h.Expect) > maxExpect {
		k.errorAt(path+".expect", "", fmt.Sprintf("at most %d ranges are looked at", maxExpect))
	}
	if h.Timeout > h.Interval && !k.faulty(path) {
		k.add(Warning, path, "", fmt.Sprintf("timeout (%s) is longer than interval (%s), so a silent endpoint is asked less often",
			shortDuration(h.Timeout), shortDuration(h.Interval)))
	}
}

func (k *checker) healthPath(p, path string) {
	visible := func(r rune) bool { return '!' <= r && r <= '~' }
	switch {
	case !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//"):
		k.errorAt(path, "", fmt.Sprintf("`%s` is no path: it begins with one slash", clip(p)))
	case strings.Contains(p, "#") || strings.ContainsFunc(p, func(r rune) bool { return !visible(r) }):
		k.errorAt(path, "encode it as %XX", fmt.Sprintf("`%s` holds a character that a request line cannot carry", clip(p)))
	}
}

func (k *checker) fallback(s *Service, path string) {
	f := s.CircuitBreaker.Fallback
	fixed := k.written(path+".status") || k.written(path+".body") || k.written(path+".headers")
	other := k.written(path + ".service")
	switch {
	case k.faulty(path):
	case fixed && other:
		k.errorAt(path+".service", "keep one of them", "a fallback is another service or a fixed answer, not both")
	case !fixed && !other && f.LastGood == 0:
		k.errorAt(path, "", "the fallback says nothing: write status, service or lastGood")
	case fixed && s.Protocol == "grpc":
		k.errorAt(path, "name a service", "a gRPC client cannot read a fixed answer")
	}
	k.reference(path+".service", f.Service, k.serviceNames)
}

// fallbacks checks where fallbacks lead: to a service that is spoken to alike, and never back.
func (k *checker) fallbacks(c *Config) {
	next, protocol, place := make(map[string]string), make(map[string]string), make(map[string]int)
	for i, s := range c.Services {
		if _, twice := place[s.Name]; twice || s.Name == "" {
			continue
		}
		place[s.Name], protocol[s.Name] = i, s.Protocol
		if b := s.CircuitBreaker; b != nil && b.Fallback != nil {
			next[s.Name] = b.Fallback.Service
		}
	}
	for i, s := range c.Services {
		to := next[s.Name]
		if _, known := place[to]; !known || place[s.Name] != i {
			continue
		}
		path := fmt.Sprintf("services[%d].circuitBreaker.fallback.service", i)
		if (s.Protocol == "grpc") != (protocol[to] == "grpc") {
			k.errorAt(path, "", fmt.Sprintf("`%s` speaks %s and `%s` %s, so one cannot stand in for the other",
				clip(s.Name), s.Protocol, clip(to), protocol[to]))
		}
		k.roundTrip(s.Name, path, next, place)
	}
}

// roundTrip tells of fallbacks that lead back to where they began, once: at the first service of those in the file.
func (k *checker) roundTrip(from, path string, next map[string]string, place map[string]int) {
	if next[from] == from {
		k.errorAt(path, "", "a service cannot be its own fallback")
		return
	}
	way, first := []string{clip(from)}, true
	for at := next[from]; at != "" && len(way) <= len(place); at = next[at] {
		way = append(way, clip(at))
		if at == from {
			if first {
				k.errorAt(path, "let one of them end it", "the fallbacks go round: "+strings.Join(way, ", "))
			}
			return
		}
		first = first && place[at] > place[from]
	}
}

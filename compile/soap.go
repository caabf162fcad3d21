package compile

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate"
	"github.com/sluice-gateway/sluice/backend/translate/soap"
	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/exchange"
)

// maxLeftOut is how many operations that cannot be translated are told one by one.
const maxLeftOut = 10

// soap makes the translator of a route between SOAP and JSON; nil, and the mistake reported, if it cannot be made.
func (k *compiler) soap(t *translation, c *config.Route) translate.Translator {
	s, at := t.config.SOAP, t.at+".soap"
	if t.protocol == "grpc" {
		k.errorf(at, "the service speaks gRPC; SOAP is carried by http1 or http2")
		return nil
	}
	if s.WSDL == "" {
		return nil
	}
	model, err := k.description(s.WSDL)
	if err != nil {
		k.errorf(at+".wsdl", "%v", err)
		return nil
	}
	for i, r := range model.Refused {
		if i == maxLeftOut {
			k.warnf(at+".wsdl", "%d more operations are left out", len(model.Refused)-i)
			break
		}
		k.warnf(at+".wsdl", "an operation is left out: %v", r)
	}
	if s.REST != nil {
		return k.soapToREST(at+".rest.operations", s, model)
	}
	port := k.soapPort(at+".port", s, model)
	if port == nil {
		return nil
	}
	prefix, segments := k.soapPrefix(c, t.at)
	o := soap.Options{
		Segments: segments, Path: k.soapPath(at, s, port), MessageBytes: int(s.MessageBytes), OpenAPI: t.config.OpenAPI,
		Headers: k.soapHeaders(at, s),
	}
	if u := s.UsernameToken; u != nil {
		o.Token = &soap.UsernameToken{Username: u.Username, Password: string(u.Password), Digest: u.Type == "digest", MustUnderstand: u.MustUnderstand}
	}
	if o.OpenAPI != "" {
		if o.Document, err = soap.OpenAPI(model.Name, port, prefix); err != nil {
			k.errorf(t.at+".openapi", "%v", err)
		}
	}
	return soap.NewFromJSON(port, o)
}

// description reads a file, or what is written in its place: XML begins with <, which no name of a file does.
func (k *compiler) description(text string) (*wsdl.Model, error) {
	if !strings.HasPrefix(strings.TrimSpace(text), "<") {
		return wsdl.Read(text, k.ReadFile)
	}
	const here = "the description"
	return wsdl.Read(here, func(name string) ([]byte, error) {
		if name == here {
			return []byte(text), nil
		}
		return k.ReadFile(name)
	})
}

// soapPort is the port that is called.
func (k *compiler) soapPort(at string, s *config.TranslateSOAP, m *wsdl.Model) *wsdl.Port {
	var names []string
	for _, p := range m.Ports {
		if len(p.Operations) > 0 && (s.Port == "" || s.Port == p.Name) {
			return p
		}
		names = append(names, p.Name)
	}
	k.errorf(at, "the description has no port %q with SOAP operations; it has %s", s.Port, strings.Join(names, ", "))
	return nil
}

// soapPath is where the service's endpoint is.
func (k *compiler) soapPath(at string, s *config.TranslateSOAP, p *wsdl.Port) string {
	path, place := s.Path, at+".path"
	if path == "" {
		place = at + ".wsdl"
		u, err := url.Parse(p.Address)
		if err != nil || p.Address == "" {
			k.errorf(place, "the port %s has no address to take the path from; write path: /the/endpoint", p.Name)
			return "/"
		}
		if path = u.EscapedPath(); path == "" {
			path = "/"
		}
		if u.RawQuery != "" {
			path += "?" + u.RawQuery
		}
	}
	bare, query, hasQuery := strings.Cut(path, "?")
	bare, err := exchange.CanonicalPath(bare)
	if err != nil {
		k.errorf(place, "the endpoint's path %q is not valid", path)
		return "/"
	}
	if hasQuery {
		bare += "?" + query
	}
	return bare
}

// soapPrefix is the part of the path that is the route's own, and how many segments it has: the operation follows it.
func (k *compiler) soapPrefix(c *config.Route, at string) (prefix string, segments int) {
	segments = -1
	for i := range c.Match {
		pattern := "/*"
		if c.Match[i].Path != nil {
			pattern = c.Match[i].Path.Pattern
		}
		own, below := strings.CutSuffix(pattern, "/*")
		n := strings.Count(own, "/")
		switch {
		case !below:
			k.errorf(at, "the operations are below the route's path: match one that ends with /*, not %q", pattern)
			return "", 0
		case segments >= 0 && n != segments:
			k.errorf(at, "the operations are below the route's path: all its matches need equally many segments")
			return "", 0
		}
		if segments < 0 {
			prefix, segments = own, n
		}
	}
	return prefix, max(segments, 0)
}

func (k *compiler) soapHeaders(at string, s *config.TranslateSOAP) []string {
	var headers []string
	for i, h := range s.Headers {
		if err := soap.CheckHeader(string(h)); err != nil {
			k.errorf(index(at+".headers", i), "%v", err)
		}
		headers = append(headers, string(h))
	}
	return headers
}

func (k *compiler) soapToREST(at string, s *config.TranslateSOAP, m *wsdl.Model) translate.Translator {
	operations := make(map[string]*wsdl.Operation)
	ports := m.Ports
	if s.Port != "" {
		p := k.soapPort(strings.TrimSuffix(at, ".rest.operations")+".port", s, m)
		if p == nil {
			return nil
		}
		ports = []*wsdl.Port{p}
	}
	for _, p := range ports {
		for _, o := range p.Operations {
			operations[o.Name] = o
		}
	}
	mappings := make(map[string]*soap.Mapping)
	for _, name := range slices.Sorted(maps.Keys(s.REST.Operations)) {
		o, op := s.REST.Operations[name], operations[name]
		if op == nil {
			k.errorf(at+"."+name, "the description has no operation %q; it has %s", name, someOf(slices.Sorted(maps.Keys(operations))))
			continue
		}
		mapping, err := soap.NewMapping(op, o.Method, o.Path, o.Body, o.Answer)
		if err != nil {
			k.errorf(fmt.Sprintf("%s.%s.%s", at, name, err.Key), "%s", err.Reason)
			continue
		}
		mappings[name] = mapping
	}
	return soap.NewToREST(m, ports, mappings, int(s.MessageBytes))
}

func someOf(names []string) string {
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

package compile

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/upstream"
)

// end is what a route ends in, also in words, and the services that it may ask.
type end struct {
	backend  backend.Backend
	words    string
	services []*upstream.Service
}

// expected is the service that most of its requests are for: the only one, or the first.
func (e end) expected() string {
	if len(e.services) == 0 || e.services[0] == nil { // one that does not exist was reported
		return ""
	}
	return e.services[0].Name()
}

// end compiles the one end of a route; config has made sure that there is exactly one.
func (k *compiler) end(at string, c *config.Route, matches []match) end {
	switch {
	case c.Service != "":
		b := k.toService(c.Service, k.policy(c))
		return end{b, "service " + c.Service, []*upstream.Service{b.Upstream}}
	case len(c.Split) > 0:
		return k.split(at, c)
	case c.Aggregate != nil:
		return k.aggregate(at+".aggregate", c, matches)
	case c.Batch != nil:
		return end{backend: k.batch(at+".batch", c), words: fmt.Sprintf("batch of up to %d requests", c.Batch.Requests)}
	case c.Respond != nil:
		return end{backend: k.respond(at+".respond", c.Respond), words: fmt.Sprintf("respond %d", c.Respond.Status)}
	case c.Redirect != nil:
		return end{backend: k.redirect(at+".redirect", c.Redirect, matches), words: fmt.Sprintf("redirect %d", c.Redirect.Status)}
	}
	return end{}
}

// toService is one object for all routes that ask a service in the same way: what every request reads stays in the cache.
func (k *compiler) toService(name string, p *upstream.Policy) *backend.Service {
	way := way{name, p}
	if b := k.ways[way]; b != nil {
		return b
	}
	b := &backend.Service{Upstream: k.built[name], Policy: p, Affinity: k.affinities[name]}
	k.ways[way] = b
	return b
}

// way is a service, and how it is asked.
type way struct {
	service string
	policy  *upstream.Policy
}

func (k *compiler) split(at string, c *config.Route) end {
	policy := k.policy(c)
	s := new(backend.Split)
	var e end
	total := 0
	var shares []string
	for i, side := range c.Split {
		b := k.toService(side.Service, policy)
		when := k.when(index(at+".split", i)+".when", side.When)
		s.Sides = append(s.Sides, backend.Side{Service: b, Weight: side.Weight, When: when})
		e.services = append(e.services, b.Upstream)
		shares = append(shares, fmt.Sprintf("%s %d", side.Service, side.Weight))
		total += side.Weight
	}
	e.words = "split " + strings.Join(shares, " : ")
	if c.StickyBy != "" {
		e.words += ", sticky by " + c.StickyBy
	}
	if total == 0 {
		k.errorf(at+".split", "the weights add up to 0, so no service would get a request")
	}
	if c.StickyBy != "" {
		s.StickyBy = new(exchange.Selector)
		if err := s.StickyBy.UnmarshalText([]byte(c.StickyBy)); err != nil {
			k.errorf(at+".stickyBy", "%v", err)
		}
	}
	e.backend = s
	return e
}

func (k *compiler) respond(at string, c *config.Respond) *backend.Respond {
	r := &backend.Respond{Status: c.Status, Body: c.Body, Header: make(http.Header, len(c.Headers)+1)}
	for name, value := range c.Headers {
		here := at + ".headers." + name
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			k.errorf(here, "%q is not a valid header name", name)
		case !httpguts.ValidHeaderFieldValue(value):
			k.errorf(here, "the value holds a character that a header cannot carry")
		case isFraming(name):
			k.errorf(here, "%s is set by the gateway from the body", name)
		}
		r.Header.Set(name, value)
	}
	if c.Body != "" && (c.Status == http.StatusNoContent || c.Status == http.StatusNotModified) {
		k.errorf(at+".body", "an answer with status %d has no body", c.Status)
	}
	if c.Body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	return r
}

func isFraming(name string) bool {
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "connection", "trailer", "upgrade", "keep-alive":
		return true
	}
	return false
}

func (k *compiler) redirect(at string, c *config.Redirect, matches []match) *backend.Redirect {
	r := &backend.Redirect{Scheme: c.Scheme, Host: c.Host, Path: c.Path, Status: c.Status}
	if c.Port != 0 {
		r.Port = strconv.Itoa(c.Port)
	}
	if c.Scheme == "" && c.Host == "" && c.Port == 0 && c.Path == "" {
		k.errorf(at, "name at least one of scheme, host, port and path, or the client is sent where it came from")
	}
	if c.Host != "" {
		if _, port, err := exchange.CanonicalHost(c.Host); err != nil || port != "" {
			k.errorf(at+".host", "write a host name without a port, which has its own key")
		}
	}
	k.redirectPath(at+".path", r, matches)
	return r
}

// redirectPath checks that what the target takes from the request is there to be taken, in every match of the route.
func (k *compiler) redirectPath(at string, r *backend.Redirect, matches []match) {
	if r.Path == "" {
		return
	}
	literal, rest := strings.CutSuffix(r.Path, "/*")
	if _, err := exchange.CanonicalPath(exchange.ExpandCaptures(literal, nil) + "/"); err != nil || r.Path[0] != '/' {
		k.errorf(at, "a path begins with / and holds no query, fragment or dot segments above the root")
	}
	for i, m := range matches {
		prefix, isPrefix := strings.CutSuffix(m.rule.Path.Pattern, "/*")
		if rest && !isPrefix {
			k.errorf(at, "/* stands for the rest of the path, but the route's path %q has no /* to take it from", m.rule.Path.Pattern)
		}
		if rest && i > 0 && prefix != r.Prefix || rest && strings.Contains(prefix, "{") {
			k.errorf(at, "/* needs the same path without captures in every match of the route; make one route for each")
		}
		r.Prefix = prefix
		for _, name := range exchange.CaptureNames(r.Path) {
			if !slices.Contains(m.captures, name) {
				k.errorf(at, "{%s} is not bound by the route's path %q", name, m.rule.Path.Pattern)
			}
		}
	}
}

// policy is the route's timeouts and retries: the same object as another route's that are equal, among the first few.
func (k *compiler) policy(c *config.Route) *upstream.Policy {
	p := newPolicy(c)
	for _, known := range k.policies {
		if reflect.DeepEqual(known, p) {
			return known
		}
	}
	if len(k.policies) < maxPolicies {
		k.policies = append(k.policies, p)
	}
	return p
}

// maxPolicies bounds what each route's policy is compared with.
const maxPolicies = 32

func newPolicy(c *config.Route) *upstream.Policy {
	p := &upstream.Policy{Timeout: c.Timeout, Retry: upstream.RetryPolicy{Attempts: 1}}
	if h := c.Hedge; h != nil {
		p.Hedge = &upstream.HedgePolicy{After: h.After, Quantile: h.Quantile}
	}
	if c.Retry == nil {
		return p
	}
	r := c.Retry
	p.Retry = upstream.RetryPolicy{
		Attempts: r.Attempts, PerAttempt: r.PerAttempt, Methods: r.Methods, BodyBytes: int64(r.BodyBytes),
		BackoffBase: r.Backoff.Base, BackoffMax: r.Backoff.Max,
	}
	for _, on := range r.On {
		addCondition(&p.Retry, on)
	}
	return p
}

func addCondition(p *upstream.RetryPolicy, on config.RetryCondition) {
	switch on {
	case config.OnConnectFailure:
		p.ConnectFailure = true
	case config.OnReset:
		p.Reset = true
	case config.OnTimeout:
		p.Timeout = true
	case config.On5xx:
		p.Statuses = append(p.Statuses, upstream.StatusRange{From: 500, To: 599})
	default:
		if status := on.Status(); status != 0 {
			p.Statuses = append(p.Statuses, upstream.StatusRange{From: status, To: status})
		} else {
			p.GRPCStatuses = append(p.GRPCStatuses, on.GRPC())
		}
	}
}

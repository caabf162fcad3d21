package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/route"
	"github.com/sluice-gateway/sluice/snapshot"
)

type explainCommand struct {
	File     string   `arg:"" help:"The configuration."`
	Method   string   `arg:"" help:"GET, POST, …"`
	URL      string   `arg:"" name:"url" help:"A path, or a whole URL."`
	Header   []string `short:"H" sep:"none" placeholder:"NAME: VALUE" help:"A header field of the request; may be repeated."`
	ClientIP string   `default:"127.0.0.1" help:"The client's address."`
	Listener string   `help:"The listener it arrives at. Default: the first one that has a route for it."`
	Format   string   `enum:"text,json" default:"text" help:"text or json."`
}

// explanation is what explain prints; its JSON form is for programs.
type explanation struct {
	Listener  string            `json:"listener"`
	Request   string            `json:"request"`
	Canonical string            `json:"canonicalPath"`
	Outcome   string            `json:"outcome"` // found | notFound | methodNotAllowed
	Route     string            `json:"route,omitempty"`
	Why       string            `json:"why,omitempty"`
	Captures  map[string]string `json:"captures,omitempty"`
	Allow     []string          `json:"allow,omitempty"`
	Filters   []explainedFilter `json:"filters"`
	End       string            `json:"end,omitempty"`
	Services  []explainedTarget `json:"services,omitempty"`
	Others    []explainedRoute  `json:"others,omitempty"`
}

// explainedRoute is a route that does not take the request, and why.
type explainedRoute struct {
	Route string `json:"route"`
	Why   string `json:"why"`
}

type explainedFilter struct {
	Phase string `json:"phase"`
	Name  string `json:"name"`
	From  string `json:"from"` // top, listener/NAME or route/NAME
}

type explainedTarget struct {
	Service   string   `json:"service"`
	Endpoints []string `json:"endpoints"`
	Discovery string   `json:"discovery,omitempty"` // who says where the endpoints are, while a gateway runs; nobody is asked here
}

func (c *explainCommand) Run(to console) error {
	s, found := load(c.File)
	if found.HasErrors() {
		_ = found.Print(to.Err)
		return errSaid
	}
	x, err := c.exchange()
	if err != nil {
		return err
	}
	l, err := c.listener(s, x)
	if err != nil {
		return err
	}
	e := explain(l, x)
	e.Request = c.Method + " " + c.URL
	if c.Format == "json" {
		return writeJSON(to, e)
	}
	return e.print(to.Out)
}

// exchange is the request as it would stand before the table.
func (c *explainCommand) exchange() (*exchange.Exchange, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, usageError("the URL cannot be read: " + err.Error())
	}
	client, err := netip.ParseAddr(c.ClientIP)
	if err != nil {
		return nil, usageError("--client-ip: " + err.Error())
	}
	header, err := parseHeaders(c.Header)
	if err != nil {
		return nil, err
	}
	host := header.Get("Host")
	if u.Host != "" {
		host = u.Host
	}
	header.Del("Host")
	x := &exchange.Exchange{Client: client, Start: time.Now(), Scheme: "http"}
	if u.Scheme == "https" {
		x.Scheme = "https"
	}
	x.In = &http.Request{Method: strings.ToUpper(c.Method), URL: u, Host: host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if x.Host, x.Port, err = exchange.CanonicalHost(host); err != nil {
		return nil, fmt.Errorf("the gateway refuses this request: %w", err)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if x.Path, err = exchange.CanonicalPath(path); err != nil {
		return nil, fmt.Errorf("the gateway refuses this request: %w", err)
	}
	return x, nil
}

func parseHeaders(lines []string) (http.Header, error) {
	h := make(http.Header)
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usageError(fmt.Sprintf("-H %q: write NAME: VALUE", line))
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}

// listener is the one named; else the first with a route for the request; else the first.
func (c *explainCommand) listener(s *snapshot.Snapshot, x *exchange.Exchange) (*snapshot.Listener, error) {
	if c.Listener != "" {
		if l := s.Listener(c.Listener); l != nil {
			return l, nil
		}
		return nil, usageError(fmt.Sprintf("there is no listener %q; there are: %s", c.Listener, listenerNames(s)))
	}
	for _, l := range s.Listeners {
		if _, outcome := l.Table.Match(x); outcome == route.Found {
			return l, nil
		}
	}
	return s.Listeners[0], nil
}

func listenerNames(s *snapshot.Snapshot) string {
	var names []string
	for _, l := range s.Listeners {
		names = append(names, l.Name)
	}
	return strings.Join(names, ", ")
}

func explain(l *snapshot.Listener, x *exchange.Exchange) explanation {
	e := explanation{Listener: l.Name, Canonical: x.Path, Filters: []explainedFilter{}}
	reasons := l.Table.Explain(x)
	r, outcome := l.Table.Match(x)
	pipeline := l.Unmatched
	switch outcome {
	case route.Found:
		e.Outcome = "found"
		pipeline = r.Pipeline
		e.describe(r, x)
	case route.MethodNotAllowed:
		e.Outcome = "methodNotAllowed"
		e.Allow = l.Table.Allowed(x)
	default:
		e.Outcome = "notFound"
	}
	for _, reason := range reasons {
		if reason.Won {
			e.Why = reason.Text
		} else {
			e.Others = append(e.Others, explainedRoute{reason.Name, reason.Text})
		}
	}
	for _, f := range pipeline.Placed() {
		from := f.Scope
		if from == "" {
			from = "top"
		}
		e.Filters = append(e.Filters, explainedFilter{Phase: f.Phase.String(), Name: f.Name, From: from})
	}
	return e
}

func (e *explanation) describe(r *snapshot.Route, x *exchange.Exchange) {
	e.Route = r.Name
	e.End = r.End
	for _, c := range x.Captures {
		if e.Captures == nil {
			e.Captures = make(map[string]string)
		}
		e.Captures[c.Name] = c.Value
	}
	for _, svc := range r.Services {
		target := explainedTarget{Service: svc.Name(), Endpoints: []string{}}
		if d := svc.Discovery(); d != nil {
			target.Discovery = d.Source
		}
		for _, endpoint := range svc.Endpoints() {
			target.Endpoints = append(target.Endpoints, fmt.Sprintf("%s (weight %d)", endpoint.Address(), endpoint.Weight()))
		}
		e.Services = append(e.Services, target)
	}
}

func (e *explanation) print(w io.Writer) error {
	var b strings.Builder
	row := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	row("request", "%s", e.Request)
	row("path", "%s", e.Canonical)
	row("listener", "%s", e.Listener)
	switch e.Outcome {
	case "found":
		row("route", "%s", e.Route)
		row("", "%s", e.Why)
	case "methodNotAllowed":
		row("route", "none: 405, Allow: %s", strings.Join(e.Allow, ", "))
	default:
		row("route", "none: 404")
	}
	for _, name := range slices.Sorted(maps.Keys(e.Captures)) {
		row("", "{%s} = %s", name, e.Captures[name])
	}
	label := "filters"
	for _, f := range e.Filters {
		row(label, "%-13s %-18s from %s", f.Phase, f.Name, f.From)
		label = ""
	}
	if len(e.Filters) == 0 {
		row("filters", "none")
	}
	if e.End != "" {
		row("end", "%s", e.End)
	}
	for _, t := range e.Services {
		if t.Discovery != "" {
			row("service", "%s: found by %s", t.Service, t.Discovery)
			continue
		}
		row("service", "%s: %s", t.Service, strings.Join(t.Endpoints, ", "))
	}
	label = "others"
	for _, o := range e.Others {
		row(label, "%s: %s", o.Route, o.Why)
		label = ""
	}
	_, err := io.WriteString(w, b.String())
	return err
}

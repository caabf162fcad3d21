package load

import (
	"fmt"
	"strings"
)

// Probe is a request, and the route that must take it.
type Probe struct {
	Method, Host, Path string
	Route              string
}

// Routes writes n routes as a large gateway has them: 200 hosts, wildcard hosts and none; exact paths, captures and
// prefixes; some by method. Each ends in the service named origin and tells it its name in X-Route. With each route
// comes a request that it must take.
func Routes(n int) (yaml string, probes []Probe) {
	var b strings.Builder
	b.WriteString("routes:\n")
	probes = make([]Probe, n)
	for i := range n {
		hosts, p := hostOf(i)
		pattern, methods := pathOf(i, &p)
		fmt.Fprintf(&b, "  - {name: %s, %smatch: {path: '%s'%s}, filters: [requestHeaders: {set: {x-route: %s}}], service: origin}\n",
			p.Route, hosts, pattern, methods, p.Route)
		probes[i] = p
	}
	return b.String(), probes
}

func hostOf(i int) (hosts string, p Probe) {
	p = Probe{Method: "GET", Route: fmt.Sprint("r", i)}
	switch i % 50 {
	case 0:
		p.Host = fmt.Sprintf("a.b.w%d.example.net", i%400)
		return fmt.Sprintf("hosts: ['*.w%d.example.net'], ", i%400), p
	case 1:
		p.Host = "elsewhere.example.org"
		return "", p
	default:
		p.Host = fmt.Sprintf("api%d.example.com", i%200)
		return fmt.Sprintf("hosts: [%s], ", p.Host), p
	}
}

func pathOf(i int, p *Probe) (pattern, methods string) {
	switch i / 200 % 10 {
	case 0, 1, 2:
		p.Path = fmt.Sprintf("/v1/service%d/items", i)
		return p.Path, ""
	case 3, 4:
		p.Path = fmt.Sprintf("/v1/service%d/items/%d", i, i*7)
		return fmt.Sprintf("/v1/service%d/items/{id}", i), ""
	case 5:
		p.Path = fmt.Sprintf("/v1/service%d/wheel/%d/parts", i, i*7)
		return fmt.Sprintf("/v1/service%d/{kind}/{id}/parts", i), ""
	case 6, 7:
		p.Path = fmt.Sprintf("/static/bundle%d/css/site.css", i)
		return fmt.Sprintf("/static/bundle%d/*", i), ""
	default:
		p.Method, p.Path = "POST", fmt.Sprintf("/v2/service%d/orders", i)
		return p.Path, ", methods: [POST]"
	}
}

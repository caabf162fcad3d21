package backend

import (
	"context"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
)

// Redirect sends the client elsewhere. What is empty stays as the client asked for it; the query always does.
type Redirect struct {
	Scheme, Host, Port string
	Path               string // {name} is a captured segment; a trailing /* is the rest of the path behind the route's own /*
	Prefix             string // the route's path without its /*, what the rest is counted from
	Status             int    // 301, 302, 303, 307 or 308
}

func (*Redirect) Forwards() bool { return false }

func (b *Redirect) Answer(_ context.Context, x *exchange.Exchange) error {
	header := http.Header{"Location": {b.location(x)}}
	x.Response = &http.Response{StatusCode: b.Status, Header: header, Body: http.NoBody}
	return nil
}

// location is absolute as soon as scheme, host or port change; otherwise a path, which no wrong guess of ours about
// the outside world can spoil. The canonical path never begins with two slashes, so it cannot name another host.
func (b *Redirect) location(x *exchange.Exchange) string {
	location := b.path(x)
	if x.In.URL.RawQuery != "" {
		location += "?" + x.In.URL.RawQuery
	}
	if b.Scheme == "" && b.Host == "" && b.Port == "" {
		return location
	}
	return b.authority(x) + location
}

func (b *Redirect) authority(x *exchange.Exchange) string {
	scheme, host, port := b.Scheme, b.Host, b.Port
	if scheme == "" {
		scheme = x.Scheme
	}
	if host == "" {
		host = x.Host
	}
	if port == "" && b.Host == "" && b.Scheme == "" {
		port = x.Port
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return scheme + "://" + host
	}
	return scheme + "://" + host + ":" + port
}

func (b *Redirect) path(x *exchange.Exchange) string {
	if b.Path == "" {
		return x.Path
	}
	path, rest := strings.CutSuffix(b.Path, "/*")
	path = exchange.ExpandCaptures(path, x.Captures)
	if rest {
		path += strings.TrimPrefix(x.Path, b.Prefix)
	}
	if path == "" {
		return "/"
	}
	return path
}

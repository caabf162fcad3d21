package proxy

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// outgoing is the memory of Out, used again for the next request. Transports that go on reading a request after they
// have returned take a copy.
type outgoing struct {
	request http.Request
	url     url.URL
	header  http.Header
}

// makeOut makes the request that will be forwarded. Its path stands in URL.Opaque: canonical, and written as it is.
// Out of line: decision 014.
//
//go:noinline
func (l *life) makeOut(ctx context.Context) error {
	x, out := l.x, &l.out
	in := x.In
	if loops(in.Header) > maxLoops {
		return &failure.Error{Kind: failure.ProxyLoopDetected, Detail: "The request has come through here too often."}
	}
	if out.header == nil {
		out.header = make(http.Header) // one group of a Go map as long as eight fields do; grown once, it stays so
	}
	clear(out.header)
	copyFields(out.header, in.Header, x.Trusted)
	if l.route.Lines && !l.pipeline.Transforms() && !x.Trusted && in.Header["Via"] == nil {
		x.Forwarding = l.forwarding()
	} else {
		l.setForwarding(out.header)
	}
	if te := in.Header["Te"]; te != nil && httpguts.HeaderValuesContainsToken(te, "trailers") {
		out.header["Te"] = trailersOnly
	}
	if l.route.Lines && x.Relays {
		x.Reads = l.pipeline.Reads()
	}
	u, r := &out.url, &out.request
	*u, *r = url.URL{}, http.Request{} // and field by field: literals would be made beside them and copied
	u.Opaque, u.RawQuery, u.ForceQuery = x.Path, in.URL.RawQuery, in.URL.ForceQuery
	r.Method, r.URL, r.Host, r.Header = in.Method, u, in.Host, out.header
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.Body, r.ContentLength = in.Body, in.ContentLength
	x.Out = r
	l.announceTrailers()
	if b, ok := l.route.Backend.(backend.OutPreparer); ok {
		b.PrepareOut(x)
	}
	return l.pipeline.Out(ctx, x)
}

var trailersOnly = []string{"trailers"}

// announceTrailers names the trailers that the client announced and that may pass; their values come with the body's end.
func (l *life) announceTrailers() {
	if l.body == nil || len(l.x.In.Trailer) == 0 {
		return
	}
	to := make(http.Header, len(l.x.In.Trailer))
	for name := range l.x.In.Trailer {
		if !drops(name, l.x.Trusted) && fateOf(name) == pass {
			to[name] = nil
		}
	}
	l.body.from, l.body.to = l.x.In.Trailer, to
	l.x.Out.Trailer = to
}

// checkOut holds what the filters made of the request to the rule that held for the one received: one canonical path,
// and a host that is one.
func checkOut(x *exchange.Exchange) error {
	path, query, hasQuery := strings.Cut(x.Out.URL.Opaque, "?")
	if hasQuery {
		x.Out.URL.RawQuery = query
	}
	path, err := exchange.CanonicalPath(path)
	if err != nil {
		return &failure.Error{Kind: failure.ProxyConfiguration, Status: http.StatusBadRequest, Detail: "The rewritten path is not valid.", Err: err}
	}
	x.Out.URL.Opaque = path
	return nil
}

package health

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-gateway/sluice/upstream/transport"
)

// NewProbe makes the probe of one endpoint: o is how the service connects to it, scheme and host are what a request's
// URL says. Each check makes a connection and closes it: what a kept one can tell is that it was once accepted.
func NewProbe(s *Settings, o transport.Options, scheme, host string) Probe {
	o.Max, o.MaxIdle, o.Pending = 0, 0, 0
	o.ConnectTimeout = s.Timeout
	if s.Type == TCP {
		connect := transport.NewConnector(o)
		return func(ctx context.Context) error { return connect.Try(ctx) }
	}
	t := transport.New(o)
	t.CloseIdle() // from now on a connection is closed when it has carried its request
	to := asker{transport: t, url: url.URL{Scheme: scheme, Host: host}, host: host}
	if s.Host != "" {
		to.host = s.Host
	}
	if s.Type == GRPC {
		return to.grpc(s.Service)
	}
	return to.http(s.Path, s.Expect)
}

// asker sends requests to one endpoint.
type asker struct {
	transport transport.Transport
	url       url.URL
	host      string
}

// ask sends a request and returns its answer, whose body must be closed.
func (a *asker) ask(ctx context.Context, r *http.Request) (*http.Response, error) {
	trip := transport.Trip{Request: r}
	trip.AnswerBy, _ = ctx.Deadline()
	return a.transport.RoundTrip(ctx, &trip)
}

func (a *asker) request(method, path string) *http.Request {
	target := a.url
	target.Opaque, target.RawQuery, _ = strings.Cut(path, "?")
	return &http.Request{
		Method: method, URL: &target, Host: a.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"sluice health check"}}, Body: http.NoBody,
	}
}

// http asks for a path. A redirect is an answer like any other.
func (a *asker) http(path string, expect Statuses) Probe {
	return func(ctx context.Context) error {
		res, err := a.ask(ctx, a.request("GET", path))
		if err != nil {
			return err
		}
		res.Body.Close() // unread: what it says is nobody's business, and how long it is neither
		if !expect.Has(res.StatusCode) {
			return fmt.Errorf("it answered %d", res.StatusCode)
		}
		return nil
	}
}

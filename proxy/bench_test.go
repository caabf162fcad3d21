package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/route"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
)

// answering is a backend that costs nothing, so that what is measured is the life around it.
type answering struct{ response http.Response }

func (*answering) Forwards() bool { return true }

func (b *answering) Answer(_ context.Context, x *exchange.Exchange) error {
	x.Response = &b.response
	return nil
}

type discard struct{}

func (discard) Inform(int, http.Header) error { return nil }
func (discard) Write(*http.Response) error    { return nil }
func (discard) Abort()                        {}
func (discard) Written() int64                { return 0 }

// BenchmarkServe is a GET with four fields through one route without filters: everything but the two engines.
func BenchmarkServe(b *testing.B) {
	r := &snapshot.Route{
		Name: "all", Listener: "public", Pipeline: filter.NewPipeline(nil), Stats: telemetry.NewRouteSeries("public", "all"),
		Backend: &answering{http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{
			"Content-Type": {"application/json"}, "Server": {"origin"}, "Date": {"now"},
		}}},
	}
	table, mistakes := route.Build([]route.Rule[*snapshot.Route]{{Name: "all", Path: route.Path{Pattern: "/*"}, Value: r}})
	if len(mistakes) > 0 {
		b.Fatal(mistakes[0])
	}
	s := &snapshot.Snapshot{Listeners: []*snapshot.Listener{{
		Name: "public", Table: table, Unmatched: filter.NewPipeline(nil),
		Series: telemetry.NewListenerSeries("public"), UnmatchedStats: telemetry.NewRouteSeries("public", ""),
	}}}
	s.Seal(nil)
	server := &Server{Snapshots: new(snapshot.Holder), Log: slog.New(slog.DiscardHandler)}
	server.Snapshots.Swap(s)
	in := &http.Request{
		Method: "GET", URL: &url.URL{Path: "/small"}, RequestURI: "/small", Host: "127.0.0.1:8080",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
		Header: http.Header{"Accept": {"*/*"}, "User-Agent": {"bench"}, "Accept-Encoding": {"gzip"}, "X-Tenant": {"one"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		x := Acquire()
		x.In, x.Peer, x.PeerText, x.Listener, x.Start = in, netip.MustParseAddrPort("127.0.0.1:5000"), "127.0.0.1", "public", time.Now()
		server.Serve(context.Background(), x, discard{})
		Release(x)
	}
}

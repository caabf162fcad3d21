package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/compile"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/filter/all"
	"github.com/sluice-gateway/sluice/proxy"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/store/memory"
	"github.com/sluice-gateway/sluice/telemetry"
)

// hook is a filter of which each test says what it does.
type hook struct {
	request, response func(context.Context, *exchange.Exchange) error
	finish            func(*exchange.Exchange)
}

func (h *hook) OnRequest(ctx context.Context, x *exchange.Exchange) error {
	if h.request == nil {
		return nil
	}
	return h.request(ctx, x)
}

func (h *hook) OnResponse(ctx context.Context, x *exchange.Exchange) error {
	if h.response == nil {
		return nil
	}
	return h.response(ctx, x)
}

func (h *hook) OnFinish(x *exchange.Exchange) {
	if h.finish != nil {
		h.finish(x)
	}
}

// engine stands where HTTP would: it hands requests to the proxy and keeps what is written.
type engine struct {
	*proxy.Server
	log      bytes.Buffer
	metrics  *telemetry.Metrics
	snapshot *snapshot.Snapshot
}

// newEngine serves a configuration in which `hook` names h.
func newEngine(t *testing.T, text string, h *hook) *engine {
	t.Helper()
	registry, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	registry["hook"] = filter.Define("hook", filter.Admit, func(filter.Env, struct{}) (filter.Filter, error) { return h, nil })
	c, found := config.Parse([]config.File{{Name: "test.yaml", Data: []byte(text)}}, config.Options{})
	if c == nil {
		t.Fatal(found.Err())
	}
	e := new(engine)
	holder := new(snapshot.Holder)
	e.metrics = telemetry.NewMetrics(func() telemetry.Live { return holder.Load().Live() })
	e.snapshot, found = compile.Compile(c, found, compile.Options{Registry: registry, Limiter: memory.New(0), Metrics: e.metrics})
	if e.snapshot == nil {
		t.Fatal(found.Err())
	}
	holder.Swap(e.snapshot)
	t.Cleanup(func() {
		for _, svc := range e.snapshot.Services {
			svc.Retire(nil)
		}
	})
	e.Server = &proxy.Server{Snapshots: holder, Metrics: e.metrics, Log: slog.New(slog.NewTextHandler(&e.log, nil))}
	return e
}

// written is what an engine would have sent, and what it is told to do wrong.
type written struct {
	status   int
	header   http.Header
	trailer  http.Header
	body     string
	informed []int
	aborted  bool
	bytes    int64

	fail   error // Write ends with it after the head
	panics bool  // Write panics after the head
}

func (w *written) Inform(status int, _ http.Header) error {
	w.informed = append(w.informed, status)
	return nil
}

func (w *written) Write(r *http.Response) error {
	if w.status != 0 {
		panic("a second answer")
	}
	w.status, w.header = r.StatusCode, r.Header.Clone() // nothing of the answer outlives Serve
	if w.panics {
		panic("while writing")
	}
	if w.fail != nil {
		return w.fail
	}
	body, err := io.ReadAll(r.Body)
	w.body, w.trailer, w.bytes = string(body), r.Trailer, int64(len(body))
	return err
}

func (w *written) Abort()         { w.aborted = true }
func (w *written) Written() int64 { return w.bytes }

// request is GET of a path, as an engine would have read it.
func request(path string) *http.Request {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		panic(err)
	}
	return &http.Request{Method: "GET", URL: u, RequestURI: path, Host: "api.test", Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
}

func grpcRequest(path string) *http.Request {
	in := request(path)
	in.Method, in.Header["Content-Type"] = "POST", []string{"application/grpc+proto"}
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/2.0", 2, 0
	return in
}

func (e *engine) serve(ctx context.Context, in *http.Request, w *written) *written {
	x := proxy.Acquire()
	x.In, x.Peer, x.Listener, x.Start = in, netip.MustParseAddrPort("192.0.2.7:4711"), "public", time.Now()
	e.Serve(ctx, x, w)
	proxy.Release(x)
	return w
}

func (e *engine) do(t *testing.T, in *http.Request) *written {
	t.Helper()
	return e.serve(t.Context(), in, new(written))
}

// counted is the value of a metric, or empty.
func (e *engine) counted(t *testing.T, series string) string {
	t.Helper()
	w := new(recorder)
	e.metrics.Handler().ServeHTTP(w, &http.Request{Method: "GET", URL: &url.URL{Path: "/metrics"}, Header: http.Header{}})
	for line := range strings.Lines(w.String()) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

type recorder struct {
	bytes.Buffer
	h http.Header
}

func (r *recorder) Header() http.Header {
	if r.h == nil {
		r.h = http.Header{}
	}
	return r.h
}
func (r *recorder) WriteHeader(int) {}

const hooked = `
listeners: [{name: public, address: ":0"}]
routes:
  - {name: all, match: {path: /*}, filters: [{hook: {}}], respond: {status: 200, body: fine}}
admin: off
`

// failing is an engine that refuses every request with f.
func failing(t *testing.T, f error) *engine {
	return newEngine(t, hooked, &hook{request: func(context.Context, *exchange.Exchange) error { return f }})
}

// head is the header in lines, sorted, without what differs each time.
func head(h http.Header) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			if name == "Date" || name == "X-Request-Id" {
				value = "…"
			}
			b.WriteString(name + ": " + value + "\n")
		}
	}
	return b.String()
}

var errSecret = errors.New("dial tcp 10.0.0.9:5432: no route to host")

package upstream

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/telemetry"
)

// patience bounds what a test waits for. Nothing is expected to take it.
const patience = 10 * time.Second

// spec is a service of these endpoints, with the defaults of the configuration.
func spec(t *testing.T, urls ...string) Spec {
	t.Helper()
	s := Spec{
		Name: "orders", Protocol: HTTP1, TLSKey: "tls", Series: telemetry.NewServiceSeries("orders"),
		Connections: Connections{Max: 1024, MaxIdle: 256, IdleTimeout: time.Minute, ConnectTimeout: patience, Pending: 1024},
		RetryBudget: RetryBudget{Percent: 20, MinPerSecond: 3},
	}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Endpoints = append(s.Endpoints, EndpointSpec{URL: u, Weight: 1})
	}
	return s
}

func start(t *testing.T, s Spec, prev *Service) *Service {
	t.Helper()
	svc := New(s, prev)
	svc.Start()
	t.Cleanup(func() { svc.Retire(nil) })
	return svc
}

func serve(t *testing.T, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// out is a request as the proxy makes it.
func out(method string, body io.Reader, length int64) *http.Request {
	r := &http.Request{
		Method: method, URL: &url.URL{Opaque: "/path"}, Header: http.Header{}, Body: http.NoBody, Host: "shop.test",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: length,
	}
	if body != nil {
		r.Body = io.NopCloser(body)
	}
	return r
}

func get() *Call { return &Call{Request: out("GET", nil, 0)} }

func mustDo(t *testing.T, s *Service, call *Call) *http.Response {
	t.Helper()
	res, err := s.Do(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("reading the answer: %v", err)
	}
	res.Body.Close()
	return string(text)
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	over := time.After(patience)
	for tick := time.NewTicker(time.Millisecond); !cond(); {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("never: %s", what)
		}
	}
}

// counted is a server that counts its connections.
func counted(t *testing.T) (s *httptest.Server, opened, open *atomic.Int32) {
	opened, open = new(atomic.Int32), new(atomic.Int32)
	s = httptest.NewUnstartedServer(http.HandlerFunc(hello))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s, opened, open
}

func TestNewTakesOverWhatIsEqual(t *testing.T) {
	base := spec(t, "http://a.test:1", "https://b.test:2", "unix:/run/c")
	first := New(base, nil)

	same := New(base, first)
	for i := range first.membership.Load().members {
		if same.membership.Load().members[i].Endpoint != first.membership.Load().members[i].Endpoint {
			t.Errorf("endpoint %d was made anew", i)
		}
	}
	if same.budget != first.budget || same.membership.Load() != first.membership.Load() {
		t.Error("budget or picker was made anew")
	}

	for name, c := range map[string]struct {
		change func(*Spec)
		kept   [3]bool
		budget bool
		picker bool
	}{
		"TLS key":     {func(s *Spec) { s.TLSKey = "other" }, [3]bool{true, false, true}, true, false},
		"protocol":    {func(s *Spec) { s.Protocol = HTTP2 }, [3]bool{}, true, false},
		"connections": {func(s *Spec) { s.Connections.Max++ }, [3]bool{}, true, false},
		"name":        {func(s *Spec) { s.Name = "other" }, [3]bool{}, true, false},
		"budget":      {func(s *Spec) { s.RetryBudget.Percent++ }, [3]bool{true, true, true}, false, true},
		"weight":      {func(s *Spec) { s.Endpoints[0].Weight = 7 }, [3]bool{true, true, true}, true, false},
		"policy":      {func(s *Spec) { s.Balance.Policy = "leastRequest" }, [3]bool{true, true, true}, true, false},
		"host":        {func(s *Spec) { s.Host = "x" }, [3]bool{true, true, true}, true, true},
	} {
		next := base
		next.Endpoints = append([]EndpointSpec(nil), base.Endpoints...)
		c.change(&next)
		got := New(next, first)
		for i, kept := range c.kept {
			if (got.membership.Load().members[i].Endpoint == first.membership.Load().members[i].Endpoint) != kept {
				t.Errorf("another %s: endpoint %d kept: %v", name, i, !kept)
			}
		}
		if (got.budget == first.budget) != c.budget {
			t.Errorf("another %s: budget kept: %v", name, !c.budget)
		}
		if (got.membership.Load() == first.membership.Load()) != c.picker {
			t.Errorf("another %s: picker kept: %v", name, !c.picker)
		}
	}
}

func TestConnectionsOutliveAReload(t *testing.T) {
	server, opened, open := counted(t)
	gone, _, goneOpen := counted(t)
	first := New(spec(t, server.URL, gone.URL), nil)
	first.Start()
	for range 4 {
		read(t, mustDo(t, first, get()))
	}
	second := start(t, spec(t, server.URL), first)
	first.Retire(second)
	eventually(t, "the removed endpoint's connections are closed", func() bool { return goneOpen.Load() == 0 })
	for range 4 {
		read(t, mustDo(t, second, get()))
	}
	if opened.Load() != 1 || open.Load() != 1 {
		t.Errorf("%d connections were opened and %d are, want one kept", opened.Load(), open.Load())
	}
	second.Retire(nil)
	eventually(t, "all are closed", func() bool { return open.Load() == 0 })
}

func TestSeriesShowsTheEndpointsInForce(t *testing.T) {
	s := spec(t, "http://a.test:1", "unix:/run/b")
	first := New(s, nil)
	if up := s.Series.EndpointsUp(); len(up) != 0 {
		t.Errorf("shown before Start: %v", up)
	}
	first.Start()
	if got := fmt.Sprint(s.Series.EndpointsUp()); got != "[{http://a.test:1 true []} {unix:/run/b true []}]" {
		t.Error(got)
	}
	s.Endpoints = s.Endpoints[:1]
	second := New(s, first)
	second.Start()
	first.Retire(second)
	if got := fmt.Sprint(s.Series.EndpointsUp()); got != "[{http://a.test:1 true []}]" {
		t.Error(got)
	}
	second.Retire(nil)
	if up := s.Series.EndpointsUp(); len(up) != 0 {
		t.Errorf("shown after Retire: %v", up)
	}
	if second.Series() != s.Series || second.Name() != "orders" {
		t.Error("series or name is another")
	}
}

func TestEndpointsForPeople(t *testing.T) {
	s := spec(t, "http://a.test:1/", "https://[::1]", "unix:/run/b")
	s.Endpoints[1].Weight = 0
	svc := New(s, nil)
	got := ""
	for _, e := range svc.Endpoints() {
		got += fmt.Sprint(e.Address(), " ", e.Weight(), " ", e.InFlight(), "; ")
	}
	if want := "http://a.test:1 1 0; https://[::1] 0 0; unix:/run/b 1 0; "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestMayUpgrade(t *testing.T) {
	for _, c := range []struct {
		spec  Spec
		token string
		want  bool
	}{
		{Spec{}, "websocket", true},
		{Spec{}, "WebSocket", true},
		{Spec{}, "chat", false},
		{Spec{Upgrades: []string{}}, "websocket", false},
		{Spec{Upgrades: []string{"Chat", "h2c"}}, "chat", true},
		{Spec{Upgrades: []string{"Chat", "h2c"}}, "websocket", false},
		{Spec{Upgrades: []string{"Chat", "h2c"}}, "H2C", false},
		{Spec{Protocol: HTTP2}, "websocket", false},
		{Spec{Protocol: GRPC}, "websocket", false},
	} {
		if got := New(c.spec, nil).MayUpgrade(c.token); got != c.want {
			t.Errorf("%+v %s: %v", c.spec.Upgrades, c.token, got)
		}
	}
}

func TestZeroSpecWorks(t *testing.T) {
	s := serve(t, hello)
	u, _ := url.Parse(s.URL)
	svc := start(t, Spec{Endpoints: []EndpointSpec{{URL: u, Weight: 1}}, Balance: Balance{Policy: "of tomorrow"}}, nil)
	if text := read(t, mustDo(t, svc, get())); text != "hello" {
		t.Errorf("%q", text)
	}
}

func TestUnixEndpoints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	svc := start(t, spec(t, "unix:"+path), nil)
	if text := read(t, mustDo(t, svc, get())); text != "shop.test" {
		t.Errorf("%q", text)
	}
	call := get()
	call.Request.Host = ""
	if text := read(t, mustDo(t, svc, call)); text != "localhost" {
		t.Errorf("%q", text)
	}
}

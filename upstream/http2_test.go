package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// newServer speaks HTTP/1.1 and, to who begins with its preface, HTTP/2.
func newServer(t testing.TB, f http.HandlerFunc) string {
	s := httptest.NewUnstartedServer(f)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func serve2(t *testing.T, f http.HandlerFunc) string { t.Helper(); return newServer(t, f) }

func specOf(t testing.TB, text string) []EndpointSpec {
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return []EndpointSpec{{URL: u, Weight: 1}}
}

func grpcServer(t *testing.T, intercept grpc.UnaryServerInterceptor) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(intercept))
	checks := health.NewServer()
	checks.SetServingStatus("orders", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s, checks)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return "http://" + l.Addr().String()
}

// frame is a gRPC message on the wire: not compressed, length, bytes.
func frame(t *testing.T, m proto.Message) string {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string([]byte{0, 0, 0, 0, byte(len(b))}) + string(b)
}

func check(t *testing.T, method string) *Call {
	t.Helper()
	r := out("POST", strings.NewReader(frame(t, &grpc_health_v1.HealthCheckRequest{Service: "orders"})), -1)
	r.URL.Opaque = "/grpc.health.v1.Health/" + method
	r.Header["Content-Type"] = []string{"application/grpc"}
	r.Header["Te"] = []string{"trailers"}
	return &Call{Request: r}
}

func pass(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	return next(ctx, req)
}

func TestGRPCUnaryAndStreaming(t *testing.T) {
	sp := spec(t, grpcServer(t, pass))
	sp.Protocol = GRPC
	svc := start(t, sp, nil)

	res := mustDo(t, svc, check(t, "Check"))
	want := frame(t, &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING})
	if text := read(t, res); text != want {
		t.Errorf("%q", text)
	}
	if got := res.Trailer.Get("Grpc-Status"); got != "0" {
		t.Errorf("grpc-status %q", got)
	}

	// Watch answers at once and then stays open, over the route's timeout.
	call := check(t, "Watch")
	call.Policy = policy(2)
	res = mustDo(t, svc, call)
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != want {
		t.Errorf("%q %v", buf, err)
	}
	if n := svc.Endpoints()[0].InFlight(); n != 1 {
		t.Errorf("%d in flight", n)
	}
	res.Body.Close()
}

func TestGRPCStatusesAreRetried(t *testing.T) {
	var calls atomic.Int32
	sp := spec(t, grpcServer(t, func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if calls.Add(1)%2 == 1 {
			return nil, status.Error(codes.Unavailable, "not now")
		}
		return next(ctx, req)
	}))
	sp.Protocol = GRPC
	svc := start(t, sp, nil)
	unavailable := func(p *RetryPolicy) { p.GRPCStatuses = []int{int(codes.Unavailable)} }
	for _, c := range []struct {
		policy *Policy
		want   string
		tries  int
	}{
		{policy(2, unavailable, methods("POST")), "0", 2},
		{policy(2, unavailable), "14", 1}, // a POST that was received may have had its effect
		{policy(2, methods("POST")), "0", 1},
		{policy(2, methods("POST")), "14", 1},
	} {
		call := check(t, "Check")
		call.Policy = c.policy
		res := mustDo(t, svc, call)
		read(t, res)
		got := res.Trailer.Get("Grpc-Status") + res.Header.Get("Grpc-Status")
		if got != c.want || len(call.Attempts) != c.tries {
			t.Errorf("grpc-status %s after %d, want %s after %d", got, len(call.Attempts), c.want, c.tries)
		}
	}
}

func TestGRPCStatusIsReadFromTheHead(t *testing.T) {
	for text, want := range map[string]int{"14": 14, "x": -1, "": -1} {
		res := &http.Response{Header: http.Header{"Grpc-Status": {text}}}
		if got := grpcStatus(res); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
	if got := grpcStatus(&http.Response{Header: http.Header{}}); got != -1 {
		t.Errorf("none: %d", got)
	}
}

package resilience_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// greeter is a gRPC server with the standard health service and one method, which any name calls. It counts the calls.
type greeter struct {
	address string
	health  *health.Server
	calls   atomic.Int32
	fails   atomic.Bool
}

func newGreeter(t *testing.T) *greeter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &greeter{address: l.Addr().String(), health: health.NewServer()}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		g.calls.Add(1)
		if g.fails.Load() {
			return status.Error(codes.Unavailable, "not now")
		}
		return stream.SendMsg(new(grpc_health_v1.HealthCheckResponse))
	}))
	grpc_health_v1.RegisterHealthServer(server, g.health)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return g
}

func (g *greeter) set(s grpc_health_v1.HealthCheckResponse_ServingStatus) {
	g.health.SetServingStatus("shop.Greeter", s)
}

// call calls through the gateway so many times and returns how many calls went well.
func call(t *testing.T, client *grpc.ClientConn, n int) (good int) {
	t.Helper()
	for range n {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if client.Invoke(ctx, "/shop.Greeter/Greet", new(grpc_health_v1.HealthCheckRequest), new(grpc_health_v1.HealthCheckResponse)) == nil {
			good++
		}
		cancel()
	}
	return good
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it has not come to that", what)
		}
	}
}

// An endpoint that says NOT_SERVING gets no calls, and one that fails calls is taken for failing: gRPC tells it in a status
// of its own, under HTTP's 200.
func TestGRPC(t *testing.T) {
	a, b := newGreeter(t), newGreeter(t)
	a.set(grpc_health_v1.HealthCheckResponse_SERVING)
	b.set(grpc_health_v1.HealthCheckResponse_SERVING)
	g := gatewaytest.Start(t, fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
routes: [{name: all, match: {path: /*}, service: greeter, retry: off}]
services:
  - name: greeter
    protocol: grpc
    endpoints: [{url: "http://%s"}, {url: "http://%s"}]
    healthCheck: {type: grpc, service: shop.Greeter, interval: 100ms, unhealthyAfter: 1, healthyAfter: 1}
    outlierDetection: {consecutiveErrors: 3, ejectFor: 1h}
`, a.address, b.address))
	up := func(address string, is int) func() bool {
		line := fmt.Sprintf(`sluice_endpoint_up{endpoint="http://%s",service="greeter"} %d`, address, is)
		return func() bool { _, text := g.Admin("/metrics"); return strings.Contains(text, line) }
	}
	client, err := grpc.NewClient(g.Addr("public"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	b.set(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	until(t, "the one that says NOT_SERVING is taken out", up(b.address, 0))
	if good := call(t, client, 10); good != 10 || b.calls.Load() != 0 {
		t.Errorf("%d of 10 calls went well, %d came to the one that does not serve", good, b.calls.Load())
	}
	if log := g.Log.String(); !strings.Contains(log, "it says NOT_SERVING") {
		t.Errorf("the log does not say why:\n%s", log)
	}

	b.set(grpc_health_v1.HealthCheckResponse_SERVING)
	until(t, "it comes back", up(b.address, 1))
	b.fails.Store(true)
	if good := call(t, client, 20); good != 17 || b.calls.Load() != 3 {
		t.Errorf("%d of 20 calls went well, %d came to the one that fails; want 3 there until it is ejected", good, b.calls.Load())
	}
}

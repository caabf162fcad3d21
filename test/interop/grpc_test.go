package interop_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/gatewaytest"
	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
)

// grpcCases are all that the client of google.golang.org/grpc/interop knows, but those that need Google's own
// credentials or a machine in its cloud.
var grpcCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
	"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
	"special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service", "pick_first_unary",
	"rpc_soak", "channel_soak", "orca_per_rpc", "orca_oob",
}

// way is one from the client to the server.
type way struct {
	name    string
	address string
	tls     bool // on the client's side
}

// TestGRPC runs every case directly and through the gateway, client and server each a program of its own: the client
// ends with its process when a case fails. A case that passes directly must pass through us.
func TestGRPC(t *testing.T) {
	client, server := build(t, "client"), build(t, "server")
	certFile, keyFile := certificate(t)
	plain := serve(t, server)
	secure := serve(t, server, "-use_tls", "-tls_cert_file", certFile, "-tls_key_file", keyFile)
	gateway := gatewaytest.Start(t, fmt.Sprintf(grpcGateway, certFile, keyFile, plain, secure, certFile))
	ways := []way{
		{"direct, h2c", plain, false},
		{"direct, TLS", secure, true},
		{"h2c → gateway → h2c", gateway.Addr("plain"), false},
		{"TLS → gateway → h2c", gateway.Addr("tls"), true},
		{"h2c → gateway → TLS", gateway.Addr("plain-to-tls"), false},
		{"TLS → gateway → TLS", gateway.Addr("tls-to-tls"), true},
	}
	table := fmt.Sprintf("%-28s", "case")
	for _, w := range ways {
		table += " | " + w.name
	}
	for _, name := range grpcCases {
		table += fmt.Sprintf("\n%-28s", name)
		outcomes := make([]error, len(ways))
		for i, w := range ways {
			outcomes[i] = runCase(t, client, name, w, certFile)
			table += " | " + fmt.Sprintf("%-*s", len([]rune(w.name)), verdict(outcomes[i]))
		}
		if outcomes[0] != nil || outcomes[1] != nil {
			t.Logf("%s does not pass directly: %v, %v", name, outcomes[0], outcomes[1])
			continue
		}
		for i, err := range outcomes {
			if err != nil {
				t.Errorf("%s, %s: %v", name, ways[i].name, err)
			}
		}
	}
	t.Log("\n" + table)
}

const grpcGateway = `
listeners:
  - {name: plain, address: "127.0.0.1:0"}
  - {name: tls, address: "127.0.0.2:0", tls: &tls {certificates: [{certFile: %[1]s, keyFile: %[2]s}]}}
  - {name: plain-to-tls, address: "127.0.0.3:0"}
  - {name: tls-to-tls, address: "127.0.0.4:0", tls: *tls}
routes:
  - {name: grpc, listeners: [plain, tls], match: {path: /*}, bodyBytes: 0, service: plain}
  - {name: grpc-tls, listeners: [plain-to-tls, tls-to-tls], match: {path: /*}, bodyBytes: 0, service: tls}
services:
  - {name: plain, protocol: grpc, endpoints: [{url: "http://%[3]s"}]}
  - {name: tls, protocol: grpc, endpoints: [{url: "https://%[4]s"}], tls: {caFile: %[5]s}}
`

// build makes one of the two programs from the versions that go.mod names.
func build(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	out, err := exec.Command("go", "build", "-o", program, "google.golang.org/grpc/interop/"+name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// serve runs the server on a free port until the test ends.
func serve(t *testing.T, program string, args ...string) (address string) {
	t.Helper()
	address = freeport.For(t)
	_, port, _ := net.SplitHostPort(address)
	server := exec.Command(program, append(args, "-port", port)...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	awaitServer(t, address)
	return address
}

const startTimeout = 10 * time.Second

func awaitServer(t *testing.T, address string) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for late := time.After(startTimeout); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatal("the interoperability server did not start: ", err)
		}
	}
}

// reportsLoad is the client's service configuration in grpc-go's own run of the cases; those named orca need it.
const reportsLoad = `{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`

const caseTimeout = 30 * time.Second

func runCase(t *testing.T, client, name string, w way, caFile string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(w.address)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-server_host", host, "-server_port", port, "-test_case", name, "-service_config_json", reportsLoad}
	if w.tls {
		args = append(args, "-use_tls", "-use_test_ca", "-ca_file", caFile)
	}
	out, err := exec.CommandContext(ctx, client, args...).CombinedOutput()
	if err == nil {
		return nil
	}
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
}

func verdict(err error) string {
	if err != nil {
		return "failed"
	}
	return "passed"
}

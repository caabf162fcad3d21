package transcode_test

//lint:file-ignore SA1019 h2c is the shortest way to a service that speaks both

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

const greeter = `syntax = "proto3";
package t;
service Greeter { rpc Hello(M) returns (M); }
message M { string name = 1; }
`

// What a filter removes of a request does not come back under another spelling.
func TestNoPrefixIsAWayAroundAFilter(t *testing.T) {
	got := make(chan http.Header, 1)
	service := httptest.NewServer(h2c.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.Write([]byte{0, 0, 0, 0, 0})
		w.Header().Set("Grpc-Status", "0")
	}), new(http2.Server)))
	t.Cleanup(service.Close)
	proto := filepath.Join(t.TempDir(), "greeter.proto")
	if err := os.WriteFile(proto, []byte(greeter), 0o600); err != nil {
		t.Fatal(err)
	}
	g := gatewaytest.Start(t, fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
services: [{name: s, protocol: grpc, endpoints: [{url: %q}]}]
routes:
  - name: r
    match: {path: /*}
    filters: [{requestHeaders: {remove: [x-admin], set: {x-tier: bronze}}}]
    translate: {grpc: {protos: [%q], importPaths: [%q]}}
    service: s
`, service.URL, filepath.Base(proto), filepath.Dir(proto)))
	r, err := http.NewRequest("POST", g.URL("public", "/t.Greeter/Hello"), strings.NewReader(`{"name":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for _, name := range []string{"X-Admin", "X-Tier", "X-Mirror", "X-Other"} {
		r.Header.Set("Grpc-Metadata-"+name, "forged")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	h := <-got
	if h["X-Admin"] != nil || h["X-Mirror"] != nil || strings.Join(h["X-Tier"], ",") != "bronze" || h.Get("X-Other") != "forged" {
		t.Error(h)
	}
}

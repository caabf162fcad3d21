package resilience_test

//lint:file-ignore SA1019 one connection, dialed by the test, for all requests

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// On HTTP/2 a client leaves by resetting its stream, and is broken off the same way: other streams of the connection
// notice neither.
func TestStreamsLeaveAndAreBrokenOff(t *testing.T) {
	g := gatewaytest.Start(t, `
listeners: [{name: public, address: "127.0.0.1:0"}]
routes:
  - {name: line, match: {path: /line}, filters: [{throttle: {limit: 1, window: 5m, maxWait: 10m}}, {concurrencyLimit: {limit: 5}}], respond: {body: ok}}
  - {name: place, match: {path: /place}, filters: [{concurrencyLimit: {limit: 1}}, {faultInjection: {delay: {duration: 5m}}}], respond: {body: ok}}
  - {name: broken, match: {path: /broken}, filters: [{faultInjection: {abort: {connection: true}}}], respond: {body: ok}}
  - {name: fine, match: {path: /fine}, respond: {body: ok}}
`[1:])
	dials := 0
	transport := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
		dials++
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	get := func(ctx context.Context, path string) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL("public", path), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(request)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	}
	fine := func() {
		t.Helper()
		if body, err := get(t.Context(), "/fine"); err != nil || body != "ok" {
			t.Errorf("another stream: %q, %v", body, err)
		}
	}
	shows := func(line string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if _, page := g.Admin("/metrics"); strings.Contains(page, line+"\n") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the metrics never show %s", line)
			}
		}
	}

	if _, err := get(t.Context(), "/broken"); err == nil {
		t.Error("an answer came where the stream was to be reset")
	} else if reset := (http2.StreamError{}); !errors.As(err, &reset) {
		t.Errorf("the stream ended with %v", err)
	}
	fine()

	leaves := func(path, while, after string) {
		t.Helper()
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { _, err := get(ctx, path); gone <- err }()
		shows(while)
		fine()
		leave()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
		shows(after)
		fine()
	}
	if body, err := get(t.Context(), "/line"); err != nil || body != "ok" {
		t.Errorf("the first in line: %q, %v", body, err)
	}
	leaves("/line", `sluice_throttle_waiting{route="line"} 1`, `sluice_throttle_total{outcome="gone",route="line"} 1`)
	leaves("/place", `sluice_concurrency_limit_in_flight{route="place"} 1`, `sluice_concurrency_limit_in_flight{route="place"} 0`)
	if dials != 1 {
		t.Errorf("%d connections, want one", dials)
	}
}

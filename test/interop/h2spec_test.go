package interop_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// known are the cases that fail on every listener, and why: docs/conformance.md tells it at length.
var known = map[string]string{
	"http2/6.5.3/1 Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                            "x/net refuses a setting that is sent twice in a frame",
	"http2/8.1.2.2/1 Sends a HEADERS frame that contains the connection-specific header field":                       "x/net answers 400 where a reset is expected",
	"http2/8.1.2.2/2 Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "x/net answers 400 where a reset is expected",
}

// knownOn are those that fail besides on one of them.
var knownOn = map[string]map[string]string{
	"shared": {"http2/3.5/2 Sends invalid connection preface": "what is no preface is read as HTTP/1.1, and answered as such"},
	"h2c":    {"http2/3.5/2 Sends invalid connection preface": "the connection is closed by a reset, which h2spec does not take for closed"},
}

// TestH2spec holds the gateway to h2spec, the strict cases included. A failure that is not known fails the test; so does
// a known one that has gone.
func TestH2spec(t *testing.T) {
	certFile, keyFile := certificate(t)
	origin := gatewaytest.Start(t, h2specOrigin)
	gateway := gatewaytest.Start(t, fmt.Sprintf(h2specGateway, certFile, keyFile, origin.Addr("origin")))
	for _, listener := range []string{"tls", "h2c", "shared"} {
		t.Run(listener, func(t *testing.T) {
			groups := runH2spec(t, gateway.Addr(listener), listener == "tls")
			failures := make(map[string]error)
			passed, failed, skipped := 0, 0, 0
			for _, g := range groups {
				passed, failed, skipped = passed+g.PassedCount, failed+g.FailedCount, skipped+g.SkippedCount
				collect(g, failures)
			}
			t.Logf("%s: %d passed, %d failed, %d skipped", listener, passed, failed, skipped)
			if passed == 0 {
				t.Error("nothing was tested")
			}
			expected := maps.Clone(known)
			maps.Copy(expected, knownOn[listener])
			compare(t, failures, expected)
		})
	}
}

// The paths answer a body, which h2spec's cases of flow control need.
const h2specOrigin = `
listeners:
  - {name: origin, address: "127.0.0.1:0"}
routes:
  - {name: all, match: {path: /*}, respond: {status: 200, body: "a body of some length, for windows to be filled with\n"}}
`

const h2specGateway = `
listeners:
  - {name: shared, address: "127.0.0.1:0"}
  - {name: h2c, address: "127.0.0.3:0", protocols: [http2]}
  - {name: tls, address: "127.0.0.2:0", tls: {certificates: [{certFile: %s, keyFile: %s}]}}
routes:
  - {name: all, listeners: [shared, h2c, tls], match: {path: /*}, service: origin}
services:
  - {name: origin, endpoints: [{url: "http://%s"}]}
`

func runH2spec(t *testing.T, address string, tls bool) []*spec.TestGroup {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{
		Host: host, Port: number, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000,
		Strict: true, TLS: tls, Insecure: true,
	}
	groups := []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()}
	defer quiet(t)()
	for _, g := range groups {
		g.Test(c)
	}
	return groups
}

// quiet keeps what h2spec prints to itself: it counts in colours on stdout.
func quiet(t *testing.T) (restore func()) {
	t.Helper()
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = nowhere
	return func() {
		os.Stdout = stdout
		nowhere.Close()
	}
}

// collect gathers what failed in a group and below, under names such as "http2/6.5.3/2".
func collect(g *spec.TestGroup, failures map[string]error) {
	for _, c := range append(append([]*spec.TestCase{}, g.Tests...), g.StrictTests...) {
		if c.Result != nil && c.Result.Failed {
			failures[fmt.Sprintf("%s/%d %s", g.ID(), c.Result.Sequence, c.Desc)] = c.Result.Error
		}
	}
	for _, below := range g.Groups {
		collect(below, failures)
	}
}

func compare(t *testing.T, failures map[string]error, known map[string]string) {
	t.Helper()
	for name, err := range failures {
		if why, ok := known[name]; ok {
			t.Logf("%s: known: %s", name, why)
			continue
		}
		t.Errorf("%s: %s", name, reason(err))
	}
	for name := range known {
		if failures[name] == nil {
			t.Errorf("%s passes now: strike it off", name)
		}
	}
}

func reason(err error) string {
	var e *spec.TestError
	if errors.As(err, &e) {
		return fmt.Sprintf("expected %s; got %s", strings.Join(e.Expected, " or "), e.Actual)
	}
	return err.Error()
}

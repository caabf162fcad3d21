package connect_test

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

//go:embed testdata/page.html
var page string

// pageTimeout is how long the browser may take, on a busy machine.
const pageTimeout = 2 * time.Minute

// TestBrowser opens a page that calls a gRPC service by gRPC-Web and Connect with nothing but fetch: from the gateway's own
// origin, from another that CORS allows, and from one that it does not.
func TestBrowser(t *testing.T) {
	program := browser(t)
	var gateway *gatewaytest.Gateway
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, strings.ReplaceAll(page, "GATEWAY", gateway.URL("public", "")))
	}))
	defer pages.Close()
	stranger := httptest.NewServer(pages.Config.Handler)
	defer stranger.Close()
	gateway = gatewaytest.Start(t, fmt.Sprintf(browserGateway, pages.URL, descriptors(t), pages.URL, testService(t)))

	for _, test := range []struct{ name, url, want string }{
		{"same origin", gateway.URL("public", "/page"), seen},
		{"another origin", pages.URL, seen},
		{"an origin that is not allowed", stranger.URL, strings.TrimSpace(strings.Repeat("blocked\n", strings.Count(seen, "\n")+1))},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := visit(t, program, test.url); got != test.want {
				t.Errorf("the page saw\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// seen is what the page writes down of each of its calls.
const seen = `grpc-web: 5 bytes, status 0
grpc-web with an error: status 9 not now
grpc-web-text: 3 bytes, 4 bytes, status 0
grpc-web without a key: status 16
connect: 5 bytes
connect with an error: 400 failed_precondition not now
connect by proto: 5 bytes
connect streaming: 3 bytes, 4 bytes, {}
connect without a key: 401 unauthenticated`

const browserGateway = `
listeners:
  - {name: public, address: "127.0.0.1:0"}
routes:
  - {name: page, match: {path: /page}, service: pages}
  - name: locked
    match: {path: /grpc.testing.LoadBalancerStatsService/*}
    filters: &cors
      - cors:
          allowOrigins: ["%[1]s"]
          allowHeaders: [content-type, x-grpc-web, connect-protocol-version, connect-timeout-ms, grpc-timeout]
          exposeHeaders: [grpc-status, grpc-message, grpc-status-details-bin]
      - keyAuth: {}
    translate: &grpc {grpc: {descriptors: "%[2]s"}}
    service: test
  - name: test
    match: {path: /grpc.testing.TestService/*}
    filters:
      - cors:
          allowOrigins: ["%[1]s"]
          allowHeaders: [content-type, x-grpc-web, connect-protocol-version, connect-timeout-ms, grpc-timeout]
          exposeHeaders: [grpc-status, grpc-message, grpc-status-details-bin]
    translate: *grpc
    service: test
services:
  - {name: pages, endpoints: [{url: "%[3]s"}]}
  - {name: test, protocol: grpc, endpoints: [{url: "http://%[4]s"}]}
`

// browser finds Chromium; make conformance installs it.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium here")
	return ""
}

// visit opens a page in a browser of its own and returns what the page has written when it is done.
func visit(t *testing.T, program, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(ctx, chromedp.Poll[string](`document.getElementById("done") && document.getElementById("seen").textContent`,
		chromedp.WithPollingTimeout(pageTimeout)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

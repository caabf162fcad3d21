package load

import (
	"fmt"
	"testing"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

const (
	vanishing = 30 // clients of a stage, a way and a manner
	atOnce    = 10
	silents   = 3 // of each stage and way, all at once

	// leftover is what the heap may have grown by once idleTimeout has passed: some hundred bytes for each of the clients.
	leftover = 2 << 20
)

// way is how a client speaks. hasty is the listener where everything that may take time has little of it.
type way struct {
	name, listener, hasty string
	protocol              string // by ALPN; empty: no TLS
	stages                []stage
}

var ways = []way{
	{name: "HTTP1", listener: "plain", hasty: "hasty", stages: http1Stages},
	{name: "HTTP2", listener: "plain", hasty: "hasty", stages: http2Stages},
	{name: "TLS", listener: "secure", hasty: "hasty-secure", stages: tlsStages},
	{name: "HTTP1 over TLS", listener: "secure", hasty: "hasty-secure", protocol: "http/1.1", stages: http1Stages},
	{name: "HTTP2 over TLS", listener: "secure", hasty: "hasty-secure", protocol: "h2", stages: http2Stages},
}

// x/net/http2 sets its idle timer anew while it closes the streams of a connection that broke off, after it has stopped
// it. What the connection held, some 14 KiB, is held until that timer runs out; hence the short idleTimeout.
const vanishedFrom = `
listeners:
  - {name: plain, address: "127.0.0.1:0", limits: {idleTimeout: 2s}}
  - {name: secure, address: "127.0.0.2:0", limits: {idleTimeout: 2s}, tls: {certificates: [{certFile: %[1]s, keyFile: %[2]s}]}}
  - {name: hasty, address: "127.0.0.3:0",
     limits: {headerTimeout: 300ms, idleTimeout: 300ms, stallTimeout: 300ms, streamIdleTimeout: 300ms}}
  - {name: hasty-secure, address: "127.0.0.4:0", tls: {certificates: [{certFile: %[1]s, keyFile: %[2]s}]},
     limits: {headerTimeout: 300ms, idleTimeout: 300ms, stallTimeout: 300ms, streamIdleTimeout: 300ms}}
routes:
  - {name: patient, listeners: [plain, secure], match: {path: /*}, bodyBytes: 0, service: origin}
  - {name: hasty, listeners: [hasty, hasty-secure], match: {path: /*}, bodyBytes: 0, timeout: 300ms, service: origin}
services:
  - {name: origin, endpoints: [{url: "%[3]s"}], connections: {idleTimeout: 50ms}}
`

// TestClientsThatVanish leaves the gateway at every stage of a connection and of a request: by a FIN, by a reset, and by
// falling silent with the connection open, over HTTP/1.1 and HTTP/2, with TLS and without. Afterwards no goroutine, file
// descriptor or request to the service is left, and no memory.
func TestClientsThatVanish(t *testing.T) {
	origin := newOrigin(t)
	certFile, keyFile, trusting := certificate(t)
	gateway := gatewaytest.Start(t, fmt.Sprintf(vanishedFrom, certFile, keyFile, origin.URL))
	c := &crowd{origin: origin, gateway: gateway, trusting: trusting}
	bare := takeHoldings(t)
	c.meet(t)
	c.visit(t, 1) // so that what is made once has been made
	c.before = c.settled(t, bare)
	heap := takeSample().heap
	c.visit(t, vanishing)
	t.Run("silent", func(t *testing.T) {
		c.fallSilent(t)
		c.nothingLeft(t)
	})
	var after uint64
	eventually(t, func() bool { after = takeSample().heap; return after <= heap+leftover },
		func() string { return fmt.Sprintf("the heap grew from %d to %d bytes", heap, after) })
	t.Logf("%d clients vanished; heap %d KiB, at the end %d KiB", c.vanished.Load(), heap>>10, after>>10)
}

// visit lets n clients leave at every stage by a FIN, and n by a reset.
func (c *crowd) visit(t *testing.T, n int) {
	for _, w := range ways {
		for _, s := range w.stages {
			t.Run(fmt.Sprintf("%s/%s/%d", w.name, s.name, n), func(t *testing.T) {
				c.leave(t, w, s, fin, n)
				c.leave(t, w, s, reset, n)
				if n > 1 {
					c.nothingLeft(t)
				}
			})
		}
	}
}

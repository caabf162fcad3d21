package app_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// nameserver is a DNS server on loopback that gives one answer to everything.
type nameserver struct {
	address string
	answer  atomic.Pointer[dns.Msg] // its Rcode and Answer
}

func newNameserver(t *testing.T) *nameserver {
	t.Helper()
	n := new(nameserver)
	n.says(t, dns.RcodeSuccess)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.address = conn.LocalAddr().String()
	started, done := make(chan struct{}), make(chan struct{})
	s := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r, a := new(dns.Msg).SetReply(q), n.answer.Load()
		r.Rcode, r.Answer, r.Extra = a.Rcode, a.Answer, a.Extra
		w.WriteMsg(r)
	})}
	go func() { defer close(done); s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { s.Shutdown(); <-done })
	return n
}

func (n *nameserver) says(t *testing.T, rcode int, lines ...string) {
	t.Helper()
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: rcode}}
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		if rr.Header().Rrtype == dns.TypeA && strings.HasPrefix(line, "host") {
			m.Extra = append(m.Extra, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	n.answer.Store(m)
}

// at serves text at an address of loopback; port 0 is any.
func at(t *testing.T, host, port, text string) (boundPort string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		t.Skip("loopback has one address here: ", err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	_, boundPort, _ = net.SplitHostPort(l.Addr().String())
	return boundPort
}

func TestDNSIsFollowed(t *testing.T) {
	port := at(t, "127.0.0.1", "0", "one")
	at(t, "127.0.0.2", port, "two")
	n := newNameserver(t)
	n.says(t, dns.RcodeSuccess, "orders.svc. 0 IN A 127.0.0.1")
	g := gatewaytest.Start(t, discovering(fmt.Sprintf(`{dns: {name: orders.svc, port: %s, server: %q, minTTL: 100ms}}`, port, n.address)))
	until(t, "ready", func() bool { return readiness(t, g) == 200 })
	if got := answers(t, g); got != "200 one" {
		t.Errorf("at first %s", got)
	}
	n.says(t, dns.RcodeSuccess, "orders.svc. 0 IN A 127.0.0.2")
	until(t, "the other address", func() bool { return answers(t, g) == "200 two" })

	for code, text := range map[int]string{dns.RcodeServerFailure: "SERVFAIL", dns.RcodeNameError: "the answer is empty"} {
		n.says(t, code)
		until(t, "the failure at /services", func() bool {
			_, body := page(t, "http://"+g.App.AdminAddress()+"/services/found")
			return strings.Contains(body, text)
		})
		if got := answers(t, g); got != "200 two" {
			t.Errorf("after %s: %s", text, got)
		}
	}
	n.says(t, dns.RcodeSuccess, "orders.svc. 0 IN A 127.0.0.1")
	until(t, "the first address again", func() bool { return answers(t, g) == "200 one" })
	if _, events := page(t, "http://"+g.App.AdminAddress()+"/events?kind=discovery"); !strings.Contains(events, `"state": "failed"`) ||
		!strings.Contains(events, `"state": "recovered"`) {
		t.Errorf("events %s", events)
	}
}

func TestSRVRecordsHavePortsAndWeights(t *testing.T) {
	one, two := at(t, "127.0.0.1", "0", "one"), at(t, "127.0.0.1", "0", "two")
	n := newNameserver(t)
	n.says(t, dns.RcodeSuccess, "orders.svc. 60 IN SRV 1 3 "+one+" host.svc.", "orders.svc. 60 IN SRV 1 1 "+two+" host.svc.",
		"orders.svc. 60 IN SRV 2 1 9 reserve.svc.", "host.svc. 60 IN A 127.0.0.1")
	g := gatewaytest.Start(t, discovering(fmt.Sprintf(`{dns: {name: orders.svc, type: SRV, server: %q}}`, n.address)))
	until(t, "ready", func() bool { return readiness(t, g) == 200 })
	count := make(map[string]int)
	for range 8 {
		count[answers(t, g)]++
	}
	if count["200 one"] != 6 || count["200 two"] != 2 {
		t.Errorf("weights 3 and 1 give %v of 8", count)
	}
}

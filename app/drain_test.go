package app_test

import (
	"context"
	"strings"
	"testing"
	"time"
)

// waiting is a gateway in front of one service.
func waiting(service string) string {
	return `
listeners: [{name: public, address: "127.0.0.1:0"}]
routes: [{name: all, match: {path: /*}, service: s}]
services: [{name: s, endpoints: [{url: "` + service + `"}]}]
admin: {address: "127.0.0.1:0"}
telemetry: {accessLog: off}
`
}

func TestDrainFinishesWhatIsOpen(t *testing.T) {
	service := newGate(t)
	g := start(t, waiting(service.URL))
	public, admin := g.Address("public"), g.AdminAddress()
	idle := dial(t, public)
	c := dial(t, public)
	answered := make(chan string, 1)
	go func() { answered <- c.body(t, "/") }()
	<-service.arrived

	drained := make(chan struct{})
	go func() { defer close(drained); g.Drain() }()
	until(t, "readyz turns 503", func() bool { status, _, _ := get("http://" + admin + "/readyz"); return status == 503 })
	until(t, "nothing is accepted any more", func() bool { return refused(public) })
	wantGet(t, "http://"+admin+"/healthz", 200, "")
	if _, err := idle.r.ReadByte(); err == nil {
		t.Error("an idle connection was spoken to")
	}
	select {
	case <-drained:
		t.Fatal("the drain ended before the request did")
	default:
	}
	close(service.open)
	if got := <-answered; got != "let through" {
		t.Errorf("the request in flight got %q", got)
	}
	<-drained
	if !refused(admin) {
		t.Error("the admin listener is still open")
	}
	g.Drain() // there is nothing left to do
	if err := g.Reload("too late"); err == nil {
		t.Error("a reload after the drain was accepted")
	}
}

func TestDrainBreaksOffWhatDoesNotEnd(t *testing.T) {
	service := newGate(t)
	g := start(t, waiting(service.URL))
	c := dial(t, g.Address("public"))
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	<-service.arrived
	g.DrainTimeout = time.Millisecond
	g.Drain()
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("the request that did not end was answered")
	}
	if !strings.Contains(g.log.String(), "broken off") {
		t.Errorf("the log is silent about it:\n%s", g.log)
	}
}

// While the delay lasts, load balancers see that the gateway is not ready, and those that have not looked are served.
func TestDrainDelayGoesOnAccepting(t *testing.T) {
	g := start(t, says("x"))
	g.DrainDelay = time.Second
	public, admin := g.Address("public"), g.AdminAddress()
	drained := make(chan struct{})
	go func() { defer close(drained); g.Drain() }()
	until(t, "readyz turns 503", func() bool { status, _, _ := get("http://" + admin + "/readyz"); return status == 503 })
	wantGet(t, "http://"+public+"/", 200, "x")
	<-drained
	if !refused(public) {
		t.Error("it still accepts")
	}
}

func TestRunReloadsWhenTheSourceSaysSoAndDrainsAtTheEnd(t *testing.T) {
	g := start(t, says("old"))
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { defer close(watched); g.source.Watch(ctx, func() { g.Reload("a change") }) }()
	g.source.Set(says("new"))
	url := "http://" + g.Address("public") + "/"
	until(t, "the change is live", func() bool { _, body, _ := get(url); return body == "new" })
	cancel()
	<-watched
}

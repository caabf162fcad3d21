package app_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/app"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
	"github.com/sluice-gateway/sluice/source/file"
	"github.com/sluice-gateway/sluice/source/text"
)

// says is a gateway of one listener that answers every request with a word.
func says(word string) string {
	return fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
routes: [{name: all, match: {path: /*}, respond: {status: 200, body: %q}}]
admin: {address: "127.0.0.1:0"}
telemetry: {accessLog: off}
`, word)
}

func TestRefusedReloadChangesNothing(t *testing.T) {
	for name, broken := range map[string]string{
		"syntax":           "listeners: [",
		"an unknown key":   strings.Replace(says("new"), "respond", "respnod", 1),
		"a bad regex":      strings.Replace(says("new"), "path: /*", "path: {regex: '('}", 1),
		"a missing file":   strings.Replace(says("new"), `:0"}]`, `:0", tls: {certificates: [{certFile: gone.crt, keyFile: gone.key}]}}]`, 1),
		"an address taken": strings.Replace(says("new"), "admin: {address: \"127.0.0.1:0\"}", "admin: {address: \""+taken(t)+"\"}", 1),
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, says("old"))
			url, admin := "http://"+g.Address("public")+"/", "http://"+g.AdminAddress()
			if err := g.reload(broken); err == nil {
				t.Fatal("it was accepted")
			}
			wantGet(t, url, 200, "old")
			wantGet(t, admin+"/readyz", 200, "ok")
			wantGet(t, admin+"/readyz?verbose", 200, `"outcome": "failure"`)
			wantGet(t, admin+"/metrics", 200, `sluice_config_reloads_total{outcome="failure"} 1`)
			if !strings.Contains(g.log.String(), "was refused") {
				t.Errorf("the log is silent about it:\n%s", g.log)
			}

			g.mustReload(t, says("new"))
			wantGet(t, url, 200, "new")
			wantGet(t, admin+"/readyz?verbose", 200, `"outcome": "success"`)
			wantGet(t, admin+"/metrics", 200, `sluice_config_reloads_total{outcome="success"} 1`)
		})
	}
}

// What was opened before the mistake was met is closed again.
func TestReloadThatCannotOpenClosesWhatItOpened(t *testing.T) {
	before := says("old")
	for name, broken := range map[string]func(listener string) string{
		"the second listener": func(l string) string {
			return l + `, {name: b, address: "` + taken(t) + `"}]` + rest("/nowhere.log", "127.0.0.1:0")
		},
		"the access log":     func(l string) string { return l + "]" + rest(t.TempDir(), "127.0.0.1:0") },
		"the admin listener": func(l string) string { return l + "]" + rest(filepath.Join(t.TempDir(), "a.log"), taken(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, before)
			a := freeport.For(t)
			err := g.reload(broken(`listeners: [{name: public, address: "127.0.0.1:0"}, {name: a, address: "` + a + `"}`))
			if err == nil || errors.Is(err, app.ErrConfiguration) {
				t.Fatalf("%v, want an error of opening", err)
			}
			if !refused(a) {
				t.Error("a listener of the refused configuration is open")
			}
			wantGet(t, "http://"+g.Address("public")+"/", 200, "old")
		})
	}
}

// rest is what follows the listeners of a configuration.
func rest(accessLog, admin string) string {
	return fmt.Sprintf(`
routes: [{name: all, listeners: [public], match: {path: /*}, respond: {status: 200, body: new}}]
telemetry: {accessLog: {to: %q}}
admin: {address: %q}
`, accessLog, admin)
}

// on is a gateway whose listeners, written name=address, say their own names.
func on(listeners ...string) string {
	var l, r strings.Builder
	for _, one := range listeners {
		name, address, _ := strings.Cut(one, "=")
		fmt.Fprintf(&l, "  - {name: %s, address: %q}\n", name, address)
		fmt.Fprintf(&r, "  - {name: at-%s, listeners: [%s], match: {path: /*}, respond: {status: 200, body: %s}}\n", name, name, name)
	}
	return "listeners:\n" + l.String() + "routes:\n" + r.String() + "admin: off\ntelemetry: {accessLog: off}\n"
}

func TestListenersComeAndGo(t *testing.T) {
	first, second := freeport.For(t), freeport.For(t)
	g := start(t, on("a="+first))
	kept := dial(t, first)
	if got := kept.body(t, "/"); got != "a" {
		t.Errorf("at first: %q", got)
	}

	g.mustReload(t, on("a="+first, "b="+second))
	wantGet(t, "http://"+second+"/", 200, "b")

	g.mustReload(t, on("a="+first))
	if !refused(second) {
		t.Error("the removed listener still accepts")
	}
	if got := kept.body(t, "/"); got != "a" {
		t.Errorf("after b has come and gone, on the same connection: %q", got)
	}
}

// A listener that goes has freed its address before the reload ends, so that it can come back at once.
func TestListenerComesBackAtOnce(t *testing.T) {
	first, second := freeport.For(t), freeport.For(t)
	g := start(t, on("a="+first))
	for range 30 {
		g.mustReload(t, on("a="+first, "b="+second))
		wantGet(t, "http://"+second+"/", 200, "b")
		g.mustReload(t, on("a="+first))
	}
}

// The address is what makes it the same listener: a new name does not close connections, and they get its routes.
func TestRenamedListenerKeepsItsConnections(t *testing.T) {
	address := freeport.For(t)
	g := start(t, on("old="+address))
	c := dial(t, address)
	if got := c.body(t, "/"); got != "old" {
		t.Errorf("at first: %q", got)
	}
	g.mustReload(t, on("new="+address))
	if got := c.body(t, "/"); got != "new" {
		t.Errorf("after the reload, on the same connection: %q", got)
	}
	wantGet(t, "http://"+address+"/", 200, "new")
	if g.Address("old") != "" || g.Address("new") != address {
		t.Errorf("old is at %q, new at %q", g.Address("old"), g.Address("new"))
	}
}

// What is in flight on a listener that goes is answered by the configuration it began with.
func TestRemovedListenerFinishesWhatIsInFlight(t *testing.T) {
	service := newGate(t)
	first, second := freeport.For(t), freeport.For(t)
	with := on("a=" + first)
	g := start(t, strings.Replace(with, "routes:\n", "  - {name: b, address: \""+second+"\"}\nroutes:\n"+
		"  - {name: slow, listeners: [b], service: s}\n", 1)+"services: [{name: s, endpoints: [{url: \""+service.URL+"\"}]}]\n")
	c := dial(t, second)
	answered := make(chan string, 1)
	go func() { answered <- c.body(t, "/") }()
	<-service.arrived
	g.mustReload(t, with)
	if !refused(second) {
		t.Error("the removed listener still accepts")
	}
	close(service.open)
	if got := <-answered; got != "let through" {
		t.Errorf("the request in flight got %q", got)
	}
}

func TestAdminMovesAndGoes(t *testing.T) {
	first, second := freeport.For(t), freeport.For(t)
	at := func(admin string) string {
		return strings.Replace(says("x"), `admin: {address: "127.0.0.1:0"}`, "admin: "+admin, 1)
	}
	g := start(t, at(`{address: "`+first+`"}`))
	wantGet(t, "http://"+first+"/config", 200, "public")

	g.mustReload(t, at(`{address: "`+first+`", token: secret}`))
	wantGet(t, "http://"+first+"/config", 401, "")
	wantGet(t, "http://"+first+"/healthz", 200, "")

	g.mustReload(t, at(`{address: "`+second+`"}`))
	wantGet(t, "http://"+second+"/config", 200, "public")
	until(t, "the old admin listener closes", func() bool { return refused(first) })

	g.mustReload(t, at("off"))
	if g.AdminAddress() != "" {
		t.Error("there is still an admin address")
	}
	until(t, "the admin listener closes", func() bool { return refused(second) })
}

func TestAccessLogMovesAndReopens(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.log"), filepath.Join(dir, "second.log")
	to := func(name string) string {
		return strings.Replace(says("x"), "accessLog: off", "accessLog: {to: "+name+"}", 1)
	}
	g := start(t, to(first))
	ask := func(path string) { wantGet(t, "http://"+g.Address("public")+path, 200, "x") }
	logged := func(name, path string) {
		t.Helper()
		until(t, path+" in "+name, func() bool {
			data, _ := os.ReadFile(name)
			return strings.Contains(string(data), `"`+path+`"`)
		})
	}
	ask("/one")
	logged(first, "/one")

	moved := filepath.Join(dir, "first.log.1")
	if err := os.Rename(first, moved); err != nil {
		t.Fatal(err)
	}
	g.Reopen()
	ask("/two")
	logged(first, "/two")

	g.mustReload(t, to(second))
	ask("/three")
	logged(second, "/three")

	g.mustReload(t, says("x"))
	g.Reopen() // nothing to do
	ask("/four")
	g.Drain() // and with it everything is written
	for _, name := range []string{first, second, moved} {
		if data, _ := os.ReadFile(name); strings.Contains(string(data), "/four") {
			t.Errorf("%s has a request from after the log was switched off", name)
		}
	}
}

func held(n int) string {
	return strings.Replace(says("x"), "routes:", fmt.Sprintf("filters: [{holder: {n: %d}}]\nroutes:", n), 1)
}

func TestFiltersAreClosedAfterTheDrainTimeout(t *testing.T) {
	g := start(t, held(1))
	g.DrainTimeout = time.Hour
	g.mustReload(t, held(1))
	if len(g.made) != 1 {
		t.Fatalf("%d instances were made of a filter that did not change", len(g.made))
	}
	g.mustReload(t, held(2))
	if len(g.made) != 2 || g.made[0].closed.Load() != 0 {
		t.Fatalf("of %d instances the first was closed %d times while requests may still use it", len(g.made), g.made[0].closed.Load())
	}
	g.DrainTimeout = time.Millisecond
	g.mustReload(t, says("x"))
	until(t, "the second instance is closed", func() bool { return g.made[1].closed.Load() == 1 })
	if g.made[0].closed.Load() != 0 {
		t.Error("the first instance was closed before its time")
	}
	g.mustReload(t, held(1))
	wantGet(t, "http://"+g.Address("public")+"/", 200, "x")
	g.Drain()
	for i, h := range g.made {
		if h.closed.Load() != 1 {
			t.Errorf("after the drain instance %d was closed %d times", i, h.closed.Load())
		}
	}
	if g.made[2].requests.Load() != 1 {
		t.Error("the third instance did not run")
	}
}

func TestTunnelsOfRemovedRoutesAreClosed(t *testing.T) {
	service := echo(t)
	tunnels := func(routes ...string) string {
		c := "listeners: [{name: public, address: \"127.0.0.1:0\"}]\nroutes:\n"
		for _, name := range routes {
			c += "  - {name: " + name + ", match: {path: /" + name + "}, service: s}\n"
		}
		return c + "services: [{name: s, endpoints: [{url: \"" + service.URL + "\"}]}]\nadmin: off\ntelemetry: {accessLog: off}\n"
	}
	g := start(t, tunnels("stays", "goes"))
	stays, goes := dial(t, g.Address("public")), dial(t, g.Address("public"))
	for path, c := range map[string]*wire{"/stays": stays, "/goes": goes} {
		if res := c.ask(t, path, "Connection: upgrade", "Upgrade: websocket"); res.StatusCode != 101 {
			t.Fatalf("%s: %d, want 101", path, res.StatusCode)
		}
	}
	g.DrainTimeout = time.Millisecond
	g.mustReload(t, tunnels("stays"))
	if _, err := goes.r.ReadByte(); err == nil || os.IsTimeout(err) {
		t.Errorf("the tunnel of the removed route: %v, want its end", err)
	}
	back := make([]byte, 2)
	io.WriteString(stays, "hi")
	if _, err := io.ReadFull(stays.r, back); err != nil || string(back) != "hi" {
		t.Errorf("the tunnel of the route that stays: %q, %v", back, err)
	}
}

// A renewed certificate arrives in two files, one after the other. Between the two the configuration is refused; the
// second must still be noticed.
func TestRenewedCertificateIsPickedUp(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, name := filepath.Join(dir, "tls", "a.crt"), filepath.Join(dir, "tls", "a.key"), filepath.Join(dir, "sluice.yaml")
	if err := os.Mkdir(filepath.Dir(certFile), 0o700); err != nil {
		t.Fatal(err)
	}
	renew := func(serial int64) (cert, key []byte) { return certificate(t, serial) }
	cert, key := renew(1)
	write(t, certFile, cert)
	write(t, keyFile, key)
	write(t, name, []byte(strings.Replace(says("x"), `:0"}]`,
		fmt.Sprintf(`:0", tls: {certificates: [{certFile: %s, keyFile: %s}]}}]`, certFile, keyFile), 1)))
	g := newRig(t, file.New(name))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	until(t, "the gateway listens", func() bool { return g.Address("public") != "" })
	if got := serial(t, g.Address("public")); got != 1 {
		t.Errorf("certificate %d at first", got)
	}

	cert, key = renew(2)
	write(t, certFile, cert)
	until(t, "the key that does not fit is told", func() bool { return strings.Contains(g.log.String(), "was refused") })
	write(t, keyFile, key)
	until(t, "the new certificate is served", func() bool { return serial(t, g.Address("public")) == 2 })

	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A configuration that was refused for a file that is missing comes into force when the file comes.
func TestMissingFileThatComesIsPickedUp(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	certFile, keyFile, name := filepath.Join(elsewhere, "a.crt"), filepath.Join(elsewhere, "a.key"), filepath.Join(dir, "sluice.yaml")
	cert, key := certificate(t, 1)
	write(t, certFile, cert)
	write(t, name, []byte(says("old")))
	g := newRig(t, file.New(name))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	until(t, "the gateway listens", func() bool { return g.Address("public") != "" })

	write(t, name, []byte(strings.Replace(says("new"), `:0"}]`,
		fmt.Sprintf(`:0", tls: {certificates: [{certFile: %s, keyFile: %s}]}}]`, certFile, keyFile), 1)))
	until(t, "the missing key is told", func() bool { return strings.Contains(g.log.String(), "cannot read the file") })
	write(t, keyFile, key)
	until(t, "TLS is spoken", func() bool { return speaksTLS(g.Address("public")) })

	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func speaksTLS(address string) bool {
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: "api.test"})
	if err == nil {
		c.Close()
	}
	return err == nil
}

func serial(t *testing.T, address string) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: "api.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestStartThatFailsLeavesNothingBehind(t *testing.T) {
	address := freeport.For(t)
	for name, configuration := range map[string]string{
		"a mistake":        strings.Replace(says("x"), "respond", "respnod", 1),
		"an address taken": on("a="+address, "b="+taken(t)),
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, text.New("test.yaml", configuration, config.Options{}))
			err := g.Run(t.Context())
			if err == nil || errors.Is(err, app.ErrConfiguration) != (name == "a mistake") {
				t.Errorf("it ended with %v", err)
			}
			if !refused(address) {
				t.Error("a listener is open")
			}
		})
	}
}

package resilience_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
)

// The scenarios run real processes: the gateway as it is built, and one origin for each endpoint. Clients, the admin and
// the origins' controls speak over unix sockets, which a network namespace does not keep apart, so that the same rig runs
// in a namespace of its own, where packets can be dropped.

// proof says that the scenarios run in full and that their figures are asserted.
var proof = os.Getenv("SLUICE_PROOF") != ""

// built is where the binaries are; empty: they were not needed.
var built string

// binaries are built once.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sluice")
	if err != nil {
		return "", err
	}
	built = dir
	out, err := exec.Command("go", "build", "-o", dir, "github.com/sluice-gateway/sluice/cmd/sluice",
		"github.com/sluice-gateway/sluice/test/resilience/origin").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

// rig is a gateway and its origins, in one place.
type rig struct {
	t         *testing.T
	dir       string
	namespace string // empty: the one the test runs in
	origins   []*remote
	client    *http.Client
	admin     *http.Client
}

// remote is an origin that runs by itself.
type remote struct {
	address string
	control *http.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if testing.Short() {
		t.Skip("runs processes for seconds")
	}
	dir, err := os.MkdirTemp("", "rig") // short: the name of a unix socket has 108 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &rig{t: t, dir: dir}
}

// isolate puts the rig into a network namespace, or skips the test where that is not allowed.
func (r *rig) isolate() {
	r.t.Helper()
	if os.Geteuid() != 0 {
		r.t.Skip("dropping packets in a network namespace needs root")
	}
	name := "sluice-" + strconv.Itoa(os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		r.t.Skipf("no network namespace is to be had: %v %s", err, out)
	}
	r.namespace = name
	r.t.Cleanup(func() { exec.Command("ip", "netns", "del", name).Run() })
	r.inside("ip", "link", "set", "lo", "up")
	if out, err := exec.Command("ip", "netns", "exec", name, "iptables", "-L", "-n").CombinedOutput(); err != nil {
		r.t.Skipf("iptables does not work in a namespace here: %v %s", err, out)
	}
}

func (r *rig) inside(command ...string) {
	r.t.Helper()
	if out, err := r.command(command...).CombinedOutput(); err != nil {
		r.t.Fatalf("%v: %v %s", command, err, out)
	}
}

func (r *rig) command(command ...string) *exec.Cmd {
	if r.namespace != "" {
		command = append([]string{"ip", "netns", "exec", r.namespace}, command...)
	}
	return exec.Command(command[0], command[1:]...)
}

// start runs a program of ours until the test ends.
func (r *rig) start(program string, arguments ...string) *exec.Cmd {
	r.t.Helper()
	dir, err := binaries()
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.command(append([]string{filepath.Join(dir, program)}, arguments...)...)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if r.t.Failed() {
			r.t.Logf("%s said:\n%s", program, last(said.String(), 2000))
		}
	})
	return c
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

// startOrigins runs n more origins.
func (r *rig) startOrigins(n int) []*remote {
	r.t.Helper()
	first := len(r.origins)
	for i := range n {
		path := filepath.Join(r.dir, fmt.Sprintf("origin%d.sock", first+i))
		o := &remote{address: r.freeAddress(), control: r.over(path)}
		r.start("origin", o.address, path)
		r.origins = append(r.origins, o)
		r.waitFor("an origin", func() bool { _, err := o.requests(); return err == nil })
	}
	return r.origins[first:]
}

// freeAddress is a port of loopback that nobody has; in a namespace of its own any will do.
func (r *rig) freeAddress() string {
	r.t.Helper()
	if r.namespace != "" {
		return fmt.Sprintf("127.0.0.1:%d", 7000+len(r.origins))
	}
	return freeport.For(r.t)
}

// over is a client that dials a unix socket whatever it is asked for.
func (r *rig) over(path string) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func (o *remote) requests() (int, error) {
	res, err := o.control.Get("http://origin/")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(body))
}

// turn switches the origin's mode.
func (r *rig) turn(o *remote, mode string) {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodPut, "http://origin/"+mode, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := o.control.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		r.t.Fatalf("the origin does not turn %s: %d", mode, res.StatusCode)
	}
}

// drop makes the network swallow all packets from and to an origin, those of open connections too.
func (r *rig) drop(o *remote) {
	_, port, _ := net.SplitHostPort(o.address)
	r.inside("iptables", "-A", "INPUT", "-p", "tcp", "--dport", port, "-j", "DROP")
	r.inside("iptables", "-A", "INPUT", "-p", "tcp", "--sport", port, "-j", "DROP")
}

// gateway runs one with a configuration that lacks only its listener and admin. It returns what reloads it.
func (r *rig) gateway(configuration string) (reload func(configuration string)) {
	r.t.Helper()
	file := filepath.Join(r.dir, "sluice.yaml")
	write := func(configuration string) {
		r.t.Helper()
		text := fmt.Sprintf("listeners: [{name: public, address: %q}]\nadmin: {address: %q}\ntelemetry: {accessLog: off}\n%s",
			"unix:"+r.dir+"/public.sock", "unix:"+r.dir+"/admin.sock", configuration)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	write(configuration)
	r.client, r.admin = r.over(r.dir+"/public.sock"), r.over(r.dir+"/admin.sock")
	r.start("sluice", "run", file)
	r.waitFor("the gateway", func() bool { return r.revision() != "" })
	return func(configuration string) {
		r.t.Helper()
		before := r.revision()
		write(configuration)
		r.waitFor("the new configuration", func() bool { now := r.revision(); return now != "" && now != before })
	}
}

// revision is that of the configuration in force, or empty.
func (r *rig) revision() string {
	res, err := r.admin.Get("http://localhost/metrics")
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	page, _ := io.ReadAll(res.Body)
	_, rest, _ := strings.Cut(string(page), `sluice_config_revision_info{revision="`)
	revision, _, _ := strings.Cut(rest, `"`)
	return revision
}

// state is what the admin listener shows of a service.
type state struct {
	Breaker   string
	Endpoints []struct {
		Address      string
		Up           bool
		Out          []string
		EjectedUntil *time.Time `json:"ejected_until"`
	}
}

func (r *rig) service(name string) (s state) {
	r.t.Helper()
	res, err := r.admin.Get("http://localhost/services/" + name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

// up reports whether the gateway considers an origin able to answer.
func (r *rig) up(service string, o *remote) bool {
	for _, e := range r.service(service).Endpoints {
		if strings.HasSuffix(e.Address, o.address) {
			return e.Up
		}
	}
	return false
}

func (r *rig) waitFor(what string, there func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !there(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s never came", what)
		}
	}
}

// endpoints writes origins as a list of endpoints.
func endpoints(origins []*remote) string {
	var list []string
	for _, o := range origins {
		list = append(list, fmt.Sprintf(`{url: "http://%s"}`, o.address))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

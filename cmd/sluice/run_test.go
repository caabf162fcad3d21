package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
)

// patience bounds what a test waits for. Nothing is expected to take it.
const patience = 20 * time.Second

// process is `sluice` by itself.
type process struct {
	*exec.Cmd
	mu    sync.Mutex
	said  bytes.Buffer
	ended chan struct{} // closed when the process is gone
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func startProgram(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Dir, p.Stdout, p.Stderr = dir, p, p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.ended); p.Wait() }()
	t.Cleanup(func() { p.Process.Kill(); <-p.ended })
	return p
}

// until waits for a condition, and gives up early if the process has ended.
func (p *process) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-p.ended:
			if !holds() {
				t.Fatalf("the process ended before: %s\n%s", what, p.log())
			}
		case <-over:
			t.Fatalf("waited in vain: %s\n%s", what, p.log())
		}
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func (p *process) wantExit(t *testing.T, want string) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("it did not end\n%s", p.log())
	}
	if got := p.ProcessState.String(); got != want {
		t.Errorf("it ended with %q, want %q\n%s", got, want, p.log())
	}
}

// answer is what a GET on a connection of its own gives, or empty.
func answer(url string) (status int, body string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(data)
}

// runConfig is a gateway at address, its admin listener at admin.
func runConfig(address, admin, end string) string {
	return fmt.Sprintf(`listeners: [{name: public, address: %q}]
routes: [{name: all, match: {path: /*}, %s}]
services: [{name: s, endpoints: [{url: "http://127.0.0.1:1"}]}]
admin: {address: %q}
telemetry: {accessLog: {to: access.log}}
`, address, end, admin)
}

// running is `sluice run` in a directory that holds sluice.yaml.
func running(t *testing.T, end string, flags ...string) (p *process, file, public, admin string) {
	t.Helper()
	public, admin = freeport.For(t), freeport.For(t)
	file = filepath.Join(t.TempDir(), defaultFile)
	writeFile(t, file, runConfig(public, admin, end))
	p = startProgram(t, filepath.Dir(file), append([]string{"run"}, flags...)...)
	p.until(t, "it is ready", func() bool { status, _ := answer("http://" + admin + "/readyz"); return status == 200 })
	return p, file, "http://" + public + "/", "http://" + admin
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRunReloadsOnChangeAndOnHangup(t *testing.T) {
	p, file, public, admin := running(t, "respond: {status: 200, body: one}")
	old := func() string { data, _ := os.ReadFile(file); return string(data) }()
	write := func(text string) { // in one step, as editors do
		t.Helper()
		writeFile(t, file+".tmp", text)
		if err := os.Rename(file+".tmp", file); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(old, "body: one", "body: two", 1))
	p.until(t, "the change is live", func() bool { _, body := answer(public); return body == "two" })

	write("listeners: [")
	p.until(t, "the mistake is told", func() bool { return strings.Contains(p.log(), "was refused") })
	if _, body := answer(public); body != "two" {
		t.Errorf("after a mistake it answers %q", body)
	}
	if _, report := answer(admin + "/readyz?verbose"); !strings.Contains(report, "failure") {
		t.Errorf("the mistake is not in the report:\n%s", report)
	}

	accessLog := filepath.Join(filepath.Dir(file), "access.log")
	if err := os.Rename(accessLog, accessLog+".1"); err != nil {
		t.Fatal(err)
	}
	write(strings.Replace(old, "body: one", "body: three", 1))
	p.signal(t, syscall.SIGHUP)
	p.until(t, "the change is live", func() bool { _, body := answer(public); return body == "three" })
	p.until(t, "the log was opened anew", func() bool { _, err := os.Stat(accessLog); return err == nil })

	p.signal(t, syscall.SIGTERM)
	p.wantExit(t, "exit status 0")
}

func TestRunDrains(t *testing.T) {
	arrived, open := make(chan struct{}, 1), make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-open
		io.WriteString(w, "let through")
	}))
	defer service.Close()
	p, file, public, admin := running(t, "service: s")
	data, _ := os.ReadFile(file)
	writeFile(t, file, strings.Replace(string(data), "http://127.0.0.1:1", service.URL, 1))
	p.signal(t, syscall.SIGHUP)
	p.until(t, "the service is known", func() bool { _, c := answer(admin + "/config"); return strings.Contains(c, service.URL) })

	answered := make(chan string, 1)
	go func() { _, body := answer(public); answered <- body }()
	<-arrived
	p.signal(t, syscall.SIGTERM)
	p.until(t, "readyz turns 503", func() bool { status, _ := answer(admin + "/readyz"); return status == 503 })
	p.until(t, "nothing is accepted any more", func() bool { return refused(public) })
	close(open)
	if got := <-answered; got != "let through" {
		t.Errorf("the request in flight got %q", got)
	}
	p.wantExit(t, "exit status 0")
}

// refused connects and asks nothing: a request that still came in would wait for the service, as the one in flight does.
func refused(url string) bool {
	c, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(url, "http://"), "/"))
	if err == nil {
		c.Close()
	}
	return err != nil
}

func TestRunDelaysTheDrainAndEndsAtTheSecondSignal(t *testing.T) {
	for _, second := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p, _, public, admin := running(t, "respond: {status: 200, body: still here}", "--drain-delay=1h")
		p.signal(t, syscall.SIGTERM)
		p.until(t, "readyz turns 503", func() bool { status, _ := answer(admin + "/readyz"); return status == 503 })
		if status, body := answer(public); status != 200 || body != "still here" {
			t.Errorf("while the delay lasts: %d %q", status, body)
		}
		p.signal(t, second)
		p.wantExit(t, "signal: "+second.String())
	}
}

func TestRunThatCannotStart(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"a mistake", "listeners:\n  - {name: a, adress: \":1\"}\n", []string{"sluice.yaml:2:15: error", "did you mean `address`?"}},
		{"an address in use", runConfig(held.Addr().String(), "127.0.0.1:0", "respond: {status: 200}"),
			[]string{held.Addr().String(), "the address is in use"}},
		{"the admin address in use", runConfig("127.0.0.1:0", held.Addr().String(), "respond: {status: 200}"),
			[]string{"admin", held.Addr().String(), "admin: off"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			writeFile(t, defaultFile, test.text)
			var out, errors bytes.Buffer
			if code := run([]string{"run"}, console{&out, &errors}); code != exitFailed {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, want := range test.want {
				if !strings.Contains(errors.String(), want) {
					t.Errorf("%q is missing in\n%s", want, &errors)
				}
			}
			if out.Len() > 0 {
				t.Errorf("on stdout: %s", &out)
			}
		})
	}
}

func TestRunWithoutAFileSaysWhatToDo(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, errors bytes.Buffer
	if code := run([]string{"run"}, console{&out, &errors}); code != exitFailed {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{"there is no sluice.yaml here", "sluice run FILE", "sluice demo"} {
		if !strings.Contains(errors.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &errors)
		}
	}
	_, example, _ := strings.Cut(errors.String(), "begin with:\n\n")
	writeFile(t, "example.yaml", example)
	out.Reset()
	if code := run([]string{"check", "example.yaml"}, console{&out, &errors}); code != 0 {
		t.Errorf("the file it proposes is not valid:\n%s", &out)
	}

	errors.Reset()
	if code := run([]string{"run", "missing.yaml"}, console{&out, &errors}); code != exitFailed || !strings.Contains(errors.String(), "missing.yaml") {
		t.Errorf("a missing file: exit code %d\n%s", code, &errors)
	}
}

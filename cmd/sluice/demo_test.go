package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// demoOutput is what the demo printed so far; printed is closed when the tour is complete.
type demoOutput struct {
	mu      sync.Mutex
	b       bytes.Buffer
	once    sync.Once
	printed chan struct{}
}

func (o *demoOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.b.Write(p)
	if strings.Contains(o.b.String(), "Ctrl-C ends it.") {
		o.once.Do(func() { close(o.printed) })
	}
	return n, err
}

func (o *demoOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// startDemo runs the demo on free ports until the test ends, which checks that it ended well.
func startDemo(t *testing.T) (tour string) {
	t.Helper()
	start := &demoStart{Address: "127.0.0.1:0", Internal: "127.0.0.1:0", Admin: "127.0.0.1:0"}
	ctx, cancel := context.WithCancel(context.Background())
	out := &demoOutput{printed: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- start.run(ctx, console{out, out}) }()
	select {
	case <-out.printed:
	case err := <-ended:
		cancel()
		t.Fatalf("the demo ended: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the demo ended with %v\n%s", err, out)
		}
	})
	return out.String()
}

// shown is what the commands of the tour must show, in their order, each found by a piece of it.
var shown = []struct {
	piece string
	want  []string
}{
	{"/users/1", []string{`"service":"users"`, `"requestId":"`, `"client":"127.0.0.1"`, "Ada"}},
	{"/orders/1001", []string{"HTTP/1.1 401", `Key realm="sluice"`, "application/problem+json"}},
	{"/orders/1001", []string{`"consumer":"mobile-app"`, `"groups":"partners"`}},
	{"%{http_code}", []string{"200\n", "429\n"}},
	{"n=[1-20]", []string{`"service":"catalog"`, `"query":"n=20"`}},
	{"x-user: ada", []string{`"service":"catalog"`, `"query":"n=5"`}},
	{"x-api-version: 2", []string{`"version":"v2"`}},
	{"/api/people/2", []string{`"path":"/users/2"`, "Grace"}},
	{"/flaky/first", []string{"HTTP/1.1 200", `"attempt":"2"`}},
	{"/flaky/slow", []string{"HTTP/1.1 504", "application/problem+json"}},
	{"/flaky/reset", []string{"HTTP/1.1 502", "application/problem+json"}},
	{"/events", []string{"received", "delivered"}},
	{"/shop/gear", []string{"HTTP/1.1 308", "/catalog/gear?color=red"}},
	{"-X OPTIONS", []string{"HTTP/1.1 204", "https://app.example.com"}},
	{"Accept-Encoding", []string{"HTTP/1.1 200", "Content-Encoding: gzip"}},
	{"-X DELETE", []string{"HTTP/1.1 405", "Allow: GET"}},
	{"/nowhere", []string{"HTTP/1.1 404", "application/problem+json"}},
	{"/orders/1001", []string{`"service":"orders"`}},
	{"/payroll", []string{"HTTP/1.1 403"}},
	{"/readyz", []string{"[redacted]", "catalog-v2"}},
	{"/metrics", []string{`sluice_requests_total{`, `route="payroll"`}},
	{"/hello/Ada", []string{`"hello, Ada (request id `, `{"result":"hello, Ada, 3 of 3"}`}},
	{"/calculator/Add", []string{`{"result":3.5}`}},
	{"/calculator/Divide", []string{`"error":"soap_fault"`, "division by zero"}},
	{"/soap/sums", []string{`result>5</`}},
	{"/profile/1", []string{"X-Aggregate-Failed: news", `"news":{"data":[]}`, "difference engine"}},
	{"/profile/9", []string{"HTTP/1.1 404", "The call user failed"}},
	{"/batch", []string{"Grace", `"status":401`}},
}

func TestEveryPrintedCommandWorks(t *testing.T) {
	curl(t)
	tour := startDemo(t)
	var commands []string
	for line := range strings.Lines(tour) {
		if strings.HasPrefix(line, "curl ") {
			commands = append(commands, strings.TrimSpace(line))
		}
	}
	if len(commands) != len(shown) {
		t.Fatalf("the tour has %d commands, this test knows %d", len(commands), len(shown))
	}
	for i, command := range commands {
		if !strings.Contains(command, shown[i].piece) {
			t.Errorf("command %d is %s, without %s", i, command, shown[i].piece)
		}
		out := paste(t, command)
		for _, want := range shown[i].want {
			if !strings.Contains(out, want) {
				t.Errorf("%s does not show %q:\n%.3000s", command, want, out)
			}
		}
	}
}

// paste runs a line as a person's shell would. It must end within 10 s and exit with 0.
func paste(t *testing.T, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "bash", "-c", line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// curl skips the test where there is no curl; `make test` installs it.
func curl(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
}

func TestCallsThroughTheDemo(t *testing.T) {
	tour := startDemo(t)
	address := publicAddress(t, tour)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"grpc", "--address", address, "Ada"},
			[]string{"unary   hello, Ada (request id ", "stream  hello, Ada, 3 of 3\n", "ended with status OK"}},
		{[]string{"websocket", "--address", address, "still here?"}, []string{"status  101", "echo    still here?\n"}},
	} {
		var out, errors bytes.Buffer
		if code := run(append([]string{"demo", "call"}, c.args...), console{&out, &errors}); code != 0 {
			t.Errorf("%v: exit code %d\n%s", c.args, code, &errors)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v: %q is missing in\n%s", c.args, want, &out)
			}
		}
		if !strings.Contains(tour, " demo call "+c.args[0]+" --address "+address+" ") {
			t.Errorf("the tour does not show `demo call %s`", c.args[0])
		}
	}
}

// publicAddress is taken from the first command of the tour.
func publicAddress(t *testing.T, tour string) string {
	t.Helper()
	_, rest, _ := strings.Cut(tour, "curl -sS http://")
	address, _, found := strings.Cut(rest, "/")
	if !found {
		t.Fatalf("no command in:\n%s", tour)
	}
	return address
}

func TestDemoSaysWhichFlagMovesIt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, flag := range []string{"--address", "--internal", "--admin"} {
		args := []string{"demo", "--address=127.0.0.1:0", "--internal=127.0.0.1:0", "--admin=127.0.0.1:0", flag + "=" + l.Addr().String()}
		var out, errors bytes.Buffer
		code := run(args, console{&out, &errors})
		if code != exitFailed || !strings.Contains(errors.String(), l.Addr().String()+" is taken") || !strings.Contains(errors.String(), flag) {
			t.Errorf("exit code %d, want 1 and the name of %s:\n%s%s", code, flag, &out, &errors)
		}
	}
}

func TestDemoRefusesAnAddressThatIsNone(t *testing.T) {
	var out, errors bytes.Buffer
	if code := run([]string{"demo", "--address=nowhere"}, console{&out, &errors}); code != exitUsage {
		t.Errorf("exit code %d, want 2: %s", code, &errors)
	}
}

func TestDemoConfigChecksCleanByItself(t *testing.T) {
	var out, errors bytes.Buffer
	if code := run([]string{"demo", "config"}, console{&out, &errors}); code != 0 || !strings.HasPrefix(out.String(), "# The gateway") {
		t.Fatalf("exit code %d: %.200s%s", code, &out, &errors)
	}
	name := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if code := run([]string{"check", name}, console{&out, &errors}); code != 0 || out.String() != "0 errors, 0 warnings\n" {
		t.Errorf("exit code %d:\n%s%s", code, &out, &errors)
	}
}

// Package connect_test holds gRPC, gRPC-Web and Connect to the conformance suite of connectrpc.com.
//
//	go test -v -count=1 ./...      prints the table of docs/conformance.md
package connect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// suites are what the suite's features can be asked for of a gateway. HTTP/3 is left out: the gateway has none.
var suites = []struct {
	name     string
	features string
	ways     []string
}{
	{"gRPC", "protocols: [PROTOCOL_GRPC]\n  versions: [HTTP_VERSION_2]", []string{"passed"}},
	{"gRPC-Web", "protocols: [PROTOCOL_GRPC_WEB]\n  versions: [HTTP_VERSION_1, HTTP_VERSION_2]", []string{"passed", "translated"}},
	{"Connect", "protocols: [PROTOCOL_CONNECT]\n  versions: [HTTP_VERSION_1, HTTP_VERSION_2]", []string{"passed", "translated"}},
}

const suiteFeatures = `features:
  %s
  codecs: [CODEC_PROTO, CODEC_JSON]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP, COMPRESSION_BR, COMPRESSION_ZSTD, COMPRESSION_DEFLATE, COMPRESSION_SNAPPY]
  supportsTlsClientCerts: true
  supportsHalfDuplexBidiOverHttp1: true
`

// TestConformance runs every permutation directly and through the gateway. One that passes directly must pass through us.
func TestConformance(t *testing.T) {
	suite := &suite{
		program: buildTool(t, "connectrpc.com/conformance/cmd/connectconformance"),
		server:  buildTool(t, "connectrpc.com/conformance/cmd/referenceserver"),
		protos:  filepath.Join(moduleDir(t, "connectrpc.com/conformance"), "proto"),
	}
	table := fmt.Sprintf("%-10s | %-10s | %6s | %9s | %6s | %s", "protocol", "way", "passed", "run again", "failed", "failed through us alone")
	for _, s := range suites {
		direct := suite.run(t, s.features, "")
		table += fmt.Sprintf("\n%-10s | %-10s | %6d | %9d | %6d |", s.name, "directly", direct.passed, direct.again, len(direct.failed))
		for _, way := range s.ways {
			through := suite.run(t, s.features, way)
			worse := 0
			for name, why := range through.failed {
				if _, anyway := direct.failed[name]; !anyway {
					worse++
					t.Errorf("%s, %s: %s\n%s", s.name, way, name, why)
				}
			}
			if direct.all() != through.all() {
				t.Errorf("%s, %s: %d permutations were run, of %d", s.name, way, through.all(), direct.all())
			}
			table += fmt.Sprintf("\n%-10s | %-10s | %6d | %9d | %6d | %d", s.name, way, through.passed, through.again, len(through.failed), worse)
		}
	}
	t.Log("\n" + table)
}

// suite is what it takes to run it.
type suite struct {
	program, server string // connectconformance, and what it tests directly
	protos          string
}

type result struct {
	passed int
	again  int               // how many of all were run again
	failed map[string]string // name and reason
}

func (r result) all() int { return r.passed + len(r.failed) }

// fewFailed is how many permutations may be run again. Those with a deadline depend on how busy the machine is: one that
// fails is asked once more, without others beside it.
const fewFailed = 40

// run runs the permutations of some features, directly if way is empty.
func (s *suite) run(t *testing.T, features, way string) result {
	t.Helper()
	r := s.try(t, features, way)
	if len(r.failed) == 0 || len(r.failed) > fewFailed {
		return r
	}
	only := []string{"--parallel", "1", "--max-servers", "1"}
	for name := range r.failed {
		only = append(only, "--run", name)
	}
	again := s.try(t, features, way, only...)
	if again.all() != len(r.failed) {
		t.Errorf("%d permutations were run again, of %d", again.all(), len(r.failed))
		return r
	}
	for name, why := range r.failed {
		if _, failed := again.failed[name]; !failed {
			t.Logf("%s passed when it was run again, after\n%s", name, why)
		}
	}
	r.passed, r.again, r.failed = r.passed+again.passed, again.all(), again.failed
	return r
}

var (
	failedLine = regexp.MustCompile(`^FAILED: (.*?):?$`)
	totalLine  = regexp.MustCompile(`^(\d+) passed, (\d+) failed`)
)

const suiteTimeout = 8 * time.Minute

func (s *suite) try(t *testing.T, features, way string, args ...string) result {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "features.yaml")
	if err := os.WriteFile(settings, fmt.Appendf(nil, suiteFeatures, features), 0o600); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(suiteTimeout)
	if own, ok := t.Deadline(); ok && own.Add(-endTimeout).Before(end) { // by then nobody is left who could end it
		end = own.Add(-endTimeout)
	}
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	args = append([]string{"--mode", "server", "--conf", settings, "--max-servers", "2", "--parallel", "4"}, args...)
	server, environment := s.server, os.Environ()
	if way != "" {
		server = os.Args[0]
		environment = append(environment, wayVariable+"="+way, serverVariable+"="+s.server, protosVariable+"="+s.protos)
	}
	run := withItsOwn(exec.CommandContext(ctx, s.program, append(args, "--", server)...))
	run.Env = append(environment, "TMPDIR="+t.TempDir()) // who is killed removes nothing
	out, _ := run.CombinedOutput()                       // it fails if a permutation does, which is for us to judge
	return parse(t, string(out))
}

// withItsOwn has the programs that a program starts end with it when its context does: they are a process group, and it has come
// to its end only when the last of them has, which then holds its output no longer.
func withItsOwn(program *exec.Cmd) *exec.Cmd {
	program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	program.Cancel = func() error { return syscall.Kill(-program.Process.Pid, syscall.SIGKILL) }
	program.WaitDelay = endTimeout
	return program
}

// TestTimeout gives up a program that has started another, as the suite starts servers: none of them is left.
func TestTimeout(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	program := withItsOwn(exec.CommandContext(ctx, "sh", "-c", "sleep 60 & echo started; wait"))
	program.Stdout = in
	err = program.Start()
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = program.Wait()
	out.SetReadDeadline(time.Now().Add(endTimeout))
	if _, err := out.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("what it started is left: %v", err)
	}
}

func parse(t *testing.T, out string) result {
	t.Helper()
	r := result{passed: -1, failed: make(map[string]string)}
	name := ""
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if m := failedLine.FindStringSubmatch(line); m != nil {
			name = m[1]
			r.failed[name] = ""
		} else if m := totalLine.FindStringSubmatch(line); m != nil {
			r.passed, _ = strconv.Atoi(m[1])
		} else if name != "" && strings.HasPrefix(line, "\t") {
			r.failed[name] += line + "\n"
		}
	}
	if r.passed < 0 {
		t.Fatalf("the suite came to no end:\n%s", out)
	}
	return r
}

func buildTool(t *testing.T, path string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), filepath.Base(path))
	if out, err := exec.Command("go", "build", "-o", program, path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func moduleDir(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", path).Output() // go list knows no Dir before that
	if err != nil {
		t.Fatal(err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil || module.Dir == "" {
		t.Fatalf("%v\n%s", err, out)
	}
	return module.Dir
}

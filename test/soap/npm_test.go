package soap_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
	"github.com/sluice-gateway/sluice/gatewaytest"
)

// published are packages that hold descriptions: the soap package's own samples, from the versions that still shipped
// them, and those of others around it.
var published = []string{"soap@0.2.7", "soap@0.3.2", "strong-soap@6.0.1", "soap-as-promised@1.26.0", "quickbooks-js@1.0.0"}

// wanted is the part of what the npm client can call that must work through us, in each direction.
const wanted = 0.90

type sample struct {
	ID         int               `json:"id"`
	File       string            `json:"-"`
	WSDL       string            `json:"wsdl"`
	Service    string            `json:"service"`
	Port       string            `json:"port"`
	Version    string            `json:"version"`
	Operations []sampleOperation `json:"operations"`
}

type sampleOperation struct {
	Name   string `json:"name"`
	Input  any    `json:"input"`
	Output any    `json:"output"`
}

type result struct {
	ID                 int
	Operation          string
	Direct, JSON, REST string // empty: it works, else why not
}

// TestSamplesOfNPM calls every operation of the samples directly and through the gateway, both ways, and prints the table.
// It needs node, npm and npm's registry, and says so if it has them not. SLUICE_SOAP_SAMPLES names a directory of more
// descriptions to try.
func TestSamplesOfNPM(t *testing.T) {
	if testing.Short() {
		t.Skip("installs packages; -short is set")
	}
	dir := npmDirectory(t)
	var samples []sample
	var refused []string
	for _, file := range descriptions(t, dir) {
		found, err := samplesOf(file, len(samples))
		if err != nil {
			refused = append(refused, fmt.Sprintf("%s\t%s", shortName(dir, file), strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", "")))
		}
		samples = append(samples, found...)
	}
	results := runNPM(t, dir, samples)
	report(t, dir, samples, results, refused)
}

func npmDirectory(t *testing.T) string {
	for _, tool := range []string{"node", "npm", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "interop.js"} {
		data, err := os.ReadFile(filepath.Join("npm", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	npm(t, dir, append([]string{"pack", "--silent"}, published...)...)
	npm(t, dir, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
	return dir
}

func npm(t *testing.T, dir string, arguments ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "npm", arguments...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Skipf("npm %s does not work here: %v\n%s", arguments[0], err, out)
	}
}

// descriptions unpacks the packages and lists what is a description, each content once.
func descriptions(t *testing.T, dir string) []string {
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(archives) == 0 {
		t.Fatal("npm packed nothing", err)
	}
	roots := []string{}
	for _, archive := range archives {
		to := filepath.Join(dir, "samples", strings.TrimSuffix(filepath.Base(archive), ".tgz"))
		if err := os.MkdirAll(to, 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("tar", "xzf", archive, "-C", to).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		roots = append(roots, to)
	}
	if more := os.Getenv("SLUICE_SOAP_SAMPLES"); more != "" {
		roots = append(roots, more)
	}
	var files []string
	seen := make(map[string]bool)
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".wsdl" {
				if data, err := os.ReadFile(path); err == nil && !seen[string(data)] {
					seen[string(data)] = true
					files = append(files, path)
				}
			}
			return nil
		})
	}
	slices.Sort(files)
	return files
}

// samplesOf makes a sample of every port that speaks SOAP. The error is why there is none, or what is left out.
func samplesOf(file string, id int) ([]sample, error) {
	m, err := wsdl.Read(file, os.ReadFile)
	if err != nil {
		return nil, err
	}
	var all []sample
	for _, p := range m.Ports {
		s := sample{ID: id + len(all), File: file, WSDL: file, Service: p.Service, Port: p.Name, Version: p.Version.String()}
		for i, o := range p.Operations {
			if !o.OneWay {
				s.Operations = append(s.Operations, sampleOperation{o.Name, sampleMessage(o.Input, i), sampleMessage(o.Output, i+50)})
			}
		}
		all = append(all, s)
	}
	for _, r := range m.Refused {
		err = fmt.Errorf("%v", r)
	}
	return all, err
}

func runNPM(t *testing.T, dir string, samples []sample) []result {
	data, err := json.Marshal(samples)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "samples.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "interop.js", "samples.json")
	node.Dir, node.Stderr = dir, os.Stderr
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = node.Wait() }()
	defer cancel()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var ports []struct{ SOAP, REST int }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &ports) != nil || len(ports) != len(samples) {
		t.Fatalf("node did not start its servers: %q", lines.Text())
	}
	gateway := npmGateway(t, samples, ports)
	_, _ = io.WriteString(in, gateway+"\n")
	var results []result
	for lines.Scan() {
		var r result
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Operation != "" {
			results = append(results, r)
		}
	}
	return results
}

func npmGateway(t *testing.T, samples []sample, ports []struct{ SOAP, REST int }) string {
	var routes, services strings.Builder
	for i, s := range samples {
		fmt.Fprintf(&routes, `
  - {name: a%d, match: {path: /a%[1]d/*}, service: a%[1]d, translate: {soap: {wsdl: %[2]q, port: %[3]q, path: /soap}}}
  - {name: b%[1]d, match: {path: /b%[1]d/*}, service: b%[1]d, translate: {soap: {wsdl: %[2]q, port: %[3]q, rest: {}}}}`, s.ID, s.WSDL, s.Port)
		fmt.Fprintf(&services, `
  - {name: a%d, endpoints: [{url: "http://127.0.0.1:%d"}]}
  - {name: b%[1]d, endpoints: [{url: "http://127.0.0.1:%[3]d"}]}`, s.ID, ports[i].SOAP, ports[i].REST)
	}
	g := gatewaytest.Start(t, "listeners: [{name: public, address: \"127.0.0.1:0\"}]\nroutes:"+routes.String()+"\nservices:"+services.String()+"\n")
	return "http://" + g.Addr("public")
}

func shortName(dir, file string) string {
	name := strings.TrimPrefix(file, filepath.Join(dir, "samples")+"/")
	return strings.Replace(name, "/package/", " ", 1)
}

// report prints a line for each operation, and fails where too little works.
func report(t *testing.T, dir string, samples []sample, results []result, refused []string) {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "description\tport\toperation\tdirect\tJSON→SOAP\tSOAP→REST")
	mark := func(why string) string {
		if why == "" {
			return "ok"
		}
		return "no"
	}
	callable, fromJSON, toREST := 0, 0, 0
	var reasons []string
	for _, r := range results {
		s := samples[slices.IndexFunc(samples, func(s sample) bool { return s.ID == r.ID })]
		name := shortName(dir, s.File)
		fmt.Fprintf(table, "%s\t%s %s\t%s\t%s\t%s\t%s\n", name, s.Port, s.Version, r.Operation, mark(r.Direct), mark(r.JSON), mark(r.REST))
		for way, why := range map[string]string{"direct": r.Direct, "JSON→SOAP": r.JSON, "SOAP→REST": r.REST} {
			if why != "" {
				reasons = append(reasons, fmt.Sprintf("%s %s %s %s: %s", name, s.Port, r.Operation, way, why))
			}
		}
		if r.Direct != "" {
			continue
		}
		callable++
		if r.JSON == "" {
			fromJSON++
		}
		if r.REST == "" {
			toREST++
		}
	}
	_ = table.Flush()
	slices.Sort(reasons)
	t.Logf("\n%s\n%s\nrefused:\n%s\n\nof %d operations the npm client can call %d; of these work JSON→SOAP %d, SOAP→REST %d", &b,
		strings.Join(reasons, "\n"), strings.Join(refused, "\n"), len(results), callable, fromJSON, toREST)
	if callable == 0 || float64(fromJSON) < wanted*float64(callable) || float64(toREST) < wanted*float64(callable) {
		t.Errorf("less than %.0f %% of what the npm client can call works through the gateway", wanted*100)
	}
}

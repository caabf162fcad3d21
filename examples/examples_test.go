// Package examples_test runs every example, and every command that a page of docs/ shows with it.
//
// A page runs an example if it holds the line `sluice run examples/NAME.yaml`. Its shell blocks are pasted in order into
// one directory: openssl lines before the gateway starts, because they make the files it reads, all others after. Ports
// are replaced by free ones. A line `# → text` is what the output of the command above it must contain.
package examples_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/cmd/sluice/demo"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryExampleHasAPageThatShowsIt(t *testing.T) {
	for _, name := range glob(t, "*.yaml") {
		page := filepath.Join("..", "docs", "tasks", strings.TrimSuffix(name, ".yaml")+".md")
		text := read(t, page)
		if !slices.Contains(fences(text, "yaml"), read(t, name)) {
			t.Errorf("%s does not show %s as it is", page, name)
		}
		if !strings.Contains(text, "sluice run examples/"+name+"\n") {
			t.Errorf("%s does not run %s", page, name)
		}
	}
}

func TestEveryPageIsInTheIndex(t *testing.T) {
	for _, index := range []struct{ file, pages string }{
		{"../docs/README.md", "../docs/*.md"}, {"../docs/README.md", "../docs/tasks/*.md"},
	} {
		text := read(t, index.file)
		for _, page := range glob(t, index.pages) {
			link, err := filepath.Rel("../docs", page)
			if err != nil {
				t.Fatal(err)
			}
			if link != "README.md" && !strings.Contains(text, "]("+link+")") {
				t.Errorf("%s does not link to %s", index.file, link)
			}
		}
	}
}

// TestLinksLeadSomewhere looks at every relative link of every page.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	pages := slices.Concat(glob(t, "../*.md"), glob(t, "../docs/*.md"), glob(t, "../docs/*/*.md"), glob(t, "*.md"))
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}

// TestYAMLInPagesIsValid parses what is a whole configuration in the pages that are no tasks.
func TestYAMLInPagesIsValid(t *testing.T) {
	for _, page := range slices.Concat([]string{"../README.md"}, glob(t, "../docs/*.md")) {
		for _, text := range fences(read(t, page), "yaml") {
			if !strings.Contains(text, "listeners:") {
				continue
			}
			if _, found := config.Parse([]config.File{{Name: page, Data: []byte(text)}}, config.Options{}); len(found) > 0 {
				t.Errorf("%v", found.Err())
			}
		}
	}
}

var runs = regexp.MustCompile(`(?m)^sluice run examples/([a-z-]+\.yaml)$`)

func TestCommandsOfThePages(t *testing.T) {
	for _, tool := range []string{"curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; make test installs it", tool)
		}
	}
	bin := sluice(t)
	fleet, err := demo.Start(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fleet.Close)
	for _, page := range slices.Concat(glob(t, "../docs/*.md"), glob(t, "../docs/tasks/*.md")) {
		text := read(t, page)
		m := runs.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
			p := newPaster(t, bin, fleet, read(t, m[1]))
			p.paste(commands(text))
		})
	}
}

// paster runs the commands of one page beside the gateway of one example.
type paster struct {
	t       *testing.T
	bin     string // the directory of the sluice binary
	dir     string // where commands run
	fleet   *demo.Fleet
	text    string // of the example
	gateway *gatewaytest.Gateway
	ports   []string // pairs for strings.NewReplacer
}

func newPaster(t *testing.T, bin string, fleet *demo.Fleet, text string) *paster {
	t.Helper()
	examples, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	p := &paster{t: t, bin: bin, dir: shortTempDir(t), fleet: fleet, text: text}
	if err := os.Symlink(examples, filepath.Join(p.dir, "examples")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(p.dir) // certificates are named relative to it
	return p
}

// shortTempDir has a path that leaves room for the name of a unix socket, which is limited to 108 bytes.
func shortTempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "sluice")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (p *paster) paste(commands []command) {
	p.t.Helper()
	for _, c := range commands {
		if strings.HasPrefix(c.line, "openssl ") {
			p.shell(c)
		}
	}
	p.start()
	pasted := 0
	for _, c := range commands {
		if strings.HasPrefix(c.line, "openssl ") || runs.MatchString(c.line) || strings.HasPrefix(c.line, "go install ") ||
			c.line == "sluice demo services" {
			continue
		}
		p.shell(c)
		pasted++
	}
	if pasted == 0 {
		p.t.Error("the page shows nothing to try")
	}
}

// start runs the example with free ports in place of the written ones.
func (p *paster) start() {
	p.t.Helper()
	written, found := config.Parse([]config.File{{Name: "example.yaml", Data: []byte(p.text)}}, config.Options{})
	if len(found) > 0 {
		p.t.Fatal(found.Err())
	}
	replace := []string{"/tmp/", p.dir + "/"}
	for _, r := range p.fleet.Running {
		replace = append(replace, "http://127.0.0.1:"+strconv.Itoa(r.Port), r.URL)
	}
	for _, l := range written.Listeners {
		if !strings.HasPrefix(l.Address, "unix:") {
			replace = append(replace, l.Address, "127.0.0.1:0")
		}
	}
	p.gateway = gatewaytest.Start(p.t, strings.NewReplacer(replace...).Replace(p.text))
	p.ports = []string{"/tmp/", p.dir + "/", "127.0.0.1:9901", p.gateway.App.AdminAddress()}
	for _, r := range p.fleet.Running { // for what a command writes into a file
		p.ports = append(p.ports, "http://127.0.0.1:"+strconv.Itoa(r.Port), r.URL)
	}
	for _, l := range written.Listeners {
		_, port, tcp := strings.Cut(l.Address, "127.0.0.1:")
		_, bound, _ := strings.Cut(p.gateway.Addr(l.Name), "127.0.0.1:")
		if tcp {
			p.ports = append(p.ports, "127.0.0.1:"+port, "127.0.0.1:"+bound, "localhost:"+port, "localhost:"+bound)
		}
	}
}

func (p *paster) shell(c command) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", strings.NewReplacer(p.ports...).Replace(c.line))
	shell.Dir = p.dir
	shell.Env = append(os.Environ(), "PATH="+p.bin+":"+os.Getenv("PATH"))
	var out, errors bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &errors
	if err := shell.Run(); err != nil {
		p.t.Errorf("%s: %v\n%s%s", c.line, err, &out, &errors)
	}
	for _, want := range c.shows {
		if !strings.Contains(out.String(), want) {
			p.t.Errorf("%s does not show %q:\n%.2000s%.500s", c.line, want, &out, &errors)
		}
	}
}

// command is a line of a shell block, and what its output must contain.
type command struct {
	line  string
	shows []string
}

func commands(page string) []command {
	var all []command
	for _, block := range fences(page, "sh") {
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			want, shown := strings.CutPrefix(line, "# → ")
			switch {
			case shown && len(all) > 0:
				all[len(all)-1].shows = append(all[len(all)-1].shows, want)
			case line != "" && !strings.HasPrefix(line, "#"):
				all = append(all, command{line: line})
			}
		}
	}
	return all
}

// fences are the contents of a page's code blocks of one language.
func fences(page, language string) []string {
	var all []string
	for {
		_, after, found := strings.Cut(page, "```"+language+"\n")
		block, rest, closed := strings.Cut(after, "```")
		if !found || !closed {
			return all
		}
		all, page = append(all, block), rest
	}
}

// sluice builds the binary and returns its directory.
func sluice(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "sluice"), "../cmd/sluice").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func TestExamplesCheckClean(t *testing.T) {
	bin := sluice(t)
	names := slices.DeleteFunc(glob(t, "*.yaml"), func(name string) bool {
		return name == "tls.yaml" // needs the certificates that its page makes, and is run there
	})
	arguments := []string{"check"}
	for _, name := range names {
		arguments = append(arguments, filepath.Join("examples", name))
	}
	check := exec.Command(filepath.Join(bin, "sluice"), arguments...)
	check.Dir = ".." // files that they name are relative to where people stand
	out, err := check.CombinedOutput()
	if err != nil || string(out) != "0 errors, 0 warnings\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s names no file: %v", pattern, err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

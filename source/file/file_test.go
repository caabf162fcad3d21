package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// patience bounds what a test waits for. Nothing is expected to take it.
const patience = 10 * time.Second

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// listening is a configuration that says one listener's name.
func listening(name string) string {
	return fmt.Sprintf("listeners: [{name: %s, address: \":0\"}]\n", name)
}

// names are those of the listeners loaded, in their order, or the first thing wrong.
func names(s *Source) string {
	loaded := s.Load()
	if loaded.Diagnostics.HasErrors() {
		return loaded.Diagnostics.Err().Error()
	}
	var list []string
	for _, l := range loaded.Config.Listeners {
		list = append(list, l.Name)
	}
	return strings.Join(list, " ")
}

func TestOneFileIsReadWhateverItsExtension(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "gateway.conf"), listening("a"))
	s := New(name)
	if got := names(s); got != "a" {
		t.Errorf("listeners %q", got)
	}
	if s.String() != name {
		t.Errorf("it calls itself %q", s)
	}
}

func TestDirectoryIsMergedInTheOrderOfNames(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "20-b.yml"), listening("second"))
	write(t, filepath.Join(dir, "10-a.yaml"), listening("first"))
	write(t, filepath.Join(dir, "30-c.JSON"), `{"listeners": [{"name": "third", "address": ":0"}]}`)
	write(t, filepath.Join(dir, "notes.txt"), "not: a configuration")
	write(t, filepath.Join(dir, ".10-a.yaml.swp.yaml"), "not: a configuration")
	write(t, filepath.Join(dir, "sub.yaml", "x.yaml"), "not: a configuration")
	if got := names(New(dir)); got != "first second third" {
		t.Errorf("listeners %q", got)
	}
}

func TestWhatCannotBeReadIsReported(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge", "huge.yaml")
	write(t, huge, "")
	if err := os.Truncate(huge, 50<<20); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling", "a.yaml")
	write(t, filepath.Join(dir, "dangling", "b.yaml"), listening("b"))
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want string }{
		{filepath.Join(dir, "missing.yaml"), "missing.yaml: error: cannot read the configuration: no such file or directory"},
		{empty, "empty: error: cannot read the configuration: the directory holds no .yaml, .yml or .json file"},
		{filepath.Join(dir, "dangling"), "dangling: error: cannot read the configuration: no such file or directory"},
		{huge, "16 MiB"},
	} {
		loaded := New(test.path).Load()
		if err := loaded.Diagnostics.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.path, err, test.want)
		}
	}
}

func TestRevisionFollowsContents(t *testing.T) {
	dir := t.TempDir()
	secret := write(t, filepath.Join(dir, "secret"), "one")
	name := write(t, filepath.Join(dir, "c.yaml"), listening("a")+"admin: {address: \"127.0.0.1:0\", token: \"${file:"+secret+"}\"}\n")
	s := New(name)
	first := s.Load()
	if len(first.Revision) != 12 || first.Diagnostics.HasErrors() {
		t.Fatalf("revision %q, %v", first.Revision, first.Diagnostics.Err())
	}
	if again := s.Load().Revision; again != first.Revision {
		t.Errorf("the same contents are %s and %s", first.Revision, again)
	}
	write(t, secret, "two")
	if second := s.Load(); second.Revision == first.Revision || string(second.Config.Admin.Token) != "two" {
		t.Errorf("another secret: revision %s again", second.Revision)
	}
}

// watching loads and watches a path until the test ends. It receives what Load gives after each change.
func watching(t *testing.T, path string, also ...string) <-chan string {
	t.Helper()
	s := New(path)
	s.poll = time.Hour // only what the system tells of
	names(s)
	s.Also(also)
	changes := make(chan string, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Watch(ctx, func() { changes <- names(s); s.Also(also) })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return changes
}

// await is the next change that gives want. Writing a file is two steps, and what is seen between them is a change too.
func await(t *testing.T, changes <-chan string, want string) {
	t.Helper()
	var seen []string
	over := time.After(patience)
	for {
		select {
		case got := <-changes:
			if seen = append(seen, got); strings.Contains(got, want) {
				return
			}
		case <-over:
			t.Fatalf("waited in vain for %q, saw %q", want, seen)
		}
	}
}

func TestWatchSeesEveryWayToChangeAFile(t *testing.T) {
	dir := t.TempDir()
	name := write(t, filepath.Join(dir, "c.yaml"), listening("a"))
	changes := watching(t, name)

	write(t, name, listening("in-place"))
	await(t, changes, "in-place")

	for _, round := range []string{"renamed-over", "renamed-again"} { // as editors and tools do
		if err := os.Rename(write(t, filepath.Join(dir, "c.yaml.tmp"), listening(round)), name); err != nil {
			t.Fatal(err)
		}
		await(t, changes, round)
	}

	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "no such file")
	write(t, name, listening("back"))
	await(t, changes, "back")
}

// A ConfigMap is a link to a file below a link to a directory; an update swaps the latter.
func TestWatchSeesASwappedLink(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprintf("the whole directory: %v", whole), func(t *testing.T) {
			dir := t.TempDir()
			swap := func(version string) {
				t.Helper()
				write(t, filepath.Join(dir, version, "c.yaml"), listening(version))
				next := filepath.Join(dir, "..data_tmp")
				if err := os.Symlink(version, next); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
					t.Fatal(err)
				}
			}
			swap("v1")
			path := filepath.Join(dir, "c.yaml")
			if err := os.Symlink(filepath.Join("..data", "c.yaml"), path); err != nil {
				t.Fatal(err)
			}
			if whole {
				path = dir
			}
			changes := watching(t, path)
			for _, version := range []string{"v2", "v3", "v4"} {
				swap(version)
				await(t, changes, version)
			}
		})
	}
}

// The path itself may be the link that is swapped. Files are then written into the new directory.
func TestWatchFollowsALinkToADirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "v1", "c.yaml"), listening("v1"))
	write(t, filepath.Join(dir, "v2", "c.yaml"), listening("v2"))
	path, next := filepath.Join(dir, "current"), filepath.Join(dir, "next")
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	link("v1", path)
	changes := watching(t, path)
	link("v2", next)
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "v2")
	write(t, filepath.Join(dir, "v2", "c.yaml"), listening("edited"))
	await(t, changes, "edited")
}

func TestWatchSeesFilesComeAndGo(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), listening("a"))
	changes := watching(t, dir)
	b := write(t, filepath.Join(dir, "b.yaml"), listening("b"))
	await(t, changes, "a b")
	if err := os.Remove(b); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "a")
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "holds no .yaml")
}

// Files that the configuration names count, wherever they are, those it was refused for included.
func TestWatchSeesFurtherFiles(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "c.yaml"), listening("a"))
	elsewhere := t.TempDir()
	certFile := write(t, filepath.Join(elsewhere, "a.crt"), "one")
	missing := filepath.Join(elsewhere, "a.key")
	changes := watching(t, name, certFile, missing)
	write(t, certFile, "two")
	await(t, changes, "a")
	write(t, missing, "come")
	await(t, changes, "a")
}

// Something that is written all the time beside the configuration, a log for instance, does not hide a change of it.
func TestSettlingEndsThoughThereIsNoQuiet(t *testing.T) {
	for _, test := range []struct {
		events int // 10 ms apart
		want   time.Duration
	}{
		{1, settle},
		{3, settle + 20*time.Millisecond},
		{1000, most},
	} {
		synctest.Test(t, func(t *testing.T) {
			var quiet settling
			began := time.Now()
			tick := time.NewTicker(10 * time.Millisecond)
			quiet.begin()
			for events := 1; ; {
				select {
				case <-quiet.over:
					if got := time.Since(began); got > test.want || test.events < 1000 && got != test.want {
						t.Errorf("%d events: over after %v, want %v", test.events, got, test.want)
					}
					return
				case <-tick.C:
					if events < test.events {
						events++
						quiet.begin()
					}
				}
			}
		})
	}
}

// Where the system tells nothing, looking now and then remains.
func TestWatchPolls(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "c.yaml"), listening("a"))
	s := New(name)
	s.poll = time.Millisecond
	names(s)
	<-s.rearm // nobody watches the directory
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan string, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Watch(ctx, func() { seen <- names(s); cancel() })
	}()
	if err := os.Rename(write(t, name+".tmp", listening("polled")), name); err != nil {
		t.Fatal(err)
	}
	<-done
	if got := <-seen; got != "polled" {
		t.Errorf("listeners %q", got)
	}
}

// What has been told is not told again, however often it is looked at.
func TestOneChangeIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "c.yaml")
	certFile := filepath.Join(dir, "a.crt")
	s := New(name)
	steps := []struct {
		what string
		do   func()
		want bool
	}{
		{"a file comes", func() { write(t, name, listening("a")) }, true},
		{"it is written again with the same contents", func() { write(t, name, listening("a")) }, false},
		{"a certificate changes", func() { write(t, certFile, "two") }, true},
		{"an editor's backup comes", func() { write(t, name+"~", "x") }, false},
		{"the certificate goes", func() { os.Remove(certFile) }, true},
		{"the file cannot be read", func() { os.Remove(name); os.Symlink("loop", filepath.Join(dir, "loop")); os.Symlink("loop", name) }, true},
		{"the file goes", func() { os.Remove(name) }, false}, // nothing to be read then as now
		{"the file comes back broken", func() { write(t, name, "listeners: [") }, true},
		{"the broken file goes", func() { os.Remove(name) }, true},
	}
	write(t, certFile, "one")
	names(s)
	s.Also([]string{certFile})
	for _, step := range steps {
		step.do()
		if got := s.changed(); got != step.want {
			t.Errorf("%s: changed is %v", step.what, got)
		}
		names(s)
		s.Also([]string{certFile})
		if s.changed() {
			t.Errorf("%s: it is told again after it was loaded", step.what)
		}
	}
}

// A file that was named counts while the configuration that names it cannot be read, and from before it is read on.
func TestNamedFilesAreNotForgotten(t *testing.T) {
	dir := t.TempDir()
	name, certFile := write(t, filepath.Join(dir, "c.yaml"), listening("a")), write(t, filepath.Join(dir, "a.crt"), "one")
	s := New(name)
	names(s)
	s.Also([]string{certFile})
	write(t, name, "listeners: [")
	names(s)
	write(t, certFile, "two")
	if !s.changed() {
		t.Error("while the configuration is broken, a change of the certificate goes unseen")
	}

	names(s) // and before it is compiled, the certificate is renewed
	write(t, certFile, "three")
	s.Also([]string{certFile})
	if !s.changed() {
		t.Error("a change between reading the configuration and the certificate goes unseen")
	}
}

// A file that is named may have no end.
func TestReadFileIsBounded(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "big"), "")
	if err := os.Truncate(name, maxBytes+5); err != nil {
		t.Fatal(err)
	}
	data, err := readFile(name)
	if err != nil || len(data) != maxBytes {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if _, err := list(filepath.Join(name, "below")); err == nil {
		t.Error("a file was listed as a directory")
	}
	if got, err := list(name); err != nil || !slices.Equal(got, []string{name}) {
		t.Errorf("%v, %v", got, err)
	}
}

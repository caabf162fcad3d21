package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// patience bounds what a test waits for. Nothing is expected to take it.
const patience = 10 * time.Second

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replace writes another file and renames it, as tools do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.Rename(write(t, path+".tmp", text), path); err != nil {
		t.Fatal(err)
	}
}

// watching follows a file until the test ends, by events alone unless poll is shorter.
func watching(t *testing.T, path string, poll time.Duration) (outcomes <-chan string) {
	t.Helper()
	s := New(path, "http")
	s.poll = poll
	said := make(chan string, 100)
	w := discovery.New(discovery.Options{Source: s, Told: func(o discovery.Outcome) {
		if o.Err != nil {
			said <- o.Err.Error()
		}
	}, Apply: func(set []discovery.Endpoint) {
		var urls []string
		for _, e := range set {
			urls = append(urls, strings.TrimPrefix(e.URL, "http://"))
		}
		said <- strings.Join(urls, " ")
	}})
	w.Start()
	t.Cleanup(w.Stop)
	return said
}

// await waits for an outcome that holds want. Writing in place is two steps, and what lies between may be seen.
func await(t *testing.T, outcomes <-chan string, want string) {
	t.Helper()
	var seen []string
	over := time.After(patience)
	for {
		select {
		case got := <-outcomes:
			if seen = append(seen, got); strings.Contains(got, want) {
				return
			}
		case <-over:
			t.Fatalf("waited in vain for %q, saw %q", want, seen)
		}
	}
}

func TestEveryWayToChangeAFileIsSeen(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "orders.yaml"), "endpoints: [a:1]")
	said := watching(t, path, time.Hour)
	await(t, said, "a:1")
	write(t, path, "endpoints: [b:1]")
	await(t, said, "b:1")
	for _, host := range []string{"c:1", "d:1"} {
		replace(t, path, "endpoints: ["+host+"]")
		await(t, said, host)
	}
	replace(t, path, "endpoints: [e:1, ")
	await(t, said, "neither YAML nor JSON")
	replace(t, path, "endpoints: [f:1]")
	await(t, said, "f:1")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	await(t, said, "no such file")
	write(t, path, "endpoints: [g:1]")
	await(t, said, "g:1")
}

// A ConfigMap is a link to a file below a link to a directory; an update swaps the latter.
func TestASwappedLinkIsSeen(t *testing.T) {
	dir := t.TempDir()
	swap := func(version string) {
		t.Helper()
		write(t, filepath.Join(dir, version, "orders.yaml"), "endpoints: ["+version+":1]")
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("v1")
	path := filepath.Join(dir, "orders.yaml")
	if err := os.Symlink(filepath.Join("..data", "orders.yaml"), path); err != nil {
		t.Fatal(err)
	}
	said := watching(t, path, time.Hour)
	for _, version := range []string{"v1", "v2", "v3"} {
		swapTo := version != "v1"
		if swapTo {
			swap(version)
		}
		await(t, said, version+":1")
	}
}

func TestWithoutEventsTheFileIsLookedAt(t *testing.T) {
	dir := t.TempDir()
	real := write(t, filepath.Join(dir, "far", "away", "orders.yaml"), "[a:1]")
	path := filepath.Join(dir, "near", "orders.yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{path: "../middle", filepath.Join(dir, "middle"): real} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	said := watching(t, path, 20*time.Millisecond)
	await(t, said, "a:1")
	other := write(t, filepath.Join(dir, "else", "where", "orders.yaml"), "[b:1]")
	if err := os.Symlink(other, filepath.Join(dir, "middle2")); err != nil { // in a directory that is not watched
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "middle2"), filepath.Join(dir, "middle")); err != nil {
		t.Fatal(err)
	}
	await(t, said, "b:1")
}

func TestAChangeBetweenTwoQuestionsIsNotMissed(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "orders.yaml"), "[a:1]")
	s := New(path, "https")
	if got, err := s.Find(t.Context()); err != nil || got.Endpoints[0].URL != "https://a:1" {
		t.Fatalf("%v, %v", got, err)
	}
	write(t, path, "[b:1]")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if got, err := s.Find(ctx); err != nil || got.Endpoints[0].URL != "https://b:1" {
		t.Errorf("%v, %v", got, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Find(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing has changed, and Find says %v", err)
	}
}

// Whoever writes the file late, or mends it late, waits for nothing but the event.
func TestAFileThatComesIsSeenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.yaml")
	s := New(path, "http")
	s.poll = time.Hour
	for _, step := range []struct{ text, want string }{{"", "no such file"}, {"garbage", "no list"}, {"[a:1]", ""}} {
		if step.text != "" {
			replace(t, path, step.text)
		}
		got, err := s.Find(t.Context())
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) || !got.Waits {
			t.Fatalf("%q: %+v, %v; want %q", step.text, got, err, step.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Find(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing is new: %v", err)
	}
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	large := write(t, filepath.Join(dir, "large"), "")
	if err := os.Truncate(large, 50<<20); err != nil {
		t.Fatal(err)
	}
	for path, why := range map[string]string{
		filepath.Join(dir, "missing"): "the file cannot be read: no such file or directory",
		dir:                           "no regular file",
		pipe:                          "no regular file",
		large:                         "more than 4 MiB",
	} {
		if got, err := New(path, "http").Find(t.Context()); err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
}

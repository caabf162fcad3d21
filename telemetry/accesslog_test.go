package telemetry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func open(t *testing.T, to string, sample float64) *AccessLog {
	t.Helper()
	l, err := OpenAccessLog(to, "json", sample, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ids are the request ids of the lines of text, which must all be whole.
func ids(t *testing.T, text string) (list []string) {
	t.Helper()
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		var line struct {
			ID string `json:"request_id"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, scanner.Bytes())
		}
		list = append(list, line.ID)
	}
	return list
}

func TestAFileIsCreatedAndAppendedTo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	defer syscall.Umask(syscall.Umask(0))
	for _, id := range []string{"one", "two"} {
		l := open(t, file, 1)
		l.Write(&Record{RequestID: id})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(ids(t, read(t, file))); got != "[one two]" {
		t.Errorf("the file has %s", got)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o640 {
		t.Errorf("mode is %o, want 640", info.Mode().Perm())
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to, format string
		sample     float64
		want       string
	}{
		{filepath.Join(dir, "no", "such"), "json", 1, "no such file"},
		{dir, "json", 1, "directory"},
		{"", "json", 1, "no such file"},
		{pipe, "json", 1, "needs its reader first"},
		{"stdout", "common", 1, "use json"},
		{"stdout", "json", 1.5, "between 0 and 1"},
		{"stdout", "json", -1, "between 0 and 1"},
		{"stdout", "json", math.NaN(), "between 0 and 1"},
	} {
		_, err := OpenAccessLog(c.to, c.format, c.sample, nil, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s %v: %v, want an error with %q", c.to, c.format, c.sample, err, c.want)
		}
	}
}

func TestStandardStreams(t *testing.T) {
	for to, stream := range map[string]**os.File{"stdout": &os.Stdout, "stderr": &os.Stderr} {
		t.Run(to, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer func(old *os.File) { *stream = old }(*stream)
			*stream = w
			l := open(t, to, 1)
			l.Write(&Record{RequestID: "one"})
			if err := l.Reopen(); err != nil {
				t.Error(err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if _, err := w.WriteString("still open\n"); err != nil {
				t.Errorf("Close closed %s: %v", to, err)
			}
			w.Close()
			var text bytes.Buffer
			if _, err := text.ReadFrom(r); err != nil {
				t.Fatal(err)
			}
			if line, ok := strings.CutSuffix(text.String(), "still open\n"); !ok || len(ids(t, line)) != 1 {
				t.Errorf("%s has %q", to, text.String())
			}
		})
	}
}

func TestSampleTakesItsShare(t *testing.T) {
	const n = 10_000
	for _, sample := range []float64{0, 0.25, 1} {
		file := filepath.Join(t.TempDir(), "access.log")
		l := open(t, file, sample)
		for range n {
			l.Write(&Record{})
			for l.sink.len() > bufferSize/2 {
				// A slow disk must not be taken for the sample: let the sink catch up.
				l.sink.hurry()
			}
		}
		l.Close()
		got := float64(strings.Count(read(t, file), "\n"))
		if sd := math.Sqrt(n * sample * (1 - sample)); math.Abs(got-n*sample) > 6*sd {
			t.Errorf("a sample of %v took %v of %d", sample, got, n)
		}
	}
}

func (s *sink) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.buf)
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "access.log")
	l := open(t, file, 1)
	l.Write(&Record{RequestID: "one"})
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	l.Write(&Record{RequestID: "two"})
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(ids(t, read(t, file+".1"))) == 2 })
	l.Write(&Record{RequestID: "three"})
	l.Close()
	if got := fmt.Sprint(ids(t, read(t, file+".1")), ids(t, read(t, file))); got != "[one two] [three]" {
		t.Errorf("the files have %s", got)
	}
}

func TestReopenThatFailsKeepsTheFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := open(t, filepath.Join(dir, "access.log"), 1)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Reopen: %v", err)
	}
	l.Write(&Record{RequestID: "one"})
	l.Close()
	if got := ids(t, read(t, filepath.Join(dir+".old", "access.log"))); len(got) != 1 {
		t.Errorf("the old file has %v", got)
	}
}

func TestManyWritersLoseNothing(t *testing.T) {
	const workers, each = 4, 500 // less than one buffer holds
	file := filepath.Join(t.TempDir(), "access.log")
	l := open(t, file, 1)
	var writers sync.WaitGroup
	for w := range workers {
		writers.Go(func() {
			for i := range each {
				l.Write(&Record{RequestID: fmt.Sprintf("%d-%d", w, i)})
			}
		})
	}
	for range 20 {
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
	}
	writers.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	next := [workers]int{}
	for _, id := range ids(t, read(t, file)) {
		var w, i int
		if _, err := fmt.Sscanf(id, "%d-%d", &w, &i); err != nil || i != next[w] {
			t.Fatalf("line %s, want line %d of that writer", id, next[w])
		}
		next[w]++
	}
	if next != [workers]int{each, each, each, each} || l.dropped.Load() != 0 {
		t.Errorf("%v lines written, %d dropped", next, l.dropped.Load())
	}
}

func TestAClosedLogDrops(t *testing.T) {
	m := NewMetrics(nil)
	l, err := OpenAccessLog(filepath.Join(t.TempDir(), "access.log"), "json", 1, m, discard())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	l.Write(answered())
	if got := gather(t, m)["sluice_accesslog_dropped_total"].GetMetric()[0].GetCounter().GetValue(); got != 1 {
		t.Errorf("%v lines are shown as dropped, want 1", got)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// A pipe that nobody reads: requests go on, lines are dropped and counted, and what is read in the end is whole.
func TestAPipeNobodyReadsDoesNotStopRequests(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	l := open(t, fifo, 1)
	const workers, each = 4, 5000
	var writers sync.WaitGroup
	for range workers {
		writers.Go(func() {
			r := answered()
			for range each {
				l.Write(r)
			}
		})
	}
	writers.Wait()
	if l.dropped.Load() == 0 {
		t.Error("nothing was dropped, though nobody reads")
	}
	var text bytes.Buffer
	done := make(chan error, 1)
	go func() {
		_, err := text.ReadFrom(reader)
		done <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := len(ids(t, text.String())); got+int(l.dropped.Load()) != workers*each {
		t.Errorf("%d lines read and %d dropped of %d", got, l.dropped.Load(), workers*each)
	}
}

// Closing the file must end a write that the system blocks, or a goroutine and a descriptor would stay for good.
func TestAbandonEndsABlockedWrite(t *testing.T) {
	_, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var dropped Counter
	s := newSink(w, &dropped, discard())
	s.append(bytes.Repeat([]byte("a line\n"), flushSize)) // more than a pipe holds
	eventually(t, func() bool { return s.len() == 0 })
	s.close()
	s.abandon()
	<-s.done
	if dropped.Load() == 0 {
		t.Error("nothing was counted as dropped")
	}
}

func TestCloseTellsThatItGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := io.Pipe()
		dropped := new(Counter)
		l := &AccessLog{to: "a pipe", sample: 1, dropped: dropped, sink: newSink(w, dropped, discard())}
		l.Write(answered())
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), "sink a pipe took nothing for 5s") {
			t.Errorf("Close: %v", err)
		}
		synctest.Wait()
		if l.dropped.Load() != 1 {
			t.Errorf("%d lines dropped, want 1", l.dropped.Load())
		}
	})
}

func TestHugeLinesDoNotStayInThePool(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "access.log"), 1)
	r := answered()
	r.UserAgent = strings.Repeat("\x01", maxField)
	l.Write(r)
	if line := lines.Get().(*[]byte); cap(*line) > maxPooledLine {
		t.Errorf("a buffer of %d bytes is pooled", cap(*line))
	}
}

func TestNewLogger(t *testing.T) {
	for format, want := range map[string]string{"text": "msg=ready port=1", "json": `"msg":"ready","port":1`} {
		var b bytes.Buffer
		log, err := NewLogger(&b, format, slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("hidden")
		log.Info("ready", "port", 1)
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "hidden") {
			t.Errorf("%s: %s", format, b.String())
		}
	}
	if _, err := NewLogger(nil, "xml", 0); err == nil {
		t.Error("format xml was taken")
	}
}

// eventually waits until ok, asking again and again for at most 10 s.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass within 10 s")
		}
	}
}

func BenchmarkAccessLogWrite(b *testing.B) {
	l, err := OpenAccessLog(filepath.Join(b.TempDir(), "access.log"), "json", 1, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	r := answered()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Write(r)
		}
	})
	b.ReportMetric(float64(l.dropped.Load())/float64(b.N), "dropped/op")
}

package telemetry

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a sink's file that keeps each write, and blocks or fails while told to.
type memory struct {
	mu     sync.Mutex
	writes []string
	closed bool
	accept int // bytes taken before fail, once fail is set
	fail   error
}

func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		n := min(m.accept, len(p))
		m.writes = append(m.writes, string(p[:n]))
		return n, m.fail
	}
	m.writes = append(m.writes, string(p))
	return len(p), nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *memory) failWith(err error, accept int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail, m.accept = err, accept
}

func (m *memory) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.writes, "")
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.writes)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestSinkGathersForFlushDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file memory
		s := newSink(&file, new(Counter), discard())
		for range 3 {
			s.append([]byte("a line\n"))
		}
		time.Sleep(flushDelay - 1)
		synctest.Wait()
		if n := file.count(); n != 0 {
			t.Errorf("%d writes before the delay was over", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := file.count(); n != 1 || file.text() != "a line\na line\na line\n" {
			t.Errorf("%d writes: %q", n, file.text())
		}
		time.Sleep(time.Hour)
		if n := file.count(); n != 1 {
			t.Errorf("an idle sink wrote %d times more", n-1)
		}
		if !s.finish() {
			t.Error("the sink did not finish")
		}
	})
}

func TestSinkDoesNotWaitWhenEnoughHasGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file memory
		s := newSink(&file, new(Counter), discard())
		line := []byte(strings.Repeat("x", flushSize/4-1) + "\n")
		for range 4 {
			s.append(line)
		}
		synctest.Wait()
		if n := len(file.text()); n != flushSize {
			t.Errorf("%d bytes are written at once, want %d", n, flushSize)
		}
		s.finish()
	})
}

func TestFinishWritesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file memory
		var dropped Counter
		s := newSink(&file, &dropped, discard())
		s.append([]byte("last\n"))
		began := time.Now()
		if !s.finish() || file.text() != "last\n" || !file.closed {
			t.Errorf("finished with %q, closed %v", file.text(), file.closed)
		}
		if time.Since(began) != 0 {
			t.Errorf("finish waited %v", time.Since(began))
		}
		if s.append([]byte("too late\n")) {
			t.Error("a closed sink took a line")
		}
		if dropped.Load() != 0 {
			t.Errorf("%d lines dropped", dropped.Load())
		}
	})
}

func TestABlockedSinkRefusesAndNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s := newSink(w, new(Counter), discard())
		line := []byte(strings.Repeat("x", 1023) + "\n")
		fill := func() (taken int) {
			for range 4096 {
				if s.append(line) {
					taken++
				}
			}
			return taken
		}
		taken := fill()
		synctest.Wait()
		taken += fill()
		if taken < 1024 || taken > 2048 {
			t.Errorf("%d lines of 1 KiB are held, want 1 MiB waiting and at most as much being written", taken)
		}
		if more := fill(); more != 0 {
			t.Errorf("a full sink took %d lines", more)
		}

		var read bytes.Buffer
		done := make(chan struct{})
		go func() { io.Copy(&read, r); close(done) }()
		s.finish()
		<-done
		if got := bytes.Count(read.Bytes(), newline); got != taken {
			t.Errorf("%d lines written of %d taken", got, taken)
		}
	})
}

func TestAStuckSinkIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := io.Pipe()
		var dropped Counter
		s := newSink(w, &dropped, discard())
		s.append([]byte("one\n"))
		time.Sleep(flushDelay)
		synctest.Wait()
		s.append([]byte("two\n"))
		s.append([]byte("three\n"))
		began := time.Now()
		if s.finish() {
			t.Error("finish did not notice")
		}
		if waited := time.Since(began); waited != closeTimeout {
			t.Errorf("it took %v, want %v", waited, closeTimeout)
		}
		<-s.done
		if got := dropped.Load(); got != 3 {
			t.Errorf("%d lines dropped, want 3", got)
		}
	})
}

func TestAFailingSinkSaysSoOnceAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file memory
		var dropped Counter
		var log bytes.Buffer
		s := newSink(&file, &dropped, slog.New(slog.NewTextHandler(&log, nil)))
		flush := func(line string) {
			s.append([]byte(line))
			time.Sleep(flushDelay)
			synctest.Wait()
		}
		file.failWith(errors.New("no space left"), 0)
		flush("lost\n")
		flush("lost\n")
		if got := strings.Count(log.String(), "no space left"); got != 1 || dropped.Load() != 2 {
			t.Errorf("told %d times, %d lines dropped; want once and 2", got, dropped.Load())
		}
		file.failWith(nil, 0)
		flush("kept\n")
		file.failWith(errors.New("no space left"), 0)
		flush("lost\n")
		if got := strings.Count(log.String(), "no space left"); got != 2 {
			t.Errorf("the second failure was told %d times", got-1)
		}
		if file.text() != "kept\n" {
			t.Errorf("written: %q", file.text())
		}
		s.finish()
	})
}

// A write that stops within a line must not glue the next line to the piece.
func TestATornLineIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file memory
		var dropped Counter
		s := newSink(&file, &dropped, discard())
		flush := func(lines string) {
			s.append([]byte(lines))
			time.Sleep(flushDelay)
			synctest.Wait()
		}
		file.failWith(errors.New("disk full"), len("first\nsec"))
		flush("first\nsecond\nthird\n")
		file.failWith(errors.New("disk full"), 0)
		flush("fourth\n")
		file.failWith(nil, 0)
		flush("fifth\n")
		s.finish()
		if got, want := file.text(), "first\nsec\nfifth\n"; got != want {
			t.Errorf("written %q, want %q", got, want)
		}
		if dropped.Load() != 3 {
			t.Errorf("%d lines dropped, want 3", dropped.Load())
		}
	})
}

func TestReopenKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, unused, second memory
		s := newSink(&first, new(Counter), discard())
		s.append([]byte("before\n"))
		s.reopen(&unused)
		s.reopen(&second)
		synctest.Wait()
		s.append([]byte("after\n"))
		s.finish()
		if first.text() != "before\n" || second.text() != "after\n" || unused.text() != "" {
			t.Errorf("first %q, second %q, unused %q", first.text(), second.text(), unused.text())
		}
		for i, file := range []*memory{&first, &unused, &second} {
			if !file.closed {
				t.Errorf("file %d is left open", i)
			}
		}
		var late memory
		s.reopen(&late)
		if !late.closed {
			t.Error("a file given to a closed sink is left open")
		}
	})
}

func TestSinkGivesALargeBufferBackAfterTheBurst(t *testing.T) {
	for _, c := range []struct{ length, capacity, want int }{
		{5, keepBuffer + 1, 0},
		{flushSize + 1, keepBuffer + 1, keepBuffer + 1},
		{5, keepBuffer, keepBuffer},
	} {
		s := new(sink)
		if s.take(make([]byte, c.length, c.capacity)); cap(s.buf) != c.want || len(s.buf) != 0 {
			t.Errorf("%+v: the next buffer has length %d and capacity %d", c, len(s.buf), cap(s.buf))
		}
	}
}

package telemetry

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"
)

// sink gathers lines and writes them in batches from one goroutine, which sleeps while there are none. The first line
// of a batch wakes it; it then waits until flushSize has gathered or flushDelay has passed.
type sink struct {
	log     *slog.Logger
	dropped *Counter

	mu     sync.Mutex
	buf    []byte         // whole lines, at most bufferSize; up to as much again is being written
	next   io.WriteCloser // replaces w after the next batch; nil: none
	closed bool

	wake chan struct{} // holds one: buf is no longer empty, or next is set, or closed
	full chan struct{} // holds one: buf has reached flushSize, or there is a reason not to wait for that
	done chan struct{} // closed when the goroutine has ended

	// Of the goroutine alone; others read w under mu, and so the goroutine changes it.
	w       io.WriteCloser
	torn    bool // the last write stopped within a line
	failing bool // the last write failed
}

const (
	bufferSize = 1 << 20                // lines waiting; more are dropped
	flushSize  = 64 << 10               // gathered: written at once
	flushDelay = 100 * time.Millisecond // the longest a line waits to be written
	keepBuffer = 4 * flushSize          // a larger buffer is given back once a burst is over

	closeTimeout = 5 * time.Second // what a sink that takes nothing is given at its end
)

var newline = []byte{'\n'}

func newSink(w io.WriteCloser, dropped *Counter, log *slog.Logger) *sink {
	s := &sink{
		log: log, dropped: dropped, w: w, buf: make([]byte, 0, flushSize+maxPooledLine),
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go s.run()
	return s
}

// append takes a copy of line. It is false if the buffer is full or the sink closed.
func (s *sink) append(line []byte) bool {
	s.mu.Lock()
	before := len(s.buf)
	after := before + len(line)
	if s.closed || after > bufferSize {
		s.mu.Unlock()
		return false
	}
	s.buf = append(s.buf, line...)
	s.mu.Unlock()
	if before == 0 {
		signal(s.wake)
	}
	if before < flushSize && after >= flushSize {
		signal(s.full)
	}
	return true
}

// reopen makes w take over once the lines taken so far are written.
func (s *sink) reopen(w io.WriteCloser) {
	s.mu.Lock()
	unused := s.next
	if s.closed {
		unused = w
	} else {
		s.next = w
	}
	s.mu.Unlock()
	if unused != nil {
		unused.Close()
	}
	s.hurry()
}

// finish closes the sink and waits until all is written. It is false if the sink was stuck for closeTimeout.
func (s *sink) finish() bool {
	s.close()
	stuck := time.NewTimer(closeTimeout)
	defer stuck.Stop()
	select {
	case <-s.done:
		return true
	case <-stuck.C:
		s.abandon()
		return false
	}
}

// close takes no more lines. What was taken is written, and done is closed after that.
func (s *sink) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.hurry()
}

// hurry makes the goroutine look without waiting for more.
func (s *sink) hurry() {
	signal(s.wake)
	signal(s.full)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *sink) run() {
	defer close(s.done)
	delay := time.NewTimer(flushDelay)
	defer delay.Stop()
	var batch []byte
	for {
		<-s.wake
		delay.Reset(flushDelay)
		select {
		case <-s.full:
		case <-delay.C:
		}
		var next io.WriteCloser
		var closed bool
		batch, next, closed = s.take(batch)
		s.write(batch)
		if next != nil {
			s.replace(next)
		}
		if closed {
			s.w.Close()
			return
		}
	}
}

func (s *sink) replace(next io.WriteCloser) {
	s.w.Close()
	s.mu.Lock()
	s.w = next
	s.mu.Unlock()
	s.torn = false
}

// take swaps the gathered lines for the buffer of the batch before.
func (s *sink) take(spare []byte) (batch []byte, next io.WriteCloser, closed bool) {
	if cap(spare) > keepBuffer && len(spare) <= flushSize {
		spare = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, s.buf = s.buf, spare[:0]
	next, s.next = s.next, nil
	return batch, next, s.closed
}

// write writes batch. What the sink refuses is dropped: keeping it would only drop what comes after.
func (s *sink) write(batch []byte) {
	if len(batch) == 0 {
		return
	}
	if s.torn {
		if _, err := s.w.Write(newline); err != nil {
			s.failed(batch, err)
			return
		}
		s.torn = false
	}
	n, err := s.w.Write(batch)
	if err != nil {
		s.torn = n > 0 && batch[n-1] != '\n'
		s.failed(batch[n:], err)
		return
	}
	s.failing = false
}

// failed counts the lines lost, and tells the log the first time.
func (s *sink) failed(lost []byte, err error) {
	s.dropped.Add(uint64(bytes.Count(lost, newline)))
	if !s.failing {
		s.log.Error("access log cannot be written; lines are dropped until it can", "error", err)
	}
	s.failing = true
}

// abandon drops what is left and closes the file under a write that does not return, which ends it where the system
// can. A sink that has finished does not notice.
func (s *sink) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped.Add(uint64(bytes.Count(s.buf, newline)))
	s.buf = nil
	s.w.Close()
}

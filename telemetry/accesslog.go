package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
)

// AccessLog writes one line of JSON for each request. Write encodes into a pooled buffer and appends it to the bounded
// buffer of a sink, under a lock held for one copy; a goroutine of the sink writes what has gathered to the file, at
// most 100 ms late. So a request never waits for a disk or a pipe: when the sink is blocked and 1 MiB is waiting, lines
// are dropped and counted.
type AccessLog struct {
	to      string
	sample  float64
	dropped *Counter
	sink    *sink
}

// OpenAccessLog opens the log: to is stdout, stderr or a file's path; format is json; sample is the share of requests
// written, 0 to 1. A file is created with mode 0640 and appended to; a named pipe needs its reader first. Lines dropped
// are counted by m, and errors of writing go to log, once each time the sink begins to fail; both may be nil.
func OpenAccessLog(to, format string, sample float64, m *Metrics, log *slog.Logger) (*AccessLog, error) {
	if format != "json" {
		return nil, fmt.Errorf("format %q is not supported: use json", format)
	}
	if !(sample >= 0 && sample <= 1) { // so written, it refuses NaN too
		return nil, fmt.Errorf("sample %v is not between 0 and 1", sample)
	}
	w, err := openSink(to)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &AccessLog{to: to, sample: sample, dropped: new(Counter)}
	if m != nil {
		l.dropped = &m.linesDropped
	}
	l.sink = newSink(w, l.dropped, log)
	return l, nil
}

func openSink(to string) (io.WriteCloser, error) {
	switch to {
	case "stdout":
		return standard{os.Stdout}, nil
	case "stderr":
		return standard{os.Stderr}, nil
	}
	// O_NONBLOCK so that a named pipe without a reader is an error here and not a wait without end. Files ignore it.
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if errors.Is(err, syscall.ENXIO) {
		return nil, fmt.Errorf("%w: a named pipe needs its reader first; for the standard streams write stdout or stderr", err)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// standard is stdout or stderr, which are not ours to close.
type standard struct{ io.Writer }

func (standard) Close() error { return nil }

// Write logs r, if the sample takes it. It does not block and does not keep r. After Close it drops what it is given.
func (l *AccessLog) Write(r *Record) {
	if l.sample < 1 && rand.Float64() >= l.sample {
		return
	}
	line := lines.Get().(*[]byte)
	*line = appendRecord((*line)[:0], r)
	if !l.sink.append(*line) {
		l.dropped.Inc()
	}
	if cap(*line) <= maxPooledLine {
		lines.Put(line)
	}
}

// maxPooledLine keeps the rare monster from staying in the pool.
const maxPooledLine = 16 << 10

var lines = sync.Pool{New: func() any {
	line := make([]byte, 0, 1<<10)
	return &line
}}

// Reopen opens the log's file anew, for a rotation that has renamed it. Lines taken so far go to the old file. If the
// new one cannot be opened the old stays in use. The standard streams are left alone.
func (l *AccessLog) Reopen() error {
	if l.to == "stdout" || l.to == "stderr" {
		return nil
	}
	w, err := openSink(l.to)
	if err != nil {
		return err
	}
	l.sink.reopen(w)
	return nil
}

// Close writes what was taken and closes the file. A sink that is stuck is given 5 s, then its lines are dropped and an
// error says so.
func (l *AccessLog) Close() error {
	if !l.sink.finish() {
		return fmt.Errorf("the access log's sink %s took nothing for %v; the lines left were dropped", l.to, closeTimeout)
	}
	return nil
}

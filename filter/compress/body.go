package compress

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/sluice-gateway/sluice/filter"
)

const (
	piece      = 32 << 10  // bytes read from the service at once
	windowSize = 512 << 10 // of zstd and br: clients must take 8 MiB (RFC 9659), but we pay for the window
	windowBits = 19        // the same for br
	maxKept    = 256 << 10 // an output buffer that has grown beyond is not kept
)

// coding is one algorithm at one level, with the encoders that rest.
type coding struct {
	name  string
	field []string // the value of Content-Encoding
	make  func() (encoder, error)
	pool  sync.Pool // of *press
}

type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// press is an encoder with the room that it works in.
type press struct {
	encoder
	in  [piece]byte
	out bytes.Buffer
}

// levels are what fastest, default and best are to each algorithm.
var levels = map[string]struct {
	gzip, br int
	zstd     zstd.EncoderLevel
}{
	"fastest": {1, 1, zstd.SpeedFastest},
	"default": {5, 4, zstd.SpeedDefault},
	"best":    {9, 9, zstd.SpeedBetterCompression},
	"":        {5, 4, zstd.SpeedDefault},
}

func newCoding(name, level string) (*coding, error) {
	l, ok := levels[level]
	if !ok {
		return nil, filter.Setting("level", "%q is no level: write fastest, default or best", level)
	}
	c := &coding{name: name, field: []string{name}}
	switch name {
	case "gzip":
		c.make = func() (encoder, error) { return gzip.NewWriterLevel(nil, l.gzip) }
	case "br":
		c.make = func() (encoder, error) {
			return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: l.br, LGWin: windowBits}), nil
		}
	case "zstd": // with a concurrency of one it encodes on the caller's goroutine and starts none
		c.make = func() (encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(l.zstd),
				zstd.WithWindowSize(windowSize), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
		}
	default:
		return nil, filter.Setting("algorithms", "%q is no algorithm: write zstd, br or gzip", name)
	}
	return c, nil
}

func (c *coding) get() (*press, error) {
	if p, ok := c.pool.Get().(*press); ok {
		p.Reset(&p.out)
		return p, nil
	}
	e, err := c.make()
	if err != nil {
		return nil, err
	}
	p := &press{encoder: e}
	p.Reset(&p.out)
	return p, nil
}

// put keeps a press for the next body, in whatever state it was left: Reset makes it new.
func (c *coding) put(p *press) {
	p.out.Reset()
	if p.out.Cap() <= maxKept {
		c.pool.Put(p)
	}
}

var errClosed = errors.New("compress: read of a closed body")

// body encodes as it is read. Like any body it is read and closed by one goroutine at a time.
type body struct {
	coding *coding
	source io.ReadCloser
	press  *press // nil: not begun, or closed
	left   int64  // of the source; below 0: not known
	err    error  // what Read returns when press.out is empty
}

func newBody(c *coding, source io.ReadCloser, length int64) *body {
	return &body{coding: c, source: source, left: length}
}

// Read returns what is encoded, and encodes another piece only if there is nothing.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.press == nil && b.err == nil {
		b.press, b.err = b.coding.get()
	}
	for b.err == nil && b.press.out.Len() == 0 {
		b.err = b.encode()
	}
	if b.press != nil && b.press.out.Len() > 0 {
		return b.press.out.Read(p)
	}
	return 0, b.err
}

// encode takes one piece from the source. What the encoder holds back is flushed before the source is asked again,
// for it may be long in answering; not if all of it has come, when the end follows at once. If the source breaks off, so
// does the encoded body: without the mark of its end.
func (b *body) encode() error {
	n, err := b.source.Read(b.press.in[:])
	if b.left >= 0 {
		b.left = max(0, b.left-int64(n))
	}
	if n > 0 {
		if _, err := b.press.Write(b.press.in[:n]); err != nil {
			return err
		}
	}
	switch {
	case err == io.EOF:
		if err := b.press.Close(); err != nil {
			return err
		}
		return io.EOF
	case err != nil:
		return err
	case n > 0 && b.left != 0:
		return b.press.Flush()
	}
	return nil
}

// Close gives the encoder back, at the end or before it, and closes the source.
func (b *body) Close() error {
	if b.press != nil {
		b.coding.put(b.press)
		b.press = nil
	}
	b.err = errClosed
	return b.source.Close()
}

package http1

// The body of a received message (RFC 9112 sections 6 and 7), for both halves. A body is read from the connection's
// inbound bytes; the pieces it yields are those bytes themselves, so that a body that is only passed on is never copied
// except by the kernel.
//
// The chunked coding is a small state machine that looks only at bytes in hand and asks for more: the writer can thus
// gather everything that is there, end included, into one send.

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

type coding uint8

const (
	byLength coding = iota
	byChunks
	byClose // ends where the connection ends: answers only
)

// The places inside a chunked body.
const (
	atSize     = iota // before a chunk-size line
	inData            // left > 0
	atDataEnd         // before the CR LF behind chunk data
	atTrailers        // before the trailer section
)

const (
	maxSizeLine   = 256     // a chunk-size line with its extensions
	maxExtensions = 4 << 10 // all extensions of one body: they carry nothing and could go on for ever
)

// body is an http.Request's or http.Response's Body. It is used by one goroutine at a time, except that Close may come
// from another one.
type body struct {
	in      *inbound
	owner   bodyOwner
	trailer *http.Header // where trailers go when they have come
	passed  *passed      // of an answer: the fields that its header lacks; nil: none
	limits  *Limits
	wait    time.Duration // the longest silence while bytes are owed
	left    int64         // of the body, or of the chunk
	taken   int64         // body bytes delivered
	ext     int           // bytes of extensions still allowed
	place   uint8
	coding  coding

	err     error // the end: io.EOF, or why it broke off
	waiting bool
	busy    bool // inside Read
	closed  bool

	// mu is for goroutines other than the reader's: it is held when left, taken and err change, and they hold it to look.
	mu sync.Mutex
}

// bodyOwner is the half the body belongs to.
type bodyOwner interface {
	beforeRead() error         // called before each wait for bytes
	bodyEnded(clean bool)      // once: read to its exact end, or else broken
	bodyError(err error) error // puts an error of the connection or the parser into the words of this side
	bodyClosed(waiting bool)   // Close was called; waiting: while another goroutine waits for bytes, which must wake
}

func (b *body) init(in *inbound, owner bodyOwner, c coding, length int64) {
	b.in, b.owner, b.coding, b.left = in, owner, c, length
	b.passed = nil
	b.trailer, b.taken, b.ext, b.place, b.err, b.closed = nil, 0, maxExtensions, atSize, nil, false
}

var errBodyClosed = errors.New("http1: read of a closed body")

// await brackets a wait for bytes, which Close may interrupt.
func (b *body) await(wait func() error) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errBodyClosed
	}
	b.waiting = true
	b.mu.Unlock()
	err := b.owner.beforeRead()
	if err == nil {
		err = wait()
	}
	b.mu.Lock()
	b.waiting = false
	b.mu.Unlock()
	return err
}

// Close implements io.Closer. Bytes that are still owed are the owner's affair. It may be called by another goroutine
// than the reader's, which then wakes if it waits.
func (b *body) Close() error {
	b.mu.Lock()
	owed := !b.closed && b.err == nil
	b.closed = true
	if owed && b.waiting {
		b.owner.bodyClosed(true) // under the lock: the wait must not end, and the connection not be another's, before it is broken
		owed = false
	}
	owed = owed && !b.busy // a reader that does not wait ends it, when it has done with the bytes in hand
	b.mu.Unlock()
	if owed {
		b.owner.bodyClosed(false)
	}
	return nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, b.err
	}
	if err := b.occupy(); err != nil {
		return 0, err
	}
	n, err := b.read(p)
	if b.vacate() {
		b.owner.bodyClosed(false)
	}
	return n, err
}

// occupy begins a Read. A body that was closed is its closer's: to touch it then would be to race with its end.
func (b *body) occupy() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return b.err
	case b.closed:
		return errBodyClosed
	}
	b.busy = true
	return nil
}

// vacate ends a Read, and reports whether Close came meanwhile and left the rest to the reader.
func (b *body) vacate() (left bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = false
	return b.closed && b.err == nil
}

func (b *body) read(p []byte) (int, error) {
	q, err := b.next(false)
	if len(q) == 0 && err == nil {
		if b.coding != byChunks && len(p) >= 4<<10 {
			return b.readDirect(p)
		}
		q, err = b.next(true)
	}
	if len(q) == 0 {
		return 0, err
	}
	n := copy(p, q)
	b.Discard(n)
	return n, b.ended()
}

// ended is io.EOF if the body is known to be over without waiting.
func (b *body) ended() error {
	if q, err := b.next(false); len(q) == 0 && err == io.EOF {
		return io.EOF
	}
	return nil // an error that is no end is told by the next Read
}

// readDirect spares the copy through a block.
func (b *body) readDirect(p []byte) (int, error) {
	if b.coding == byLength && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n := 0
	err := b.await(func() (err error) {
		n, err = b.in.direct(p, b.wait)
		return err
	})
	if n == 0 {
		return 0, b.broken(err)
	}
	b.count(n)
	return n, b.ended()
}

// next returns the next piece of the body without consuming it. Nothing in hand: it waits if it may, else the piece is
// empty. At the end the error is io.EOF.
func (b *body) next(wait bool) ([]byte, error) {
	for {
		if b.err != nil {
			return nil, b.err
		}
		q, bad := b.piece()
		if bad != nil {
			return nil, b.fail(bad)
		}
		if len(q) > 0 || b.err != nil {
			return q, b.err
		}
		if !wait {
			return nil, nil
		}
		if err := b.await(func() error { return b.in.more(b.wait) }); err != nil {
			return nil, b.broken(err)
		}
	}
}

// Peek implements Peeker.
func (b *body) Peek() []byte {
	q, _ := b.next(false)
	return q
}

// Discard implements Peeker. n is at most the length of what Peek returned.
func (b *body) Discard(n int) {
	b.in.consume(n)
	b.count(n)
}

func (b *body) count(n int) {
	b.mu.Lock()
	b.taken += int64(n)
	if b.coding != byClose {
		b.left -= int64(n)
	}
	b.mu.Unlock()
	switch {
	case b.left > 0, b.coding == byClose:
	case b.coding == byLength:
		b.finish(io.EOF)
	default:
		b.place = atDataEnd
	}
}

// piece returns the body bytes in hand.
func (b *body) piece() ([]byte, error) {
	switch b.coding {
	case byClose:
		return b.in.data, nil
	case byLength:
		if b.left == 0 {
			b.finish(io.EOF)
			return nil, nil
		}
		return b.clip(), nil
	}
	return b.chunk()
}

func (b *body) clip() []byte {
	if int64(len(b.in.data)) > b.left {
		return b.in.data[:b.left]
	}
	return b.in.data
}

// chunk steps through the chunked coding until there is data, the end, or no more bytes in hand.
func (b *body) chunk() ([]byte, error) {
	for {
		switch b.place {
		case inData:
			return b.clip(), nil
		case atDataEnd:
			if len(b.in.data) < 2 {
				return nil, partialLineEnd(b.in.data)
			}
			if b.in.data[0] != '\r' || b.in.data[1] != '\n' {
				return nil, faultChunk
			}
			b.in.consume(2)
			b.place = atSize
		case atSize:
			if ok, bad := b.sizeLine(); !ok {
				return nil, orNil(bad)
			}
		case atTrailers:
			if ok, bad := b.trailers(); !ok || bad != nil {
				return nil, orNil(bad)
			}
			b.finish(io.EOF)
			return nil, nil
		}
	}
}

func orNil(f *fault) error {
	if f == nil {
		return nil
	}
	return f
}

// partialLineEnd judges the first byte of a CR LF of which the second has not come.
func partialLineEnd(b []byte) error {
	if len(b) == 1 && b[0] != '\r' {
		return faultChunk
	}
	return nil
}

// sizeLine takes chunk-size [ chunk-ext ] CRLF if it is there.
func (b *body) sizeLine() (bool, *fault) {
	d := b.in.data
	end := textEnd(d, 0)
	if end > maxSizeLine {
		return false, faultChunkExt
	}
	size, n, bad := chunkSize(d[:end])
	if bad != nil {
		return false, bad
	}
	if end < len(d) {
		if bad := lineEnd(d, end); bad != nil {
			return false, bad
		}
	}
	if end+1 >= len(d) {
		return false, nil
	}
	if n == 0 {
		return false, faultChunkSize
	}
	if b.ext -= end - n; b.ext < 0 {
		return false, faultChunkExt
	}
	b.in.consume(end + 2)
	b.mu.Lock()
	b.left, b.place = size, inData
	b.mu.Unlock()
	if size == 0 {
		b.place = atTrailers
	}
	return true, nil
}

// chunkSize reads the hexadecimal number that line begins with; n is its length. Fifteen digits cannot overflow, and no
// honest sender pads to more.
func chunkSize(line []byte) (size int64, n int, bad *fault) {
	for n < len(line) && classes[line[n]]&isHex != 0 {
		if n == 15 {
			return 0, 0, faultChunkSize
		}
		size = size<<4 | int64(hexValue(line[n]))
		n++
	}
	if n < len(line) && (n == 0 || line[n] != ';') {
		return 0, 0, faultChunkSize
	}
	return size, n, nil
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// trailers takes the trailer section, RFC 9112 section 7.1.2.
func (b *body) trailers() (bool, *fault) {
	d := b.in.data
	if len(d) >= 2 && d[0] == '\r' && d[1] == '\n' {
		b.in.consume(2)
		return true, nil
	}
	end, bad := b.in.headEnd()
	if end > b.limits.headerBytes() || end < 0 && len(d) > b.limits.headerBytes() {
		return false, faultHeadTooBig
	}
	if end < 0 {
		return false, bad
	}
	f := fields{}
	f.reset(b.limits.headerCount())
	if bad := f.parse(d[:end], string(d[:end]), 0); bad != nil {
		return false, bad
	}
	b.in.consume(end)
	return true, b.keepTrailers(&f)
}

func (b *body) keepTrailers(f *fields) *fault {
	if f.framing.hosts > 0 || f.framing.codings > 0 || f.framing.trailer != nil {
		return faultTrailer
	}
	for name, values := range f.header {
		if barredFromTrailers(name) {
			return faultTrailer
		}
		if b.trailer == nil {
			continue
		}
		if *b.trailer == nil {
			*b.trailer = make(http.Header, len(f.header))
		}
		(*b.trailer)[name] = values
	}
	return nil
}

// finish records the end and tells the owner, once.
func (b *body) finish(err error) {
	if b.err != nil {
		return
	}
	b.mu.Lock()
	b.err = err
	b.mu.Unlock()
	if b.owner != nil {
		b.owner.bodyEnded(err == io.EOF)
	}
}

// broken is fail for an error of the connection, which is a good end if the connection's end is the body's.
func (b *body) broken(err error) error {
	if b.coding == byClose && err == io.EOF {
		b.finish(io.EOF)
		return io.EOF
	}
	return b.fail(err)
}

func (b *body) fail(err error) error {
	b.finish(b.owner.bodyError(err))
	return b.err
}

// progress is what another goroutine may know of the body: how much was delivered, what is left, and the end.
func (b *body) progress() (taken, left int64, err error) {
	if b.owner == nil { // there is none, and nobody else knows of it
		return 0, 0, io.EOF
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken, b.left, b.err
}

// over reports whether the body was read to its exact end.
func (b *body) over() bool { return b.err == io.EOF }

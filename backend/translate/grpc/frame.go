// Package grpc is what the gRPC protocol over HTTP/2 says on the wire, for those who translate from and to it: frames,
// statuses, timeouts. It carries bytes and knows no message.
package grpc

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// HeaderBytes is the length of a frame's prefix: a flag byte and the length of the message, big endian.
const HeaderBytes = 5

// Flags of a frame. Trailers is gRPC-Web's and EndStream Connect's; gRPC itself knows only Compressed.
const (
	Compressed byte = 1 << 0
	EndStream  byte = 1 << 1
	Trailers   byte = 1 << 7
)

// AppendHeader appends a frame's prefix for a message of n bytes.
func AppendHeader(to []byte, flags byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(to, flags), uint32(n))
}

// PutHeader writes the prefix of a frame into the first bytes of it, for whoever left room and then learned the length.
func PutHeader(frame []byte, flags byte) {
	frame[0] = flags
	binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-HeaderBytes))
}

// TooLargeError is a message over the bound.
type TooLargeError struct{ Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the message is over the limit of %d bytes", e.Limit)
}

// Errors of a Reader. What the body itself failed with is returned as it is.
var (
	ErrHalfFrame   = errors.New("the stream ended inside a message")
	ErrFlags       = errors.New("the frame has flags that gRPC does not know")
	ErrCompression = errors.New("the message is compressed in a way that was not agreed on")
	ErrManyFrames  = errors.New("there is more than one message where one is due")
)

// Reader reads frames one by one. It holds at most one message, and no more memory than what has arrived of it.
type Reader struct {
	From   io.Reader
	Limit  int  // the largest message, unpacked; 0: none but 4 GiB
	Gzip   bool // messages may be compressed with gzip: Grpc-Encoding said so
	Packed bool // compressed messages are returned as they are: Flags tells them
	Allow  byte // flags that may be set beside Compressed
	Flags  byte // of the frame that Next returned
	Memory
}

// Memory is what a Reader reads into. It can be given to another one.
type Memory struct {
	buf   []byte
	plain []byte
}

// Kept is the memory for the next reader, but for what is larger than most.
func (m Memory) Kept(most int) Memory {
	if cap(m.buf) > most {
		m.buf = nil
	}
	if cap(m.plain) > most {
		m.plain = nil
	}
	return m
}

// Next returns the next message, in memory that is used again. It is io.EOF at the end, if that is between two frames.
func (r *Reader) Next() ([]byte, error) {
	var head [HeaderBytes]byte
	if n, err := io.ReadFull(r.From, head[:]); err != nil {
		if n > 0 && err == io.ErrUnexpectedEOF {
			return nil, ErrHalfFrame
		}
		return nil, err
	}
	r.Flags = head[0]
	if r.Flags&^(Compressed|r.Allow) != 0 {
		return nil, ErrFlags
	}
	n := int64(binary.BigEndian.Uint32(head[1:]))
	if r.Limit > 0 && n > int64(r.Limit) {
		return nil, &TooLargeError{r.Limit}
	}
	var err error
	if r.buf, err = readN(r.From, r.buf[:0], n); err != nil {
		return nil, err
	}
	if r.Flags&Compressed == 0 || r.Packed {
		return r.buf, nil
	}
	if !r.Gzip {
		return nil, ErrCompression
	}
	r.plain, err = Gunzip(r.plain[:0], r.buf, r.Limit)
	return r.plain, err
}

// Only returns the one message of a unary call and makes sure that the stream ends with it.
func (r *Reader) Only() ([]byte, error) {
	message, err := r.Next()
	if err != nil {
		return nil, err
	}
	var one [1]byte
	switch n, err := io.ReadFull(r.From, one[:]); {
	case n > 0:
		return nil, ErrManyFrames
	case err != io.EOF:
		return nil, err
	}
	return message, nil
}

// step is how much memory a message is believed before its bytes are there.
const step = 64 << 10

func readN(from io.Reader, to []byte, n int64) ([]byte, error) {
	for int64(len(to)) < n {
		have := len(to)
		more := int(min(n-int64(have), max(step, int64(cap(to)-have))))
		to = grow(to, more)
		read, err := io.ReadFull(from, to[have:])
		if err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = ErrHalfFrame
			}
			return to[:have+read], err
		}
	}
	return to, nil
}

func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b[:len(b)+n]
	}
	return append(b, make([]byte, n)...)
}

var unzippers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// Gunzip appends the unpacked form of packed. A limit above 0 bounds what that may come to.
func Gunzip(to, packed []byte, limit int) ([]byte, error) {
	z := unzippers.Get().(*gzip.Reader)
	defer unzippers.Put(z)
	if err := z.Reset(&bytesReader{b: packed}); err != nil {
		return to, fmt.Errorf("the message is not gzip: %w", err)
	}
	start := len(to)
	for {
		if len(to) == cap(to) {
			to = append(to, 0)[:len(to)]
		}
		n, err := z.Read(to[len(to):cap(to)])
		to = to[:len(to)+n]
		if limit > 0 && len(to)-start > limit {
			return to, &TooLargeError{limit}
		}
		if err == io.EOF {
			return to, nil
		}
		if err != nil {
			return to, fmt.Errorf("the message is not gzip: %w", err)
		}
	}
}

// bytesReader is a bytes.Reader that gzip does not wrap in a bufio.Reader.
type bytesReader struct{ b []byte }

func (r *bytesReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

func (r *bytesReader) ReadByte() (byte, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c, nil
}

// Is tells gRPC by its media type: application/grpc with or without a +codec. gRPC-Web has another.
func Is(h http.Header) bool {
	const media = "application/grpc"
	v := h["Content-Type"]
	if len(v) == 0 || len(v[0]) < len(media) || v[0][:len(media)] != media {
		return false
	}
	return len(v[0]) == len(media) || v[0][len(media)] == '+' || v[0][len(media)] == ';'
}

package connect

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sluice-gateway/sluice/backend"
	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/failure"
)

// answerStream passes frames both ways, each converted if the codecs differ.
func (c *call) answerStream(next backend.Backend) error {
	sent := c.rewriteStream(c.x.Out)
	if err := next.Answer(c.ctx, c.x); err != nil {
		if f := sent.Failure(); f != nil {
			return f
		}
		return wire.Late(err, c.x.Start, c.timeout)
	}
	from := c.x.Response
	header, encoding := from.Header, from.Header["Grpc-Encoding"]
	a := (&wire.Outgoing{
		Exchange: c.x, Of: from, From: from.Body, Early: wire.Early(header), Sent: sent,
		Scan: wire.Scanner{Limit: c.Limit}, Timeout: c.timeout, End: endFrame,
	}).Begin(c.ctx)
	if s, refused := wire.Refused(from); refused {
		header = kept(header)
		a.Finish(s, nil)
	} else if c.method != nil {
		a.From = c.toJSON(from.Body, first(header, "Grpc-Encoding"))
		a.Scan.Limit = 0 // what JSON comes to was bounded as protobuf
	}
	for _, name := range ofTheService {
		delete(header, name)
	}
	if len(encoding) == 1 {
		header["Connect-Content-Encoding"] = encoding
	}
	header["Content-Type"] = []string{streaming + c.codec}
	c.x.Response = &http.Response{StatusCode: http.StatusOK, Header: header, ContentLength: -1, Body: a}
	return nil
}

// rewriteStream returns the client's frames, or nil if it sends none.
func (c *call) rewriteStream(out *http.Request) *wire.Incoming {
	if out.Body == nil || out.Body == http.NoBody {
		return nil
	}
	sent := &wire.Incoming{Body: out.Body, From: out.Body, Scan: wire.Scanner{Limit: c.Limit}}
	if c.method != nil {
		sent.From, sent.Scan.Limit = c.fromJSON(out.Body), 0
		out.ContentLength = -1
	}
	out.Body = sent
	return sent
}

// converter reads frames and gives each on as what convert makes of it.
type converter struct {
	frames  wire.Reader
	convert func(message []byte, packed bool) (frame []byte, err error)
	wrong   func(error) error // what the frames themselves failed with
	closer  io.Closer
	out     []byte
	err     error
}

func (r *converter) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		r.fill()
	}
	n := copy(p, r.out)
	if r.out = r.out[n:]; n > 0 {
		return n, nil
	}
	return 0, r.err
}

// fill may run on a goroutine of the transport's, where a panic over what the client sent would end the gateway.
func (r *converter) fill() {
	defer func() {
		if p := recover(); p != nil {
			r.err = &failure.Error{Kind: failure.ProxyInternalError, Err: fmt.Errorf("a panic: %v", p)}
		}
	}()
	message, err := r.frames.Next()
	if err == io.EOF {
		r.err = err
		return
	}
	if err != nil {
		r.err = r.wrong(err)
		return
	}
	r.out, r.err = r.convert(message, r.frames.Flags&wire.Compressed != 0)
}

func (r *converter) Close() error { return r.closer.Close() }

func (c *call) fromJSON(body io.ReadCloser) io.Reader {
	return &converter{
		frames: wire.Reader{From: body, Limit: c.Limit, Packed: true}, closer: body, wrong: clientBroke,
		convert: func(message []byte, packed bool) ([]byte, error) {
			if packed && c.encoding == "" {
				return nil, refuse(wire.Internal, "A message is compressed though the call does not say how.")
			}
			return c.frameFromJSON(message, packed && len(message) > 0)
		},
	}
}

func (c *call) toJSON(body io.ReadCloser, encoding string) io.ReadCloser {
	encoding = codingOf(encoding)
	return &converter{
		frames: wire.Reader{From: body, Limit: c.Limit, Packed: true}, closer: body, wrong: broken,
		convert: func(message []byte, packed bool) ([]byte, error) {
			if packed && encoding == "" {
				return nil, wire.Broken(wire.ErrCompression)
			}
			packed = packed && len(message) > 0
			converted, err := c.messageToJSON(message, encoding, packed)
			if err != nil {
				return nil, err
			}
			var flags byte
			if packed {
				flags = wire.Compressed
			}
			return append(wire.AppendHeader(make([]byte, 0, wire.HeaderBytes+len(converted)), flags, len(converted)), converted...), nil
		},
	}
}

// clientBroke is the failure of frames that could not be read.
func clientBroke(err error) error {
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f
	}
	if wrong := err; errors.Is(wrong, wire.ErrHalfFrame) || errors.Is(wrong, wire.ErrFlags) || isTooLarge(wrong) {
		return wire.Malformed(wrong)
	}
	return err
}

func isTooLarge(err error) bool {
	_, ok := errors.AsType[*wire.TooLargeError](err)
	return ok
}

package connect

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/backend"
	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/failure"
)

// answerUnary sends the one message in a frame, and reads the one of the answer from its frame.
func (c *call) answerUnary(next backend.Backend) error {
	frame, err := c.requestFrame()
	if err != nil {
		return err
	}
	c.x.Out.Body, c.x.Out.ContentLength = io.NopCloser(bytes.NewReader(frame)), int64(len(frame))
	if err := next.Answer(c.ctx, c.x); err != nil {
		return wire.Late(err, c.x.Start, c.timeout)
	}
	from := c.x.Response
	defer from.Body.Close()
	if s, refused := wire.Refused(from); refused {
		status := s.Code.HTTP()
		if from.StatusCode >= http.StatusBadRequest {
			status = from.StatusCode
		}
		c.x.Response = refusal(status, kept(from.Header), s)
		return nil
	}
	patience := c.patience(from)
	message, packed, err := c.readAnswer(from)
	if late := patience.stop(); late && err != nil {
		return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseTimeout, Err: err}
	}
	if err != nil {
		return wire.Late(err, c.x.Start, c.timeout)
	}
	s, found := wire.StatusOf(from.Trailer)
	if !found {
		s = wire.Early(from.Header)
	}
	if s.Code == wire.OK && message == nil {
		s = wire.Status{Code: wire.Unimplemented, Message: "the service answered without a message"}
	}
	header, encoding := c.responseHeader(from)
	if s.Code != wire.OK {
		c.x.Response = refusal(s.Code.HTTP(), header, s)
		return nil
	}
	return c.succeed(header, message, encoding, packed)
}

// requestFrame reads the whole body into a frame, which has its length in front.
func (c *call) requestFrame() ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, wire.HeaderBytes))
	if body := c.x.Out.Body; body != nil && body != http.NoBody {
		from := io.Reader(body)
		if c.Limit > 0 {
			from = io.LimitReader(body, int64(c.Limit)+1)
		}
		if _, err := b.ReadFrom(from); err != nil {
			return nil, err
		}
	}
	if c.Limit > 0 && b.Len()-wire.HeaderBytes > c.Limit {
		return nil, wire.Malformed(&wire.TooLargeError{Limit: c.Limit})
	}
	frame := b.Bytes()
	if c.method == nil {
		var flags byte
		if c.encoding != "" && len(frame) > wire.HeaderBytes {
			flags = wire.Compressed
		}
		wire.PutHeader(frame, flags)
		return frame, nil
	}
	return c.frameFromJSON(frame[wire.HeaderBytes:], c.encoding != "" && len(frame) > wire.HeaderBytes)
}

// frameFromJSON makes the frame of a message that is converted.
func (c *call) frameFromJSON(message []byte, packed bool) ([]byte, error) {
	if packed {
		var err error
		if message, err = unpack(c.encoding, message, c.Limit); err != nil {
			return nil, refusePacked(err)
		}
	}
	frame, err := c.method.input.AppendWire(make([]byte, wire.HeaderBytes, wire.HeaderBytes+len(message)), message)
	if err != nil {
		return nil, refuse(wire.InvalidArgument, err.Error())
	}
	wire.PutHeader(frame, 0)
	return frame, nil
}

func refusePacked(err error) error {
	if isTooLarge(err) {
		return wire.Malformed(err)
	}
	return refuse(wire.InvalidArgument, "The message is not compressed as it says.")
}

// patience ends an answer that has begun and does not come to its end.
type patience struct {
	timer *time.Timer // nil: it never does
	late  atomic.Bool
}

func (c *call) patience(from *http.Response) *patience {
	p, limit := new(patience), c.Timeout
	if limit == 0 || c.timeout > 0 && c.timeout < limit {
		limit = c.timeout
	}
	if limit > 0 {
		p.timer = time.AfterFunc(limit, func() {
			p.late.Store(true)
			from.Body.Close()
		})
	}
	return p
}

// stop reports whether it was too late.
func (p *patience) stop() (late bool) {
	if p.timer != nil {
		p.timer.Stop()
	}
	return p.late.Load()
}

// readAnswer reads the message and makes sure that the answer ends with it. It is nil if there is none.
func (c *call) readAnswer(from *http.Response) (message []byte, packed bool, err error) {
	r := wire.Reader{From: from.Body, Limit: c.Limit, Packed: true}
	message, err = r.Only()
	switch {
	case err == nil:
		if message == nil {
			message = []byte{}
		}
		return message, r.Flags&wire.Compressed != 0, nil
	case err == io.EOF:
		return nil, false, nil
	case errors.Is(err, wire.ErrManyFrames):
		f := wire.Broken(err)
		f.Status, f.Detail, f.Err = wire.Unimplemented.HTTP(), "The service answered with more than one message.", coded(wire.Unimplemented)
		return nil, false, f
	}
	return nil, false, broken(err)
}

// broken is the failure of an answer that could not be read.
func broken(err error) error {
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f
	}
	f := wire.Broken(err)
	if isTooLarge(err) {
		f.Detail, f.Err = "The service's message is over the limit of the gateway.", errors.Join(coded(wire.ResourceExhausted), err)
	}
	return f
}

// ofTheService are fields of a gRPC answer's head that say something else of ours.
var ofTheService = [...]string{
	"Content-Length", "Trailer", "Content-Encoding", "Grpc-Encoding", "Grpc-Accept-Encoding", "Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin",
}

// responseHeader makes the head of a unary answer of the service's, with its trailers. The encoding is that of messages
// that are marked as compressed.
func (c *call) responseHeader(from *http.Response) (h http.Header, encoding string) {
	h, encoding = from.Header, codingOf(first(from.Header, "Grpc-Encoding"))
	for _, name := range ofTheService {
		delete(h, name)
	}
	for name, values := range from.Trailer {
		if !wire.IsStatusField(name) && len(values) > 0 {
			h["Trailer-"+name] = values
		}
	}
	return h, encoding
}

// kept are the fields of an answer that was none of gRPC's which are of use to whoever gets an error instead.
func kept(h http.Header) http.Header {
	k := make(http.Header, 4)
	for _, name := range [...]string{"Allow", "Retry-After", "Www-Authenticate"} {
		if v := h[name]; v != nil {
			k[name] = v
		}
	}
	return k
}

// succeed makes the answer of a call that went well.
func (c *call) succeed(header http.Header, message []byte, encoding string, packed bool) error {
	if packed && encoding == "" {
		return wire.Broken(wire.ErrCompression)
	}
	if c.method != nil {
		var err error
		if message, err = c.messageToJSON(message, encoding, packed); err != nil {
			return err
		}
	}
	if packed {
		header["Content-Encoding"] = []string{encoding}
	}
	header["Content-Type"] = []string{"application/" + c.codec}
	c.x.Response = whole(http.StatusOK, header, message)
	return nil
}

// messageToJSON converts a message of the service's. It is packed again as it was.
func (c *call) messageToJSON(message []byte, encoding string, packed bool) (_ []byte, err error) {
	if packed {
		if message, err = unpack(encoding, message, c.Limit); err != nil {
			return nil, broken(err)
		}
	}
	if message, err = c.method.output.AppendJSON(nil, message); err != nil {
		return nil, wire.Broken(err)
	}
	if packed {
		return pack(encoding, message)
	}
	return message, nil
}

package transcode

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/failure"
)

// receive makes the service's answer the client's. That is another Response: the transport sets the trailers of its own
// when they come.
func (c *call) receive(limit time.Duration, sent sending) (handed bool, err error) {
	r := c.response
	if status, only := grpc.StatusOf(r.Header); only {
		if status.Code == grpc.OK && !c.op.method.ServerStreaming {
			return false, broken("The service's answer has no message.", nil)
		}
		c.setFields(r.Header)
		if status.Code != grpc.OK {
			c.refuse(status)
			return false, nil
		}
		return c.stream(sent, true)
	}
	if r.StatusCode != http.StatusOK {
		return false, notGRPC(r.StatusCode)
	}
	if !grpc.Is(r.Header) {
		return false, broken("The service's answer is not gRPC.", nil)
	}
	c.frames.From, c.frames.Limit = r.Body, c.translator.options.MessageBytes
	c.frames.Gzip = false // we have told the service that we read none
	if c.op.method.ServerStreaming {
		c.setFields(nil)
		return c.stream(sent, false)
	}
	return c.single(limit)
}

// notGRPC is an HTTP status from something that is not the service: 429, 503 and 504 mean the same from us, the rest does
// not.
func notGRPC(status int) error {
	f := failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: "The service did not answer as gRPC does.",
		Err: fmt.Errorf("HTTP status %d", status)}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.Status = status
	}
	return &f
}

func broken(detail string, err error) *failure.Error {
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: detail, Err: err}
}

// single reads a unary answer to its end.
func (c *call) single(limit time.Duration) (handed bool, err error) {
	message, err := c.readSingle(limit)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	status, found := grpc.StatusOf(c.response.Trailer)
	switch {
	case !found:
		return false, &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Detail: "The service's answer ended without a status."}
	case status.Code != grpc.OK:
		c.setFields(c.response.Trailer)
		c.refuse(status)
		return false, nil
	case err != nil:
		return false, broken("The service's answer has no message.", nil)
	}
	c.setFields(c.response.Trailer)
	return c.deliver(message)
}

// readSingle reads the message and all that follows. A service that goes silent in the middle is given up in time.
func (c *call) readSingle(limit time.Duration) ([]byte, error) {
	var late atomic.Bool
	if limit > 0 {
		body := c.response.Body
		timer := time.AfterFunc(limit-time.Since(c.x.Start), func() { late.Store(true); body.Close() })
		defer timer.Stop()
	}
	message, err := c.frames.Only()
	if err == nil || err == io.EOF && !late.Load() {
		return message, err
	}
	if late.Load() {
		return nil, &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseTimeout, Detail: "The service did not end its answer in time.", Err: err}
	}
	return nil, unreadable(err)
}

// unreadable is the failure of a frame that could not be read.
func unreadable(err error) error {
	if _, ok := errors.AsType[*failure.Error](err); ok {
		return err
	}
	if large, ok := errors.AsType[*grpc.TooLargeError](err); ok {
		return broken(fmt.Sprintf("The service's message is over the limit of %d bytes.", large.Limit), nil)
	}
	if err == grpc.ErrHalfFrame {
		return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Detail: "The service's answer broke off.", Err: err}
	}
	return broken("The service's answer is not gRPC.", err)
}

// deliver makes a message the answer.
func (c *call) deliver(message []byte) (handed bool, err error) {
	contentType := mediaJSON
	if c.op.rawOut {
		var raw []byte
		if contentType, raw, err = c.raw(message); err == nil {
			c.out = append(c.out[:0], raw...)
		}
	} else {
		c.out, err = c.appendMessage(c.out[:0], message)
	}
	if err != nil {
		return false, broken("The service's message cannot be read.", err)
	}
	c.reply(http.StatusOK, contentType)
	return true, nil
}

// reply makes c.out the answer's body; the call is given back when that is closed.
func (c *call) reply(status int, contentType []string) {
	c.response.Body.Close()
	h := c.response.Header
	h["Content-Type"] = contentType
	c.x.Response = &http.Response{StatusCode: status, Header: h, ContentLength: int64(len(c.out)), Body: &replyBody{call: c, rest: c.out}}
}

type replyBody struct {
	call *call
	rest []byte
}

func (b *replyBody) Read(p []byte) (int, error) {
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	if len(b.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (b *replyBody) Close() error {
	if c := b.call; c != nil {
		b.call, b.rest = nil, nil
		c.release()
	}
	return nil
}

// appendMessage appends what the client sees of a message: all of it, or what response_body names.
func (c *call) appendMessage(to, message []byte) ([]byte, error) {
	if c.op.answer != nil {
		return c.op.answer.AppendJSON(to, message)
	}
	return c.op.output.AppendJSON(to, message)
}

// raw reads a google.api.HttpBody.
func (c *call) raw(message []byte) (contentType []string, data []byte, err error) {
	if c.op.answer != nil {
		if message, err = c.op.answer.Extract(nil, message); err != nil {
			return nil, nil, err
		}
		if len(message) > 0 {
			_, _, n := protowire.ConsumeTag(message)
			message, _ = protowire.ConsumeBytes(message[n:])
		}
	}
	contentType = mediaOctets
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeField(message)
		if size < 0 {
			return nil, nil, errors.New("the HttpBody cannot be read")
		}
		_, _, tag := protowire.ConsumeTag(message)
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message[tag:])
			switch n {
			case rawType:
				contentType = []string{fieldValue(string(value))}
			case rawData:
				data = value
			}
		}
		message = message[size:]
	}
	return contentType, data, nil
}

var mediaOctets = []string{"application/octet-stream"}

// fieldValue drops what a header field cannot carry.
func fieldValue(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// refuse makes a status the answer: google.rpc.Status in JSON.
func (c *call) refuse(s grpc.Status) {
	body := appendStatus(nil, c.op.input.Codecs(), s)
	h := c.response.Header
	c.response.Body.Close()
	h["Content-Type"] = mediaJSON
	if s.Code == grpc.Unauthenticated && h["Www-Authenticate"] == nil { // which a 401 must have (RFC 9110 section 15.5.2)
		h["Www-Authenticate"] = bearer
	}
	c.x.Response = &http.Response{StatusCode: s.Code.HTTP(), Header: h, ContentLength: int64(len(body)), Body: newBytesBody(body)}
}

var bearer = []string{"Bearer"} // what gRPC services ask for, as a rule

// setFields takes out of the answer's header what is gRPC's own, and puts the trailing metadata, as far as it is known by
// now, into fields that begin with Grpc-Trailer-, as grpc-gateway does.
func (c *call) setFields(trailer http.Header) {
	h := c.response.Header
	for name := range h {
		if strings.HasPrefix(name, "Grpc-") || name == "Trailer" || name == "Content-Encoding" {
			delete(h, name)
		}
	}
	delete(h, "Content-Length")
	if trailer == nil {
		return
	}
	for name, values := range trailer {
		if !grpc.IsStatusField(name) && name != "Content-Type" {
			h["Grpc-Trailer-"+name] = values
		}
	}
}

package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// told is what the body of an error may say of it: google.rpc.Status in JSON, or a problem.
type told struct {
	Code    *json.Number      `json:"code"`
	Message string            `json:"message"`
	Details []json.RawMessage `json:"details"`
	Title   string            `json:"title"`
	Detail  string            `json:"detail"`
}

// statusOf is the status that an answer without success means.
func (t *Translator) statusOf(x *exchange.Exchange, m *method, limit time.Duration) grpc.Status {
	r := x.Response
	status := grpc.Status{Code: grpc.CodeOf(r.StatusCode), Message: http.StatusText(r.StatusCode)}
	body, err := t.read(x, limit)
	r.Body.Close()
	var said told
	if err != nil || !isJSON(r.Header) || json.Unmarshal(body, &said) != nil {
		return status
	}
	if said.Code != nil && (said.Message != "" || said.Details != nil) {
		return m.rpcStatus(status, said, body)
	}
	for _, text := range []string{said.Detail, said.Message, said.Title} {
		if text != "" {
			status.Message = clip(text)
			break
		}
	}
	return status
}

// maxText is how much of a service's words goes into a field of a header.
const maxText = 4 << 10

func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "")
}

// rpcStatus takes a google.rpc.Status at its word, if its code is one of an error.
func (m *method) rpcStatus(status grpc.Status, said told, body []byte) grpc.Status {
	n, err := strconv.ParseUint(said.Code.String(), 10, 32)
	if err != nil || n == 0 || n > uint64(grpc.Unauthenticated) {
		return status
	}
	status.Code, status.Message = grpc.Code(n), clip(said.Message)
	if len(said.Details) == 0 || m.status == nil {
		return status
	}
	if wire, err := m.status.AppendWire(nil, body); err == nil && len(wire) <= maxText {
		status.Details = wire
	}
	return status
}

// stream makes a stream of JSON values a stream of messages.
func (t *Translator) stream(x *exchange.Exchange, m *method, header http.Header) error {
	r := x.Response
	if !m.rawOut && !isJSON(r.Header) {
		r.Body.Close()
		x.Response = nil
		return broken("The service's answer is no JSON.", nil)
	}
	header["Content-Type"] = mediaGRPC
	s := &streamBody{from: r.Body, method: m, limit: t.options.MessageBytes, header: r.Header, trailer: make(http.Header)}
	x.Response = &http.Response{StatusCode: http.StatusOK, Header: header, ContentLength: -1, Body: s, Trailer: s.trailer}
	return nil
}

// streamBody reads JSON values and is read as frames.
type streamBody struct {
	from    io.ReadCloser
	method  *method
	limit   int
	header  http.Header
	trailer http.Header // for the client

	in    []byte
	split jsonwire.Splitter
	begun bool // the first byte that is no space has been seen
	eof   bool
	done  bool
	out   []byte
	rest  []byte
}

// Read implements io.Reader.
func (s *streamBody) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.done {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next makes one more frame, or ends the stream.
func (s *streamBody) next() error {
	if s.method.rawOut {
		return s.nextRaw()
	}
	for {
		s.begin()
		if value, n := s.split.Next(s.in, s.eof); value != nil {
			s.tell(value)
			s.in = append(s.in[:0], s.in[n:]...)
			return nil
		}
		if s.eof {
			if !s.split.Closed() {
				return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Err: errors.New("the array has no end")}
			}
			s.end(grpc.Status{})
			return nil
		}
		if s.limit > 0 && len(s.in) > s.limit*jsonRatio {
			s.end(grpc.Status{Code: grpc.ResourceExhausted, Message: "The service's message is over the limit of " + strconv.Itoa(s.limit) + " bytes."})
			return nil
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// begin finds out whether the values stand in an array.
func (s *streamBody) begin() {
	if s.begun {
		return
	}
	if s.in = bytes.TrimLeft(s.in, " \n\r\t"); len(s.in) == 0 {
		return
	}
	s.begun = true
	if s.in[0] == '[' {
		s.split.Array = true
		s.in = s.in[1:]
	}
}

func (s *streamBody) fill() error {
	const step = 4 << 10
	if cap(s.in)-len(s.in) < step {
		s.in = append(s.in, make([]byte, step)...)[:len(s.in)]
	}
	n, err := s.from.Read(s.in[len(s.in):cap(s.in)])
	s.in = s.in[:len(s.in)+n]
	if err == io.EOF {
		s.eof, err = true, nil
	}
	return err
}

func (s *streamBody) nextRaw() error {
	s.in = s.in[:0]
	for !s.eof && len(s.in) == 0 {
		if err := s.fill(); err != nil {
			return err
		}
	}
	if len(s.in) == 0 {
		s.end(grpc.Status{})
		return nil
	}
	s.tell(s.in)
	return nil
}

// tell makes a frame of a value. One that does not fit ends the stream with a status that says so.
func (s *streamBody) tell(value []byte) {
	out, err := s.method.frame(s.out[:0], value, s.header)
	if err != nil {
		s.end(grpc.Status{Code: grpc.Internal, Message: "The service's answer does not fit the message."})
		return
	}
	s.out, s.rest = out, out
}

func (s *streamBody) end(status grpc.Status) {
	s.done, s.rest = true, nil
	status.Set(s.trailer)
}

// Close implements io.Closer.
func (s *streamBody) Close() error { return s.from.Close() }

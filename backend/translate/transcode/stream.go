package transcode

import (
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/failure"
)

// form is how the messages of a stream look to the client.
type form uint8

const (
	lines  form = iota // {"result": message} on each, and {"error": status} on the last if it is not OK
	events             // data: message, and an event named error
	plain              // the data of google.api.HttpBody, one after the other
)

// stream makes the service's stream the answer. ended: there is nothing in it.
func (c *call) stream(sent sending, ended bool) (handed bool, err error) {
	from := c.response
	s := &streamBody{call: c, form: c.formOf(), sent: sent, ended: ended, from: from}
	r := &http.Response{StatusCode: http.StatusOK, Header: from.Header, ContentLength: -1, Body: s}
	contentType := mediaNDJSON
	switch s.form {
	case events:
		contentType = mediaEvents
		r.Header["Cache-Control"] = noTransform
	case plain:
		if contentType, err = s.begin(); err != nil {
			return false, err
		}
		if contentType == nil { // it was refused before it began
			return false, nil
		}
	}
	r.Header["Content-Type"] = contentType
	if te := c.x.In.Header["Te"]; len(te) > 0 && strings.Contains(strings.ToLower(te[0]), "trailers") {
		r.Trailer = make(http.Header)
		s.told = r.Trailer
	}
	if s.ended {
		s.tellTrailers()
	}
	c.x.Response = r
	return true, nil
}

func (c *call) formOf() form {
	if c.op.rawOut {
		return plain
	}
	for _, accept := range c.x.In.Header["Accept"] {
		if strings.Contains(accept, "text/event-stream") {
			return events
		}
	}
	return lines
}

// streamBody reads frames and is read as text. A listener closes it while it is read if it has been silent for too long.
type streamBody struct {
	mu    sync.Mutex
	call  *call // nil: closed
	form  form
	sent  sending
	from  *http.Response // of the service, whose trailers come when its stream has ended
	told  http.Header    // trailers for the client; nil: it does not want any
	rest  []byte         // of what has been told, not read yet
	ended bool
	err   error
}

// Read implements io.Reader.
func (s *streamBody) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call == nil {
		return 0, errDetached
	}
	for len(s.rest) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.ended {
			return 0, io.EOF
		}
		s.next()
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next tells one more message, or how the stream has ended.
func (s *streamBody) next() {
	c := s.call
	message, err := c.frames.Next()
	if err == nil {
		err = s.tell(message)
		if err == nil {
			return
		}
	}
	s.ended = true
	if err == io.EOF {
		s.end()
		return
	}
	if blamed := s.sent.blame(err); blamed != err { // what the client went on to send was wrong
		f := failure.From(blamed)
		s.tellStatus(grpc.Status{Code: grpc.CodeOf(f.Code()), Message: f.Detail})
		return
	}
	s.err = unreadable(err) // breaks the client's stream off
}

func (s *streamBody) tell(message []byte) error {
	c := s.call
	out, err := c.out[:0], error(nil)
	switch s.form {
	case events:
		if out, err = c.appendMessage(append(out, "data: "...), message); err == nil {
			out = append(out, '\n', '\n')
		}
	case lines:
		if out, err = c.appendMessage(append(out, `{"result":`...), message); err == nil {
			out = append(out, '}', '\n')
		}
	default:
		var data []byte
		if _, data, err = c.raw(message); err == nil {
			out = append(out, data...)
		}
	}
	if err != nil {
		return broken("The service's message cannot be read.", err)
	}
	c.out, s.rest = out, out
	return nil
}

// end tells the status that the service's stream has ended with.
func (s *streamBody) end() {
	status, found := grpc.StatusOf(s.from.Trailer)
	if !found {
		s.err = &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Detail: "The service's stream ended without a status."}
		return
	}
	s.tellTrailers()
	if status.Code != grpc.OK {
		s.tellStatus(status)
	}
}

func (s *streamBody) tellTrailers() {
	for name, values := range s.from.Trailer {
		if s.told != nil && !grpc.IsStatusField(name) {
			s.told["Grpc-Trailer-"+name] = values
		}
	}
}

// tellStatus makes a status the last of the stream. In plain data there is no place for one, so that is broken off.
func (s *streamBody) tellStatus(status grpc.Status) {
	c := s.call
	out := c.out[:0]
	switch s.form {
	case events:
		out = appendStatus(append(out, "event: error\ndata: "...), c.op.input.Codecs(), status)
		out = append(out, '\n', '\n')
	case lines:
		out = appendStatus(append(out, `{"error":`...), c.op.input.Codecs(), status)
		out = append(out, '}', '\n')
	default:
		s.err = &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Detail: "The service's stream ended with " + status.Code.String() + "."}
	}
	c.out, s.rest = out, out
}

// begin reads the first message of plain data, which has the content type for all. A stream that ends with an error before
// it is an ordinary refusal, and the type nil.
func (s *streamBody) begin() (contentType []string, err error) {
	c := s.call
	if s.ended {
		return mediaOctets, nil
	}
	message, err := c.frames.Next()
	switch {
	case err == io.EOF:
		s.ended = true
		if status, found := grpc.StatusOf(c.response.Trailer); !found || status.Code != grpc.OK {
			if !found {
				return nil, broken("The service's stream ended without a status.", nil)
			}
			c.setFields(c.response.Trailer)
			c.refuse(status)
			return nil, nil
		}
		return mediaOctets, nil
	case err != nil:
		return nil, unreadable(err)
	}
	if contentType, _, err = c.raw(message); err == nil {
		err = s.tell(message)
	}
	return contentType, err
}

// Close implements io.Closer. A Read that waits for the service is woken by the end of its answer.
func (s *streamBody) Close() error {
	err := s.from.Body.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.call; c != nil {
		s.call, s.rest = nil, nil
		c.release()
	}
	return err
}

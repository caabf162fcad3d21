package conversation

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A message is a request or an answer as it came: nothing is folded, sorted or spelled anew.
type message struct {
	start    string
	fields   []field
	body     []byte
	trailers []field
	ended    bool // the body was read
}

type field struct{ name, value string }

// readMessage reads a head, up to its empty line.
func readMessage(w *wire) (*message, error) {
	start, err := w.line()
	if err != nil {
		return nil, err
	}
	m := &message{start: start}
	m.fields, err = readFields(w)
	return m, err
}

func readFields(w *wire) ([]field, error) {
	var all []field
	for {
		line, err := w.line()
		if err != nil || line == "" {
			return all, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return all, fmt.Errorf("the line %q is no field", line)
		}
		all = append(all, field{name, strings.TrimSpace(value)})
	}
}

// values are those of every line of this name, in order.
func values(fields []field, name string) []string {
	var all []string
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			all = append(all, f.value)
		}
	}
	return all
}

func (m *message) value(name string) string { return strings.Join(values(m.fields, name), ", ") }

// status is that of an answer; 0 for a request.
func (m *message) status() int {
	version, rest, _ := strings.Cut(m.start, " ")
	if !strings.HasPrefix(version, "HTTP/") {
		return 0
	}
	code, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(code)
	return n
}

// readBody reads the body by the framing that the head declares (RFC 9112 section 6.3), strictly.
func (m *message) readBody(w *wire) error {
	if m.ended {
		return errors.New("the body was read before")
	}
	m.ended = true
	coding, length := m.value("Transfer-Encoding"), m.value("Content-Length")
	switch {
	case coding == "chunked" && length == "":
		return m.readChunks(w)
	case coding != "":
		return fmt.Errorf("Transfer-Encoding is %q beside Content-Length %q", coding, length)
	case length != "":
		n, err := strconv.ParseUint(length, 10, 31)
		if err != nil {
			return fmt.Errorf("Content-Length is %q", length)
		}
		m.body = make([]byte, n)
		read, err := io.ReadFull(w.in, m.body)
		m.body = m.body[:read]
		return err
	case m.status() == 0:
		return errors.New("the request has no body")
	default:
		var err error
		m.body, err = w.rest()
		return err
	}
}

func (m *message) readChunks(w *wire) error {
	for {
		line, err := w.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return fmt.Errorf("a chunk begins with %q", line)
		}
		if n == 0 {
			m.trailers, err = readFields(w)
			return err
		}
		at := len(m.body)
		m.body = append(m.body, make([]byte, n)...)
		if _, err := io.ReadFull(w.in, m.body[at:]); err != nil {
			return err
		}
		if err := w.exactly([]byte("\r\n")); err != nil {
			return err
		}
	}
}

package desync

// The kit's own parser. It takes one spelling of everything and is an error otherwise: a gateway that writes its messages
// anew has no reason to use another.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	maxHead = 1 << 20
	maxBody = 16 << 20
)

// field is a line of a head. Names keep their spelling.
type field struct{ name, value string }

// head is a start line and what follows up to the blank line.
type head struct {
	first  string
	fields []field
}

// malformed is a breach of the grammar, which no cut connection explains.
type malformed string

func (m malformed) Error() string { return string(m) }

// get returns the values of a field, whatever its spelling.
func (h *head) get(name string) (values []string) {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// one is the value of a field that occurs once, else "".
func (h *head) one(name string) string {
	if v := h.get(name); len(v) == 1 {
		return v[0]
	}
	return ""
}

// A value may hold bytes beyond ASCII, which are no runes: what it may not hold is named instead.
var fieldLine = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\\x00-\\x08\\x0a-\\x1f\\x7f]*)$")

// readHead returns io.EOF only if the stream ended before the head began.
func readHead(r *bufio.Reader) (*head, error) {
	h := new(head)
	budget := maxHead
	for {
		line, err := readLine(r, &budget)
		switch {
		case err == io.EOF && h.first == "" && line == "":
			return nil, io.EOF
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case h.first == "":
			if line == "" {
				return nil, malformed("an empty line before the start line")
			}
			h.first = line
		case line == "":
			return h, nil
		default:
			m := fieldLine.FindStringSubmatch(line)
			if m == nil {
				return nil, malformed(fmt.Sprintf("field line %q", line))
			}
			h.fields = append(h.fields, field{m[1], m[2]})
		}
	}
}

// readLine reads to CR LF, which it cuts off. Neither may stand anywhere else.
func readLine(r *bufio.Reader, budget *int) (string, error) {
	line, err := r.ReadString('\n')
	if *budget -= len(line); *budget < 0 {
		return "", malformed("more than a head's worth of bytes")
	}
	if err != nil {
		return line, err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\n\x00") {
		return "", malformed(fmt.Sprintf("line %q", line))
	}
	return text, nil
}

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)

// framing is what the head says of its body: a length, or chunks. Neither: -1.
func (h *head) framing() (length int64, chunked bool, err error) {
	lengths, codings := h.get("Content-Length"), h.get("Transfer-Encoding")
	switch {
	case len(lengths)+len(codings) > 1:
		return 0, false, malformed(fmt.Sprintf("framed by %q and %q", lengths, codings))
	case len(codings) == 1:
		if codings[0] != "chunked" {
			return 0, false, malformed("Transfer-Encoding: " + codings[0])
		}
		return 0, true, nil
	case len(lengths) == 1:
		if !decimal.MatchString(lengths[0]) {
			return 0, false, malformed("Content-Length: " + lengths[0])
		}
		length, err = strconv.ParseInt(lengths[0], 10, 64)
		return length, false, err
	}
	return -1, false, nil
}

// readBody reads what the head announces. A head that announces nothing has no body, or in an answer, all that follows.
func readBody(r *bufio.Reader, h *head, answer bool) ([]byte, error) {
	length, chunked, err := h.framing()
	switch {
	case err != nil:
		return nil, err
	case chunked:
		return readChunks(r)
	case length < 0 && !answer:
		return nil, nil
	case length < 0:
		return io.ReadAll(io.LimitReader(r, maxBody))
	case length > maxBody:
		return nil, malformed("a body beyond measure")
	}
	b := make([]byte, length)
	n, err := io.ReadFull(r, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b[:n], err
}

var chunkSize = regexp.MustCompile(`^(0|[1-9A-Fa-f][0-9A-Fa-f]{0,6})$`)

func readChunks(r *bufio.Reader) (body []byte, err error) {
	for {
		budget := 64
		line, err := readLine(r, &budget)
		if err != nil {
			return body, whole(err)
		}
		if !chunkSize.MatchString(line) {
			return body, malformed(fmt.Sprintf("chunk-size line %q", line))
		}
		size, _ := strconv.ParseInt(line, 16, 64)
		if size == 0 {
			return body, readTrailers(r)
		}
		piece := make([]byte, size+2)
		n, err := io.ReadFull(r, piece)
		body = append(body, piece[:min(n, int(size))]...)
		switch {
		case err != nil:
			return body, whole(err)
		case string(piece[size:]) != "\r\n":
			return body, malformed(fmt.Sprintf("%q behind a chunk", piece[size:]))
		case len(body) > maxBody:
			return body, malformed("a body beyond measure")
		}
	}
}

var notTrailers = []string{"content-length", "transfer-encoding", "host", "connection", "trailer", "te", "upgrade", "expect"}

func readTrailers(r *bufio.Reader) error {
	budget := maxHead
	for {
		line, err := readLine(r, &budget)
		if err != nil || line == "" {
			return whole(err)
		}
		m := fieldLine.FindStringSubmatch(line)
		if m == nil || slices.Contains(notTrailers, strings.ToLower(m[1])) {
			return malformed(fmt.Sprintf("trailer %q", line))
		}
	}
}

// whole makes an end inside of something the error that it is.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

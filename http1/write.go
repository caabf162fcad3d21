package http1

// The heads we write. Framing fields are never taken from a header map: whoever writes a message decides its framing.

import (
	"errors"
	"net/http"
	"strconv"
)

// appendFields appends the fields of h that a sender may choose. A name or value that cannot stand in a head is an error,
// never cleaned up: whatever made it is wrong, and a guess at what it meant could split the message.
func appendFields(b []byte, h http.Header) ([]byte, error) {
	for name, values := range h {
		if name == "" {
			return b, &fieldError{name}
		}
		if k := known(name); k == nil && !validToken(name) {
			return b, &fieldError{name}
		} else if k != nil && k.role != ordinary {
			continue // framing, which is ours, in whatever spelling
		}
		for _, v := range values {
			if !validValue(v) {
				return b, &fieldError{name}
			}
			b = appendField(b, name, v)
		}
	}
	return b, nil
}

// appendLines appends lines that somebody has written already. What is held to the rule is their form: each is a whole one, so
// that none ends the head. That a line is what its writer meant as one, and frames nothing, is the writer's to see to.
func appendLines(b, lines []byte) ([]byte, error) {
	for i := 0; i < len(lines); {
		end := textEnd(lines, i)
		if end == i || lines[i] == ' ' || lines[i] == '\t' || end+1 >= len(lines) || lines[end] != '\r' || lines[end+1] != '\n' {
			return b, errLines
		}
		i = end + 2
	}
	return append(b, lines...), nil
}

var errLines = errors.New("http1: field lines that are none")

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ':', ' ')
	b = append(b, value...)
	return append(b, '\r', '\n')
}

func appendLength(b []byte, n int64) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, '\r', '\n')
}

// appendTrailerNames announces the fields that will follow the body.
func appendTrailerNames(b []byte, t http.Header) []byte {
	sep := "Trailer: "
	for name := range t {
		if !validToken(name) || barredFromTrailers(name) {
			continue
		}
		b = append(b, sep...)
		b = append(b, name...)
		sep = ", "
	}
	if sep == ", " {
		b = append(b, '\r', '\n')
	}
	return b
}

// appendLastChunk ends a chunked body, with trailers.
func appendLastChunk(b []byte, t http.Header) ([]byte, error) {
	b = append(b, "0\r\n"...)
	for name, values := range t {
		if barredFromTrailers(name) {
			continue
		}
		for _, v := range values {
			if !validToken(name) || !validValue(v) {
				return b, &fieldError{name}
			}
			b = appendField(b, name, v)
		}
	}
	return append(b, '\r', '\n'), nil
}

type fieldError struct{ name string }

func (e *fieldError) Error() string {
	return "http1: field " + strconv.Quote(e.name) + " has a name or value that cannot be written"
}

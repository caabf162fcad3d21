package grpcweb

import (
	"encoding/base64"
	"errors"
	"io"

	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
)

// errBase64 is a text body that is no base64.
var errBase64 = wire.Malformed(errors.New("it is not base64"))

// chunk is how much of a text body is read at once: whole groups of four.
const chunk = 4 << 10

// decoder reads base64 as gRPC-Web sends it: one or several encodings one after the other, so padding may end any group
// of four and not only the last. Nothing but the alphabet of RFC 4648 section 4 may stand between them.
type decoder struct {
	from io.Reader
	raw  []byte // read, and not decoded: less than a group, unless err is waiting
	out  []byte // decoded, and not given away
	err  error

	memory [chunk]byte
	plain  [chunk / 4 * 3]byte
}

func (d *decoder) Read(p []byte) (int, error) {
	for len(d.out) == 0 && d.err == nil {
		d.fill()
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	if len(d.out) == 0 && n == 0 {
		return 0, d.err
	}
	return n, nil
}

func (d *decoder) fill() {
	have := copy(d.memory[:], d.raw)
	n, err := d.from.Read(d.memory[have:])
	d.raw, d.err = d.memory[:have+n], err
	whole := len(d.raw) / 4 * 4
	var ok bool
	if d.out, ok = decodeGroups(d.plain[:0], d.raw[:whole]); !ok {
		d.err = errBase64
		return
	}
	d.raw = d.raw[whole:]
	if err == io.EOF && len(d.raw) > 0 { // the last group may not be left unpadded
		d.err = errBase64
	}
}

// decodeGroups appends what whole groups of four decode to. It stops at those that are none.
func decodeGroups(to, groups []byte) (_ []byte, ok bool) {
	for len(groups) > 0 {
		end := endOfPadding(groups)
		var err error
		start := len(to)
		to, err = base64.StdEncoding.Strict().AppendDecode(to, groups[:end])
		if err != nil || len(to)-start > end/4*3 || hasNewline(groups[:end]) {
			return to[:start], false
		}
		groups = groups[end:]
	}
	return to, true
}

// endOfPadding is the end of the group that holds the first padding, or of all groups if there is none.
func endOfPadding(groups []byte) int {
	for i, c := range groups {
		if c == '=' {
			return i/4*4 + 4
		}
	}
	return len(groups)
}

// hasNewline: encoding/base64 skips them, which would let the groups lose their step.
func hasNewline(groups []byte) bool {
	for _, c := range groups {
		if c == '\n' || c == '\r' {
			return true
		}
	}
	return false
}

// encoder writes base64 that can be decoded as it comes: padded at the end of a message, in whole groups between.
type encoder struct {
	from *wire.Outgoing
	raw  []byte // read, and not encoded: less than three bytes
	out  []byte // encoded, and not given away
	err  error

	memory [chunk/4*3 + 3]byte
	text   [chunk + 4]byte
}

func (e *encoder) Read(p []byte) (int, error) {
	for len(e.out) == 0 && e.err == nil {
		e.fill()
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	if len(e.out) == 0 && e.err != nil {
		return n, e.err
	}
	return n, nil
}

func (e *encoder) fill() {
	have := copy(e.memory[:], e.raw)
	n, err := e.from.Read(e.memory[have : have+chunk/4*3])
	e.raw, e.err = e.memory[:have+n], err
	whole := len(e.raw) / 3 * 3
	if e.from.Between() {
		whole = len(e.raw)
	}
	e.out = base64.StdEncoding.AppendEncode(e.text[:0], e.raw[:whole])
	e.raw = e.raw[whole:]
}

func (e *encoder) Close() error { return e.from.Close() }

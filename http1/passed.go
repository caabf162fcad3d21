package http1

// The fields of an answer that nobody here reads. They need be neither strings nor in a map: they are written as lines again
// as they are parsed, and Writer.Write sends those behind the status line. Parsed they are all the same, by the one parser;
// nothing is passed on that it would refuse.

import (
	"io"
	"net/http"
	"strings"
	"unsafe"
)

type passed struct {
	reads   []string // the fields that are read, canonically: they go into the header map
	lines   []byte
	parsed  int  // of lines; the rest was appended since
	dated   bool // a Date is among the lines
	typed   bool // so is a Content-Type
	streams bool // and says so

	// What was read last, by its place in reads: most services say the same of one answer as of the next, and it need not be
	// copied again.
	last [8]string
}

// maxLast is the longest value that is worth looking at again.
const maxLast = 64

// maxPassed keeps the rare monster from staying in the pool.
const maxPassed = 4 << 10

func (p *passed) reset(reads []string) {
	p.dated, p.typed, p.streams, p.reads, p.parsed = false, false, false, reads, 0
	if p.lines = p.lines[:0]; cap(p.lines) > maxPassed {
		p.lines = nil
	}
}

// pass takes a field whose name and value are only lent.
func (f *fields) pass(name, value string, r role) {
	p := f.passed
	for i, read := range p.reads {
		if read == name {
			f.add(read, p.clone(i, value))
			return
		}
	}
	if r != ordinary {
		return // of this connection only, or written by us
	}
	switch name {
	case "Date":
		p.dated = true
	case "Content-Type":
		if !p.typed { // of several the first counts, as in a map
			p.typed, p.streams = true, isStream(value)
		}
	case "Proxy-Authenticate", "Proxy-Authorization": // end here too, and are the caller's to take out
		f.framing.others = true
	}
	p.lines = appendField(p.lines, name, value)
}

// clone is a copy of the value of reads[i], or the one that was made of the same value before.
func (p *passed) clone(i int, value string) string {
	if i >= len(p.last) || len(value) > maxLast {
		return strings.Clone(value)
	}
	if p.last[i] != value {
		p.last[i] = strings.Clone(value)
	}
	return p.last[i]
}

// parsePassing is parse for a caller that reads only some of the fields. It is false if the answer is one of those that need
// all of them: those without a body speak of one in their fields, trailers are announced, and some fields end here. Of what
// it leaves in framing, host and expect are lent too, and mean nothing in an answer.
func (r *response) parsePassing(b []byte, method string, l *Limits, p *passed) (bool, *fault) {
	if method == http.MethodHead {
		return false, nil
	}
	r.fields.reset(l.headerCount())
	r.passed = p
	bad := r.parseText(b, unsafe.String(unsafe.SliceData(b), len(b)), method, l)
	r.passed = nil
	if bad != nil {
		return true, bad
	}
	m := &r.framing
	if bodyless(method, r.http.StatusCode) || m.others || m.asksTo || m.trailer != nil {
		return false, nil
	}
	p.parsed = len(p.lines)
	r.http.Status = "" // the one string that would be kept
	return true, nil
}

// Lines is where more field lines may be appended, each ended by CR LF, that go to the client with b; nil: nowhere. Only an
// answer of which not all was read has such a place.
func (b *body) Lines() *[]byte {
	if b.passed == nil {
		return nil
	}
	return &b.passed.lines
}

// passedBy is what goes to the client with a body beside the header of its answer.
func passedBy(r io.Reader) *passed {
	if b, ok := r.(*body); ok && b.passed != nil {
		return b.passed
	}
	return &nothing
}

var nothing passed

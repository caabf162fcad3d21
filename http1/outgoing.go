package http1

// A request on its way out: its head as bytes, and its body either in memory, to go with the head in one send, or as a
// stream that a sender carries while the answer is awaited.

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/sluice-gateway/sluice/failure"
)

// CollectBytes is up to where a body of known length is read whole before anything is sent. The endpoint then never
// waits for a slow client, and the request can be repeated.
const CollectBytes = blockSize

type outgoing struct {
	request *http.Request
	call    *Call
	blk     *block // that head lies in, or nil: nobody waits for a connection or an answer with one in hand
	head    []byte
	tail    []byte // the body in memory
	peeked  Peeker // what tail belongs to, if it is somebody's
	stream  io.ReadCloser
	length  int64 // of stream, or -1: chunked
	upgrade bool
	offer   string // the protocols it asks to switch to
	trailer http.Header
}

// take takes the body of r in hand, which may wait for it.
func (o *outgoing) take(r *http.Request, call *Call) error {
	o.request, o.call = r, call
	body := call.Body
	if body == nil {
		body = r.Body
	}
	o.measure(r, body)
	return o.collect(body)
}

// compose writes the head, for one sending.
func (o *outgoing) compose() error {
	o.blk = takeBlock()
	b, err := o.appendHead(o.blk[:0])
	if err != nil {
		o.free()
		return &failure.Error{Source: failure.Gateway, Kind: failure.ProxyInternalError, Err: err} // which made the request
	}
	o.head = b
	return nil
}

func (o *outgoing) appendHead(b []byte) ([]byte, error) {
	r, host := o.request, o.call.Host
	if host == "" {
		host = r.Host
	}
	b, err := o.requestLine(b, r, host)
	if err != nil {
		return nil, err
	}
	b = o.appendConnection(b, r.Header)
	if b, err = appendLines(b, o.call.Lines); err != nil {
		return nil, err
	}
	if b, err = appendFields(b, r.Header); err != nil {
		return nil, err
	}
	b = o.appendFraming(b, r)
	return append(b, '\r', '\n'), nil
}

// lend hands the block of the head over: head is good until it is given back.
func (o *outgoing) lend() *block {
	blk := o.blk
	o.blk = nil
	return blk
}

// park moves the head out of its block: the wait for a connection may be long, and thousands may be in it.
func (o *outgoing) park() {
	o.head = bytes.Clone(o.head)
	giveBlock(o.lend())
}

// free lets go of the head.
func (o *outgoing) free() {
	if o.blk != nil {
		giveBlock(o.blk)
	}
	o.blk, o.head = nil, nil
}

var (
	errMethod  = errors.New("http1: the method cannot be written")
	errTarget  = errors.New("http1: the request target cannot be written")
	errHost    = errors.New("http1: the Host cannot be written")
	errConnect = errors.New("http1: CONNECT is not forwarded")

	errOtherProtocol = errors.New("http1: a switch to a protocol that was not asked for")
)

func (o *outgoing) requestLine(b []byte, r *http.Request, host string) ([]byte, error) {
	if !validToken(r.Method) {
		return b, errMethod
	}
	if r.Method == http.MethodConnect {
		return b, errConnect
	}
	if host == "" {
		host = r.URL.Host
	}
	if !validHost(host) {
		return b, errHost
	}
	b = append(b, r.Method...)
	start := len(b) + 1
	b = appendTarget(append(b, ' '), r)
	if !validTarget(b[start:], r.Method) {
		return b, errTarget
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	return append(b, '\r', '\n'), nil
}

func appendTarget(b []byte, r *http.Request) []byte {
	u := r.URL
	switch {
	case u.Opaque != "":
		path := u.Opaque
		for len(path) > 1 && path[0] == '/' && path[1] == '/' { // many would read an authority
			path = path[1:]
		}
		b = append(b, path...)
	case u.Path != "" && u.RawPath == "" && span(u.Path, isPlain) == len(u.Path):
		b = append(b, u.Path...)
	default:
		return append(b, u.RequestURI()...)
	}
	if u.RawQuery != "" || u.ForceQuery {
		b = append(b, '?')
		b = append(b, u.RawQuery...)
	}
	return b
}

func validTarget(b []byte, method string) bool {
	if len(b) == 0 || b[0] != '/' && !(len(b) == 1 && b[0] == '*' && method == http.MethodOptions) {
		return false
	}
	for _, c := range b {
		if classes[c]&isTarget == 0 {
			return false
		}
	}
	return true
}

// appendConnection asks for the only two things that a connection to an endpoint is asked for.
func (o *outgoing) appendConnection(b []byte, h http.Header) []byte {
	for _, v := range h["Connection"] {
		eachToken(v, func(t string) { o.upgrade = o.upgrade || equalFold(t, "upgrade") })
	}
	if up := h["Upgrade"]; o.upgrade && len(up) == 1 && validValue(up[0]) {
		o.offer = up[0]
		b = appendField(b, "Connection", "upgrade")
		return appendField(b, "Upgrade", up[0])
	}
	o.upgrade = false
	if len(h["Te"]) > 0 {
		b = append(b, "Connection: te\r\nTE: trailers\r\n"...)
	}
	return b
}

// measure decides how the body's end is told, RFC 9112 section 6.
func (o *outgoing) measure(r *http.Request, body io.Reader) {
	switch {
	case body == nil || body == http.NoBody || r.ContentLength == 0:
		o.length = 0
	case r.ContentLength > 0:
		o.length = r.ContentLength
	default:
		o.length, o.trailer = -1, r.Trailer
	}
}

func (o *outgoing) appendFraming(b []byte, r *http.Request) []byte {
	switch {
	case o.length > 0:
		return appendLength(b, o.length)
	case o.length < 0:
		b = appendTrailerNames(b, r.Trailer)
		return append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.Method == http.MethodPost, r.Method == http.MethodPut, r.Method == http.MethodPatch:
		return appendLength(b, 0)
	}
	return b
}

// collect takes a small body into memory and leaves any other as a stream.
func (o *outgoing) collect(body io.ReadCloser) error {
	if o.length == 0 {
		return nil
	}
	if o.length < 0 || o.length > CollectBytes {
		o.stream = body
		return nil
	}
	n := int(o.length)
	if p, ok := body.(Peeker); ok {
		if q := p.Peek(); len(q) >= n {
			o.peeked, o.tail = p, q[:n]
			return nil
		}
	}
	for len(o.tail) < n { // the memory follows the bytes: a client must not reserve it by promising some
		o.tail = slices.Grow(o.tail, min(n-len(o.tail), max(collectStep, len(o.tail))))
		got, err := io.ReadFull(body, o.tail[len(o.tail):min(n, cap(o.tail))])
		o.tail = o.tail[:len(o.tail)+got]
		if err != nil {
			return failure.From(err)
		}
	}
	return nil
}

const collectStep = 16 << 10

// mayJoin refuses a switch to a protocol that was not asked for, RFC 9110 section 7.8.
func (o *outgoing) mayJoin(h http.Header) error {
	up := h["Upgrade"]
	asked := false
	if o.upgrade && len(up) == 1 {
		eachToken(o.offer, func(t string) { asked = asked || equalFold(t, up[0]) })
	}
	if !asked {
		return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPUpgradeFailed, Err: errOtherProtocol}
	}
	return nil
}

// sent tells the owner of a peeked body that its bytes are used up.
func (o *outgoing) sent() {
	if o.peeked != nil {
		o.peeked.Discard(len(o.tail))
		o.peeked = nil
	}
}

// repeatable reports whether the request may be sent again although part of it may have arrived.
func (o *outgoing) repeatable() bool {
	if o.stream != nil {
		return false
	}
	switch o.request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

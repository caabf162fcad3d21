package http1

// The answer on its way to the client: head, framing, body (RFC 9112 sections 4, 6 and 7).

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/sluice-gateway/sluice/failure"
)

// Writer sends one request's answer. Its methods are for the Handler's goroutine.
type Writer struct {
	turn     *turn
	closing  bool // the connection ends with this answer
	begun    bool // Write or Abort was called
	broken   bool // the answer did not reach its end
	switched bool // the connection became a tunnel, which has ended
	status   int
	sent     int64 // body bytes
	received int64 // through a tunnel
}

var (
	errWrittenTwice = errors.New("http1: a second answer to one request")
	errStatus       = errors.New("http1: the status is not one of a final answer")
	errInterim      = errors.New("http1: the status is not one of an interim answer")
	errNotUpgraded  = error(&failure.Error{Source: failure.Upstream, Kind: failure.HTTPUpgradeFailed,
		Err: errors.New("http1: 101 without a request for it, or without a Body to join")})
	errShortBody  = brokenOff(failure.Upstream, "http1: the body is shorter than its Content-Length")
	errLongBody   = brokenOff(failure.Upstream, "http1: the body is longer than its Content-Length")
	errFellSilent = brokenOff(failure.Gateway, "http1: the stream was silent for longer than StreamIdleTimeout")
)

func brokenOff(whose failure.Source, why string) error {
	return &failure.Error{Source: whose, Kind: failure.HTTPResponseIncomplete, Err: errors.New(why)}
}

// Status is the status code of the answer, 0 before Write.
func (w *Writer) Status() int { return w.status }

// BytesWritten is the number of body bytes sent to the client so far, framing not counted; in a tunnel, those that went
// to the client.
func (w *Writer) BytesWritten() int64 { return w.sent }

// BytesRead is the number of body bytes received from the client so far; in a tunnel, those that came from the client.
func (w *Writer) BytesRead() int64 {
	taken, _, _ := w.turn.body.progress()
	return taken + w.received
}

// Abort breaks the connection off, with a reset where there is one, so that the client cannot take what it got for a
// whole answer.
func (w *Writer) Abort() {
	w.turn.conn.in.sock.abort() // first: whoever holds the lock may be waiting to send
	w.turn.saying.Lock()
	w.begun, w.broken, w.closing = true, true, true
	w.turn.saying.Unlock()
}

// Inform sends an interim answer (RFC 9110 section 15.2). 101 is no such thing, 100 is the engine's own, and HTTP/1.0
// knows none; these last two are ignored.
func (w *Writer) Inform(status int, h http.Header) error {
	if status < 100 || status > 199 || status == http.StatusSwitchingProtocols || w.begun {
		return errInterim
	}
	if status == http.StatusContinue || w.turn.minor == 0 {
		return nil
	}
	w.turn.saying.Lock()
	defer w.turn.saying.Unlock()
	blk := takeBlock()
	defer giveBlock(blk)
	b, err := appendFields(appendStatus(blk[:0], status), h)
	if err != nil {
		return err
	}
	return w.send(append(b, '\r', '\n'), nil)
}

// Write sends res and closes its Body. How the body's end is told is decided here, from ContentLength: the exact number
// of bytes, or -1 for a number not known. Framing and connection fields in res.Header are ignored. Trailers are taken
// from res.Trailer when the body has ended; its keys of now are announced. A 101 joins res.Body, an io.ReadWriteCloser,
// with the connection and returns when the tunnel has ended.
//
// After an error the connection is broken off already, and nothing more can be sent. A *failure.Error of source Client
// says that it was the client; what reading the Body failed with is returned as it is.
func (w *Writer) Write(res *http.Response) error {
	if w.begun {
		return errWrittenTwice
	}
	w.begin(res.StatusCode)
	var err error
	if res.StatusCode == http.StatusSwitchingProtocols {
		err = w.upgrade(res)
	} else {
		err = w.answer(res)
	}
	if res.Body != nil {
		res.Body.Close()
	}
	if err != nil {
		w.Abort()
	}
	return err
}

// begin notes that the answer is on its way. Only whoever reads the request's body might be about to say 100 meanwhile.
func (w *Writer) begin(status int) {
	if w.turn.body.owner != nil {
		w.turn.saying.Lock()
		defer w.turn.saying.Unlock()
	}
	w.begun, w.status = true, status
}

func (w *Writer) send(b, tail []byte) error {
	a := w.turn.conn
	err := a.in.sock.write(b, tail, a.limits.StallTimeout)
	if err == nil {
		return nil
	}
	kind := failure.ClientGone
	if isTimeout(err) && !a.in.sock.severed.Load() {
		kind = failure.ClientStalled
	}
	return &failure.Error{Source: failure.Client, Kind: kind, Err: err}
}

// outlet is how the body of one answer is sent.
type outlet struct {
	w       *Writer
	blk     *block // nil while nothing waits to be sent
	b       []byte // what does, in blk
	chunked bool
	left    int64 // bytes still to come; -1: as many as there are
}

func (w *Writer) answer(res *http.Response) error {
	if res.StatusCode < 200 || res.StatusCode > 999 {
		return errStatus
	}
	o := outlet{w: w}
	err := o.answer(res)
	o.drop()
	return err
}

// hold makes sure that there is a block to write into, drop gives it back: a wait, be it for the endpoint's next bytes or
// for a slow client's room, should find none in hand that it does not need.
func (o *outlet) hold() {
	if o.blk == nil {
		o.blk = sendBlocks.Get().(*block)
		o.b = o.blk[:0]
	}
}

func (o *outlet) drop() {
	if o.blk != nil {
		sendBlocks.Put(o.blk)
		o.blk, o.b = nil, nil
	}
}

func (o *outlet) answer(res *http.Response) error {
	body, err := o.head(res)
	if err != nil {
		return err
	}
	switch {
	case body == nil:
		return o.flush()
	case isOwn(body):
		err = o.relay(body.(passage), o.limitSilence(body, res))
	case streams(res.Header):
		err = o.stream(body, o.vigil(res))
	default:
		err = o.copy(body)
	}
	if err != nil {
		return err
	}
	if o.left > 0 {
		return errShortBody
	}
	if o.chunked {
		o.hold()
		if o.b, err = appendLastChunk(o.b, res.Trailer); err != nil {
			return err
		}
	}
	return o.flush()
}

// passage is a body that yields its own bytes instead of a copy.
type passage interface {
	next(wait bool) ([]byte, error)
	Discard(n int)
}

func isOwn(r io.Reader) bool {
	_, ok := r.(passage)
	return ok
}

// head writes the head and returns the body to send behind it, if any.
func (o *outlet) head(res *http.Response) (io.Reader, error) {
	w := o.w
	if w.turn.unreadable() || w.turn.conn.server.draining.Load() {
		w.closing = true
	}
	body, err := o.framing(res)
	if err != nil {
		return nil, err
	}
	o.hold()
	passed := passedBy(res.Body)
	b := append(appendStatus(o.b, res.StatusCode), passed.lines[:passed.parsed]...)
	if b, err = appendLines(b, passed.lines[passed.parsed:]); err != nil {
		return nil, err
	}
	if b, err = appendFields(b, res.Header); err != nil {
		return nil, err
	}
	if _, ok := res.Header["Date"]; !ok && !passed.dated {
		b = appendField(b, "Date", httpDate())
	}
	switch {
	case o.chunked:
		b = appendTrailerNames(b, res.Trailer)
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case o.left >= 0:
		b = appendLength(b, o.left)
	}
	if w.closing {
		b = append(b, "Connection: close\r\n"...)
	} else if w.turn.minor == 0 {
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	o.b = append(b, '\r', '\n')
	if body == nil {
		o.left = 0
	}
	return body, nil
}

// framing decides how the end of the body is told. left becomes the Content-Length to write, -1 for none.
func (o *outlet) framing(res *http.Response) (io.Reader, error) {
	w := o.w
	o.left = res.ContentLength
	if bodyless(w.turn.http.Method, res.StatusCode) {
		if res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified && o.left == 0 {
			o.left = -1
		}
		return nil, nil
	}
	body, err := o.present(res)
	if err != nil {
		return nil, err
	}
	if body == nil {
		o.left = 0
		return nil, nil
	}
	if o.left >= 0 && (len(res.Trailer) == 0 || w.turn.minor == 0) {
		return body, nil
	}
	o.left = -1
	if w.turn.minor > 0 {
		o.chunked = true
	} else {
		w.closing = true
	}
	return body, nil
}

// present returns the body of res, or nil if it is empty. A length of 0 beside a Body of unknown kind may be somebody's
// forgetting to say -1, as in net/http: one byte is read to find out.
func (o *outlet) present(res *http.Response) (io.Reader, error) {
	if res.Body == nil || res.Body == http.NoBody {
		if res.ContentLength > 0 {
			return nil, errShortBody
		}
		return nil, nil
	}
	if res.ContentLength != 0 || isOwn(res.Body) {
		return res.Body, nil
	}
	var one [1]byte
	switch n, err := io.ReadFull(res.Body, one[:]); {
	case n == 1:
		o.left = -1
		return io.MultiReader(&oneByte{one[0], false}, res.Body), nil
	case err == io.EOF:
		return nil, nil
	default:
		return nil, err
	}
}

type oneByte struct {
	b    byte
	done bool
}

func (r *oneByte) Read(p []byte) (int, error) {
	if r.done || len(p) == 0 {
		return 0, io.EOF
	}
	p[0], r.done = r.b, true
	return 1, nil
}

func appendStatus(b []byte, status int) []byte {
	if status == http.StatusOK {
		return append(b, "HTTP/1.1 200 OK\r\n"...)
	}
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	return append(b, '\r', '\n')
}

// copied is up to which length bytes are copied behind what waits, rather than sent beside it.
const copied = 4 << 10

// relay sends a body of the engine's own: whatever is in hand goes into one send, and nothing waits while more is
// awaited.
func (o *outlet) relay(source passage, stream bool) error {
	for {
		q, err := source.next(false)
		if len(q) == 0 && err == nil {
			if err = o.flush(); err != nil {
				return err
			}
			o.drop()
			if b, ok := source.(*body); ok && o.canSplice(b) {
				if done, err := o.splice(b); done {
					return err
				}
			}
			q, err = source.next(true)
		}
		if err == io.EOF {
			return nil
		}
		if stream && errors.Is(err, os.ErrDeadlineExceeded) {
			return errFellSilent
		}
		if err != nil {
			return err
		}
		if err := o.put(q); err != nil {
			return err
		}
		source.Discard(len(q))
	}
}

// put takes q as the next body bytes. They are sent, or copied, before it returns.
func (o *outlet) put(q []byte) error {
	if err := o.charge(len(q)); err != nil {
		return err
	}
	if len(o.b)+len(q)+2*chunkRoom > blockSize {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if o.chunked {
		o.hold()
		o.b = strconv.AppendUint(o.b, uint64(len(q)), 16)
		o.b = append(o.b, '\r', '\n')
	}
	if len(q) > copied {
		err := o.w.send(o.b, q)
		o.drop()
		if err != nil {
			return err
		}
	} else {
		o.hold()
		o.b = append(o.b, q...)
	}
	if o.chunked {
		o.hold()
		o.b = append(o.b, '\r', '\n')
	}
	return nil
}

// charge counts n body bytes against the length that was promised.
func (o *outlet) charge(n int) error {
	if o.left >= 0 {
		if int64(n) > o.left {
			return errLongBody
		}
		o.left -= int64(n)
	}
	o.w.sent += int64(n)
	return nil
}

// copy sends a body of any kind but a stream. The head waits for the first bytes only where they cannot be long in
// coming: the length is known.
func (o *outlet) copy(body io.Reader) error {
	if o.left < 0 {
		if err := o.flush(); err != nil {
			return err
		}
	}
	for {
		o.hold()
		at := len(o.b) + chunkRoom
		if at > blockSize/2 {
			if err := o.flush(); err != nil {
				return err
			}
			at = chunkRoom
		}
		n, err := body.Read(o.blk[at : blockSize-chunkRoom])
		if n > 0 {
			if err := o.emit(o.blk[:], at, n); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// stream sends a body that may be silent for long: the head goes ahead, and what comes goes on at once.
func (o *outlet) stream(body io.Reader, v *vigil) error {
	if err := o.flush(); err != nil {
		return err
	}
	o.drop()
	for full := false; ; {
		var in vessel
		buf := in.take(full)
		n, err := v.read(body, buf[chunkRoom:len(buf)-chunkRoom])
		if full = n == len(buf)-2*chunkRoom; n > 0 {
			if err := o.emit(buf, chunkRoom, n); err != nil {
				in.give()
				return err
			}
		}
		in.give()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// emit sends what waits and the n bytes at buf[at:], around which there is room for a chunk's frame.
func (o *outlet) emit(buf []byte, at, n int) error {
	if err := o.charge(n); err != nil {
		return err
	}
	data := buf[at : at+n]
	if o.chunked {
		data = frameChunk(buf, at, n)
	}
	err := o.w.send(o.b, data)
	o.b = o.b[:0]
	return err
}

func (o *outlet) flush() error {
	if len(o.b) == 0 {
		return nil
	}
	err := o.w.send(o.b, nil)
	o.b = o.b[:0]
	return err
}

// upgrade answers 101 and joins the two connections.
func (w *Writer) upgrade(res *http.Response) error {
	peer, ok := res.Body.(io.ReadWriteCloser)
	up := res.Header["Upgrade"]
	if !ok || !w.turn.framing.upgrade || !w.turn.body.over() || len(up) != 1 || !validValue(up[0]) {
		return errNotUpgraded
	}
	blk := takeBlock()
	b, err := appendFields(appendStatus(blk[:0], res.StatusCode), res.Header)
	b = appendField(b, "Connection", "upgrade")
	b = appendField(b, "Upgrade", up[0])
	if err == nil {
		err = w.send(append(b, '\r', '\n'), nil)
	}
	giveBlock(blk)
	if err != nil {
		return err
	}
	w.switched, w.closing = true, true
	a := w.turn.conn
	j := join{client: a, peer: peer, idle: a.limits.StreamIdleTimeout}
	w.sent, w.received = j.run()
	return nil
}

package listen

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/proxy"
)

var _ proxy.Writer = (*writer)(nil)

// chunk is the most that is read of a body before it is passed on.
const chunk = 32 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// writer makes a proxy.Writer of an http.ResponseWriter.
//
//	known length    head and body go out together, as full as they come
//	unknown length  the head goes out at once, then every piece as it arrives
//
// A client that opens no window holds a write up, though its connection is alive; each piece has stallTimeout to go.
type writer struct {
	rw         http.ResponseWriter
	control    *http.ResponseController
	request    *http.Request
	body       *body // of the request, which the proxy wraps; nil: none
	connection *connection

	stall   *watch // of one write
	silence *watch // of both directions of a stream that may be silent; nil: not one

	mu      sync.Mutex // Inform may come from an upstream's goroutine
	began   bool       // the final answer: nothing informational may follow
	aborted bool
	written int64
}

func newWriter(rw http.ResponseWriter, control *http.ResponseController, r *http.Request, b *body, c *connection) *writer {
	return &writer{rw: rw, control: control, request: r, body: b, connection: c}
}

// Inform sends a 1xx answer.
func (w *writer) Inform(status int, header http.Header) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began {
		return nil
	}
	h := w.rw.Header()
	maps.Copy(h, header)
	w.rw.WriteHeader(status)
	clear(h)
	return nil
}

// Abort breaks the answer off when the handler returns, which is how the engines let themselves be told.
func (w *writer) Abort() { w.aborted = true }

// Written is how many bytes of the body were taken over by the engine.
func (w *writer) Written() int64 { return w.written }

// Write sends the answer. An error of the client's side is a *failure.Error of source Client; one of the body's is
// returned as it is.
func (w *writer) Write(res *http.Response) error {
	w.mu.Lock()
	w.began = true
	w.mu.Unlock()
	if res.StatusCode == http.StatusSwitchingProtocols { // HTTP/2 has none (RFC 9113 section 8.6)
		return &failure.Error{Kind: failure.HTTPUpgradeFailed, Err: errors.New("a 101 for a request over HTTP/2")}
	}
	length, hasBody := w.writeHead(res)
	if !hasBody {
		return nil // the head goes out when the handler returns, as the end of the stream
	}
	defer w.watchStream(res)()
	if length < 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if err := w.copyBody(res.Body, length); err != nil {
		return err
	}
	w.writeTrailers(res.Trailer)
	return nil
}

// writeHead hands the head to the engine. length is what the body must come to, -1 if that is unknown.
func (w *writer) writeHead(res *http.Response) (length int64, hasBody bool) {
	h := w.rw.Header()
	maps.Copy(h, res.Header)
	delete(h, "Content-Length")
	delete(h, "Trailer")
	if _, typed := h["Content-Type"]; !typed {
		h["Content-Type"] = nil // present, so that the engine does not guess from the bytes
	}
	length, hasBody = bodyOf(w.request.Method, res)
	if length >= 0 && statusHasLength(res.StatusCode) {
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	if hasBody && len(res.Trailer) > 0 {
		h["Trailer"] = []string{strings.Join(slices.Sorted(maps.Keys(res.Trailer)), ", ")}
	}
	w.rw.WriteHeader(res.StatusCode)
	return length, hasBody
}

// bodyOf says how long the body is declared to be, and whether there is one to send (RFC 9112 section 6.3).
func bodyOf(method string, res *http.Response) (length int64, hasBody bool) {
	length = lengthOf(method, res)
	if describes(method, res) {
		return length, false
	}
	absent := res.Body == nil || res.Body == http.NoBody
	if absent && len(res.Trailer) == 0 || res.Body == nil || !statusHasLength(res.StatusCode) {
		return 0, false
	}
	return length, true
}

// lengthOf is the length an answer speaks of, -1 if it is unknown.
func lengthOf(method string, res *http.Response) int64 {
	if res.ContentLength == 0 && describes(method, res) {
		return declared(res.Header) // 0 is also what a Response says that was never given a length
	}
	return max(res.ContentLength, -1)
}

// describes: the answer has no body, and its length is that of what a GET would have brought (RFC 9110 section 8.6).
func describes(method string, res *http.Response) bool {
	return method == http.MethodHead || res.StatusCode == http.StatusNotModified
}

func declared(h http.Header) int64 {
	v := h["Content-Length"]
	if len(v) != 1 {
		return -1
	}
	n, err := strconv.ParseUint(v[0], 10, 63)
	if err != nil {
		return -1
	}
	return int64(n)
}

// statusHasLength: 1xx and 204 have neither a body nor a Content-Length (RFC 9110 section 8.6).
func statusHasLength(status int) bool { return status >= 200 && status != http.StatusNoContent }

// watchStream watches what may be silent for long. The function it returns ends that.
func (w *writer) watchStream(res *http.Response) (end func()) {
	limits := w.connection.limits()
	w.stall = newWatch(limits.StallTimeout, func() { _ = w.control.SetWriteDeadline(past) })
	if b := w.body; b != nil && b.stream {
		b.answer.Store(res)
		w.silence = b.watch
	} else if isEventStream(res.Header) || isCall(res.Header) {
		w.silence = newWatch(limits.StreamIdleTimeout, func() { res.Body.Close() })
	}
	w.silence.begin()
	return w.finish
}

// copyBody streams the body. It is an error if it does not come to length.
func (w *writer) copyBody(from io.Reader, length int64) error {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for {
		n, err := from.Read(buf[:])
		if n > 0 {
			w.silence.begin()
			if err := w.writeChunk(buf[:n], length); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return w.checkLength(length)
		}
		if err != nil {
			return w.readError(err)
		}
	}
}

func (w *writer) writeChunk(p []byte, length int64) error {
	if length >= 0 && w.written+int64(len(p)) > length {
		return incomplete(errors.New("the body is longer than its Content-Length"))
	}
	w.stall.begin()
	n, err := w.rw.Write(p)
	w.written += int64(n)
	if err == nil && w.written != length {
		err = w.control.Flush()
	}
	if w.stall.end() || err != nil {
		return w.writeError(err)
	}
	return nil
}

func (w *writer) flush() error {
	w.stall.begin()
	err := w.control.Flush()
	if w.stall.end() || err != nil {
		return w.writeError(err)
	}
	return nil
}

// checkLength ends the body. What the engine still holds is written after the handler has returned, where only a
// deadline reaches it.
func (w *writer) checkLength(length int64) error {
	if length >= 0 && w.written != length {
		return incomplete(io.ErrUnexpectedEOF)
	}
	if stall := w.connection.limits().StallTimeout; stall > 0 && length > 0 {
		_ = w.control.SetWriteDeadline(time.Now().Add(stall))
	}
	return nil
}

func incomplete(err error) *failure.Error {
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Err: err}
}

// readError is why the body broke off. That we ended a stream for its silence is nobody's failure but a limit of ours.
func (w *writer) readError(err error) error {
	if w.silence.late() {
		return &failure.Error{Source: failure.Gateway, Kind: failure.HTTPResponseIncomplete,
			Err: errors.New("the stream was silent for longer than streamIdleTimeout")}
	}
	return err
}

func (w *writer) writeError(err error) error {
	kind := failure.ClientGone
	if w.stall.late() || errors.Is(err, os.ErrDeadlineExceeded) {
		kind = failure.ClientStalled
	}
	if err == nil {
		err = os.ErrDeadlineExceeded
	}
	return &failure.Error{Source: failure.Client, Kind: kind, Err: err}
}

// writeTrailers sets the fields that follow the body. Those announced stand under their own names; those the upstream
// did not announce under a prefix that the engines know.
func (w *writer) writeTrailers(trailer http.Header) {
	h := w.rw.Header()
	announced := strings.Join(h["Trailer"], ", ")
	clear(h) // the head is on its way; a field of its in here would be sent again if it was announced as a trailer
	for name, values := range trailer {
		if len(values) == 0 {
			continue
		}
		if isAnnounced(announced, name) {
			h[name] = values
		} else {
			h[http.TrailerPrefix+name] = values
		}
	}
}

func isAnnounced(list, name string) bool {
	for field := range strings.SplitSeq(list, ", ") {
		if field == name {
			return true
		}
	}
	return false
}

// finish ends all watches. The handler calls it before it returns.
func (w *writer) finish() {
	w.stall.stop()
	w.silence.stop()
}

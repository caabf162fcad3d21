package transcode

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/httprule"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// call is one request on its way through, and the memory that takes. It is lent until the answer's body is closed.
type call struct {
	translator *Translator
	x          *exchange.Exchange
	op         *operation
	match      httprule.Match[*operation]
	query      string
	media      string           // of the request's body
	params     []jsonwire.Param // of the query, that may not come again

	body    []byte // of the client
	frame   []byte // for the service
	scratch []byte
	sending *frameBody

	response *http.Response // of the service
	frames   grpc.Reader
	out      []byte // for the client
}

var calls = sync.Pool{New: func() any { return new(call) }}

// maxKept is the largest buffer that is kept for the next call.
const maxKept = 64 << 10

// release gives the memory back. The transport may go on reading what it was given to send, so that is taken from it.
func (c *call) release() {
	if c.sending != nil {
		c.sending.detach()
	}
	*c = call{
		body: kept(c.body), frame: kept(c.frame), scratch: kept(c.scratch), out: kept(c.out), params: c.params[:0],
		frames: grpc.Reader{Memory: c.frames.Memory.Kept(maxKept)},
	}
	calls.Put(c)
}

func kept(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// answer carries the call. handed says that the answer's body has the call now.
func (c *call) answer(ctx context.Context, a *api, next backend.Backend) (handed bool, err error) {
	out := c.x.Out
	if c.op, err = a.find(&c.match, out.Method, out.URL.Opaque); err != nil {
		return false, err
	}
	c.query, c.media = out.URL.RawQuery, mediaOf(c.x.In.Header)
	limit, err := c.deadline()
	if err != nil {
		return false, err
	}
	sent, err := c.send()
	if err != nil {
		return false, err
	}
	if err := next.Answer(ctx, c.x); err != nil {
		return false, sent.blame(c.late(limit, err))
	}
	c.response, c.x.Response = c.x.Response, nil
	handed, err = c.receive(limit, sent)
	if !handed {
		c.response.Body.Close()
	}
	if err != nil {
		return handed, sent.blame(err)
	}
	return handed, nil
}

// deadline is until when a call that is no stream must be over. The client's own stands in Grpc-Timeout, as for gRPC
// clients, and the service is told the shorter of the two.
func (c *call) deadline() (time.Duration, error) {
	limit := c.translator.options.Timeout
	h := c.x.Out.Header
	if v, sent := h["Grpc-Timeout"]; sent {
		own, ok := grpc.ParseTimeout(v[0])
		if !ok || len(v) > 1 {
			return 0, failure.Request(http.StatusBadRequest, "Grpc-Timeout is at most eight digits and one of H, M, S, m, u, n.")
		}
		if limit == 0 || own < limit {
			return own, nil
		}
	}
	if limit > 0 && !c.op.method.ServerStreaming && !c.op.method.ClientStreaming {
		h["Grpc-Timeout"] = []string{c.translator.timeout}
	}
	return limit, nil
}

// late tells a call that ended at its deadline as one that took too long: a service that knows the deadline gives up by
// itself, and resets the stream.
func (c *call) late(limit time.Duration, err error) error {
	f := failure.From(err)
	if f.Kind != failure.ConnectionTerminated || limit == 0 || time.Since(c.x.Start) < limit {
		return err
	}
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseTimeout, Detail: "The service did not answer in time.", Err: err}
}

// sending is what goes to the service: one message, or a stream.
type sending interface {
	io.ReadCloser
	// blame is the reason to tell for a failed call: what was wrong with the client's stream, if that is why.
	blame(err error) error
}

// send makes x.Out the gRPC request.
func (c *call) send() (sending, error) {
	out := c.x.Out
	var body sending
	if c.op.method.ClientStreaming {
		if err := acceptable(c.x.In.Header); err != nil {
			return nil, err
		}
		body = newUpload(c)
		out.ContentLength = -1
	} else {
		if err := c.unary(); err != nil {
			return nil, err
		}
		c.sending = &frameBody{frame: c.frame}
		body = c.sending
		out.ContentLength = int64(len(c.frame))
	}
	out.Body = body
	out.Method = http.MethodPost
	out.URL.Opaque, out.URL.RawQuery, out.URL.ForceQuery = c.op.method.Path, "", false
	setHeader(out.Header)
	return body, nil
}

var (
	mediaGRPC     = []string{"application/grpc"}
	onlyTrailers  = []string{"trailers"}
	mediaJSON     = []string{"application/json"}
	mediaNDJSON   = []string{"application/x-ndjson"}
	mediaEvents   = []string{"text/event-stream"}
	noTransform   = []string{"no-cache"}
	hasBodyHeader = [...]string{"Accept", "Accept-Encoding", "Accept-Charset", "Content-Encoding", "Content-Language", "Content-Location",
		"Content-Range", "Content-Disposition", "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
		"Grpc-Encoding", "Grpc-Accept-Encoding"}
)

// setHeader makes the fields of an HTTP request metadata. All that may be forwarded is, under its own name; what speaks of
// the body or its form is said anew.
func setHeader(h http.Header) {
	for _, name := range hasBodyHeader {
		delete(h, name)
	}
	h["Content-Type"] = mediaGRPC
	h["Te"] = onlyTrailers
	takePrefixes(h) // of what filters have set
}

// takePrefixes makes Grpc-Metadata-Name, as clients of grpc-gateway write it, Name.
func takePrefixes(h http.Header) {
	for name, values := range h {
		if plain, prefixed := strings.CutPrefix(name, "Grpc-Metadata-"); prefixed {
			delete(h, name)
			if plain = http.CanonicalHeaderKey(plain); mayBeMetadata(plain) && h[plain] == nil {
				h[plain] = values
			}
		}
	}
}

// mayBeMetadata refuses the names by which the gateway and HTTP itself speak: a prefix is no way around them.
func mayBeMetadata(name string) bool {
	if strings.Contains(name, "_") {
		return false
	}
	for _, prefix := range [...]string{"X-Consumer-", "X-Forwarded-", "Content-", "Grpc-", "Proxy-", "Accept"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	switch name {
	case "", "Forwarded", "Via", "X-Real-Ip", "X-Request-Id", "X-Attempt", "X-Mirror", "Host", "Te", "Connection", "Keep-Alive", "Upgrade",
		"Transfer-Encoding", "Trailer", "Expect", "Http2-Settings", "User-Agent":
		return false
	}
	return true
}

// frameBody is the one message of a call, as a request's body. What it reads from belongs to the call, and can be taken
// away while a transport still holds it.
type frameBody struct {
	mu    sync.Mutex
	frame []byte
	at    int
}

var errDetached = errors.New("the call is over")

// Read implements io.Reader.
func (b *frameBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.frame == nil {
		return 0, errDetached
	}
	n := copy(p, b.frame[b.at:])
	if b.at += n; b.at == len(b.frame) {
		return n, io.EOF
	}
	return n, nil
}

func (b *frameBody) Close() error { return nil }

func (b *frameBody) blame(err error) error { return err }

func (b *frameBody) detach() {
	b.mu.Lock()
	b.frame = nil
	b.mu.Unlock()
}

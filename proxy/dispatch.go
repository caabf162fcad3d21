package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// dispatch is the door behind Exchange.Dispatch: a request made by a backend begins a new exchange at step 1, on the same
// listener and from the same client, with filters, limits, metrics and a record of its own. It is authenticated by what it
// carries. Who asked, and through which proxies, is what it was for the exchange around it: whatever the request itself
// says of that is dropped, because its fields were written by the client and not by a trusted proxy.
func (l *life) dispatch(ctx context.Context, in *http.Request, take func(*http.Response) error) error {
	outer := l.x
	if outer.Depth >= maxDepth {
		return &failure.Error{Source: failure.Client, Kind: failure.ProxyLoopDetected, Detail: "Batches are nested too deep."}
	}
	in.Proto, in.ProtoMajor, in.ProtoMinor = outer.In.Proto, outer.In.ProtoMajor, outer.In.ProtoMinor
	in.Host, in.TLS, in.RemoteAddr = outer.In.Host, outer.In.TLS, outer.In.RemoteAddr
	inheritForwarding(in.Header, outer.In.Header)

	x := Acquire()
	defer Release(x)
	x.In, x.Start, x.Depth, x.RequestID = in, time.Now(), outer.Depth+1, outer.RequestID
	x.Listener, x.Peer, x.PeerText, x.TLS = outer.Listener, outer.Peer, outer.PeerText, outer.TLS
	w := taker{take: take}
	l.server.Serve(ctx, x, &w)
	if w.aborted && w.err == nil {
		w.err = failure.From(errBrokenOff)
	}
	return w.err
}

// maxDepth is how deep exchanges may be dispatched from one another.
const maxDepth = 4

var errBrokenOff = errors.New("the dispatched exchange was broken off before an answer")

// inheritForwarding replaces what inner says of its way by what outer does.
func inheritForwarding(inner, outer http.Header) {
	for name := range inner {
		if speaksOfTheWay(name) {
			delete(inner, name)
		}
	}
	for name, values := range outer {
		if speaksOfTheWay(name) {
			inner[name] = values
		}
	}
}

func speaksOfTheWay(name string) bool {
	name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	f := fateOf(name)
	return f == ours || f == proxy || name == "Via"
}

// taker is the Writer of a dispatched exchange: its answer goes to whoever dispatched it.
type taker struct {
	take    func(*http.Response) error
	read    int64
	err     error
	aborted bool
}

// Inform drops 1xx answers: they are about a connection that this exchange has not.
func (*taker) Inform(int, http.Header) error { return nil }

func (w *taker) Write(res *http.Response) error {
	if res.StatusCode == http.StatusSwitchingProtocols {
		w.err = &failure.Error{Source: failure.Upstream, Kind: failure.HTTPUpgradeFailed}
		return w.err
	}
	if body := res.Body; body != nil {
		res.Body = &countedBody{body, &w.read}
	}
	w.err = w.take(res)
	return w.err
}

func (w *taker) Abort() { w.aborted = true }

func (w *taker) Written() int64 { return w.read }

type countedBody struct {
	io.ReadCloser
	read *int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	*b.read += int64(n)
	return n, err
}

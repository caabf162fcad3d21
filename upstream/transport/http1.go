package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/failure"
)

// http1 speaks HTTP/1.1 by way of net/http, and this file is all that knows of it.
//
// A connection carries one request at a time, so bounding the requests bounds the connections in use: the gate does
// that, and has the queue which net/http lacks. MaxConnsPerHost then holds for the idle ones too.
//
// net/http repeats a request in silence when a connection that had been idle turns out to be closed: if nothing was
// written, or if the method is safe and there is no body. Trip.Stale counts those.
type http1 struct {
	gate gate
	http http.Transport
	gone atomic.Bool // CloseIdle was called: what is returned now is not to be kept
}

func newHTTP1(o Options) *http1 {
	d := newDialer(o)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := d.dial(ctx)
		if err != nil {
			return nil, err // and not a nil *conn in a net.Conn
		}
		return c, nil
	}
	return &http1{
		gate: gate{room: o.Max, pending: o.Pending},
		http: http.Transport{
			DialContext:            dial,
			DialTLSContext:         dial,
			DisableCompression:     true,
			MaxConnsPerHost:        o.Max,
			MaxIdleConnsPerHost:    orNoLimit(o.MaxIdle),
			IdleConnTimeout:        o.IdleTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
			WriteBufferSize:        16 << 10,
			ReadBufferSize:         16 << 10,
			TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/2 is http2.go's
		},
	}
}

func orNoLimit(n int) int {
	if n == 0 {
		return math.MaxInt
	}
	return n
}

func (t *http1) RoundTrip(ctx context.Context, trip *Trip) (*http.Response, error) {
	if err := t.gate.enter(ctx); err != nil {
		return nil, err
	}
	w := &watch{trip: trip}
	defer w.seal()
	hooks := &httptrace.ClientTrace{GotConn: w.gotConn, Got1xxResponse: w.inform}
	r := trip.Request.WithContext(httptrace.WithClientTrace(ctx, hooks))
	asHTTP1(r.Header)
	res, err := t.http.RoundTrip(r)
	if err == nil {
		err = checkUpgrade(r, res)
	}
	if err != nil {
		t.leave()
		return nil, tripFailure(ctx, err, w.phase())
	}
	res.Body = newAnswer(res.Body, t.leave)
	return res, nil
}

// CloseIdle closes what is idle, and from then on what becomes so: net/http would keep a connection that comes back.
func (t *http1) CloseIdle() {
	t.gone.Store(true)
	t.http.CloseIdleConnections()
}

func (t *http1) leave() {
	t.gate.leave()
	if t.gone.Load() {
		t.http.CloseIdleConnections()
	}
}

// asHTTP1 says what HTTP/1.1 needs said: that TE is for this connection only (RFC 9110 section 10.1.4). And it keeps
// net/http from saying who it is.
func asHTTP1(h http.Header) {
	if _, present := h["User-Agent"]; !present {
		h["User-Agent"] = nil
	}
	if _, present := h["Connection"]; !present && len(h["Te"]) > 0 {
		h["Connection"] = []string{"te"}
	}
}

// checkUpgrade refuses a switch of protocols that was not asked for: what follows such a 101 is anybody's guess.
func checkUpgrade(r *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil
	}
	if _, both := res.Body.(io.ReadWriteCloser); both && len(r.Header["Upgrade"]) == 1 &&
		strings.EqualFold(r.Header["Upgrade"][0], res.Header.Get("Upgrade")) {
		return nil
	}
	res.Body.Close()
	return &failure.Error{
		Source: failure.Upstream, Kind: failure.HTTPUpgradeFailed, Detail: "The service switched to a protocol that was not asked for.",
		Err: errors.New("unexpected 101 Switching Protocols"),
	}
}

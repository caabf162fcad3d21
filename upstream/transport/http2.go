package transport

//lint:file-ignore SA1019 see pool.go

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/failure"
)

// http2Transport speaks HTTP/2 by way of x/net/http2: over TLS with ALPN, else with prior knowledge (RFC 9113 section
// 3.3). The connections are the pool's; x/net's own pool fills one before it opens the next, and waits without a bound.
type http2Transport struct {
	pool *pool
}

const (
	pingAfter        = 30 * time.Second               // of silence while streams are open
	pingAfterSparing = 5*time.Minute + 10*time.Second // gRPC servers close connections that ask more often than every 5 min
	pingTimeout      = 10 * time.Second               // then the connection is given up
	unusableTries    = 3                              // connections found closing under a request before it fails
)

func newHTTP2(o Options) *http2Transport {
	p := &pool{dialer: newDialer(o), max: o.Max, maxIdle: o.MaxIdle, pending: o.Pending}
	p.http = &http2.Transport{
		ConnPool:                   p,
		DisableCompression:         true,
		AllowHTTP:                  true,
		MaxHeaderListSize:          maxHeaderBytes,
		StrictMaxConcurrentStreams: true, // a stream that x/net has not let go of yet is waited for
		IdleConnTimeout:            o.IdleTimeout,
		ReadIdleTimeout:            pingAfter,
		PingTimeout:                pingTimeout,
	}
	if o.Sparing {
		p.http.ReadIdleTimeout = pingAfterSparing
	}
	return &http2Transport{p}
}

func (t *http2Transport) RoundTrip(ctx context.Context, trip *Trip) (*http.Response, error) {
	if len(trip.Request.Header["Upgrade"]) > 0 {
		return nil, errUpgrade
	}
	w := &watch{trip: trip}
	defer w.seal()
	hooks := &httptrace.ClientTrace{Got1xxResponse: w.inform}
	outer := ctx
	ctx, cancel := context.WithCancel(httptrace.WithClientTrace(outer, hooks))
	r := t.request(ctx, trip)
	body := r.Body
	clock := newClock(trip.AnswerBy, cancel)
	r.Body = clock.pausedBy(body)
	for {
		res, c, err := t.try(ctx, r, w)
		late := clock.stop()
		if err == nil && late { // the head came together with the timeout, which has ended the stream already
			res.Body.Close()
			t.pool.give(c)
			err = context.DeadlineExceeded
		}
		if err == nil {
			res.Body = &answer{body: res.Body, ctx: outer, done: func() { cancel(); t.pool.give(c) }, observer: trip.Observer}
			return res, nil
		}
		if late || w.tries == unusableTries || ctx.Err() != nil || !says(err, unusable) {
			defer cancel() // not before the failure is named, which asks ctx
			return nil, tripFailure(ctx, err, w.phase())
		}
		if b, ok := body.(interface{ Reopen() }); ok { // x/net has closed it
			b.Reopen()
		}
		clock = newClock(trip.AnswerBy, cancel)
		r.Body = clock.pausedBy(body)
	}
}

// request is the one that x/net sends, which may still be encoding it when it has given it up: what it reads is its own.
func (t *http2Transport) request(ctx context.Context, trip *Trip) *http.Request {
	r := trip.Request.WithContext(ctx)
	r.Header = r.Header.Clone()
	delete(r.Header, "Connection")
	if _, present := r.Header["User-Agent"]; !present {
		r.Header["User-Agent"] = nil // or x/net would name itself
	}
	addLines(r.Header, trip.Lines)
	if trip.Body != nil {
		r.Body = trip.Body
	}
	to := *r.URL
	if to.Scheme = "http"; t.pool.dialer.tls != nil {
		to.Scheme = "https"
	}
	if trip.Host != "" {
		r.Host, to.Host = trip.Host, trip.Host
	}
	if strings.HasPrefix(to.Opaque, "//") { // x/net would read an authority
		to.Opaque = "/" + strings.TrimLeft(to.Opaque, "/")
	}
	r.URL = &to
	return r
}

// addLines puts field lines into a header.
func addLines(h http.Header, lines []byte) {
	for line := range bytes.SplitSeq(bytes.TrimSuffix(lines, crlf), crlf) {
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok {
			name := http.CanonicalHeaderKey(string(name))
			h[name] = append(h[name], string(value))
		}
	}
}

var crlf = []byte("\r\n")

// try sends the request on a connection of the pool.
func (t *http2Transport) try(ctx context.Context, r *http.Request, w *watch) (*http.Response, *http2Conn, error) {
	c, reused, err := t.pool.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	w.got(c.conn, reused)
	res, err := c.streams.RoundTrip(r)
	if err != nil {
		t.pool.give(c)
		return nil, nil, err
	}
	return res, c, nil
}

func (t *http2Transport) CloseIdle() { t.pool.closeIdle() }

// errUpgrade: HTTP/2 has no Upgrade (RFC 9113 section 8.6).
var errUpgrade = &failure.Error{
	Kind: failure.HTTPUpgradeFailed, RetrySafe: true, Detail: "The service speaks HTTP/2, which cannot switch protocols.",
	Err: errors.New("an upgrade was asked for over HTTP/2"),
}

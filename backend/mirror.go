package backend

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream"
)

// Mirror sends copies of the requests that its primary gets to another service, and throws the answers away.
//
// A copy is a request of its own, made of what is about to be forwarded: after the filters, without hop-by-hop fields,
// with the path, query and fields that the primary sees, and marked by X-Mirror, which no client can set. Credentials are
// left out unless Credentials says otherwise. Nothing of the exchange is in it, so it may outlive that.
//
// A request without a body is copied before the primary is asked, and both run side by side. Of one with a body the copy
// is collected while the primary reads it, and sent off when the primary has answered: the client's body is read once, at
// the primary's pace. A body over the limit, or of which the primary did not take the whole, is not mirrored. Requests to
// switch protocols are not mirrored either: a tunnel has no copy.
//
// The primary pays for the copying of fields and of body bytes. It never waits: a copy for which there is no room, of 100
// a route, is dropped.
type Mirror struct {
	Primary     Backend
	To          *upstream.Service
	Percent     float64          // of the requests, by chance
	BodyBytes   int64            // of a body that is copied, at most
	Policy      *upstream.Policy // one attempt, and the time until its answer begins; it may take as long again to end
	Credentials bool             // copies carry those of the client's
	Series      *telemetry.MirrorSeries
	Copies      *Copies
}

// maxCopies bounds the copies of one route, collected or in flight.
const maxCopies = 100

// maxMirrorAnswer is how much of an answer is read for the sake of its connection.
const maxMirrorAnswer = 1 << 20

// Forwards is true: there is a service behind it.
func (*Mirror) Forwards() bool { return true }

// Answer implements Backend.
func (m *Mirror) Answer(ctx context.Context, x *exchange.Exchange) error {
	if !m.drawn() || exchange.UpgradeToken(x.In) != "" {
		return m.Primary.Answer(ctx, x)
	}
	out := x.Out
	hasBody := out.Body != nil && out.Body != http.NoBody && out.ContentLength != 0
	switch {
	case hasBody && out.ContentLength > m.BodyBytes:
		m.Series.TooLarge()
	case m.Series.InFlight(1) > maxCopies:
		m.Series.InFlight(-1)
		m.Series.Full()
	case hasBody:
		return m.answerWithBody(ctx, x)
	default:
		m.send(m.copyOf(out))
	}
	return m.Primary.Answer(ctx, x)
}

func (m *Mirror) drawn() bool {
	return m.Percent >= 100 || rand.Float64()*100 < m.Percent
}

// answerWithBody collects the body on its way to the primary. There is room for the copy.
func (m *Mirror) answerWithBody(ctx context.Context, x *exchange.Exchange) error {
	sent := false
	defer func() {
		if !sent {
			m.Series.InFlight(-1)
		}
	}()
	request := m.copyOf(x.Out) // before the primary edits it
	t := &tee{ReadCloser: x.Out.Body, limit: m.BodyBytes, declared: x.Out.ContentLength}
	x.Out.Body = t
	err := m.Primary.Answer(ctx, x)
	switch body, taken := t.take(); taken {
	case whole:
		request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		sent = true
		m.send(request)
	case overLimit:
		m.Series.TooLarge()
	default:
		m.Series.Incomplete()
	}
	return err
}

// copyOf is out without its body.
func (m *Mirror) copyOf(out *http.Request) *http.Request {
	u := *out.URL
	h := out.Header.Clone()
	h["X-Mirror"] = []string{"sluice"}
	if !m.Credentials {
		for _, name := range credentials {
			delete(h, name)
		}
	}
	return &http.Request{
		Method: out.Method, URL: &u, Header: h, Host: out.Host, Body: http.NoBody,
		Proto: out.Proto, ProtoMajor: out.ProtoMajor, ProtoMinor: out.ProtoMinor,
	}
}

// credentials are the fields that say who asks. A key that the gateway itself asked for is gone already.
var credentials = [...]string{"Authorization", "Cookie", "Apikey", "Api-Key", "X-Api-Key", "X-Auth-Token"}

// send lets a copy go, for which there is room, and comes back at once.
func (m *Mirror) send(request *http.Request) {
	started := m.Copies.run(func(ctx context.Context) {
		defer m.Series.InFlight(-1)
		ctx, cancel := context.WithTimeout(ctx, 2*m.Policy.Timeout)
		defer cancel()
		m.ask(ctx, request)
	})
	if !started {
		m.Series.InFlight(-1)
		m.Series.Full()
	}
}

// ask runs where nobody else would recover: a panic over a copy must not end the gateway.
func (m *Mirror) ask(ctx context.Context, request *http.Request) {
	defer func() {
		if recover() != nil {
			m.Series.Failed()
		}
	}()
	response, err := m.To.Do(ctx, &upstream.Call{Request: request, Policy: m.Policy})
	if err != nil {
		m.Series.Failed()
		return
	}
	m.Series.Answered()
	io.Copy(io.Discard, io.LimitReader(response.Body, maxMirrorAnswer))
	response.Body.Close()
}

// Copies are the copies of one route on their way. They are carried over reloads by the route's name: a reload breaks off
// none of them, the end of the route and of the gateway does.
type Copies struct {
	mu      sync.Mutex
	stopped bool
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// NewCopies is ready to run.
func NewCopies() *Copies {
	c := new(Copies)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Start implements snapshot.Part; there is nothing to start.
func (*Copies) Start() {}

// Stop breaks off what is in flight and waits for its end.
func (c *Copies) Stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
}

func (c *Copies) run(f func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.running.Go(func() { f(c.ctx) })
	return true
}

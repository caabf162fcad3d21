package backend

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/telemetry/telemetrytest"
	"github.com/sluice-gateway/sluice/upstream"
)

// primary answers at once, after reading so much of the body.
type primary struct {
	reads int64 // of the body; -1: all of it
	err   error
	seen  string
}

func (*primary) Forwards() bool { return true }

func (p *primary) Answer(_ context.Context, x *exchange.Exchange) error {
	body := io.Reader(x.Out.Body)
	if p.reads >= 0 {
		body = io.LimitReader(body, p.reads)
	}
	seen, err := io.ReadAll(body)
	p.seen = string(seen)
	x.Out.Header.Set("X-Attempt", "the primary's own")
	x.Out.URL.Opaque = "/rewritten"
	x.Response = &http.Response{StatusCode: 204, Body: http.NoBody}
	return errors.Join(err, p.err)
}

// copied is a service that remembers what it was asked.
type copied struct {
	mu   sync.Mutex
	seen []string
	last http.Header
}

func (c *copied) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, r.Method+" "+r.Host+r.RequestURI+" "+string(body))
	c.last = r.Header
}

func (c *copied) got() (seen []string, last http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen, c.last
}

type mirrorRig struct {
	*Mirror
	t       *testing.T
	metrics *telemetry.Metrics
}

func newMirror(t *testing.T, to http.HandlerFunc, p *primary) *mirrorRig {
	metrics := telemetrytest.NewMetrics("a")
	m := &Mirror{
		Primary: p, To: service(t, to).Upstream, Percent: 100, BodyBytes: 10, Policy: &upstream.Policy{Timeout: 10 * time.Second},
		Series: metrics.Mirror("a"), Copies: NewCopies(),
	}
	t.Cleanup(m.Copies.Stop)
	return &mirrorRig{m, t, metrics}
}

// waits until the metrics show that nothing is in flight, and then the lines.
func (r *mirrorRig) waits(lines ...string) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(telemetrytest.Page(r.metrics), `sluice_mirror_in_flight{route="a"} 0`); {
		if time.Now().After(deadline) {
			r.t.Fatal("copies are still in flight")
		}
		time.Sleep(time.Millisecond)
	}
	telemetrytest.Shows(r.t, r.metrics, lines...)
	runtime.KeepAlive(r) // series go with who counts on them
}

func outcome(name string) string { return `sluice_mirror_total{outcome="` + name + `",route="a"} 1` }

func posting(body string, length int64) *exchange.Exchange {
	x := asking(&http.Request{Method: "POST", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}})
	x.Out.Method, x.Out.Body, x.Out.ContentLength = "POST", io.NopCloser(strings.NewReader(body)), length
	return x
}

func TestMirrorCopiesWhatIsForwarded(t *testing.T) {
	to := new(copied)
	m := newMirror(t, to.ServeHTTP, &primary{reads: -1})
	x := asking(&http.Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}})
	x.Out.URL.RawQuery = "q=1"
	x.Out.Header = http.Header{"Authorization": {"Bearer x"}, "Cookie": {"sid=1"}, "X-Api-Key": {"k"}, "X-A": {"1", "2"}}
	if err := m.Answer(t.Context(), x); err != nil || x.Response.StatusCode != 204 {
		t.Fatal(err)
	}
	clear(x.Out.Header) // nothing of the exchange is in the copy
	m.waits(outcome("answered"))
	seen, h := to.got()
	if len(seen) != 1 || seen[0] != "GET x.test/p?q=1 " {
		t.Errorf("the mirror saw %q", seen)
	}
	if h.Get("X-Mirror") != "sluice" || len(h["X-A"]) != 2 || h.Get("Authorization") != "" || h.Get("Cookie") != "" || h.Get("X-Api-Key") != "" || h.Get("X-Attempt") != "" {
		t.Errorf("with %v", h)
	}
	m.Credentials = true
	x.Out.Header = http.Header{"Authorization": {"Bearer x"}, "Cookie": {"sid=1"}}
	if err := m.Answer(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	m.waits()
	if _, h = to.got(); h.Get("Authorization") != "Bearer x" || h.Get("Cookie") != "sid=1" {
		t.Errorf("with credentials: %v", h)
	}
}

func TestMirrorCopiesBodies(t *testing.T) {
	broken := errors.New("the primary broke off")
	for _, c := range []struct {
		name     string
		body     string
		declared int64
		primary  primary
		outcome  string
		mirrored bool
	}{
		{"of known length", "0123456789", 10, primary{reads: -1}, "answered", true},
		{"of unknown length", "0123456789", -1, primary{reads: -1}, "answered", true},
		{"over the limit, known", "0123456789a", 11, primary{reads: -1}, "dropped_body", false},
		{"over the limit, unknown", "0123456789a", -1, primary{reads: -1}, "dropped_body", false},
		{"not read to its end", "0123456789", 10, primary{reads: 5}, "dropped_incomplete", false},
		{"read, and failed then", "0123456789", 10, primary{reads: 10, err: broken}, "answered", true},
		{"failed before", "0123456789", 10, primary{err: broken}, "dropped_incomplete", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := new(copied)
			m := newMirror(t, to.ServeHTTP, &c.primary)
			if err := m.Answer(t.Context(), posting(c.body, c.declared)); !errors.Is(err, c.primary.err) {
				t.Error(err)
			}
			m.waits(outcome(c.outcome))
			seen, _ := to.got()
			if want := "POST x.test/p " + c.body; (len(seen) == 1 && seen[0] == want) != c.mirrored {
				t.Errorf("the mirror saw %q", seen)
			}
			if c.primary.reads < 0 && c.primary.seen != c.body {
				t.Errorf("the primary saw %q", c.primary.seen)
			}
		})
	}
}

func TestMirrorCountsWhatFails(t *testing.T) {
	m := newMirror(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, &primary{})
	if err := m.Answer(t.Context(), posting("", 0)); err != nil {
		t.Error(err)
	}
	m.waits(outcome("failed"))
}

// A mirror that hangs holds up nobody, and no more than 100 copies.
func TestMirrorNeverDelaysThePrimary(t *testing.T) {
	m := newMirror(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, &primary{reads: -1})
	for range maxCopies + 1 {
		if err := m.Answer(t.Context(), posting("x", 1)); err != nil {
			t.Fatal(err)
		}
	}
	m.Copies.Stop() // breaks off and waits
	m.waits(outcome("dropped_full"), `sluice_mirror_total{outcome="failed",route="a"} 100`)
	if err := m.Answer(t.Context(), posting("", 0)); err != nil { // one more after the end
		t.Error(err)
	}
	m.waits(`sluice_mirror_total{outcome="dropped_full",route="a"} 2`)
}

func TestMirrorIsSampled(t *testing.T) {
	to := new(copied)
	m := newMirror(t, to.ServeHTTP, &primary{})
	m.Percent = 0
	for range 100 {
		if err := m.Answer(t.Context(), posting("", 0)); err != nil {
			t.Fatal(err)
		}
	}
	m.waits()
	if seen, _ := to.got(); len(seen) != 0 {
		t.Errorf("%d copies of 0 %%", len(seen))
	}
	m.Percent = 50
	drawn := 0
	for range 10_000 {
		if m.drawn() {
			drawn++
		}
	}
	if drawn < 4600 || drawn > 5400 { // eight standard deviations
		t.Errorf("%d of 10000 at 50 %%", drawn)
	}
}

func TestMirrorLeavesUpgradesAlone(t *testing.T) {
	to := new(copied)
	m := newMirror(t, to.ServeHTTP, &primary{})
	if err := m.Answer(t.Context(), asking(upgrading("websocket"))); err != nil {
		t.Fatal(err)
	}
	m.waits()
	if seen, _ := to.got(); len(seen) != 0 {
		t.Errorf("the mirror saw %q", seen)
	}
}

// peeking has its bytes in hand, as the engine's bodies do.
type peeking struct{ *strings.Reader }

func (p peeking) Close() error { return nil }
func (p peeking) Peek() []byte {
	b, _ := io.ReadAll(io.NewSectionReader(p.Reader, p.Size()-int64(p.Len()), int64(p.Len())))
	return b
}
func (p peeking) Discard(n int) { p.Seek(int64(n), io.SeekCurrent) }

func TestTeeKeepsWhatIsPeeked(t *testing.T) {
	b := &tee{ReadCloser: peeking{strings.NewReader("0123456789")}, limit: 10, declared: 10}
	for range 2 {
		if string(b.Peek()) != "0123456789" {
			t.Fatal("peeking reads")
		}
	}
	b.Discard(4)
	two := make([]byte, 2)
	if _, err := io.ReadFull(b, two); err != nil || string(two) != "45" {
		t.Fatalf("%q, %v", two, err)
	}
	b.Discard(len(b.Peek()))
	body, taken := b.take()
	if taken != whole {
		t.Fatal("it is not whole")
	}
	if string(body) != "0123456789" {
		t.Errorf("kept %q", body)
	}
	if (&tee{ReadCloser: http.NoBody}).Peek() != nil {
		t.Error("a body that cannot peek does")
	}
}

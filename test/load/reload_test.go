package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

const (
	sockets     = 200
	shepherds   = 4                      // each sends over its share of the sockets in turn
	reloadEvery = 500 * time.Millisecond // twice a second

	// What the last third of the samples may have over the first, after a quarter for warming up. Goroutines come and go
	// with requests, and a reload's waiting ends with the drain timeout; a leak of one a reload shows at the full length.
	moreGoroutines = 40
	moreHeap       = 4 << 20 // and a quarter of the first

	// A short run on a busy machine is still warming up at its end: buffers of 200 WebSockets, of connections, of pools.
	fewSamples    = 10 // in a third
	moreWhileCold = 24 << 20
)

// TestReloadUnderLoad reloads twice a second while clients of every protocol are served: no request may fail or get
// another's answer, no WebSocket may drop, and goroutines and heap stay flat. Each reload changes weights, settings of
// filters and names of routes, and puts one service in the place of another.
func TestReloadUnderLoad(t *testing.T) {
	a, b := newOrigin(t), newOrigin(t)
	certFile, keyFile, trusting := certificate(t)
	accessLog := filepath.Join(t.TempDir(), "access.log")
	configuration := func(n int) string {
		return fmt.Sprintf(reloaded, certFile, keyFile, accessLog, a.URL, b.URL, n, n%90+5, 95-n%90)
	}
	gateway := gatewaytest.Start(t, configuration(0))
	l := newLoad(t)
	plain, secure := "http://"+gateway.Addr("plain"), "https://"+gateway.Addr("secure")
	l.sockets(plain, nil, sockets/2)
	l.sockets(secure, trusting, sockets/2)
	l.clients("HTTP/1.1", 2, plain, protocols((*http.Protocols).SetHTTP1), nil, false)
	l.clients("HTTP/1.1, a connection each", 1, plain, protocols((*http.Protocols).SetHTTP1), nil, true)
	l.clients("HTTP/1.1, TLS", 1, secure, protocols((*http.Protocols).SetHTTP1), trusting, false)
	l.clients("HTTP/2, h2c", 2, plain, protocols((*http.Protocols).SetUnencryptedHTTP2), nil, false)
	l.clients("HTTP/2, TLS", 2, secure, protocols((*http.Protocols).SetHTTP2), trusting, false)
	l.begin()

	var samples []sample
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	began := time.Now()
	for n := 1; time.Since(began) < soak(t); n++ {
		<-tick.C
		if err := gateway.Reload(configuration(n)); err != nil {
			t.Errorf("reload %d: %v", n, err)
			break
		}
		samples = append(samples, takeSample())
	}
	l.end()
	l.report(len(samples), time.Since(began))
	checkFlat(t, samples)
}

const reloaded = `
listeners:
  - {name: plain, address: "127.0.0.1:0"}
  - {name: secure, address: "localhost:0", tls: {certificates: [{certFile: %[1]s, keyFile: %[2]s}]}}
telemetry: {accessLog: {to: %[3]s}}
routes:
  - {name: sockets, listeners: [plain, secure], match: {path: /ws}, service: a}
  - name: echo
    listeners: [plain, secure]
    match: {path: "/echo/{id}"}
    filters: [compress: {}, requestHeaders: {set: {x-revision: "%[6]d"}}, rateLimit: {limit: 1000000, window: 1s, burst: 1000%[6]d}]
    service: a
  - name: split
    listeners: [plain, secure]
    match: {path: "/split/{id}"}
    split: [{service: a, weight: %[7]d}, {service: b, weight: %[8]d}]
  - {name: renamed-%[6]d, listeners: [plain, secure], match: {path: "/renamed/{id}"}, service: passing-%[6]d}
services:
  - {name: a, endpoints: [{url: "%[4]s"}, {url: "%[5]s"}]}
  - {name: b, endpoints: [{url: "%[5]s"}]}
  - name: passing-%[6]d
    endpoints: [{url: "%[4]s"}, {url: "%[5]s"}]
`

// protocols are none but the one that set allows.
func protocols(set func(*http.Protocols, bool)) *http.Protocols {
	p := new(http.Protocols)
	set(p, true)
	return p
}

// load is everything that asks the gateway something at once.
type load struct {
	t       *testing.T
	running sync.WaitGroup
	start   chan struct{}
	stop    chan struct{}
	kinds   []*kind
	flocks  [][]*websocket.Conn

	messages atomic.Int64
	failures atomic.Int64
	first    sync.Map // number → error, of the first ten
}

// kind is one way for a client to speak, and how many requests went that way.
type kind struct {
	name     string
	requests atomic.Int64
}

func newLoad(t *testing.T) *load {
	return &load{t: t, start: make(chan struct{}), stop: make(chan struct{}), flocks: make([][]*websocket.Conn, shepherds)}
}

func (l *load) failed(err error) {
	if n := l.failures.Add(1); n <= 10 {
		l.first.Store(n, err)
	}
}

// clients are n that use a transport together.
func (l *load) clients(name string, n int, base string, p *http.Protocols, trusting *tls.Config, closing bool) {
	transport := &http.Transport{Protocols: p, TLSClientConfig: trusting.Clone(), DisableKeepAlives: closing, DisableCompression: true,
		MaxIdleConnsPerHost: n}
	l.t.Cleanup(transport.CloseIdleConnections)
	k := &kind{name: name}
	l.kinds = append(l.kinds, k)
	for i := range n {
		c := &client{http: http.Client{Transport: transport}, base: base, name: fmt.Sprintf("%d-%d", len(l.kinds), i)}
		l.running.Go(func() {
			<-l.start
			for number := 0; !l.over(); number++ {
				if err := c.ask(number); err != nil {
					l.failed(fmt.Errorf("%s: %w", name, err))
				}
				k.requests.Add(1)
			}
		})
	}
}

func (l *load) over() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *load) begin() {
	for i, flock := range l.flocks {
		l.running.Go(func() {
			<-l.start
			for round := 0; !l.over(); round++ {
				l.tend(i, round, flock)
			}
		})
	}
	close(l.start)
}

func (l *load) end() {
	close(l.stop)
	l.running.Wait()
	for _, flock := range l.flocks {
		for _, s := range flock {
			if err := s.Close(websocket.StatusNormalClosure, ""); err != nil {
				l.failed(fmt.Errorf("closing a WebSocket: %w", err))
			}
		}
	}
}

func (l *load) sockets(base string, trusting *tls.Config, n int) {
	transport := &http.Transport{TLSClientConfig: trusting.Clone()}
	for i := range n {
		s, _, err := websocket.Dial(l.t.Context(), base+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(func() { _ = s.CloseNow() })
		l.flocks[i%shepherds] = append(l.flocks[i%shepherds], s)
	}
}

// tend sends one message over each socket, and waits for it to come back.
func (l *load) tend(shepherd, round int, flock []*websocket.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for i, s := range flock {
		message := fmt.Sprintf("%d, round %d, socket %d", shepherd, round, i)
		err := s.Write(ctx, websocket.MessageText, []byte(message))
		if err == nil {
			var answer []byte
			if _, answer, err = s.Read(ctx); err == nil && string(answer) != message {
				err = fmt.Errorf("sent %q, got %q", message, answer)
			}
		}
		if err != nil {
			l.failed(fmt.Errorf("WebSocket: %w", err))
		}
		l.messages.Add(1)
	}
}

func (l *load) report(reloads int, took time.Duration) {
	total := int64(0)
	for _, k := range l.kinds {
		n := k.requests.Load()
		total += n
		l.t.Logf("%-28s %8d requests", k.name, n)
		if n == 0 {
			l.t.Errorf("%s: nothing was asked", k.name)
		}
	}
	l.t.Logf("in %v: %d reloads, %d requests, %d messages over %d WebSockets, %d failures",
		took.Round(time.Millisecond), reloads, total, l.messages.Load(), sockets, l.failures.Load())
	if l.messages.Load() == 0 || reloads == 0 {
		l.t.Error("no WebSocket or no reload took part")
	}
	l.first.Range(func(_, err any) bool { l.t.Error(err); return true })
}

// client sends requests that differ, and checks that each answer is its own.
type client struct {
	http http.Client
	base string
	name string
}

var paths = []string{"/echo/", "/split/", "/renamed/"}

func (c *client) ask(number int) error {
	id := fmt.Sprintf("%s-%d", c.name, number)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	method, body, sent := http.MethodGet, io.Reader(nil), ""
	if number%2 == 1 {
		method, sent = http.MethodPost, strings.Repeat(id+"\n", 1+number%1000)
		body = strings.NewReader(sent)
		if number%4 == 1 {
			body = io.MultiReader(body) // of a length that the client does not know: chunked
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+paths[number%len(paths)]+id, body)
	if err != nil {
		return err
	}
	r.Header.Set("X-Id", id)
	res, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return check(res, got, id, sent)
}

func check(res *http.Response, got []byte, id, sent string) error {
	switch {
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: %s: %s", res.Request.Method, res.Request.URL, res.Status, bytes.TrimSpace(got))
	case res.Header.Get("X-Id") != id:
		return fmt.Errorf("%s got the answer of %q", id, res.Header.Get("X-Id"))
	case string(got) != sent:
		return fmt.Errorf("%s got another body: %d bytes for %d", id, len(got), len(sent))
	}
	return nil
}

// sample is what the process holds at a moment; gateway, clients and origins are all in it.
type sample struct {
	goroutines int
	heap       uint64
}

func takeSample() sample {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{runtime.NumGoroutine(), m.HeapAlloc}
}

func checkFlat(t *testing.T, samples []sample) {
	t.Helper()
	samples = samples[len(samples)/4:]
	third := len(samples) / 3
	if third == 0 {
		t.Fatal("too few samples")
	}
	first, last := medianSample(samples[:third]), medianSample(samples[len(samples)-third:])
	t.Logf("goroutines %d, at the end %d; heap %d KiB, at the end %d KiB (medians of %d samples each)",
		first.goroutines, last.goroutines, first.heap>>10, last.heap>>10, third)
	if last.goroutines > first.goroutines+moreGoroutines {
		t.Errorf("goroutines grew from %d to %d", first.goroutines, last.goroutines)
	}
	allowed := first.heap + first.heap/4 + moreHeap
	if third < fewSamples {
		allowed += moreWhileCold
	}
	if last.heap > allowed {
		t.Errorf("the heap grew from %d to %d bytes", first.heap, last.heap)
	}
}

func medianSample(samples []sample) sample {
	goroutines, heaps := make([]int, len(samples)), make([]uint64, len(samples))
	for i, s := range samples {
		goroutines[i], heaps[i] = s.goroutines, s.heap
	}
	slices.Sort(goroutines)
	slices.Sort(heaps)
	return sample{goroutines[len(samples)/2], heaps[len(samples)/2]}
}

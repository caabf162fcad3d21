package desync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

const (
	churners   = 24       // clients at once
	maxUpload  = 96 << 10 // beyond what the gateway collects, and beyond a socket's buffer
	troubleGap = 60 * time.Millisecond
)

const churned = `
listeners:
  - {name: plain, address: "127.0.0.1:0"}
routes:
  - {name: all, match: {path: /*}, service: origin, timeout: 2s, retry: {attempts: 3, on: [connectFailure, reset], perAttempt: 1s}}
services:
  - name: origin
    endpoints: [{url: "http://%s"}, {url: "http://%s"}, {url: "http://%s"}]
    connections: {max: 8, maxIdle: 4, idleTimeout: 500ms, connectTimeout: 500ms}
`

// TestChurn keeps clients coming and going while origins are killed and come back, and the network stalls and breaks.
// Every answer is the one to its request, to the last byte, or no whole answer at all; and at the end nothing is left.
func TestChurn(t *testing.T) {
	length, _ := soak(t)
	c := &churn{t: t}
	var addresses []any
	for range 3 {
		l := newLimb(t)
		c.limbs = append(c.limbs, l)
		addresses = append(addresses, l.relay.Addr())
	}
	c.gateway = gatewaytest.Start(t, fmt.Sprintf(churned, addresses...))
	c.settled() // what is made once has been made
	before := takeHoldings(t)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var all sync.WaitGroup
	for i := range churners {
		all.Go(func() { c.client(ctx, i) })
	}
	all.Go(func() { c.trouble(ctx) })
	all.Wait()
	c.settled()
	t.Logf("%s: %d whole answers, %d refusals, %d broken off or no answer; %d kills, %d stalls, %d breaks",
		length, c.whole.Load(), c.refused.Load(), c.broken.Load(), c.kills, c.stalls, c.breaks)
	if c.whole.Load() < 100 {
		t.Error("hardly anything was answered")
	}
	nothingLeft(t, before)
}

// limb is an origin and the network before it.
type limb struct {
	t       *testing.T
	address string
	server  *http.Server
	serving sync.WaitGroup
	relay   *Relay
}

func newLimb(t *testing.T) *limb {
	t.Helper()
	l := &limb{t: t, address: "127.0.0.1:0"}
	l.rise()
	var err error
	if l.relay, err = NewRelay(l.address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.relay.Close(); l.kill() })
	return l
}

// rise starts the origin, on the port it had.
func (l *limb) rise() {
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		l.t.Error(err)
		return
	}
	l.address = listener.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(mirror)}
	l.server = server
	l.serving.Go(func() { _ = server.Serve(listener) })
}

func (l *limb) kill() {
	l.server.Close()
	l.serving.Wait()
}

// mirror answers with the id of the request and its body, now with a length and now in chunks.
func mirror(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxUpload+1))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	id := r.Header.Get("X-Id")
	w.Header().Set("X-Id", id)
	w.Header().Set("X-Sum", fmt.Sprint(crc32.ChecksumIEEE(body)))
	if strings.HasSuffix(id, "7") {
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = io.WriteString(w, id+"\n")
	_, _ = w.Write(body)
}

// churn is the whole scene.
type churn struct {
	t                      *testing.T
	gateway                *gatewaytest.Gateway
	limbs                  []*limb
	whole, refused, broken atomic.Int64
	kills, stalls, breaks  int
}

// client comes, asks some times over a connection of its own, and goes, not always in peace.
func (c *churn) client(ctx context.Context, number int) {
	random := rand.New(rand.NewPCG(uint64(number), 1))
	upload := make([]byte, maxUpload)
	for i := range upload {
		upload[i] = byte(random.Uint32())
	}
	for n := 0; ctx.Err() == nil; {
		transport := &http.Transport{}
		for range 1 + random.IntN(20) {
			n++
			c.ask(ctx, transport, fmt.Sprintf("%d-%d", number, n), upload[:body(random)], random.IntN(16) == 0)
		}
		transport.CloseIdleConnections()
	}
}

// body is the length of a request's body: mostly none, sometimes too much for one packet.
func body(random *rand.Rand) int {
	switch random.IntN(4) {
	case 0:
		return 1 + random.IntN(2000)
	case 1:
		return 1 + random.IntN(maxUpload)
	}
	return 0
}

// ask sends one request and judges its answer. One in a hurry leaves after a moment.
func (c *churn) ask(ctx context.Context, transport *http.Transport, id string, upload []byte, hurry bool) {
	if hurry {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 3*time.Millisecond)
		defer cancel()
	}
	method, sent := http.MethodGet, io.Reader(nil)
	if len(upload) > 0 {
		method, sent = http.MethodPost, bytes.NewReader(upload)
		if len(upload)%2 == 1 {
			sent = io.MultiReader(sent) // of unknown length
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.gateway.URL("plain", "/"+id), sent)
	if err != nil {
		c.t.Error(err)
		return
	}
	r.Header.Set("X-Id", id)
	response, err := transport.RoundTrip(r)
	if err != nil {
		c.broken.Add(1)
		return
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	c.judge(response, got, err, id, upload)
}

func (c *churn) judge(response *http.Response, got []byte, err error, id string, upload []byte) {
	switch {
	case response.StatusCode >= 500 && response.Header.Get("X-Id") == "":
		c.refused.Add(1)
		return
	case response.StatusCode != http.StatusOK:
		c.t.Errorf("%s: %d %.200q", id, response.StatusCode, got)
		return
	case response.Header.Get("X-Id") != id:
		c.t.Errorf("%s got the answer to %q", id, response.Header.Get("X-Id"))
		return
	}
	want := append([]byte(id+"\n"), upload...)
	switch {
	case err != nil && bytes.HasPrefix(want, got):
		c.broken.Add(1)
	case !bytes.Equal(got, want):
		c.t.Errorf("%s: %d bytes that are not its answer's %d (%v)", id, len(got), len(want), err)
	default:
		c.whole.Add(1)
	}
}

// trouble makes it until the end, and then leaves everything in order.
func (c *churn) trouble(ctx context.Context) {
	random := rand.New(rand.NewPCG(7, 7))
	tick := time.NewTicker(troubleGap)
	defer tick.Stop()
	for ctx.Err() == nil {
		l := c.limbs[random.IntN(len(c.limbs))]
		after := func() {}
		switch random.IntN(6) {
		case 0:
			c.kills++
			l.kill()
			after = l.rise
		case 1, 2:
			c.stalls++
			l.relay.Stall()
			after = l.relay.Flow
		case 3:
			c.breaks++
			l.relay.Break()
		}
		for range 1 + random.IntN(5) {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		after()
	}
}

// settled waits until every origin answers, and what no request uses is closed.
func (c *churn) settled() {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	healthy := 0
	eventually(c.t, func() bool {
		response, err := transport.RoundTrip(must(c.t, c.gateway.URL("plain", "/settled")))
		if err != nil {
			healthy = 0
			return false
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if healthy++; response.StatusCode != http.StatusOK {
			healthy = 0
		}
		return healthy == 30
	}, func() string { return "the origins are up, and the gateway does not find them again" })
}

func must(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// holdings is what must not grow.
type holdings struct{ goroutines, files int }

func takeHoldings(t *testing.T) holdings {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("file descriptors are counted in /proc/self/fd: ", err)
	}
	return holdings{runtime.NumGoroutine(), len(files)}
}

// nothingLeft waits until there is no more than before.
func nothingLeft(t *testing.T, before holdings) {
	t.Helper()
	var now holdings
	eventually(t, func() bool {
		now = takeHoldings(t)
		return now.goroutines <= before.goroutines && now.files <= before.files
	}, func() string {
		var stacks bytes.Buffer
		err := errors.Join(pprof.Lookup("goroutine").WriteTo(&stacks, 1))
		return fmt.Sprintf("left: %+v; before: %+v\n%s%v", now, before, &stacks, err)
	})
}

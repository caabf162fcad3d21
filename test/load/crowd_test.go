package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// manner is how a client vanishes, before its connection is closed.
type manner func(raw net.Conn)

func fin(net.Conn) {}

func reset(raw net.Conn) { _ = raw.(*net.TCPConn).SetLinger(0) }

// stage is how far a client gets before it vanishes. An error is the client's: it did not get that far.
type stage struct {
	name  string
	reach func(v *visitor) error
}

// visitor is a client about to vanish.
type visitor struct {
	net.Conn
	id      string
	arrived <-chan struct{} // closed when the origin has the request
	frames  *http2.Framer
}

// send writes a message of HTTP/1.1, in which %s stands for the id.
func (v *visitor) send(format string) error {
	_, err := io.WriteString(v, sprintID(format, v.id))
	return err
}

func sprintID(format, id string) string {
	return string(bytes.ReplaceAll([]byte(format), []byte("%s"), []byte(id)))
}

// await waits until the origin has the request.
func (v *visitor) await() error {
	select {
	case <-v.arrived:
		return nil
	case <-time.After(patience):
		return errors.New("the request did not reach the origin")
	}
}

// read reads until it has seen what was to come.
func (v *visitor) read(want string) error {
	var seen []byte
	var some [1024]byte
	for !bytes.Contains(seen, []byte(want)) {
		n, err := v.Read(some[:])
		if seen = append(seen, some[:n]...); err != nil {
			return fmt.Errorf("read %q instead of %q: %w", seen, want, err)
		}
	}
	return nil
}

// patience bounds what a client waits for. The gateway's own limits are far below; what eventually waits is above, since
// the gateway may have had enough of a client that waits for the origin.
const patience = 15 * time.Second

// crowd is all the clients of the test, and what the process held before they came.
type crowd struct {
	origin   *Origin
	gateway  *gatewaytest.Gateway
	trusting *tls.Config
	before   holdings
	vanished atomic.Int64
}

// leave lets n clients reach a stage and vanish.
func (c *crowd) leave(t *testing.T, w way, s stage, m manner, n int) {
	var all sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for range n {
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			if err := c.one(c.gateway.Addr(w.listener), w, s, m); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// meet has the hasty listeners serve a request each. The others are met by the first visit.
func (c *crowd) meet(t *testing.T) {
	served := stage{"served", says("GET /met/%s HTTP/1.1\r\nHost: gateway.test\r\n\r\n", reads("\r\n\r\n"))}
	c.leave(t, way{listener: "hasty"}, served, fin, 1)
	c.leave(t, way{listener: "hasty-secure", protocol: "http/1.1"}, served, fin, 1)
}

// fallSilent has clients at every stage at once, and waits until the gateway has closed on each of them. They neither
// write nor read meanwhile, and so can not see it themselves.
func (c *crowd) fallSilent(t *testing.T) {
	var all sync.WaitGroup
	var silent, clients atomic.Int64
	given := make(chan struct{})
	for _, w := range ways {
		for _, s := range w.stages {
			for range silents {
				clients.Add(1)
				all.Go(func() {
					// An error is no failure: the gateway may have had enough before the stage was reached.
					_ = c.one(c.gateway.Addr(w.hasty), w, s, func(net.Conn) {
						silent.Add(1)
						<-given
					})
				})
			}
		}
	}
	eventually(t, func() bool { return silent.Load() == clients.Load() && c.open() == 0 },
		func() string {
			return fmt.Sprintf("%d of %d clients have fallen silent; the gateway keeps %d", silent.Load(), clients.Load(), c.open())
		})
	close(given)
	all.Wait()
}

// open is how many connections the gateway has from clients that are to fall silent.
func (c *crowd) open() (n int) {
	defer http.DefaultClient.CloseIdleConnections()
	_, metrics := c.gateway.Admin("/metrics")
	for line := range strings.Lines(metrics) {
		if !strings.HasPrefix(line, `sluice_connections{listener="hasty`) || !strings.Contains(line, `state="open"`) {
			continue
		}
		value, _ := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1 : len(line)-1])
		n += value
	}
	return n
}

func (c *crowd) one(address string, w way, s stage, m manner) error {
	id := fmt.Sprint(c.vanished.Add(1))
	raw, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer raw.Close() // and not the TLS above it: a client that vanishes says no farewell
	_ = raw.SetDeadline(time.Now().Add(patience))
	v := &visitor{Conn: raw, id: id, arrived: c.origin.Expect(id)}
	defer c.origin.Forget(id)
	if w.protocol != "" {
		v.Conn, err = c.handshake(raw, w.protocol)
	}
	if err == nil {
		err = s.reach(v)
	}
	m(raw)
	return err
}

func (c *crowd) handshake(raw net.Conn, protocol string) (net.Conn, error) {
	config := c.trusting.Clone()
	config.NextProtos = []string{protocol}
	conn := tls.Client(raw, config)
	return conn, conn.HandshakeContext(context.Background())
}

// holdings is what must not grow.
type holdings struct {
	goroutines, files int
}

func takeHoldings(t *testing.T) holdings {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("file descriptors are counted in /proc/self/fd: ", err)
	}
	return holdings{runtime.NumGoroutine(), len(files)}
}

// lazily is what is started or opened once, at the first use: a watcher for each of four listeners, and what libraries do.
const lazily = 4 + 3

// settled waits until what the first clients needed has gone, and returns what stays.
func (c *crowd) settled(t *testing.T, bare holdings) (now holdings) {
	t.Helper()
	eventually(t, func() bool {
		now = takeHoldings(t)
		return now.goroutines <= bare.goroutines+lazily && now.files <= bare.files+lazily && c.origin.Active() == 0
	}, func() string {
		return fmt.Sprintf("the first clients left %+v behind; before them it was %+v\n%s", now, bare, stacks())
	})
	return now
}

// nothingLeft waits until the process holds no more than before the first client, and the origin serves nobody.
func (c *crowd) nothingLeft(t *testing.T) {
	t.Helper()
	var now holdings
	eventually(t, func() bool {
		now = takeHoldings(t)
		return now.goroutines <= c.before.goroutines+testGoroutines && now.files <= c.before.files && c.origin.Active() == 0
	}, func() string {
		return fmt.Sprintf("left behind: %d goroutines, %d before; %d files, %d before; %d requests at the origin\n%s",
			now.goroutines, c.before.goroutines+testGoroutines, now.files, c.before.files, c.origin.Active(), stacks())
	})
}

// testGoroutines are those of a subtest, which the count before the first client lacked.
const testGoroutines = 1

func stacks() string {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	return b.String()
}

package desync

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/app"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter/all"
	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
	"github.com/sluice-gateway/sluice/source/text"
)

const (
	slowFew  = 200
	slowMany = 5000 // with SLUICE_SOAK

	slowGap  = 3 * time.Second // between two bytes of a slow client, staggered
	rate     = 400             // requests of the others, a second
	measured = 15 * time.Second

	// A slow connection may cost the gateway this much, buffers of both sides and goroutines included.
	slowCost = 96 << 10
)

// Everything a slow client may take time for has the limits of the defaults.
const slowed = `
listeners:
  - {name: plain, address: "%s"}
routes:
  - {name: others, match: {path: /quick/*}, service: quick}
  - {name: all, match: {path: /*}, service: slow, bodyBytes: 0}
services:
  - {name: quick, endpoints: [{url: "http://%[2]s"}]}
  - {name: slow, endpoints: [{url: "http://%[2]s"}], connections: {max: 8000}}
telemetry: {accessLog: off}
admin: off
`

// TestSlowClients has a crowd send heads, send bodies and read answers a byte at a time, all at once, and watches the
// others: all are served. The gateway is a process of its own, so that its memory and time are its own; they are printed,
// and memory is held to a bound.
func TestSlowClients(t *testing.T) {
	_, asked := soak(t)
	crowd, length := slowFew, time.Second
	if asked {
		crowd, length = slowMany, measured
	}
	origin := newLavish(t)
	g := startProcess(t, origin.address)
	quiet := g.others(t, length)
	empty := g.resident(t)
	s := &slowness{t: t, address: g.address}
	s.gather(crowd)
	origin.settle(t)
	busy := g.others(t, length)
	full := g.resident(t)
	open := crowd - int(s.lost.Load())
	t.Logf("%d slow connections, %d still open: resident %d KiB, before %d KiB: %.1f KiB a connection",
		crowd, open, full>>10, empty>>10, float64(full-empty)/1024/float64(crowd))
	t.Logf("others: quiet p50 %v p99 %v max %v; beside the slow p50 %v p99 %v max %v; p99 ratio %.2f", quiet.at(50), quiet.at(99),
		quiet.at(100), busy.at(50), busy.at(99), busy.at(100), float64(busy.at(99))/float64(quiet.at(99)))
	if !underRace && full-empty > crowd*slowCost+(32<<20) {
		t.Errorf("%d slow connections hold %d KiB", crowd, (full-empty)>>10)
	}
	s.leave()
}

// process is a gateway that is a process: this binary run again.
type process struct {
	address string
	pid     int
}

// gatewayFile names the environment variable that makes this binary a gateway: the file with its configuration.
const gatewayFile = "SLUICE_DESYNC_GATEWAY"

func startProcess(t *testing.T, origin string) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, slowed, freeport.For(t), origin), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), gatewayFile+"="+file)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := command.Wait(); err != nil {
			t.Error("the gateway: ", err)
		}
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("the gateway did not start: ", err)
	}
	return &process{strings.TrimSpace(address), command.Process.Pid}
}

// runGateway is that process: it serves until its input ends, and prints where.
func runGateway(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	registry, err := all.Registry()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	a := app.New(app.Options{
		Source: text.New(file, string(data), config.Options{}), Registry: registry, DrainTimeout: time.Second,
		Log:         slog.New(slog.NewTextHandler(io.Discard, nil)),
		Diagnostics: func(d config.Diagnostics) { _ = d.Print(os.Stderr) },
	})
	if err := a.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(a.Address("plain"))
	_, _ = io.Copy(io.Discard, os.Stdin)
	a.Drain()
	return 0
}

// resident is the memory that the process holds, in bytes.
func (p *process) resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Skip("resident memory is read from /proc: ", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// latencies, from the moment a request was to be sent.
type latencies []time.Duration

func (l latencies) at(percent int) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[(len(l)-1)*percent/100].Round(10 * time.Microsecond)
}

// others send requests at a constant rate over connections of their own, for a while. Each must be answered with its id.
func (p *process) others(t *testing.T, length time.Duration) latencies {
	t.Helper()
	const clients = 8
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var mu sync.Mutex
	var taken latencies
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			own, err := p.other(ctx, i, clients*time.Second/rate)
			if err != nil {
				t.Error("another client: ", err)
			}
			mu.Lock()
			taken = append(taken, own...)
			mu.Unlock()
		})
	}
	all.Wait()
	slices.Sort(taken)
	return taken
}

func (p *process) other(ctx context.Context, number int, every time.Duration) (taken latencies, err error) {
	c, err := Dial(p.address, nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	due := time.Now().Add(every * time.Duration(number) / 8)
	for n := 0; ; n++ {
		due = due.Add(every)
		select {
		case <-ctx.Done():
			return taken, nil
		case <-time.After(time.Until(due)):
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		if err := c.Get(fmt.Sprintf("quick/%d-%d", number, n)); err != nil {
			return taken, err
		}
		taken = append(taken, time.Since(due))
	}
}

// slowness is the crowd.
type slowness struct {
	t       *testing.T
	address string
	conns   []net.Conn
	all     sync.WaitGroup
	lost    atomic.Int64
}

var slowHead = "GET /head HTTP/1.1\r\nHost: h\r\nX-Slow: " + strings.Repeat("a", 4000)

// ways of being slow. What is sent at once is what it takes to get there; then comes a byte at a time, or goes.
var ways = []struct {
	name, begin string
	reads       bool
}{
	{name: "head", begin: slowHead},
	{name: "length", begin: "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"},
	{name: "chunks", begin: "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"},
	{name: "small body", begin: "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n"},
	{name: "reader", begin: "GET /lavish HTTP/1.1\r\nHost: h\r\n\r\n", reads: true},
}

// gather brings n slow clients, and returns when all have begun.
func (s *slowness) gather(n int) {
	s.t.Helper()
	for i := range n {
		c, err := net.Dial("tcp", s.address)
		if err != nil {
			s.t.Fatal(err)
		}
		way := ways[i%len(ways)]
		if way.reads {
			_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		if _, err := io.WriteString(c, way.begin); err != nil {
			s.t.Fatal(err)
		}
		s.conns = append(s.conns, c)
		s.all.Go(func() { s.crawl(c, way.reads, slowGap*time.Duration(i)/time.Duration(n)) })
	}
}

// crawl goes on byte by byte until the connection ends. The gateway ends it where its limits say so, and another takes
// its place nowhere: the crowd shrinks.
func (s *slowness) crawl(c net.Conn, reads bool, first time.Duration) {
	one := []byte{'a'}
	tick := time.NewTimer(slowGap + first)
	defer tick.Stop()
	for {
		<-tick.C
		tick.Reset(slowGap)
		var err error
		if reads {
			_, err = c.Read(one)
		} else {
			_, err = c.Write(one)
		}
		if err != nil {
			s.lost.Add(1)
			return
		}
	}
}

func (s *slowness) leave() {
	for _, c := range s.conns {
		c.Close()
	}
	s.all.Wait()
}

// lavish is an origin that reads what comes, answers with more than anybody reads, and serves the others.
type lavish struct {
	address  string
	listener net.Listener
	open     sync.Map
	serving  sync.WaitGroup
	moved    atomic.Int64 // requests, and pieces of endless answers
}

func newLavish(t *testing.T) *lavish {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &lavish{address: l.Addr().String(), listener: l}
	o.serving.Go(o.accept)
	t.Cleanup(func() {
		l.Close()
		o.open.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		o.serving.Wait()
	})
	return o
}

func (o *lavish) accept() {
	for {
		c, err := o.listener.Accept()
		if err != nil {
			return
		}
		o.open.Store(c, nil)
		o.serving.Go(func() {
			defer o.open.Delete(c)
			defer c.Close()
			r := bufio.NewReaderSize(c, 1<<10)
			for o.one(c, r) == nil {
			}
		})
	}
}

// settle waits until nothing moves but a byte now and then: the buffers of the readers are full.
func (o *lavish) settle(t *testing.T) {
	t.Helper()
	const still = 100 // looks
	last, looks := int64(-1), 0
	eventually(t, func() bool {
		if now := o.moved.Load(); now > last+1 {
			last, looks = now, 0
		}
		looks++
		return looks > still
	}, func() string { return "the slow clients keep the gateway busy" })
}

func (o *lavish) one(c net.Conn, r *bufio.Reader) error {
	h, err := readHead(r)
	if err != nil {
		return err
	}
	o.moved.Add(1)
	path := strings.Fields(h.first)[1]
	if path == "/lavish" {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
		for err == nil {
			_, err = c.Write(plenty)
			o.moved.Add(1)
		}
		return err
	}
	if _, err = readBody(r, h, false); err != nil {
		return err
	}
	id := strings.TrimPrefix(path, "/")
	_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%[1]s\n", id, len(id)+1)
	return err
}

var plenty = make([]byte, 16<<10)

package interop_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/summerwind/h2spec/client"
	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/spec"
	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// knownOfClients are the cases that fail, and why. In none of them does anything come of it: the client of the gateway
// gets a failure or the right answer, and the next request the right answer.
var knownOfClients = map[string]string{
	"client/5.1/2 idle: Sends a RST_STREAM frame":                                                            ignoredStream,
	"client/5.1/3 idle: Sends a WINDOW_UPDATE frame":                                                         ignoredStream,
	"client/5.1/5 closed: Sends a DATA frame after sending RST_STREAM frame":                                 ignoredStream,
	"client/5.1/8 closed: Sends a DATA frame":                                                                ignoredStream,
	"client/5.1/9 closed: Sends a HEADERS frame":                                                             ignoredStream,
	"client/5.1.1/1 Sends an unexpected stream identifier":                                                   ignoredStream,
	"client/6.1/2 Sends a DATA frame on the stream that is not in \"open\" or \"half-closed (local)\" state": ignoredStream,
	"client/6.4/2 Sends a RST_STREAM frame on a idle stream":                                                 ignoredStream,
	"client/5.4.1/2 Sends an invalid PING frame to receive GOAWAY frame":                                     noFarewell,
	"client/6.9.1/1 Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1":  noFarewell,
}

const (
	ignoredStream = "x/net's client drops frames for streams that it does not know, or no longer, where a connection error is expected"
	noFarewell    = "x/net's client closes the connection without the GOAWAY that is expected"
)

// TestH2specd has the gateway talk to services that break HTTP/2 in every way of h2specd. The client of the gateway gets
// a failure of the gateway's or a connection that breaks; and the service, when it has come to its senses, is found again,
// over a connection limit of one.
func TestH2specd(t *testing.T) {
	cases := clientCases(client.Spec(), nil)
	var text strings.Builder
	text.WriteString("listeners:\n  - {name: public, address: \"127.0.0.1:0\"}\nroutes:\n")
	var services []*badService
	for i, c := range cases {
		s := newBadService(t, c)
		services = append(services, s)
		fmt.Fprintf(&text, "  - {name: bad%d, match: {path: /bad/%d}, service: s%d, retry: off, timeout: 5s}\n", i, i, i)
		fmt.Fprintf(&text, "  - {name: good%d, match: {path: /good/%d/*}, service: s%d, timeout: 5s}\n", i, i, i)
	}
	text.WriteString("services:\n")
	for i, s := range services {
		fmt.Fprintf(&text, "  - {name: s%d, protocol: http2, endpoints: [{url: \"http://%s\"}], connections: {max: 1}}\n", i, s.listener.Addr())
	}
	gateway := gatewaytest.Start(t, text.String())
	failures := make(map[string]error)
	for i, s := range services {
		t.Run(s.name(), func(t *testing.T) {
			if err := s.provoke(t, gateway.URL("public", fmt.Sprintf("/bad/%d", i))); err != nil {
				failures[s.name()] = err
			}
			s.recover()
			for n := range 3 {
				s.askGood(t, gateway.URL("public", fmt.Sprintf("/good/%d/%d", i, n)))
			}
		})
	}
	t.Logf("%d cases, %d passed", len(cases), len(cases)-len(failures))
	if len(cases) < 50 {
		t.Error("most cases are missing")
	}
	compare(t, failures, knownOfClients)
}

func clientCases(g *spec.ClientTestGroup, cases []*spec.ClientTestCase) []*spec.ClientTestCase {
	cases = append(cases, g.Tests...)
	for _, below := range g.Groups {
		cases = clientCases(below, cases)
	}
	return cases
}

// badService runs a case against every connection, until it recovers.
type badService struct {
	test     *spec.ClientTestCase
	listener net.Listener
	verdict  chan error // of the first connection
	serving  sync.WaitGroup

	mu    sync.Mutex
	sane  bool
	conns map[net.Conn]bool
}

func newBadService(t *testing.T, test *spec.ClientTestCase) *badService {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &badService{test: test, listener: l, verdict: make(chan error, 1), conns: make(map[net.Conn]bool)}
	s.serving.Go(s.accept)
	t.Cleanup(func() {
		l.Close()
		s.closeAll()
		s.serving.Wait()
	})
	return s
}

func (s *badService) name() string {
	return fmt.Sprintf("%s/%d %s", s.test.Parent.ID(), s.test.Seq, s.test.Desc)
}

func (s *badService) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		sane := s.sane
		s.mu.Unlock()
		s.serving.Go(func() {
			defer c.Close()
			if sane {
				(&http2.Server{}).ServeConn(c, &http2.ServeConnOpts{Handler: http.HandlerFunc(echoID)})
				return
			}
			s.run(c)
		})
	}
}

func echoID(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.Header.Get("X-Id"))
}

// run plays the case on a connection.
func (s *badService) run(c net.Conn) {
	settings := &config.Config{Timeout: time.Second, MaxHeaderLen: 4000}
	conn, err := spec.Accept(settings, &pinged{Conn: c, r: bufio.NewReaderSize(c, 64<<10)})
	if err == nil {
		err = s.test.Run(settings, conn)
	}
	select {
	case s.verdict <- err:
	default: // the gateway has tried again
	}
}

func (s *badService) recover() {
	s.mu.Lock()
	s.sane = true
	s.mu.Unlock()
	s.closeAll()
}

func (s *badService) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
	clear(s.conns)
}

// provoke sends a request into the case and returns the case's verdict. What the client gets must be a failure, or all
// of the case's good answer.
func (s *badService) provoke(t *testing.T, url string) error {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		response, err := transport.RoundTrip(request(t, url, "bad"))
		if err != nil {
			return // broken off
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode < 500 && response.StatusCode != http.StatusOK {
			t.Errorf("the client got %d %q", response.StatusCode, body)
		}
	}()
	err := <-s.verdict
	s.closeAll() // as h2specd does behind each case
	<-answered
	return err
}

func (s *badService) askGood(t *testing.T, url string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request(t, url, url))
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || string(body) != url {
		t.Errorf("the next request: %d %q %v", response.StatusCode, body, err)
	}
}

func request(t *testing.T, url, id string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	r.Header.Set("X-Id", id)
	return r
}

// pinged is a connection from the gateway whose PINGs are answered and not shown: the gateway sends one, and waits for the
// answer, before it trusts a connection with a request; h2spec answers none.
type pinged struct {
	net.Conn
	r *bufio.Reader

	mu      sync.Mutex
	preface bool   // was read
	left    int    // of the frame that is being read
	begun   bool   // h2spec has sent its first frame, which must be the connection's
	pending []byte // acknowledgements until then
}

const (
	prefaceBytes = len(http2.ClientPreface)
	frameHeader  = 9
	pingFrame    = frameHeader + 8
)

func (p *pinged) Read(b []byte) (int, error) {
	for p.left == 0 {
		if err := p.next(); err != nil {
			return 0, closed(err)
		}
	}
	n, err := p.r.Read(b[:min(len(b), p.left)])
	p.left -= n
	return n, closed(err)
}

// closed makes a reset the end that it is; h2spec takes it for an error of its own.
func closed(err error) error {
	if errors.Is(err, syscall.ECONNRESET) {
		return io.EOF
	}
	return err
}

// next looks at what comes, and takes it away if it is a PING.
func (p *pinged) next() error {
	if !p.preface {
		p.preface, p.left = true, prefaceBytes
		return nil
	}
	h, err := p.r.Peek(frameHeader)
	if err != nil {
		return err
	}
	length := frameHeader + int(binary.BigEndian.Uint32(h)>>8)
	if http2.FrameType(h[3]) != http2.FramePing || http2.Flags(h[4]).Has(http2.FlagPingAck) || length != pingFrame {
		p.left = length
		return nil
	}
	ping, err := p.r.Peek(pingFrame)
	if err != nil {
		return err
	}
	answer := append([]byte(nil), ping...)
	answer[4] = byte(http2.FlagPingAck)
	_, _ = p.r.Discard(pingFrame)
	return p.acknowledge(answer)
}

func (p *pinged) acknowledge(frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		p.pending = append(p.pending, frame...)
		return nil
	}
	_, err := p.Conn.Write(frame)
	return err
}

// Write writes a frame of h2spec's, which come whole.
func (p *pinged) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.Conn.Write(b)
	if p.begun = true; err == nil && len(p.pending) > 0 {
		_, err = p.Conn.Write(p.pending)
		p.pending = nil
	}
	return n, err
}

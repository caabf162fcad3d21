package listen

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/proxy"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wait is how long a condition may take to come true before a test gives up. Nothing is ever held to it otherwise.
const wait = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(wait); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond) // between looks; the condition decides
	}
}

type serve func(ctx context.Context, x *exchange.Exchange, w proxy.Writer)

// standIn is the proxy's part: serve answers, failures are rendered as their status and kind.
type standIn struct {
	serve serve
	calls atomic.Int64
	busy  atomic.Int64
}

func (p *standIn) Serve(ctx context.Context, x *exchange.Exchange, w proxy.Writer) {
	p.calls.Add(1)
	p.busy.Add(1)
	defer p.busy.Add(-1)
	p.serve(ctx, x, w)
}

func (p *standIn) ServeFailure(_ context.Context, x *exchange.Exchange, f *failure.Error, w proxy.Writer) {
	p.calls.Add(1)
	res := answer(f.Code(), string(f.Kind)+": "+f.Detail)
	res.Header["X-In"] = []string{fmt.Sprintf("%.20q %.20q %d fields, %d bytes", x.In.Method, x.In.RequestURI, len(x.In.Header), x.In.ContentLength)}
	if w.Write(res) != nil {
		w.Abort()
	}
}

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Date": {"today"}}, ContentLength: int64(len(body)),
		Body: io.NopCloser(strings.NewReader(body))}
}

// tell answers with what the exchange knows of the connection.
func tell(_ context.Context, x *exchange.Exchange, w proxy.Writer) {
	_ = w.Write(answer(200, fmt.Sprintf("%s %s peer=%s tls=%v listener=%s", x.In.Proto, x.In.RequestURI, x.Peer.Addr(), x.TLS, x.Listener)))
}

func echo(_ context.Context, x *exchange.Exchange, w proxy.Writer) {
	res := &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: x.In.ContentLength, Body: x.In.Body}
	if w.Write(res) != nil {
		w.Abort()
	}
}

// up is a listener that serves.
type up struct {
	*Listener
	spec   *snapshot.Listener
	holder *snapshot.Holder
	proxy  *standIn
	served chan error
}

func defaults() *snapshot.Listener {
	return &snapshot.Listener{
		Name: "public", Address: "127.0.0.1:0", HTTP1: true, HTTP2: true,
		Limits: snapshot.Limits{HeaderBytes: 64 << 10, HeaderCount: 100, URIBytes: 8 << 10, HeaderTimeout: wait,
			IdleTimeout: wait, StallTimeout: wait, StreamIdleTimeout: wait, Streams: 100},
		Series: telemetry.NewListenerSeries("public"),
	}
}

func start(t *testing.T, serve serve, change ...func(*snapshot.Listener)) *up {
	t.Helper()
	spec := defaults()
	for _, c := range change {
		c(spec)
	}
	l, err := Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	u := &up{Listener: l, spec: spec, holder: new(snapshot.Holder), proxy: &standIn{serve: serve}, served: make(chan error, 1)}
	u.reload(spec)
	go func() { u.served <- l.Serve(u.holder, u.proxy) }()
	t.Cleanup(func() { u.end(t) })
	return u
}

// end closes the listener and holds it to having left nothing behind.
func (u *up) end(t *testing.T) {
	if err := u.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-u.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	eventually(t, "no connection is left", func() bool { return u.open() == 0 })
	s := u.spec.Series
	eventually(t, "gauges are back at zero", func() bool {
		return s.Connections() == telemetry.Connections{}
	})
}

func (u *up) reload(spec *snapshot.Listener) {
	s := &snapshot.Snapshot{Listeners: []*snapshot.Listener{spec}}
	s.Seal(nil)
	u.holder.Swap(s)
}

func (u *up) open() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.connections)
}

func (u *up) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial(u.Addr().Network(), u.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(wait))
	t.Cleanup(func() { c.Close() })
	return c
}

func (u *up) dialTLS(t *testing.T, config *tls.Config) *tls.Conn {
	t.Helper()
	c := tls.Client(u.dial(t), config)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// client is an HTTP client of one protocol, to u whatever the URL says.
func (u *up) client(t *testing.T, config *tls.Config, protocol string) *http.Client {
	t.Helper()
	tr := &http.Transport{
		Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, u.Addr().Network(), u.Addr().String())
		},
		TLSClientConfig: config,
	}
	switch {
	case protocol == protoHTTP2 && config == nil:
		tr.Protocols.SetUnencryptedHTTP2(true)
	case protocol == protoHTTP2:
		tr.Protocols.SetHTTP2(true)
	default:
		tr.Protocols.SetHTTP1(true)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: wait}
}

func get(t *testing.T, c *http.Client, url string) (status int, body string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// talk sends text on a new connection and reads one answer.
func (u *up) talk(t *testing.T, text string) (*http.Response, string) {
	t.Helper()
	c := u.dial(t)
	io.WriteString(c, text)
	return read(t, bufio.NewReader(c), "GET")
}

func read(t *testing.T, r *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) issue(t *testing.T, names ...string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: names, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})
}

func (a *authority) pair(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(a.issue(t, names...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// server is a listener's TLS with one certificate for each set of names.
func (a *authority) server(t *testing.T, s servertls.Settings, names ...[]string) *tls.Config {
	t.Helper()
	if s.Protocols == nil {
		s.Protocols = []string{"http1", "http2"}
	}
	for _, n := range names {
		if err := s.Add(a.issue(t, n...)); err != nil {
			t.Fatal(err)
		}
	}
	if s.ClientAuth != "" {
		if err := s.AddClientCA(a.pem); err != nil {
			t.Fatal(err)
		}
	}
	return s.Config()
}

func withTLS(c *tls.Config) func(*snapshot.Listener) { return func(s *snapshot.Listener) { s.TLS = c } }

func limits(change func(*snapshot.Limits)) func(*snapshot.Listener) {
	return func(s *snapshot.Listener) { change(&s.Limits) }
}

// frames is an HTTP/2 client that may misbehave.
type frames struct {
	*http2.Framer
	net.Conn
	t      *testing.T
	fields *hpack.Decoder // made when first asked for: it has a memory
}

func (u *up) frames(t *testing.T) *frames {
	t.Helper()
	c := u.dial(t)
	io.WriteString(c, http2.ClientPreface)
	f := &frames{Framer: http2.NewFramer(c, c), Conn: c, t: t}
	f.WriteSettings()
	return f
}

func files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return len(entries)
}

var local = netip.MustParsePrefix("127.0.0.0/8")

package transport

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
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// patience bounds what a test waits for. Nothing is expected to take it.
const patience = 10 * time.Second

// raw listens and gives each connection to serve, which says bytes and not HTTP. All are closed at the end of the test.
func raw(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveRaw(t, l, serve)
	return l.Addr().String()
}

func serveRaw(t *testing.T, l net.Listener, serve func(net.Conn)) {
	var mu sync.Mutex
	var open []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
}

// says reads the head of a request, writes text and closes.
func saysRaw(text string) func(net.Conn) {
	return func(c net.Conn) {
		if readHead(bufio.NewReader(c)) == nil {
			io.WriteString(c, text)
		}
	}
}

func readHead(r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			return nil
		}
	}
}

// resets makes the close of c a reset.
func resets(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }

// silent reads until the other side closes.
func silent(c net.Conn) { io.Copy(io.Discard, c) }

func newTransport(t *testing.T, o Options) Transport {
	t.Helper()
	if o.Network == "" {
		o.Network = "tcp"
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = patience
	}
	tr := New(o)
	t.Cleanup(tr.CloseIdle)
	return tr
}

func request(t *testing.T, method, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://service.test/path?q=1", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" {
		r.Body = http.NoBody
	}
	return r
}

func get(t *testing.T) *Trip { return &Trip{Request: request(t, "GET", "")} }

// read is the whole body of an answer.
func read(t *testing.T, res *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("reading the answer: %v", err)
	}
	res.Body.Close()
	return string(text)
}

func mustTrip(t *testing.T, tr Transport, trip *Trip) *http.Response {
	t.Helper()
	res, err := tr.RoundTrip(t.Context(), trip)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func wantFailure(t *testing.T, err error, kind failure.Kind, safe bool) {
	t.Helper()
	f, ok := errors.AsType[*failure.Error](err)
	if !ok {
		t.Fatalf("%v (%T) is no failure", err, err)
	}
	if f.Kind != kind || f.RetrySafe != safe || f.Source != failure.Upstream {
		t.Errorf("%v: kind %s, safe %v; want %s, %v", err, f.Kind, f.RetrySafe, kind, safe)
	}
	if f.Detail == "" || strings.Contains(f.Detail, "127.0.0.1") {
		t.Errorf("the detail is %q", f.Detail)
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for tick := time.NewTicker(time.Millisecond); !cond(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

// authority signs certificates for tests.
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
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue signs a certificate for a name, which may be an address, valid until.
func (a *authority) issue(t *testing.T, name string, until time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})
}

// server is the settings of a server with a certificate for name.
func (a *authority) server(t *testing.T, name string, until time.Time) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(a.issue(t, name, until))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// client is the settings of a client that believes a.
func (a *authority) client(t *testing.T, serverName string) *tls.Config {
	t.Helper()
	c, err := ClientTLS(a.pem, nil, nil, serverName, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

package app_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/app"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/filter/all"
	"github.com/sluice-gateway/sluice/gatewaytest"
	"github.com/sluice-gateway/sluice/source"
	"github.com/sluice-gateway/sluice/source/text"
)

// patience bounds what a test waits for. Nothing is expected to take it.
const patience = 10 * time.Second

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	over := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// holder is a filter that holds something: it counts how often each is closed.
type holder struct {
	closed   atomic.Int32
	requests atomic.Int32
}

func (h *holder) OnRequest(context.Context, *exchange.Exchange) error { h.requests.Add(1); return nil }
func (h *holder) Close() error                                        { h.closed.Add(1); return nil }

// registry is what ships and a filter named holder. Each instance made is kept.
func registry(t *testing.T, made *[]*holder) filter.Registry {
	t.Helper()
	r, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	type settings struct {
		// What makes one differ from another.
		N int `yaml:"n"`
	}
	typ := filter.Define("holder", filter.Admit, func(filter.Env, settings) (filter.Filter, error) {
		h := new(holder)
		*made = append(*made, h)
		return h, nil
	})
	r[typ.Name] = typ
	return r
}

// rig is a gateway with more to set than gatewaytest has.
type rig struct {
	*app.App
	source *text.Source
	log    *gatewaytest.Log
	made   []*holder
}

func newRig(t *testing.T, from source.Source) *rig {
	t.Helper()
	r := &rig{log: new(gatewaytest.Log)}
	r.App = app.New(app.Options{
		Source: from, Registry: registry(t, &r.made), Log: slog.New(slog.NewTextHandler(r.log, nil)), DrainTimeout: patience,
	})
	return r
}

func start(t *testing.T, configuration string) *rig {
	t.Helper()
	from := text.New("test.yaml", configuration, config.Options{})
	r := newRig(t, from)
	r.source = from
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Drain)
	return r
}

func (r *rig) reload(configuration string) error {
	r.source.Set(configuration)
	return r.Reload("test")
}

func (r *rig) mustReload(t *testing.T, configuration string) {
	t.Helper()
	if err := r.reload(configuration); err != nil {
		t.Fatal(err)
	}
}

// get is on a connection of its own.
func get(url string) (status int, body string, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, string(data), err
}

func wantGet(t *testing.T, url string, status int, body string) {
	t.Helper()
	gotStatus, gotBody, err := get(url)
	if err != nil || gotStatus != status || !strings.Contains(gotBody, body) {
		t.Errorf("GET %s: %d %q %v, want %d %q", url, gotStatus, gotBody, err, status, body)
	}
}

// refused reports whether nobody listens on an address.
func refused(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err != nil
}

// taken is an address that somebody else holds until the test ends.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// wire is one connection to the gateway, spoken by hand.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, address string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &wire{c, bufio.NewReader(c)}
}

func (w *wire) ask(t *testing.T, path string, fields ...string) *http.Response {
	t.Helper()
	message := "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
	if _, err := io.WriteString(w, message); err != nil {
		t.Fatal(err)
	}
	return w.answer(t)
}

func (w *wire) answer(t *testing.T) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (w *wire) body(t *testing.T, path string) string {
	t.Helper()
	data, err := io.ReadAll(w.ask(t, path).Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// gate is a service whose answers wait until they are let go.
type gate struct {
	*httptest.Server
	arrived chan struct{}
	open    chan struct{}
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{arrived: make(chan struct{}, 16), open: make(chan struct{})}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.arrived <- struct{}{}
		select {
		case <-g.open:
			io.WriteString(w, "let through")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// echo is a service that switches to a protocol in which every byte comes back.
func echo(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(c, c)
	}))
	t.Cleanup(s.Close)
	return s
}

// certificate is self-signed, in PEM. Each has a serial number of its own.
func certificate(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"api.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

package transport

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
)

func TestConnectionsThatCannotBeMade(t *testing.T) {
	authority, stranger := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	secure := func(c *tls.Config) string {
		return raw(t, func(conn net.Conn) {
			s := tls.Server(conn, c)
			if s.Handshake() == nil {
				silent(s)
			}
		})
	}
	for _, c := range []struct {
		name string
		o    Options
		kind failure.Kind
	}{
		{"refused", Options{Address: freeport.For(t)}, failure.ConnectionRefused},
		{"no socket", Options{Network: "unix", Address: filepath.Join(t.TempDir(), "none")}, failure.ConnectionRefused},
		{"silent handshake", Options{Address: raw(t, silent), ConnectTimeout: 50 * time.Millisecond, TLS: authority.client(t, "")}, failure.ConnectionTimeout},
		{"plaintext", Options{Address: raw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); silent(c) }), TLS: authority.client(t, "")}, failure.TLSProtocolError},
		{"closed in the handshake", Options{Address: raw(t, func(net.Conn) {}), TLS: authority.client(t, "")}, failure.TLSProtocolError},
		{"unknown authority", Options{Address: secure(stranger.server(t, "127.0.0.1", soon)), TLS: authority.client(t, "")}, failure.TLSCertificateError},
		{"expired", Options{Address: secure(authority.server(t, "127.0.0.1", time.Now().Add(-time.Hour))), TLS: authority.client(t, "")}, failure.TLSCertificateError},
		{"another name", Options{Address: secure(authority.server(t, "other.test", soon)), TLS: authority.client(t, "")}, failure.TLSCertificateError},
		{"another serverName", Options{Address: secure(authority.server(t, "127.0.0.1", soon)), TLS: authority.client(t, "orders.test")}, failure.TLSCertificateError},
		{"old TLS", Options{Address: secure(&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10, Certificates: authority.server(t, "127.0.0.1", soon).Certificates}), TLS: authority.client(t, "")}, failure.TLSProtocolError},
	} {
		for _, http2 := range []bool{false, true} {
			c.o.HTTP2 = http2
			t.Run(c.name+map[bool]string{false: "/http1", true: "/http2"}[http2], func(t *testing.T) {
				_, err := newTransport(t, c.o).RoundTrip(t.Context(), get(t))
				wantFailure(t, err, c.kind, true)
			})
		}
	}
}

func TestHTTP2NeedsALPN(t *testing.T) {
	authority := newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", authority.server(t, "127.0.0.1", time.Now().Add(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	serveRaw(t, l, silent)
	_, err = newTransport(t, Options{Address: l.Addr().String(), TLS: authority.client(t, ""), HTTP2: true}).RoundTrip(t.Context(), get(t))
	wantFailure(t, err, failure.TLSProtocolError, true)
}

// A client certificate is judged by the server after the handshake has succeeded on our side, with TLS 1.3.
func TestClientCertificates(t *testing.T) {
	authority := newAuthority(t)
	soon := time.Now().Add(time.Hour)
	settings := authority.server(t, "127.0.0.1", soon)
	settings.ClientAuth = tls.RequireAndVerifyClientCert
	settings.ClientCAs = authority.client(t, "").RootCAs
	l, err := tls.Listen("tcp", "127.0.0.1:0", settings)
	if err != nil {
		t.Fatal(err)
	}
	serveRaw(t, l, func(c net.Conn) {
		saysRaw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")(c)
	})

	_, err = newTransport(t, Options{Address: l.Addr().String(), TLS: authority.client(t, "")}).RoundTrip(t.Context(), get(t))
	if f := failure.From(err); f.Kind != failure.TLSProtocolError {
		t.Errorf("without a certificate: %v", err)
	}

	cert, key := authority.issue(t, "gateway", soon)
	ours, err := ClientTLS(authority.pem, cert, key, "", false)
	if err != nil {
		t.Fatal(err)
	}
	res := mustTrip(t, newTransport(t, Options{Address: l.Addr().String(), TLS: ours}), get(t))
	if text := read(t, res); text != "ok" {
		t.Errorf("with one: %q", text)
	}
}

func TestInsecureTLSAcceptsAnything(t *testing.T) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", newAuthority(t).server(t, "other.test", time.Now().Add(-time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	serveRaw(t, l, saysRaw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"))
	any, err := ClientTLS(nil, nil, nil, "", true)
	if err != nil {
		t.Fatal(err)
	}
	read(t, mustTrip(t, newTransport(t, Options{Address: l.Addr().String(), TLS: any}), get(t)))
}

func TestClientTLSSaysWhatIsWrong(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue(t, "x", time.Now().Add(time.Hour))
	_, other := a.issue(t, "x", time.Now().Add(time.Hour))
	for _, c := range []struct {
		ca, cert, key []byte
		want          string
	}{
		{ca: []byte("hello"), want: "no certificate in PEM"},
		{ca: key, want: "no certificate in PEM"},
		{cert: cert, key: other, want: "does not fit"},
		{cert: cert, want: "no keyFile"},
		{key: key, want: "no certFile"},
		{cert: []byte("x"), key: key, want: "cannot be used"},
	} {
		if _, err := ClientTLS(c.ca, c.cert, c.key, "", false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	c, err := ClientTLS(a.pem, cert, key, "name", true)
	if err != nil {
		t.Fatal(err)
	}
	if c.MinVersion != tls.VersionTLS12 || c.ServerName != "name" || !c.InsecureSkipVerify || c.RootCAs == nil || len(c.Certificates) != 1 {
		t.Errorf("%+v", c)
	}
}

// nameserver answers every question with answer, or not at all if that is nil.
func nameserver(t *testing.T, answer func(q dnsmessage.Question) *dnsmessage.Message) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := socket.ReadFrom(buf)
			if err != nil {
				return
			}
			var asked dnsmessage.Message
			if asked.Unpack(buf[:n]) != nil || answer == nil {
				continue
			}
			m := answer(asked.Questions[0])
			m.ID, m.Response, m.Questions = asked.ID, true, asked.Questions
			if packed, err := m.Pack(); err == nil {
				socket.WriteTo(packed, from)
			}
		}
	}()
	// The resolver goes on in the background when its caller has given up: end that with the test.
	var mu sync.Mutex
	var open []net.Conn
	over := false
	t.Cleanup(func() {
		socket.Close()
		<-done
		mu.Lock()
		defer mu.Unlock()
		over = true
		for _, c := range open {
			c.Close()
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return nil, net.ErrClosed
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "udp", socket.LocalAddr().String())
		if err == nil {
			open = append(open, c)
		}
		return c, err
	}}
}

func TestNames(t *testing.T) {
	unknown := func(dnsmessage.Question) *dnsmessage.Message {
		return &dnsmessage.Message{Header: dnsmessage.Header{RCode: dnsmessage.RCodeNameError}}
	}
	d := newDialer(Options{Network: "tcp", Address: "orders.test.:80", ConnectTimeout: patience})
	d.Resolver = nameserver(t, unknown)
	_, err := d.dial(t.Context())
	wantFailure(t, err, failure.DNSError, true)

	d = newDialer(Options{Network: "tcp", Address: "orders.test.:80", ConnectTimeout: 50 * time.Millisecond})
	d.Resolver = nameserver(t, nil)
	_, err = d.dial(t.Context())
	wantFailure(t, err, failure.DNSTimeout, true)
}

func TestEveryAddressOfANameIsTried(t *testing.T) {
	// 127.0.0.9 refuses: the server listens on 127.0.0.1 only.
	address := raw(t, silent)
	_, port, _ := net.SplitHostPort(address)
	d := newDialer(Options{Network: "tcp", Address: "orders.test.:" + port, ConnectTimeout: patience})
	d.Resolver = nameserver(t, func(q dnsmessage.Question) *dnsmessage.Message {
		m := &dnsmessage.Message{}
		if q.Type == dnsmessage.TypeA {
			for _, last := range []byte{9, 8, 1} {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
					Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, last}},
				})
			}
		}
		return m
	})
	c, err := d.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != address {
		t.Errorf("connected to %s, want %s", got, address)
	}
}

func TestAConnectTimeoutOfZeroStillEnds(t *testing.T) {
	if d := newDialer(Options{Network: "tcp", Address: "x:1"}); d.timeout != dialCeiling {
		t.Errorf("%v", d.timeout)
	}
}

func TestUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	trip := get(t)
	trip.Request.Host = "orders"
	if text := read(t, mustTrip(t, newTransport(t, Options{Network: "unix", Address: path}), trip)); text != "orders" {
		t.Errorf("%q", text)
	}
}

func TestEndpoint(t *testing.T) {
	for _, c := range [][5]string{
		{"http", "a.test:81", "", "tcp", "a.test:81"},
		{"http", "a.test", "", "tcp", "a.test:80"},
		{"https", "a.test", "", "tcp", "a.test:443"},
		{"https", "[::1]", "", "tcp", "[::1]:443"},
		{"http", "[::1]:8080", "", "tcp", "[::1]:8080"},
		{"unix", "", "/run/x", "unix", "/run/x"},
	} {
		if network, address := Endpoint(c[0], c[1], c[2]); network != c[3] || address != c[4] {
			t.Errorf("%v: %s %s", c, network, address)
		}
	}
}

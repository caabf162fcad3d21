package listen

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/snapshot"
)

func TestCertificateBySNI(t *testing.T) {
	ca := newAuthority(t)
	u := start(t, tell, withTLS(ca.server(t, servertls.Settings{}, []string{"first.example"}, []string{"api.example.com"}, []string{"*.example.com"})))
	for _, c := range []struct{ sni, want string }{
		{"", "first.example"}, {"unknown.test", "first.example"}, {"api.example.com", "api.example.com"},
		{"API.Example.COM", "api.example.com"}, {"Shop.example.com", "*.example.com"}, {"a.b.example.com", "first.example"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conn := u.dialTLS(t, &tls.Config{ServerName: c.sni, InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
			if got := conn.ConnectionState().PeerCertificates[0].DNSNames[0]; got != c.want {
				t.Errorf("%q got %s, want %s", c.sni, got, c.want)
			}
			conn.Close()
		}
	}
}

func TestALPN(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		protocols     []string
		offers        []string
		want, outcome string
	}{
		{[]string{"http1", "http2"}, []string{"h2", "http/1.1"}, "h2", "HTTP/2.0"},
		{[]string{"http1", "http2"}, []string{"http/1.1"}, "http/1.1", "HTTP/1.1"},
		{[]string{"http1", "http2"}, nil, "", "HTTP/1.1"},
		{[]string{"http1"}, []string{"h2", "http/1.1"}, "http/1.1", "HTTP/1.1"},
		{[]string{"http2"}, nil, "", ""},
		{[]string{"http2"}, []string{"http/1.1"}, "", ""}, // crypto/tls lets it pass; nobody answers
	} {
		u := start(t, tell, withTLS(ca.server(t, servertls.Settings{Protocols: c.protocols}, []string{"a.example"})), func(s *snapshot.Listener) {
			s.HTTP1 = strings.Contains(fmt.Sprint(c.protocols), "http1")
			s.HTTP2 = strings.Contains(fmt.Sprint(c.protocols), "http2")
		})
		conn := u.dialTLS(t, &tls.Config{RootCAs: ca.pool(), ServerName: "a.example", NextProtos: c.offers})
		if got := conn.ConnectionState().NegotiatedProtocol; got != c.want {
			t.Errorf("%v to %v: %q", c.offers, c.protocols, got)
		}
		if c.outcome == "HTTP/2.0" {
			continue // TestServe asks
		}
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		all, _ := bufio.NewReader(conn).ReadString('\n')
		if !strings.HasPrefix(all, c.outcome) || c.outcome == "" && all != "" {
			t.Errorf("%v to %v: %q", c.offers, c.protocols, all)
		}
	}
}

func TestClientAuth(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	good, bad := ca.pair(t, "client"), stranger.pair(t, "client")
	for _, c := range []struct {
		mode string
		cert *tls.Certificate
		ok   bool
	}{
		{"require", nil, false}, {"require", &bad, false}, {"require", &good, true},
		{"request", nil, true}, {"request", &bad, false}, {"request", &good, true},
		{"", nil, true},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			u := start(t, tell, withTLS(ca.server(t, servertls.Settings{ClientAuth: c.mode}, []string{"a.example"})))
			config := &tls.Config{RootCAs: ca.pool(), MinVersion: version, MaxVersion: version}
			if c.cert != nil {
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.cert, nil }
			}
			res, err := u.client(t, config, protoHTTP1).Get("https://a.example")
			if err == nil {
				res.Body.Close()
			}
			if (err == nil) != c.ok {
				t.Errorf("%s, TLS %x: %v", c.mode, version, err)
			}
			if served := u.proxy.calls.Load() > 0; served != c.ok {
				t.Errorf("%s, TLS %x: served %v", c.mode, version, served)
			}
		}
	}
}

// A session from before clientAuth must not get past it.
func TestReloadAsksResumingClientsForCertificates(t *testing.T) {
	ca := newAuthority(t)
	cert := [][]string{{"a.example"}}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		u := start(t, tell, withTLS(ca.server(t, servertls.Settings{}, cert...)))
		config := &tls.Config{RootCAs: ca.pool(), ServerName: "a.example", ClientSessionCache: tls.NewLRUClientSessionCache(1),
			MinVersion: version, MaxVersion: version}
		ask := func() (resumed bool, err error) {
			conn := tls.Client(u.dial(t), config)
			defer conn.Close()
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				return false, err
			}
			defer res.Body.Close()
			io.Copy(io.Discard, res.Body)
			return conn.ConnectionState().DidResume, nil
		}
		if _, err := ask(); err != nil {
			t.Fatal(err)
		}
		if resumed, err := ask(); err != nil || !resumed {
			t.Fatalf("not resumed (%v): the test would prove nothing", err)
		}
		next := *u.spec
		next.TLS = ca.server(t, servertls.Settings{ClientAuth: "require"}, cert...)
		u.reload(&next)
		if _, err := ask(); err == nil {
			t.Errorf("TLS %x: a client without a certificate got in", version)
		}
	}
}

func TestReloadChangesCertificatesOfNewConnectionsOnly(t *testing.T) {
	ca := newAuthority(t)
	u := start(t, tell, withTLS(ca.server(t, servertls.Settings{}, []string{"a.example"})))
	config := &tls.Config{RootCAs: ca.pool(), ServerName: "a.example"}
	old := u.dialTLS(t, config)
	next := *u.spec
	next.TLS = ca.server(t, servertls.Settings{}, []string{"a.example"})
	u.reload(&next)
	fresh := u.dialTLS(t, config)
	serial := func(c *tls.Conn) string { return c.ConnectionState().PeerCertificates[0].SerialNumber.String() }
	if serial(old) == serial(fresh) {
		t.Error("the new certificate is not in use")
	}
	for _, c := range []*tls.Conn{old, fresh} {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		if res, _ := read(t, bufio.NewReader(c), "GET"); res.StatusCode != 200 {
			t.Errorf("%d", res.StatusCode)
		}
	}
}

func TestReloadToPlaintextAndBack(t *testing.T) {
	ca := newAuthority(t)
	u := start(t, tell)
	c := u.client(t, nil, protoHTTP1)
	if status, _ := get(t, c, "http://a"); status != 200 {
		t.Error(status)
	}
	next := *u.spec
	next.TLS = ca.server(t, servertls.Settings{}, []string{"a.example"})
	u.reload(&next)
	if status, _ := get(t, c, "http://a"); status != 200 { // the connection that is open stays what it is
		t.Error(status)
	}
	if status, _ := get(t, u.client(t, &tls.Config{RootCAs: ca.pool()}, protoHTTP1), "https://a.example"); status != 200 {
		t.Error(status)
	}
}

func TestMisdirectedRequests(t *testing.T) {
	ca := newAuthority(t)
	server := ca.server(t, servertls.Settings{}, []string{"first.example"}, []string{"api.example.com", "*.shop.example.com"})
	for _, c := range []struct {
		sni, host string
		want      int
	}{
		{"api.example.com", "api.example.com", 200},
		{"api.example.com", "API.example.com:8443", 200},
		{"api.example.com", "api.example.com.", 200},
		{"api.example.com", "a.shop.example.com", 200},
		{"api.example.com", "first.example", 421},
		{"api.example.com", "evil.test", 421},
		{"api.example.com", "127.0.0.1", 421},
		{"unknown.test", "unknown.test", 200}, // it accepted the default certificate for that very name
		{"unknown.test", "first.example", 200},
		{"unknown.test", "api.example.com", 421},
		{"", "first.example", 200},
		{"", "api.example.com", 421},
		{"", "127.0.0.1:8443", 200}, // an address cannot be asked for in a handshake
		{"", "[::1]:8443", 200},
		{"API.example.com", "evil.test", 421},
	} {
		t.Run(c.sni+" "+c.host, func(t *testing.T) {
			u := start(t, tell, withTLS(server))
			config := &tls.Config{ServerName: c.sni, InsecureSkipVerify: true}
			conn := u.dialTLS(t, config)
			r := bufio.NewReader(conn)
			for range 2 { // the second from memory
				fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", c.host)
				if res, _ := read(t, r, "GET"); res.StatusCode != c.want {
					t.Errorf("http1: %d, want %d", res.StatusCode, c.want)
				}
			}
			h2 := u.dialTLS(t, &tls.Config{ServerName: c.sni, InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			io.WriteString(h2, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
			f := &frames{Framer: http2NewFramer(h2), Conn: h2, t: t}
			f.WriteSettings()
			f.send(1, true, ":authority", c.host, ":scheme", "https")
			if got := f.outcome(1); got != fmt.Sprint(c.want) {
				t.Errorf("http2: %s, want %d", got, c.want)
			}
		})
	}
}

func TestMinVersion(t *testing.T) {
	ca := newAuthority(t)
	u := start(t, tell, withTLS(ca.server(t, servertls.Settings{MinVersion: "1.3"}, []string{"a.example"})))
	conn := tls.Client(u.dial(t), &tls.Config{RootCAs: ca.pool(), ServerName: "a.example", MaxVersion: tls.VersionTLS12})
	if conn.Handshake() == nil {
		t.Error("TLS 1.2 got in")
	}
}

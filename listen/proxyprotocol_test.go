package listen

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"

	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/snapshot"
)

func proxied(s *snapshot.Listener) {
	s.ProxyProtocol, s.TrustedProxies = true, []netip.Prefix{local}
}

// header2 is a version 2 header.
func header2(t *testing.T, command byte, family byte, payload string) string {
	t.Helper()
	b := append([]byte{}, proxyproto.SIGV2...)
	b = append(b, command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	return string(b) + payload
}

const (
	v4 = "\xc0\x00\x02\x07\x7f\x00\x00\x01\x12\x34\x00\x50" // 192.0.2.7 to 127.0.0.1
	v6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x34\x00\x50"
)

func TestProxyProtocol(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct{ name, header, peer string }{
		{"v1 tcp4", "PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n", "192.0.2.7"},
		{"v1 tcp6", "PROXY TCP6 2001:db8::7 2001:db8::1 4660 80\r\n", "2001:db8::7"},
		{"v1 mapped", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:127.0.0.1 4660 80\r\n", "192.0.2.7"},
		{"v1 unknown", "PROXY UNKNOWN\r\n", "127.0.0.1"},
		{"v1 unknown with addresses", "PROXY UNKNOWN 192.0.2.7 127.0.0.1 1 2\r\n", "127.0.0.1"},
		{"v2 tcp4", header2(t, 0x21, 0x11, v4), "192.0.2.7"},
		{"v2 tcp6", header2(t, 0x21, 0x21, v6), "2001:db8::7"},
		{"v2 tlv", header2(t, 0x21, 0x11, v4+"\x04\x00\x03abc"), "192.0.2.7"},
		{"v2 local", header2(t, 0x20, 0x00, ""), "127.0.0.1"},
		{"v2 local with addresses", header2(t, 0x20, 0x11, v4), "127.0.0.1"},
		{"v2 unix", header2(t, 0x21, 0x31, strings.Repeat("\x00", 216)), "127.0.0.1"},

		{"none", "", ""},
		{"garbage", "hello hello hello\r\n", ""},
		{"tls instead", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on", ""},
		{"v1 not a header", "PROXYING is fun and so is all the rest\r\n", ""},
		{"v1 bad address", "PROXY TCP4 300.0.2.7 127.0.0.1 4660 80\r\n", ""},
		{"v1 wrong family", "PROXY TCP4 2001:db8::7 2001:db8::1 4660 80\r\n", ""},
		{"v1 bad port", "PROXY TCP4 192.0.2.7 127.0.0.1 70000 80\r\n", ""},
		{"v1 too few", "PROXY TCP4 192.0.2.7 127.0.0.1\r\n", ""},
		{"v1 udp", "PROXY UDP4 192.0.2.7 127.0.0.1 4660 80\r\n", ""},
		{"v1 bare LF", "PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\n", ""},
		{"v1 too long", "PROXY TCP4 " + long + "\r\n", ""},
		{"v2 bad version", header2(t, 0x31, 0x11, v4), ""},
		{"v2 bad command", header2(t, 0x25, 0x11, v4), ""},
		{"v2 bad family", header2(t, 0x21, 0x77, v4), ""},
		{"v2 datagram", header2(t, 0x21, 0x12, v4), ""},
		{"v2 too short", header2(t, 0x21, 0x11, v4[:4]), ""},
		{"v2 too long", header2(t, 0x21, 0x11, v4+long), ""},
		{"twice", "PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\nPROXY TCP4 192.0.2.8 127.0.0.1 4660 80\r\n", "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := start(t, tell, proxied)
			conn := u.dial(t)
			io.WriteString(conn, c.header+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				if c.peer != "" {
					t.Fatal(err)
				}
				return
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if c.peer == "400" {
				if res.StatusCode != 400 {
					t.Errorf("%d", res.StatusCode)
				}
			} else if c.peer == "" || !strings.Contains(string(body), "peer="+c.peer+" ") {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
}

func TestProxyProtocolInPieces(t *testing.T) {
	for _, header := range []string{"PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n", header2(t, 0x21, 0x11, v4)} {
		u := start(t, tell, proxied)
		conn := u.dial(t)
		for i := range len(header) {
			io.WriteString(conn, header[i:i+1])
		}
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, body := read(t, bufio.NewReader(conn), "GET"); !strings.Contains(body, "peer=192.0.2.7 ") {
			t.Error(body)
		}
	}
}

func TestProxyProtocolBeforeTLSAndHTTP2(t *testing.T) {
	ca := newAuthority(t)
	u := start(t, tell, proxied, withTLS(ca.server(t, servertls.Settings{}, []string{"a.example"})))
	conn := u.dial(t)
	io.WriteString(conn, header2(t, 0x21, 0x21, v6))
	secure := tls.Client(conn, &tls.Config{RootCAs: ca.pool(), ServerName: "a.example", NextProtos: []string{"http/1.1"}})
	io.WriteString(secure, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	if _, body := read(t, bufio.NewReader(secure), "GET"); !strings.Contains(body, "peer=2001:db8::7 tls=true") {
		t.Error(body)
	}

	plain := start(t, tell, proxied)
	conn = plain.dial(t)
	io.WriteString(conn, "PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	f := &frames{Framer: http2NewFramer(conn), Conn: conn, t: t}
	f.WriteSettings()
	if got := f.get("/"); got != "200" {
		t.Error(got)
	}
}

func TestProxyProtocolOfStrangers(t *testing.T) {
	u := start(t, tell, proxied, func(s *snapshot.Listener) { s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	conn := u.dial(t)
	io.WriteString(conn, "PROXY TCP4 10.0.0.1 127.0.0.1 4660 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, err := io.ReadAll(conn); err != nil && !isReset(err) || len(b) > 0 {
		t.Errorf("%q %v", b, err)
	}
	if u.proxy.calls.Load() > 0 {
		t.Error("it was served")
	}
}

func TestProxyProtocolThatDoesNotCome(t *testing.T) {
	for _, sent := range []string{"", "PROXY TCP4 192", header2(t, 0x21, 0x11, v4)[:20]} {
		u := start(t, tell, proxied, limits(func(l *snapshot.Limits) { l.HeaderTimeout = shortly }))
		conn := u.dial(t)
		io.WriteString(conn, sent)
		if b, err := io.ReadAll(conn); err != nil && !isReset(err) || len(b) > 0 {
			t.Errorf("%q %v", b, err)
		}
	}
	// A look at the port, and a header broken off, end at once.
	for _, sent := range []string{"", "PROXY TCP4 192", header2(t, 0x21, 0x11, v4)[:20]} {
		u := start(t, tell, proxied, limits(func(l *snapshot.Limits) { l.HeaderTimeout = 0 }))
		conn := u.dial(t)
		io.WriteString(conn, sent)
		conn.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(conn); err != nil && !isReset(err) || len(b) > 0 {
			t.Errorf("%q %v", b, err)
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\nGET / HTTP/1.1\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add(append(append([]byte{}, proxyproto.SIGV2...), "\x21\x11\x00\x0c"+v4...))
	f.Fuzz(func(t *testing.T, in []byte) {
		size, err := proxyHeaderSize(in)
		if err != nil {
			return
		}
		if size <= 0 || size > proxyV2Max {
			t.Fatalf("a header of %d bytes", size)
		}
		if size > len(in) {
			return
		}
		whole, err := proxyproto.Read(bufio.NewReader(strings.NewReader(string(in[:size]))))
		if err != nil {
			return
		}
		if peer, err := proxiedPeer(whole, loopback); err == nil && !peer.IsValid() {
			t.Fatalf("peer %v", peer)
		}
	})
}

package servertls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

type template struct {
	names    []string
	ips      []net.IP
	cn       string
	from, to time.Time
	rsa      bool
}

// issue makes a self-signed certificate and its key, PEM.
func issue(t *testing.T, in template) (cert, key []byte) {
	t.Helper()
	if in.from.IsZero() {
		in.from, in.to = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	var public, private any
	if in.rsa {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		public, private = &k.PublicKey, k
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, private = &k.PublicKey, k
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: in.cn}, DNSNames: in.names, IPAddresses: in.ips,
		NotBefore: in.from, NotAfter: in.to, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, private)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})
}

func TestAddSaysWhatIsWrong(t *testing.T) {
	cert, key := issue(t, template{names: []string{"a.example"}})
	other, otherKey := issue(t, template{names: []string{"b.example"}})
	_, rsaKey := issue(t, template{names: []string{"c.example"}, rsa: true})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no DER")})
	for _, c := range []struct {
		name      string
		cert, key []byte
		want      string
	}{
		{"empty certificate", nil, key, "no PEM block of type CERTIFICATE"},
		{"key in place of certificate", key, key, "no PEM block of type CERTIFICATE"},
		{"garbage certificate", []byte("hello"), key, "no PEM block of type CERTIFICATE"},
		{"certificate that is no DER", broken, key, "the certificate cannot be used"},
		{"empty key", cert, nil, "no PEM block of a private key"},
		{"certificate in place of key", cert, cert, "no PEM block of a private key"},
		{"encrypted key", cert, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}), "is encrypted"},
		{"encrypted key of old", cert, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte{1},
			Headers: map[string]string{"DEK-Info": "AES-256-CBC,00"}}), "is encrypted"},
		{"key that is none", cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), "cannot be read"},
		{"key of another", cert, otherKey, "does not belong to the certificate"},
		{"key of another kind", other, rsaKey, "does not belong to the certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Settings
			err := s.Add(c.cert, c.key)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error over several lines: %q", err)
			}
		})
	}
	var s Settings
	if err := s.Add(cert, key); err != nil {
		t.Errorf("a good pair: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name string
		in   template
		want string
	}{
		{"good", template{names: []string{"a.example"}}, ""},
		{"expired", template{names: []string{"a.example"}, from: now.Add(-48 * time.Hour), to: now.Add(-24 * time.Hour)}, "a.example expired on"},
		{"early", template{names: []string{"a.example"}, from: now.Add(24 * time.Hour), to: now.Add(48 * time.Hour)}, "not valid before"},
		{"by common name only", template{cn: "a.example"}, "CN=a.example has no subjectAltName"},
		{"many names", template{names: []string{"a", "b", "c", "d", "e"}, ips: []net.IP{net.IPv4(10, 0, 0, 1)},
			from: now.Add(-48 * time.Hour), to: now.Add(-24 * time.Hour)}, "a, b, c and 3 more expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Settings
			cert, key := issue(t, c.in)
			if err := s.Add(cert, key); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(s.Warnings(), "; ")
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("warnings %q, want %q", got, c.want)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	cert, key := issue(t, template{names: []string{"a.example"}})
	for _, c := range []struct {
		name string
		in   Settings
		min  uint16
		auth tls.ClientAuthType
		alpn []string
	}{
		{"defaults", Settings{Protocols: []string{"http1", "http2"}}, tls.VersionTLS12, tls.NoClientCert, []string{"h2", "http/1.1"}},
		{"1.3, require", Settings{MinVersion: "1.3", ClientAuth: "require", Protocols: []string{"http1"}}, tls.VersionTLS13,
			tls.RequireAndVerifyClientCert, []string{"http/1.1"}},
		{"request", Settings{MinVersion: "1.2", ClientAuth: "request", Protocols: []string{"http2"}}, tls.VersionTLS12,
			tls.VerifyClientCertIfGiven, []string{"h2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.in.Add(cert, key); err != nil {
				t.Fatal(err)
			}
			got := c.in.Config()
			if got.MinVersion != c.min || got.ClientAuth != c.auth || !slices.Equal(got.NextProtos, c.alpn) {
				t.Errorf("version %x, client auth %v, ALPN %v", got.MinVersion, got.ClientAuth, got.NextProtos)
			}
			if c.auth != tls.NoClientCert && got.ClientCAs == nil {
				t.Error("without authorities the system's would let clients in")
			}
		})
	}
}

func TestAddClientCA(t *testing.T) {
	cert, key := issue(t, template{names: []string{"ca"}})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no DER")})
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"good", cert, ""},
		{"good after a key", append(slices.Clone(key), cert...), ""},
		{"empty", nil, "no PEM block"},
		{"key only", key, "no PEM block"},
		{"the second is broken", append(slices.Clone(cert), broken...), "authority 2 cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Settings
			err := s.AddClientCA(c.in)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestIndexChoosesByName(t *testing.T) {
	var s Settings
	for _, names := range [][]string{
		{"first.example"}, {"API.example.com", "www.example.com"}, {"*.example.com"}, {"*.eu.example.com"}, {"example.com"},
	} {
		cert, key := issue(t, template{names: names})
		if err := s.Add(cert, key); err != nil {
			t.Fatal(err)
		}
	}
	config := s.Config()
	for _, c := range []struct{ sni, want string }{
		{"", "first.example"},
		{"unknown.test", "first.example"},
		{"localhost", "first.example"},
		{"api.example.com", "API.example.com"},
		{"API.EXAMPLE.COM", "API.example.com"},
		{"Www.Example.Com", "API.example.com"},
		{"api.example.com.", "API.example.com"},
		{"shop.example.com", "*.example.com"},
		{"SHOP.Example.com", "*.example.com"},
		{"a.eu.example.com", "*.eu.example.com"},
		{"eu.example.com", "*.example.com"},     // one label, literally
		{"a.b.example.com", "first.example"},    // a wildcard is one label
		{"x.a.eu.example.com", "first.example"}, // also below another
		{"example.com", "example.com"},          // and not none
		{"*.example.com", "*.example.com"},      // odd, harmless
		{".example.com", "*.example.com"},       // an empty label; VerifyHostname of the client refuses
		{strings.Repeat("a.", 300), "first.example"},
	} {
		got, err := config.GetCertificate(&tls.ClientHelloInfo{ServerName: c.sni})
		if err != nil {
			t.Errorf("%q: %v", c.sni, err)
		} else if got.Leaf.DNSNames[0] != c.want {
			t.Errorf("%q got %s, want %s", c.sni, got.Leaf.DNSNames[0], c.want)
		}
	}
}

func TestIndexChoosesWhatTheClientCanVerify(t *testing.T) {
	var s Settings
	for _, in := range []template{{names: []string{"a.example"}}, {names: []string{"a.example"}, rsa: true}} {
		cert, key := issue(t, in)
		if err := s.Add(cert, key); err != nil {
			t.Fatal(err)
		}
	}
	hello := func(schemes ...tls.SignatureScheme) *tls.ClientHelloInfo {
		return &tls.ClientHelloInfo{ServerName: "a.example", SignatureSchemes: schemes,
			SupportedVersions: []uint16{tls.VersionTLS13}, SupportedCurves: []tls.CurveID{tls.CurveP256},
			CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}}
	}
	config := s.Config()
	for _, c := range []struct {
		hello *tls.ClientHelloInfo
		want  x509.PublicKeyAlgorithm
	}{
		{hello(tls.ECDSAWithP256AndSHA256), x509.ECDSA},
		{hello(tls.PSSWithSHA256), x509.RSA},
		{hello(tls.Ed25519), x509.ECDSA}, // neither: the first, and the handshake fails
	} {
		got, err := config.GetCertificate(c.hello)
		if err != nil || got.Leaf.PublicKeyAlgorithm != c.want {
			t.Errorf("%v: got %v, %v; want %v", c.hello.SignatureSchemes, got.Leaf.PublicKeyAlgorithm, err, c.want)
		}
	}
}

func TestIndexCovers(t *testing.T) {
	var s Settings
	for _, in := range []template{
		{names: []string{"first.example"}, ips: []net.IP{net.IPv4(10, 0, 0, 1)}},
		{names: []string{"api.example.com", "*.shop.example.com"}},
	} {
		cert, key := issue(t, in)
		if err := s.Add(cert, key); err != nil {
			t.Fatal(err)
		}
	}
	ix := NewIndex(s.Config().Certificates)
	for _, c := range []struct {
		sni, host string
		want      bool
	}{
		{"api.example.com", "api.example.com", true},
		{"API.example.com", "a.shop.example.com", true},
		{"api.example.com", "a.b.shop.example.com", false},
		{"api.example.com", "first.example", false},
		{"", "first.example", true},
		{"", "api.example.com", false},
		{"", "10.0.0.1", true},
		{"", "10.0.0.2", false},
		{"unknown", "first.example", true},
	} {
		if got := ix.Covers(c.sni, c.host); got != c.want {
			t.Errorf("Covers(%q, %q) = %v", c.sni, c.host, got)
		}
	}
}

func TestIndexWithoutLeaves(t *testing.T) {
	cert, key := issue(t, template{names: []string{"a.example"}})
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pair.Leaf = nil
	ix := NewIndex([]tls.Certificate{{}, {Certificate: [][]byte{{1}}}, pair})
	if got, _ := ix.Choose(&tls.ClientHelloInfo{ServerName: "a.example"}); got == nil || len(got.Certificate) != 1 || len(got.Certificate[0]) < 2 {
		t.Error("the leaf was not parsed")
	}
	if _, err := NewIndex(nil).Choose(&tls.ClientHelloInfo{}); err == nil {
		t.Error("no certificates, no error")
	}
}

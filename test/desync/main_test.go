package desync

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(gatewayFile); file != "" {
		os.Exit(runGateway(file))
	}
	goleak.VerifyTestMain(m)
}

// soak is how long a test may take that is the better the longer: short unless SLUICE_SOAK says otherwise.
func soak(t *testing.T) (length time.Duration, asked bool) {
	t.Helper()
	text := os.Getenv("SLUICE_SOAK")
	if text == "" {
		return 10 * time.Second, false
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SLUICE_SOAK: %v", err)
	}
	return length, true
}

// eventually waits for what must come true, and fails the test with what report says if it does not.
func eventually(t *testing.T, condition func() bool, report func() string) {
	t.Helper()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for late := time.After(2 * patience); !condition(); {
		select {
		case <-again.C:
		case <-late:
			t.Fatal(report())
		}
	}
}

func newOrigin(t *testing.T) *Origin {
	t.Helper()
	o, err := NewOrigin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// certificate writes one that vouches for itself, and its key, and returns what trusts it.
func certificate(t *testing.T) (certFile, keyFile string, trusting *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"gateway.test", "h", "nowhere", "evil"}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	dir := t.TempDir()
	return writePEM(t, dir, "CERTIFICATE", cert), writePEM(t, dir, "PRIVATE KEY", private),
		&tls.Config{RootCAs: roots, ServerName: "gateway.test"}
}

func writePEM(t *testing.T, dir, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(dir, kind+".pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Package servertls makes the TLS side of a listener from what its files hold. It reads no file itself, so that compile,
// which reads them through an opener that remembers, can use it without knowing sockets.
//
//	PEM of certificates, keys, authorities ──Settings──▶ tls.Config ──Index──▶ which certificate a name gets
//
// A Config is never changed after it is made: new files make a new one, whose session tickets are its own, so that no
// client resumes past a clientAuth that has become stricter since.
package servertls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Settings collects what a listener's TLS is made of. Add at least one certificate, then ask for Config.
type Settings struct {
	MinVersion string   // "1.2" (also when empty) or "1.3"
	Protocols  []string // http1, http2: what ALPN offers
	ClientAuth string   // require, request, or empty: no certificate is asked for

	certificates []tls.Certificate
	authorities  *x509.CertPool
	warnings     []string
}

// Add takes a certificate chain, leaf first, and its key, both PEM. The error says what to do and names no file: the
// caller knows which.
func (s *Settings) Add(chain, key []byte) error {
	if !holds(chain, "CERTIFICATE") {
		return errors.New("the certificate file holds no PEM block of type CERTIFICATE; give the chain as PEM, leaf first")
	}
	if err := checkKey(key); err != nil {
		return err
	}
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return pairError(err)
	}
	if c.Leaf == nil { // x509keypairleaf=0 in the environment
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return fmt.Errorf("the certificate cannot be read: %w", err)
		}
	}
	s.certificates = append(s.certificates, c)
	s.warn(c.Leaf, time.Now())
	return nil
}

// AddClientCA takes the authorities, PEM, that client certificates are verified against.
func (s *Settings) AddClientCA(ca []byte) error {
	if s.authorities == nil {
		s.authorities = x509.NewCertPool()
	}
	n := 0
	for rest := ca; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil { // AppendCertsFromPEM would pass over it, and its clients would be refused without a reason
			return fmt.Errorf("authority %d cannot be read: %w", n+1, err)
		}
		s.authorities.AddCert(c)
		n++
	}
	if n == 0 {
		return errors.New("it holds no PEM block of type CERTIFICATE, so no client could be verified")
	}
	return nil
}

// Warnings says what is legal but surely not meant.
func (s *Settings) Warnings() []string { return s.warnings }

// Config makes the configuration. The certificates stand in Certificates too, where Index finds them.
func (s *Settings) Config() *tls.Config {
	index := NewIndex(s.certificates)
	c := &tls.Config{
		Certificates: s.certificates,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return index.Choose(hello)
		},
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols(s.Protocols),
	}
	if s.MinVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	s.verifyClients(c)
	return c
}

func (s *Settings) verifyClients(c *tls.Config) {
	switch s.ClientAuth {
	case "require":
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case "request":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	default:
		return
	}
	// Without authorities of its own crypto/tls would trust the system's: every public one could let clients in.
	c.ClientCAs = s.authorities
	if c.ClientCAs == nil {
		c.ClientCAs = x509.NewCertPool()
	}
}

// protocols are ALPN's names, in our order of preference (RFC 7301 section 3.2).
func protocols(names []string) []string {
	var alpn []string
	if slices.Contains(names, "http2") {
		alpn = append(alpn, "h2")
	}
	if slices.Contains(names, "http1") {
		alpn = append(alpn, "http/1.1")
	}
	return alpn
}

func (s *Settings) warn(leaf *x509.Certificate, now time.Time) {
	name := names(leaf)
	if now.After(leaf.NotAfter) {
		s.warnings = append(s.warnings, fmt.Sprintf("the certificate for %s expired on %s; clients will refuse it",
			name, leaf.NotAfter.Format(time.DateOnly)))
	}
	if now.Before(leaf.NotBefore) {
		s.warnings = append(s.warnings, fmt.Sprintf("the certificate for %s is not valid before %s; until then clients "+
			"will refuse it", name, leaf.NotBefore.Format(time.DateOnly)))
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		s.warnings = append(s.warnings, fmt.Sprintf("the certificate for %s has no subjectAltName; no client of today accepts it",
			name))
	}
}

// names is how a certificate is called in messages: its subjectAltNames, else its subject.
func names(leaf *x509.Certificate) string {
	list := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return leaf.Subject.String()
	}
	const show = 3
	if len(list) > show {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:show], ", "), len(list)-show)
	}
	return strings.Join(list, ", ")
}

func holds(data []byte, blockType string) bool {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return false
		}
		if block.Type == blockType {
			return true
		}
	}
}

func checkKey(key []byte) error {
	for rest := key; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return errors.New("the key file holds no PEM block of a private key; give the leaf's key as PEM")
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return errors.New("the private key is encrypted; decrypt it (`openssl pkey -in KEY -out PLAIN`) and guard " +
				"the file by its mode")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil
		}
	}
}

// pairError says in our words what crypto/tls says of a pair. Its texts are tested for, so a change shows.
func pairError(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "does not match"):
		return errors.New("the private key does not belong to the certificate; give the key of the first certificate " +
			"in the chain")
	case strings.Contains(text, "failed to parse private key"):
		return errors.New("the private key cannot be read; give an RSA, ECDSA or Ed25519 key as PEM")
	default:
		return fmt.Errorf("the certificate cannot be used: %s", strings.TrimPrefix(text, "tls: "))
	}
}

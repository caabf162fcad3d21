package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ClientTLS makes the settings for speaking TLS to a service: ca holds the authorities to believe, in PEM, empty the
// system's; cert and key our own certificate, both or neither; serverName the name that the service's certificate must
// carry, empty the endpoint's host. TLS 1.2 is the least that is spoken. With insecure any certificate will do.
func ClientTLS(ca, cert, key []byte, serverName string, insecure bool) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName, InsecureSkipVerify: insecure}
	if len(ca) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("the caFile holds no certificate in PEM (a block that begins with -----BEGIN CERTIFICATE-----)")
		}
	}
	switch {
	case len(cert) == 0 && len(key) == 0:
		return c, nil
	case len(cert) == 0:
		return nil, errors.New("there is a keyFile and no certFile for it")
	case len(key) == 0:
		return nil, errors.New("there is a certFile and no keyFile for it")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, pairError(err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// pairError says in our words what a person gets wrong most often. crypto/tls tells it by text only.
func pairError(err error) error {
	switch err.Error() {
	case "tls: private key does not match public key", "tls: private key type does not match public key type":
		return fmt.Errorf("the key in keyFile does not fit the certificate in certFile: %w", err)
	}
	return fmt.Errorf("certFile and keyFile cannot be used: %w", err)
}

// forDial is the settings for one endpoint: the protocols offered, the name asked for, and sessions to take up again.
func forDial(c *tls.Config, host string, http2 bool) *tls.Config {
	c = c.Clone()
	if c.ServerName == "" {
		c.ServerName = host
	}
	c.NextProtos = []string{"http/1.1"}
	if http2 {
		c.NextProtos = []string{"h2"}
	}
	if c.ClientSessionCache == nil {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(maxSessions)
	}
	return c
}

const maxSessions = 32 // TLS sessions kept for an endpoint

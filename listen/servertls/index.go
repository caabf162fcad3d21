package servertls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
)

var errNoCertificates = errors.New("servertls: no certificates")

// An Index finds the certificates of a name: those that name it outright, else those whose wildcard stands for its
// first label (RFC 6125 section 6.4.3), else the first of all.
type Index struct {
	exact    map[string][]*tls.Certificate
	wildcard map[string][]*tls.Certificate // by what follows "*."
	all      []tls.Certificate
}

// NewIndex indexes certificates, which must not change after.
func NewIndex(certificates []tls.Certificate) *Index {
	ix := &Index{
		exact:    make(map[string][]*tls.Certificate),
		wildcard: make(map[string][]*tls.Certificate),
		all:      certificates,
	}
	for i := range certificates {
		ix.add(&certificates[i])
	}
	return ix
}

func (ix *Index) add(c *tls.Certificate) {
	leaf := leafOf(c)
	if leaf == nil {
		return // reachable as the first only
	}
	for _, name := range leaf.DNSNames {
		name = canonical(name)
		if parent, ok := strings.CutPrefix(name, "*."); ok {
			ix.wildcard[parent] = append(ix.wildcard[parent], c)
		} else {
			ix.exact[name] = append(ix.exact[name], c)
		}
	}
}

// Choose is the certificate for a handshake. Of several for one name it takes the first that the client can verify, so
// that an ECDSA and an RSA certificate may stand side by side.
func (ix *Index) Choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	fitting := ix.fitting(hello.ServerName)
	if len(fitting) == 0 {
		return nil, errNoCertificates
	}
	if len(fitting) == 1 {
		return fitting[0], nil
	}
	for _, c := range fitting {
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return fitting[0], nil
}

// Covers reports whether a certificate that a handshake for serverName may have got is valid for host, a name in lower
// case or an IP address. It does not remember which of several it was: they stand for the same name.
func (ix *Index) Covers(serverName, host string) bool {
	for _, c := range ix.fitting(serverName) {
		if leaf := leafOf(c); leaf != nil && leaf.VerifyHostname(host) == nil {
			return true
		}
	}
	return false
}

func (ix *Index) fitting(serverName string) []*tls.Certificate {
	name := canonical(serverName)
	if found := ix.exact[name]; found != nil {
		return found
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if found := ix.wildcard[parent]; found != nil {
			return found
		}
	}
	if len(ix.all) == 0 {
		return nil
	}
	return []*tls.Certificate{&ix.all[0]}
}

func leafOf(c *tls.Certificate) *x509.Certificate {
	if c.Leaf != nil {
		return c.Leaf
	}
	if len(c.Certificate) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// canonical is a host name as it is compared: lower case, no final dot.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

package compile

import (
	"crypto/tls"
	"slices"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/listen/servertls"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
)

// listeners makes the listeners without their tables, which routes fills in.
func (k *compiler) listeners(s *snapshot.Snapshot) {
	for i := range k.config.Listeners {
		s.Listeners = append(s.Listeners, k.listener(index("listeners", i), &k.config.Listeners[i]))
	}
}

func (k *compiler) listener(at string, c *config.Listener) *snapshot.Listener {
	l := &snapshot.Listener{
		Name:           c.Name,
		Address:        c.Address,
		HTTP1:          slices.Contains(c.Protocols, "http1"),
		HTTP2:          slices.Contains(c.Protocols, "http2"),
		TrustedProxies: c.TrustedProxies,
		ProxyProtocol:  c.ProxyProtocol,
		Limits:         limits(&c.Limits),
		Series:         telemetry.NewListenerSeries(c.Name),
		UnmatchedStats: telemetry.NewRouteSeries(c.Name, ""),
	}
	if c.TLS != nil {
		l.TLS, l.TLSKey = k.serverTLS(at+".tls", c)
	}
	if before := k.previousListener(c.Name); before != nil {
		l.Series, l.UnmatchedStats = before.Series, before.UnmatchedStats
		if before.TLSKey == l.TLSKey {
			l.TLS = before.TLS // and with it the session tickets that clients hold
		}
	}
	return l
}

func (k *compiler) previousListener(name string) *snapshot.Listener {
	if k.Previous == nil {
		return nil
	}
	return k.Previous.Listener(name)
}

func limits(c *config.Limits) snapshot.Limits {
	return snapshot.Limits{
		HeaderBytes: int(c.HeaderBytes), HeaderCount: c.HeaderCount, URIBytes: int(c.URIBytes),
		HeaderTimeout: c.HeaderTimeout, IdleTimeout: c.IdleTimeout, StallTimeout: c.StallTimeout,
		StreamIdleTimeout: c.StreamIdleTimeout, BodyBytes: int64(c.BodyBytes),
		Connections: c.Connections, Streams: c.Streams,
	}
}

// serverTLS reads the files and hands them on. A mistake in one of them is placed at the setting that names it.
func (k *compiler) serverTLS(at string, c *config.Listener) (*tls.Config, string) {
	settings := servertls.Settings{MinVersion: c.TLS.MinVersion, Protocols: c.Protocols}
	sum := newKey(append([]string{c.TLS.MinVersion}, c.Protocols...)...)
	ok := k.certificates(at+".certificates", c.TLS.Certificates, &settings, sum)
	if auth := c.TLS.ClientAuth; auth != nil {
		settings.ClientAuth = auth.Mode
		ok = k.clientCA(at+".clientAuth.caFile", auth, &settings, sum) && ok
	}
	if !ok {
		return nil, ""
	}
	for _, w := range settings.Warnings() {
		k.warnf(at+".certificates", "%s", w)
	}
	return settings.Config(), sum.String()
}

func (k *compiler) certificates(at string, pairs []config.Certificate, settings *servertls.Settings, sum *key) bool {
	ok := true
	for i, pair := range pairs {
		here := index(at, i)
		cert, readCert := k.file(here+".certFile", pair.CertFile)
		private, readKey := k.file(here+".keyFile", pair.KeyFile)
		if !readCert || !readKey {
			ok = false
			continue
		}
		sum.add(cert, private)
		if err := settings.Add(cert, private); err != nil {
			k.errorf(here, "%s and %s: %v", pair.CertFile, pair.KeyFile, err)
			ok = false
		}
	}
	return ok
}

func (k *compiler) clientCA(at string, auth *config.ClientAuth, settings *servertls.Settings, sum *key) bool {
	ca, read := k.file(at, auth.CAFile)
	if !read {
		return false
	}
	sum.add([]byte(auth.Mode), ca)
	if err := settings.AddClientCA(ca); err != nil {
		k.errorf(at, "%s: %v", auth.CAFile, err)
		return false
	}
	return true
}

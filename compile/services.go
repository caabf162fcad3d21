package compile

import (
	"crypto/tls"
	"net/url"
	"strconv"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream"
	"github.com/sluice-gateway/sluice/upstream/transport"
)

func (k *compiler) services() map[string]*upstream.Service {
	k.built = make(map[string]*upstream.Service, len(k.config.Services))
	k.affinities = make(map[string]*backend.Affinity, len(k.config.Services))
	for i := range k.config.Services {
		svc := &k.config.Services[i]
		k.built[svc.Name] = k.service(index("services", i), svc)
	}
	k.bindFallbacks()
	return k.built
}

func (k *compiler) service(at string, c *config.Service) *upstream.Service {
	before := k.previousService(c.Name)
	spec := upstream.Spec{
		Name:     c.Name,
		Protocol: upstream.Protocol(c.Protocol),
		Host:     c.Host,
		Upgrades: c.Upgrades,
		Balance:  upstream.Balance{Policy: c.Balance.Policy, Secret: string(c.Balance.Secret)},
		Connections: upstream.Connections{
			Max: c.Connections.Max, MaxIdle: c.Connections.MaxIdle, IdleTimeout: c.Connections.IdleTimeout,
			ConnectTimeout: c.Connections.ConnectTimeout, Pending: c.Connections.Pending,
		},
		RetryBudget: upstream.RetryBudget{Percent: c.RetryBudget.Percent, MinPerSecond: c.RetryBudget.MinPerSecond},
		Panic:       c.Panic,
		Events:      k.Metrics.Events(),
		SlowStart:   c.SlowStart,
		Zone:        k.config.Zone,
	}
	if before != nil {
		spec.Series = before.Series()
	} else {
		spec.Series = telemetry.NewServiceSeries(c.Name)
	}
	for i, e := range c.Endpoints {
		u, err := url.Parse(e.URL)
		if err != nil {
			k.errorf(index(at+".endpoints", i)+".url", "%v", err)
			continue
		}
		spec.Endpoints = append(spec.Endpoints, upstream.EndpointSpec{URL: u, Weight: e.Weight, Zone: e.Zone})
	}
	k.affinities[c.Name] = k.affinity(at+".balance", c)
	k.resilience(at, c, &spec)
	spec.TLS, spec.TLSKey = k.clientTLS(at+".tls", c.TLS)
	spec.Discovery, spec.DiscoveryKey = k.discovery(at+".discovery", c.Discovery)
	return upstream.New(spec, before)
}

func (k *compiler) previousService(name string) *upstream.Service {
	if k.Previous == nil {
		return nil
	}
	return k.Previous.Services[name]
}

// clientTLS is how a service's endpoints are spoken to over TLS. The key changes with every byte of every file, so a
// renewed certificate makes new connections.
func (k *compiler) clientTLS(at string, c *config.ServiceTLS) (*tls.Config, string) {
	if c == nil {
		c = &config.ServiceTLS{}
	}
	var ca, cert, private []byte
	ok := true
	for _, f := range []struct {
		name, field string
		into        *[]byte
	}{{c.CAFile, ".caFile", &ca}, {c.CertFile, ".certFile", &cert}, {c.KeyFile, ".keyFile", &private}} {
		if f.name == "" {
			continue
		}
		data, read := k.file(at+f.field, f.name)
		*f.into, ok = data, ok && read
	}
	if !ok {
		return &tls.Config{}, ""
	}
	settings, err := transport.ClientTLS(ca, cert, private, c.ServerName, c.InsecureSkipVerify)
	if err != nil {
		k.errorf(at, "%v", err)
		return &tls.Config{}, ""
	}
	sum := newKey(c.ServerName, strconv.FormatBool(c.InsecureSkipVerify))
	sum.add(ca, cert, private)
	return settings, sum.String()
}

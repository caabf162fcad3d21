package compile

import (
	"crypto/tls"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/upstream"
	"github.com/sluice-gateway/sluice/upstream/discovery"
	"github.com/sluice-gateway/sluice/upstream/discovery/consul"
	"github.com/sluice-gateway/sluice/upstream/discovery/dns"
	"github.com/sluice-gateway/sluice/upstream/discovery/file"
	"github.com/sluice-gateway/sluice/upstream/discovery/poll"
)

// discovery says how a service's endpoints are found, and the key of it: while that stays the same, the service of the
// next snapshot goes on with the discovery of this one. It is nil for a service that lists its endpoints.
func (k *compiler) discovery(at string, c *config.Discovery) (*upstream.Discovery, string) {
	if c == nil {
		return nil, ""
	}
	var source discovery.Source
	sum := newKey(c.Scheme, strconv.FormatBool(c.AllowEmpty))
	switch {
	case c.DNS != nil:
		source = dnsSource(c, sum)
	case c.File != nil:
		sum.words("file", c.File.Path)
		source = file.New(c.File.Path, c.Scheme)
	case c.Consul != nil:
		source = k.consulSource(at+".consul", c, sum)
	case c.HTTP != nil:
		source = k.httpSource(at+".http", c, sum)
	default:
		return nil, "" // which is a mistake that config reports
	}
	return &upstream.Discovery{Source: source, AllowEmpty: c.AllowEmpty}, sum.String()
}

func dnsSource(c *config.Discovery, sum *key) discovery.Source {
	d := c.DNS
	sum.words("dns", d.Name, d.Type, strconv.Itoa(d.Port), d.Server, d.MinTTL.String(), d.MaxTTL.String(), d.Timeout.String())
	return dns.New(dns.Config{
		Name: d.Name, Type: d.Type, Port: d.Port, Scheme: c.Scheme, Server: d.Server,
		MinTTL: d.MinTTL, MaxTTL: d.MaxTTL, Timeout: d.Timeout,
	})
}

func (k *compiler) consulSource(at string, c *config.Discovery, sum *key) discovery.Source {
	d := c.Consul
	settings, tlsKey := k.askingTLS(at+".tls", d.TLS)
	sum.words("consul", d.Service, d.Address, string(d.Token), d.Datacenter, d.Namespace, strings.Join(d.Tags, "\x00"), d.ZoneMeta,
		d.Wait.String(), tlsKey)
	return consul.New(consul.Config{
		Service: d.Service, Address: d.Address, Datacenter: d.Datacenter, Namespace: d.Namespace, Tags: d.Tags,
		Token: string(d.Token), Scheme: c.Scheme, ZoneMeta: d.ZoneMeta, Wait: d.Wait, TLS: settings,
	})
}

func (k *compiler) httpSource(at string, c *config.Discovery, sum *key) discovery.Source {
	d := c.HTTP
	settings, tlsKey := k.askingTLS(at+".tls", d.TLS)
	sum.words("http", d.URL, d.Interval.String(), d.Timeout.String(), string(d.Token), tlsKey)
	return poll.New(poll.Config{
		URL: d.URL, Scheme: c.Scheme, Interval: d.Interval, Timeout: d.Timeout, Token: string(d.Token), TLS: settings,
	})
}

// askingTLS is clientTLS for one whom the gateway asks.
func (k *compiler) askingTLS(at string, c *config.ServiceTLS) (*tls.Config, string) {
	if c == nil {
		return nil, ""
	}
	return k.clientTLS(at, c)
}

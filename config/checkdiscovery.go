package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// endpointsOrDiscovery checks that a service says where it runs, in one way.
func (k *checker) endpointsOrDiscovery(s *Service, path string) {
	switch {
	case s.Discovery != nil && k.written(path+".endpoints"):
		k.errorAt(path+".discovery", "remove one of the two", "the endpoints of a service are listed or discovered, not both")
	case s.Discovery == nil && !k.written(path+".endpoints") && !k.written(path+".discovery") && !k.faulty(path):
		k.errorAt(path, "list them, or write `discovery` to have them found", "the key `endpoints` is missing")
	}
	if s.Discovery != nil {
		k.discovery(s.Discovery, path+".discovery")
	}
}

func (k *checker) discovery(d *Discovery, path string) {
	var given []string
	for _, kind := range []struct {
		name  string
		given bool
	}{{"dns", d.DNS != nil}, {"file", d.File != nil}, {"consul", d.Consul != nil}, {"http", d.HTTP != nil}} {
		if kind.given {
			given = append(given, kind.name)
		}
	}
	switch {
	case len(given) == 0 && !k.faulty(path):
		k.errorAt(path, "write one of dns, file, consul and http", "nothing says how the endpoints are found")
	case len(given) > 1:
		k.errorAt(path, "keep one of them", "endpoints are found in one way, not by "+strings.Join(given, " and "))
	}
	if d.DNS != nil {
		k.dnsDiscovery(d.DNS, path+".dns")
	}
	if c := d.Consul; c != nil {
		k.askedURL(c.Address, path+".consul.address", false)
		k.discoveryTLS(c.TLS, c.Address, path+".consul.tls")
	}
	if h := d.HTTP; h != nil {
		k.askedURL(h.URL, path+".http.url", true)
		k.discoveryTLS(h.TLS, h.URL, path+".http.tls")
	}
}

func (k *checker) dnsDiscovery(d *DNSDiscovery, path string) {
	if d.Name != "" && !isDNSName(d.Name) {
		k.errorAt(path+".name", "", fmt.Sprintf("`%s` is no name that DNS can be asked for", clip(d.Name)))
	}
	if _, err := netip.ParseAddr(d.Name); err == nil {
		k.errorAt(path+".name", "write it under `endpoints`", "this is an address already")
	}
	switch srv := d.Type == "SRV"; {
	case srv && k.written(path+".port"):
		k.errorAt(path+".port", "remove it", "SRV records have their own ports")
	case !srv && d.Port == 0 && !k.faulty(path):
		k.errorAt(path, "", "the key `port` is missing")
	}
	if d.MinTTL > d.MaxTTL && !k.faulty(path) {
		k.errorAt(path+".minTTL", "", fmt.Sprintf("minTTL, %v, is more than maxTTL, %v", d.MinTTL, d.MaxTTL))
	}
	if d.Server != "" && !isServer(d.Server) {
		k.errorAt(path+".server", "host:port, or a host alone for port 53", fmt.Sprintf("`%s` is no server", clip(d.Server)))
	}
}

var dnsLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

func isDNSName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !dnsLabel.MatchString(label) {
			return false
		}
	}
	return true
}

func isServer(s string) bool {
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return ip.IsValid()
	}
	if isDNSName(s) {
		return true
	}
	a, err := parseAddress(s)
	return err == nil && a.path == "" && a.host != "" && a.port != 0
}

// askedURL checks a URL that the gateway itself asks. Of Consul only the address is given; the path is ours.
func (k *checker) askedURL(s, path string, whole bool) {
	if s == "" {
		return
	}
	if err := parseAsked(s, whole); err != nil {
		k.errorAt(path, "http://host:port or https://host:port", fmt.Sprintf("`%s`: %v", k.hideUserinfo(path, s), err))
	}
}

func parseAsked(s string, whole bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("malformed URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the scheme is http or https")
	case u.User != nil:
		return errors.New("a URL carries no credentials here; `token` does")
	case u.Hostname() == "":
		return errors.New("there is no host")
	case u.Port() != "" && !validPort(u.Port()), strings.HasSuffix(u.Host, ":"):
		return errors.New("the port is a number from 1 to 65535")
	case u.Fragment != "":
		return errors.New("a fragment is never sent")
	case !whole && (u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery):
		return errors.New("only scheme, host and port stand here")
	}
	return nil
}

func (k *checker) discoveryTLS(t *ServiceTLS, asked, path string) {
	if t != nil {
		u, err := url.Parse(asked)
		k.tlsSettings(t, path, "between the gateway and what tells it the endpoints")
		if err == nil && u.Scheme == "http" {
			k.add(Warning, path, "write https:// in the URL", "the URL is not https, so the tls settings do nothing")
		}
	}
}

package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

func (k *checker) service(s *Service, path string) {
	k.endpointsOrDiscovery(s, path)
	seen := make(map[string]bool)
	https, broken := s.Discovery != nil, false // what is found may be
	for i, e := range s.Endpoints {
		at := fmt.Sprintf("%s.endpoints[%d].url", path, i)
		scheme, err := parseEndpoint(e.URL)
		switch {
		case e.URL == "":
		case err != nil:
			k.errorAt(at, "http://host:port, https://host:port or unix:/path",
				fmt.Sprintf("`%s`: %v", k.hideUserinfo(at, e.URL), err))
		case seen[e.URL]:
			k.errorAt(at, "use weight to give it a larger share", fmt.Sprintf("`%s` is listed twice", clip(e.URL)))
		}
		seen[e.URL] = true
		https, broken = https || scheme == "https", broken || err != nil
	}
	k.endpointCount(s, path+".endpoints")
	k.balance(s, path+".balance")
	k.slowStart(s, path+".slowStart")
	k.upgrades(s.Upgrades, path+".upgrades")
	k.resilience(s, path)
	if s.TLS != nil {
		k.serviceTLS(s.TLS, path+".tls", https || broken)
	}
}

// parseEndpoint checks an endpoint's URL and returns its scheme.
func parseEndpoint(s string) (scheme string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", errors.New("the path of a unix socket begins at the root")
		}
		return "unix", nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("malformed URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("the scheme is http, https or unix")
	case u.User != nil:
		return "", errors.New("a URL carries no credentials here; requestHeaders can set Authorization")
	case u.Hostname() == "":
		return "", errors.New("there is no host")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("an endpoint has no path or query; the rewrite filter changes paths")
	case u.Port() != "" && !validPort(u.Port()), strings.HasSuffix(u.Host, ":"):
		return "", errors.New("the port is a number from 1 to 65535")
	}
	return u.Scheme, nil
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// hideUserinfo is a malformed URL as a message may show it: not at all if there may be a password in it.
func (k *checker) hideUserinfo(path, url string) string {
	if !strings.Contains(url, "@") {
		return clip(url)
	}
	if n := k.root.at(path); n != nil {
		k.doc.addSecret(n)
	}
	return redacted
}

func (k *checker) upgrades(tokens []string, path string) {
	for i, token := range tokens {
		at := fmt.Sprintf("%s[%d]", path, i)
		name, version, versioned := strings.Cut(token, "/") // RFC 9110 section 7.8
		switch {
		case strings.EqualFold(name, "h2c"):
			k.errorAt(at, "", "an upgrade to h2c never passes: it would tunnel past every filter")
		case !isToken(name) || versioned && !isToken(version):
			k.errorAt(at, "", fmt.Sprintf("`%s` is no Upgrade token", clip(token)))
		}
	}
	k.duplicates(path, tokens)
}

func (k *checker) serviceTLS(t *ServiceTLS, path string, https bool) {
	k.tlsSettings(t, path, "between the gateway and the service")
	if !https {
		k.add(Warning, path, "write https:// in the url of the endpoints", "no endpoint is https, so the tls settings do nothing")
	}
}

// tlsSettings checks what holds whoever is spoken to; who says who that is.
func (k *checker) tlsSettings(t *ServiceTLS, path, who string) {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		k.errorAt(path+".certFile", "", "certFile needs keyFile")
	case t.KeyFile != "" && t.CertFile == "":
		k.errorAt(path+".keyFile", "", "keyFile needs certFile")
	}
	if t.InsecureSkipVerify {
		k.add(Warning, path+".insecureSkipVerify", "name the authority in caFile instead",
			"any certificate is accepted, so anyone "+who+" can read and change what passes")
	}
}

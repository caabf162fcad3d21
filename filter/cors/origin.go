package cors

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
)

// origins are those allowed: all, by name, or by a wildcard below a domain.
type origins struct {
	any   bool
	exact map[string]bool
	below []wildcard
}

// wildcard is https://*.example.com as "https://" and ".example.com", the port with the domain.
type wildcard struct{ scheme, domain string }

func newOrigins(written []string) (origins, error) {
	o := origins{exact: make(map[string]bool, len(written))}
	var errs []error
	if len(written) == 0 {
		errs = append(errs, filter.Setting("allowOrigins", `no origin is allowed: list some, or write "*" for all`))
	}
	for i, text := range written {
		if err := o.add(strings.ToLower(text)); err != nil {
			errs = append(errs, &filter.SettingError{Key: fmt.Sprintf("allowOrigins[%d]", i), Err: err})
		}
	}
	return o, errors.Join(errs...)
}

func (o *origins) add(text string) error {
	if text == "*" {
		o.any = true
		return nil
	}
	if text == "null" {
		return errors.New("null is the origin of any page in a sandboxed frame, so it protects nothing: leave it out, or write \"*\"")
	}
	concrete := strings.Replace(text, "://*.", "://x.", 1)
	if err := checkOrigin(concrete); err != nil {
		return err
	}
	if concrete == text {
		o.exact[text] = true
		return nil
	}
	scheme, domain, _ := strings.Cut(text, "*")
	o.below = append(o.below, wildcard{scheme, domain})
	return nil
}

// checkOrigin accepts what a browser can send (RFC 6454 section 6.2).
func checkOrigin(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return fmt.Errorf("%q is no origin: write https://app.example.com, https://*.example.com or \"*\"", text)
	}
	if text != u.Scheme+"://"+u.Host {
		return fmt.Errorf("an origin is a scheme, a host and perhaps a port: write %s://%s", u.Scheme, u.Host)
	}
	host, port, err := exchange.CanonicalHost(u.Host)
	if err != nil || strings.Contains(u.Host, "*") {
		return fmt.Errorf("%q is no host: a * stands only for what is before a domain, as in https://*.example.com", u.Host)
	}
	if u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return fmt.Errorf("browsers leave the scheme's own port out: write %s://%s", u.Scheme, host)
	}
	return nil
}

// allow compares in lower case, as browsers send origins and everybody means them.
func (o *origins) allow(origin string) bool {
	if o.any || o.exact[origin] {
		return true
	}
	origin = strings.ToLower(origin)
	if o.exact[origin] {
		return true
	}
	for _, w := range o.below {
		if w.matches(origin) {
			return true
		}
	}
	return false
}

// matches wants one or more whole labels where the * is: nothing that could end a host's name.
func (w wildcard) matches(origin string) bool {
	rest, ok := strings.CutPrefix(origin, w.scheme)
	if !ok {
		return false
	}
	labels, ok := strings.CutSuffix(rest, w.domain)
	if !ok || labels == "" || labels[0] == '[' {
		return false
	}
	host, port, err := exchange.CanonicalHost(labels)
	return err == nil && port == "" && host == labels
}

package config

import "fmt"

func (k *checker) listeners(c *Config) {
	if len(c.Listeners) == 0 && !k.faulty("listeners") {
		k.errorAt("listeners", `begin with listeners: [{name: public, address: ":8080"}]`, "there is no listener")
	}
	taken := sockets{paths: make(map[address]string), ports: make(map[uint16][]address)}
	take := func(path, text string) {
		a, err := parseAddress(text)
		if err != nil {
			return
		}
		if other := taken.take(a, path); other != "" {
			k.errorAt(path, "give each a place of its own", fmt.Sprintf("`%s` collides with %s", clip(text), other))
		}
	}
	if c.Admin != nil {
		// First, so that a collision with its default is reported where something is written.
		take("admin.address", c.Admin.Address)
	}
	for i := range c.Listeners {
		path := fmt.Sprintf("listeners[%d]", i)
		k.listener(&c.Listeners[i], path)
		take(path+".address", c.Listeners[i].Address)
	}
}

func (k *checker) listener(l *Listener, path string) {
	if l.Address != "" {
		if _, err := parseAddress(l.Address); err != nil {
			k.errorAt(path+".address", "", err.Error())
		}
	}
	if l.ProxyProtocol && len(l.TrustedProxies) == 0 && !k.faulty(path+".trustedProxies") {
		k.errorAt(path+".proxyProtocol", "name the proxies in trustedProxies",
			"proxyProtocol without trustedProxies would close every connection")
	}
	k.duplicates(path+".protocols", l.Protocols)
}

// duplicates reports what a list says twice.
func (k *checker) duplicates(path string, list []string) {
	seen := make(map[string]bool, len(list))
	for i, one := range list {
		if one != "" && seen[one] {
			k.errorAt(fmt.Sprintf("%s[%d]", path, i), "", fmt.Sprintf("`%s` is listed twice", clip(one)))
		}
		seen[one] = true
	}
}

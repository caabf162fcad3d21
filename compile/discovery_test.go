package compile

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// discoveryOf compiles the discovery of one service.
func discoveryOf(t *testing.T, text string) (source discovery.Source, key string) {
	t.Helper()
	text = "listeners: [{name: a, address: \":1\"}]\nservices: [{name: s, discovery: " + text + "}]\n"
	c, found := config.Parse([]config.File{{Name: "a.yaml", Data: []byte(text)}}, config.Options{})
	if found.HasErrors() {
		t.Fatal(found.Err())
	}
	k := &compiler{
		Options: Options{ReadFile: func(name string) ([]byte, error) { return []byte(name), nil }},
		config:  c, read: make(map[string][]byte),
	}
	d, key := k.discovery("services[0].discovery", c.Services[0].Discovery)
	if d == nil || key == "" {
		t.Fatalf("%s compiles to nothing", text)
	}
	return d.Source, key
}

// While the key is the same a reload keeps the discovery, so each setting that matters is in it, and a secret is not to be
// read out of it.
func TestEverySettingIsInTheKeyOfADiscovery(t *testing.T) {
	seen := make(map[string]string)
	for _, text := range []string{
		"{dns: {name: orders, port: 80}}",
		"{dns: {name: orders2, port: 80}}",
		"{dns: {name: orders, port: 81}}",
		"{dns: {name: orders, port: 80, type: AAAA}}",
		"{dns: {name: orders, port: 80, type: both}}",
		"{dns: {name: orders, type: SRV}}",
		"{dns: {name: orders, port: 80, server: 10.0.0.53}}",
		"{dns: {name: orders, port: 80, minTTL: 2s}}",
		"{dns: {name: orders, port: 80, maxTTL: 2m}}",
		"{dns: {name: orders, port: 80, timeout: 1s}}",
		"{dns: {name: orders, port: 80}, scheme: https}",
		"{dns: {name: orders, port: 80}, allowEmpty: true}",
		"{file: {path: orders}}",
		"{file: {path: orders.yaml}}",
		"{consul: {service: orders}}",
		"{consul: {service: users}}",
		"{consul: {service: orders, address: \"http://consul:8500\"}}",
		"{consul: {service: orders, token: s3cret}}",
		"{consul: {service: orders, datacenter: dc2}}",
		"{consul: {service: orders, namespace: team}}",
		"{consul: {service: orders, tags: [a, b]}}",
		"{consul: {service: orders, tags: [ab]}}",
		"{consul: {service: orders, zoneMeta: zone}}",
		"{consul: {service: orders, wait: 1m}}",
		"{http: {url: \"http://registry/orders\"}}",
		"{http: {url: \"http://registry/users\"}}",
		"{http: {url: \"http://registry/orders\", interval: 5s}}",
		"{http: {url: \"http://registry/orders\", timeout: 1s}}",
		"{http: {url: \"http://registry/orders\", token: s3cret}}",
	} {
		source, key := discoveryOf(t, text)
		if other, same := seen[key]; same {
			t.Errorf("%s and %s have one key", text, other)
		}
		seen[key] = text
		if _, again := discoveryOf(t, text); again != key {
			t.Errorf("%s has another key each time", text)
		}
		if strings.Contains(key+source.String(), "s3cret") {
			t.Errorf("%s: the secret shows in %s or %s", text, key, source)
		}
	}
}

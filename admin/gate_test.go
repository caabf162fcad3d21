package admin

import (
	"testing"

	"github.com/sluice-gateway/sluice/snapshot"
)

func TestForeignRequestsAreRefused(t *testing.T) {
	for _, c := range []struct {
		address string // admin.address
		fields  []string
		status  int
	}{
		{"127.0.0.1:9901", []string{"Host: 127.0.0.1:9901"}, 200},
		{"127.0.0.1:9901", []string{"Host: 10.1.2.3"}, 200},
		{"127.0.0.1:9901", []string{"Host: [::1]:9901"}, 200},
		{"127.0.0.1:9901", []string{"Host: [::1]"}, 200},
		{"127.0.0.1:9901", []string{"Host: localhost"}, 200},
		{"127.0.0.1:9901", []string{"Host: LOCALHOST.:9901"}, 200},
		{"admin.example.com:9901", []string{"Host: admin.example.com:9901"}, 200},
		{"admin.example.com.:9901", []string{"Host: Admin.Example.COM."}, 200},
		{"unix:/run/sluice.sock", []string{"Host: localhost"}, 200},

		{"127.0.0.1:9901", []string{"Host: evil.example"}, 403},
		{"127.0.0.1:9901", []string{"Host: evil.example:9901"}, 403},
		{"127.0.0.1:9901", []string{"Host: 127.0.0.1.evil.example"}, 403},
		{"127.0.0.1:9901", []string{"Host: localhost.evil.example"}, 403},
		{"127.0.0.1:9901", []string{"Host: notlocalhost"}, 403},
		{"127.0.0.1:9901", []string{"Host: [::1%25evil]:9901"}, 403},
		{"127.0.0.1:9901", []string{"Host: 2130706433"}, 403},
		{"127.0.0.1:9901", []string{"Host: "}, 403},
		{":9901", []string{"Host: "}, 403},
		{":9901", []string{"Host: :9901"}, 403},
		{"admin.example.com:9901", []string{"Host: example.com"}, 403},
		{"unix:/run/sluice.sock", []string{"Host: /run/sluice.sock"}, 403},
		{"", []string{"Host: "}, 403},

		{"127.0.0.1:9901", []string{"Host: 127.0.0.1:9901", "Origin: http://127.0.0.1:9901"}, 200},
		{"127.0.0.1:9901", []string{"Host: localhost:9901", "Origin: http://LOCALHOST:9901"}, 200},
		{"127.0.0.1:9901", []string{"Host: 127.0.0.1:9901", "Origin: http://127.0.0.1:8080"}, 403},
		{"127.0.0.1:9901", []string{"Host: 127.0.0.1:9901", "Origin: https://evil.example"}, 403},
		{"127.0.0.1:9901", []string{"Host: 127.0.0.1:9901", "Origin: null"}, 403},
		{"127.0.0.1:9901", []string{"Host: 127.0.0.1:9901", "Origin: "}, 403},
		{"127.0.0.1:9901", []string{"Host: 127.0.0.1:9901", "Origin: http://%zz"}, 403},
		{"127.0.0.1:9901", []string{"Host: 127.0.0.1:9901", "Origin: http://127.0.0.1:9901", "Origin: http://evil.example"}, 403},
	} {
		o := running(t, snapshot.Admin{Address: c.address})
		o.Status.Ready()
		for _, target := range []string{"/healthz", "/readyz", "/config"} {
			if w := ask(New(o), "GET", target, c.fields...); w.Code != c.status {
				t.Errorf("%s at %q with %q: %d, want %d", target, c.address, c.fields, w.Code, c.status)
			}
		}
	}
}

func TestToken(t *testing.T) {
	const plain, wrong = `Bearer realm="sluice admin"`, `Bearer realm="sluice admin", error="invalid_token"`
	closed := []string{"/", "/metrics", "/readyz?verbose", "/readyz?verbose=0", "/readyz?a=b&verbose", "/config", "/services", "/services/orders", "/events", "/debug/pprof/", "/no/such"}
	o := running(t, snapshot.Admin{Token: "s3cret"})
	o.Status.Ready()
	o.PProf = true
	api := New(o)
	for _, c := range []struct {
		fields    []string
		challenge string // empty: let in
	}{
		{nil, plain},
		{[]string{"Authorization: Bearer s3cret"}, ""},
		{[]string{"Authorization: bearer  s3cret"}, ""},
		{[]string{"Authorization: Bearer s3cre"}, wrong},
		{[]string{"Authorization: Bearer s3cret2"}, wrong},
		{[]string{"Authorization: Bearer S3CRET"}, wrong},
		{[]string{"Authorization: Bearer "}, wrong},
		{[]string{"Authorization: "}, wrong},
		{[]string{"Authorization: s3cret"}, wrong},
		{[]string{"Authorization: Basic s3cret"}, wrong},
		{[]string{"Authorization: Bearer s3cret", "Authorization: Bearer s3cret"}, wrong},
		{[]string{"Authorization: Bearer wrong", "Authorization: Bearer s3cret"}, wrong},
	} {
		for _, target := range closed {
			w := ask(api, "GET", target, c.fields...)
			if got := w.Header().Get("WWW-Authenticate"); (w.Code == 401) != (c.challenge != "") || got != c.challenge {
				t.Errorf("%s with %q: %d, challenge %q, want %q", target, c.fields, w.Code, got, c.challenge)
			}
		}
		for _, target := range []string{"/healthz", "/healthz?verbose", "/readyz", "/readyz?x"} {
			if w := ask(api, "GET", target, c.fields...); w.Code != 200 {
				t.Errorf("%s with %q: %d, want 200", target, c.fields, w.Code)
			}
		}
	}
}

func TestTheTokenIsThatOfTheConfigurationInForce(t *testing.T) {
	o := running(t, snapshot.Admin{Token: "first"})
	api := New(o)
	next := *o.Snapshots.Load()
	next.Admin.Token = "second"
	o.Snapshots.Swap(&next)
	for token, status := range map[string]int{"first": 401, "second": 200} {
		if w := ask(api, "GET", "/config", "Authorization: Bearer "+token); w.Code != status {
			t.Errorf("%s: %d, want %d", token, w.Code, status)
		}
	}
}

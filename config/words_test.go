package config

import (
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "64KiB": 64 << 10, "10MiB": 10 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40, "1.5KiB": 1536, "5kB": 5000, "5KB": 5000,
		"7B": 7, "3MB": 3e6, "1GB": 1e9, "1TB": 1e12, "9223372036854775807": 1<<63 - 1, "0.5KiB": 512,
	} {
		if have, err := ParseSize(text); err != nil || have != want {
			t.Errorf("%s is %d, %v", text, have, err)
		}
		if back, err := ParseSize(want.String()); err != nil || back != want {
			t.Errorf("%d is written %s", want, want)
		}
	}
	for _, text := range []string{
		"", "-1", "+1", "KiB", "1 KiB", "1kib", "1e3", "0x10", "1_000", "1/2", "9223372036854775808", "8388608TiB", "1.3B", "0.3KiB", ".5KiB",
		"1.KiB", "1.2.3", "10KiBMiB", "99999999999999999999999", "Inf", "NaN",
	} {
		if have, err := ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, have)
		}
	}
	if text, _ := Size(3 << 20).MarshalText(); string(text) != "3MiB" {
		t.Errorf("%s", text)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "250ms": 250 * time.Millisecond, "1m30s": 90 * time.Second, "24h": 24 * time.Hour, "-1s": -time.Second,
	} {
		if have, err := ParseDuration(text); err != nil || have != want {
			t.Errorf("%s is %v, %v", text, have, err)
		}
	}
	for _, text := range []string{"", "1", "5 s", "1d", "s", "999999999h"} {
		if have, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, have)
		}
	}
	for d, want := range map[time.Duration]string{0: "0", time.Minute: "1m", time.Hour: "1h", 10 * time.Second: "10s", 70 * time.Second: "1m10s", 90 * time.Minute: "1h30m", 3610 * time.Second: "1h0m10s"} {
		if have := shortDuration(d); have != want {
			t.Errorf("%v is written %s", d, have)
		}
	}
}

func TestRetryCondition(t *testing.T) {
	for text, want := range map[string]struct{ status, grpc int }{
		"connectFailure": {}, "reset": {}, "timeout": {}, "5xx": {}, "503": {503, 0}, "429": {429, 0},
		"grpc-cancelled": {0, 1}, "grpc-unavailable": {0, 14}, "grpc-unauthenticated": {0, 16},
	} {
		var c RetryCondition
		if err := c.UnmarshalText([]byte(text)); err != nil || c.Status() != want.status || c.GRPC() != want.grpc {
			t.Errorf("%s is %d, %d, %v", text, c.Status(), c.GRPC(), err)
		}
	}
	for _, text := range []string{"", "200", "600", "0503", "-503", "+503", "grpc-", "grpc-ok", "unavailable", "4xx"} {
		var c RetryCondition
		if err := c.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a condition", text)
		}
	}
}

func TestNearName(t *testing.T) {
	names := []string{"timeout", "retry", "tls", "idleTimeout", "streamIdleTimeout", "name"}
	for name, want := range map[string]string{
		"timout": "timeout", "Timeout": "timeout", "timeuot": "timeout", "idletimeout": "idleTimeout", "retyr": "retry", "nam": "name",
		"streamIdleTimout": "streamIdleTimeout", "ssl": "", "x": "", "": "", "colour": "", "tlss": "tls", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz": "",
	} {
		if have := nearName(name, names); have != want {
			t.Errorf("%q is near %q, want %q", name, have, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		a, b     string
		collides bool
	}{
		{":80", ":80", true}, {":81", ":82", false}, {":0", ":0", false}, {"127.0.0.1:80", ":80", true}, {"[::]:80", "10.0.0.1:80", true},
		{"0.0.0.0:80", "127.0.0.1:80", true}, {"0.0.0.0:80", "[::1]:80", false}, {"0.0.0.0:80", "localhost:80", true},
		{"127.0.0.1:80", "127.0.0.2:80", false}, {"LOCALHOST:80", "localhost:80", true}, {"unix:/a", "unix:/a", true},
		{"unix:/a", "unix:/b", false}, {"unix:/a", ":80", false},
	} {
		a, err1 := parseAddress(test.a)
		b, err2 := parseAddress(test.b)
		if err1 != nil || err2 != nil || a.collides(b) != test.collides || b.collides(a) != test.collides {
			t.Errorf("%s and %s: %v (%v, %v)", test.a, test.b, !test.collides, err1, err2)
		}
		for _, pair := range [][2]address{{a, b}, {b, a}} {
			taken := sockets{paths: make(map[address]string), ports: make(map[uint16][]address)}
			taken.take(address{host: "192.0.2.9", port: 79}, "bystander")
			taken.take(pair[0], "first")
			if other := taken.take(pair[1], "second"); (other != "") != test.collides {
				t.Errorf("%v after %v: %q", pair[1], pair[0], other)
			}
		}
	}
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true, "localhost:1": true, "LocalHost:1": true,
		"unix:/run/s": true, ":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "example.com:1": false, "nonsense": false,
	} {
		if isLoopback(address) != want {
			t.Errorf("%s: loopback is %v", address, !want)
		}
	}
	for _, address := range []string{"", "80", "a", ":", ":http", ":65536", ":-1", "::1:80", "http://a:80", "a b:80", "unix:a", "unix:"} {
		if a, err := parseAddress(address); err == nil {
			t.Errorf("%q is %+v", address, a)
		}
	}
}

func TestSecret(t *testing.T) {
	if s := Secret(""); s.String() != "" {
		t.Errorf("an empty secret is %s", s)
	}
	if text, err := Secret("x").MarshalText(); string(text) != redacted || err != nil {
		t.Errorf("%s %v", text, err)
	}
}

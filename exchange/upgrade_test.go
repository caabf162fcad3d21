package exchange

import (
	"net/http"
	"testing"
)

func TestUpgradeToken(t *testing.T) {
	both := func(token string) http.Header { return http.Header{"Connection": {"Upgrade"}, "Upgrade": {token}} }
	for _, test := range []struct {
		name   string
		header http.Header
		minor  int
		length int64
		want   string
	}{
		{"websocket", both("websocket"), 1, 0, "websocket"},
		{"case and space", both(" WebSocket "), 1, 0, "websocket"},
		{"among others in Connection", http.Header{"Connection": {"keep-alive", "foo, UPGRADE"}, "Upgrade": {"tls/1.0"}}, 1, 0, "tls/1.0"},
		{"not named in Connection", http.Header{"Connection": {"close"}, "Upgrade": {"websocket"}}, 1, 0, ""},
		{"no Connection", http.Header{"Upgrade": {"websocket"}}, 1, 0, ""},
		{"no Upgrade", http.Header{"Connection": {"Upgrade"}}, 1, 0, ""},
		{"two offers in one field", both("websocket, tls/1.0"), 1, 0, ""},
		{"two offers in two fields", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket", "tls/1.0"}}, 1, 0, ""},
		{"two words", both("websocket tls"), 1, 0, ""},
		{"empty", both(""), 1, 0, ""},
		{"h2c", both("h2c"), 1, 0, ""},
		{"H2C", both("H2C"), 1, 0, ""},
		{"HTTP/1.0", both("websocket"), 0, 0, ""},
		{"with a body", both("websocket"), 1, 5, ""},
		{"with a body of unknown length", both("websocket"), 1, -1, ""},
	} {
		in := &http.Request{Header: test.header, ProtoMajor: 1, ProtoMinor: test.minor, ContentLength: test.length}
		if got := UpgradeToken(in); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	in := &http.Request{Header: both("websocket"), ProtoMajor: 2}
	if got := UpgradeToken(in); got != "" {
		t.Errorf("HTTP/2: %q, want none", got)
	}
}

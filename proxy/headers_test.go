package proxy

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"net/textproto"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/exchange"
)

func TestRemoveHopByHop(t *testing.T) {
	for _, test := range []struct {
		name      string
		in, want  http.Header
		switching bool
	}{
		{
			name: "the standard ones and what Connection names",
			in: http.Header{"Connection": {"close, X-Secret", "x-other"}, "X-Secret": {"1"}, "X-Other": {"1"}, "Keep-Alive": {"5"},
				"Te": {"gzip"}, "Upgrade": {"h2c"}, "Transfer-Encoding": {"chunked"}, "Proxy-Authenticate": {"Basic"}, "Accept": {"*/*"}},
			want: http.Header{"Accept": {"*/*"}},
		},
		{
			name:      "a 101 keeps its Upgrade",
			in:        http.Header{"Connection": {"upgrade, X-Secret"}, "Upgrade": {"websocket"}, "X-Secret": {"1"}},
			want:      http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}},
			switching: true,
		},
		{
			name: "garbage in Connection names nothing",
			in:   http.Header{"Connection": {", ,;"}, "Accept": {"*/*"}},
			want: http.Header{"Accept": {"*/*"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			removeHopByHop(test.in, test.switching)
			if diff := cmp.Diff(test.want, test.in); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCopyFieldsDropsWhatClientsMustNotSay(t *testing.T) {
	in := http.Header{
		"Accept": {"*/*"}, "X-Forwarded-For": {"1.2.3.4"}, "X_forwarded_for": {"6.6.6.6"}, "X-Forwarded_proto": {"https"},
		"Forwarded": {"for=1.2.3.4"}, "X-Real-Ip": {"1.2.3.4"}, "X-Consumer-Name": {"root"}, "X_consumer_name": {"root"},
		"X-Consumer_groups": {"admins"}, "Connection": {"x-mine"}, "X-Mine": {"1"}, "X-Request-Id": {"forged"},
		"Content-Length": {"5"}, "Expect": {"100-continue"}, "Http2-Settings": {"AAM"}, "My_field": {"kept"}, "Host": {"x"},
	}
	for _, test := range []struct {
		name    string
		trusted bool
		want    http.Header
	}{
		{"from anybody", false, http.Header{"Accept": {"*/*"}, "My_field": {"kept"}}},
		{"from a trusted proxy", true, http.Header{"Accept": {"*/*"}, "My_field": {"kept"}, "X-Forwarded-For": {"1.2.3.4"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := make(http.Header)
			copyFields(out, in, test.trusted)
			if diff := cmp.Diff(test.want, out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSetForwarding(t *testing.T) {
	for _, test := range []struct {
		name string
		x    exchange.Exchange
		out  http.Header
		want http.Header
	}{
		{
			name: "a direct client",
			x:    exchange.Exchange{Client: netip.MustParseAddr("10.0.0.9"), Scheme: "http", Port: "8080"},
			out:  http.Header{},
			want: http.Header{"X-Forwarded-For": {"10.0.0.9"}, "X-Real-Ip": {"10.0.0.9"}, "X-Forwarded-Proto": {"http"},
				"X-Forwarded-Host": {"api.test:8080"}, "X-Forwarded-Port": {"8080"}, "Via": {"1.1 sluice"}},
		},
		{
			name: "behind a trusted proxy: appended, the proxy's word kept",
			x:    exchange.Exchange{Client: netip.MustParseAddr("203.0.113.7"), Scheme: "https", Trusted: true},
			out: http.Header{"X-Forwarded-For": {"203.0.113.7", "10.0.0.1"}, "X-Forwarded-Proto": {"https"},
				"X-Forwarded-Host": {"outside.test"}, "X-Forwarded-Port": {"443"}, "Via": {"1.1 edge"}},
			want: http.Header{"X-Forwarded-For": {"203.0.113.7, 10.0.0.1, 10.0.0.9"}, "X-Real-Ip": {"203.0.113.7"}, "X-Forwarded-Proto": {"https"},
				"X-Forwarded-Host": {"outside.test"}, "X-Forwarded-Port": {"443"}, "Via": {"1.1 edge", "1.1 sluice"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.x.Peer = netip.MustParseAddrPort("10.0.0.9:5000")
			test.x.RequestID = "id"
			test.x.In = &http.Request{Host: "api.test:8080", ProtoMajor: 1, ProtoMinor: 1}
			test.want["X-Request-Id"] = []string{"id"}
			(&life{x: &test.x}).setForwarding(test.out)
			if diff := cmp.Diff(test.want, test.out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// As lines the fields say the same as in a map.
func TestForwardingLines(t *testing.T) {
	for _, test := range []exchange.Exchange{
		{Scheme: "http", Port: "8080", In: &http.Request{Host: "api.test:8080", ProtoMajor: 1, ProtoMinor: 1}},
		{Scheme: "https", In: &http.Request{Host: "[2001:db8::1]", ProtoMajor: 2}},
		{Scheme: "http", In: &http.Request{ProtoMajor: 1}},
	} {
		test.Peer, test.RequestID = netip.MustParseAddrPort("[::ffff:10.0.0.9]:5000"), "id"
		test.Client = test.Peer.Addr().Unmap()
		l, want := &life{x: &test}, make(http.Header)
		l.setForwarding(want)
		lines := append(bytes.Clone(l.forwarding()), "\r\n"...)
		got, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(lines))).ReadMIMEHeader()
		if diff := cmp.Diff(want, http.Header(got)); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
}

// The engine dates an answer of which not all was read, but no 101, which is no answer to it.
func TestDate(t *testing.T) {
	for _, test := range []struct {
		reads  []string
		status int
		want   bool
	}{{nil, 200, true}, {[]string{}, 200, false}, {[]string{}, 101, true}} {
		x := exchange.Exchange{Reads: test.reads, Response: &http.Response{StatusCode: test.status}}
		(&life{x: &x}).finishHead()
		if _, got := x.Response.Header["Date"]; got != test.want {
			t.Errorf("%v %d: dated %v", test.reads, test.status, got)
		}
	}
}

// A value slice that In and Out share is never written in place.
func TestForwardingLeavesInAlone(t *testing.T) {
	shared := make([]string, 1, 8)
	shared[0] = "1.1 edge"
	x := exchange.Exchange{Peer: netip.MustParseAddrPort("10.0.0.9:5000"), In: &http.Request{Host: "x", ProtoMajor: 1, ProtoMinor: 1}}
	(&life{x: &x}).setForwarding(http.Header{"Via": shared})
	if got := shared[:2][1]; got != "" {
		t.Errorf("%q was written behind In's own values", got)
	}
}

func TestLoops(t *testing.T) {
	for _, test := range []struct {
		via  []string
		want int
	}{
		{nil, 0},
		{[]string{"1.1 sluice"}, 1},
		{[]string{"1.1 edge, 2.0 sluice", "1.1 sluice (x)"}, 2},
		{[]string{"1.1 sluicegate, sluice"}, 0},
	} {
		if got := loops(http.Header{"Via": test.via}); got != test.want {
			t.Errorf("loops(%q) = %d, want %d", test.via, got, test.want)
		}
	}
}

func TestRequestID(t *testing.T) {
	now := time.UnixMilli(0x0192_3456_789a)
	id := newRequestID(now)
	if len(id) != 36 || id[:15] != "01923456-789a-7" || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		t.Errorf("%q is no UUIDv7 of %v", id, now)
	}
	if v := id[19]; v != '8' && v != '9' && v != 'a' && v != 'b' {
		t.Errorf("the variant of %q is %q", id, v)
	}
	if again := newRequestID(now); again == id {
		t.Error("two ids are equal")
	}
	for _, test := range []struct {
		sent    string
		trusted bool
		kept    bool
	}{
		{"abc-123", true, true},
		{"abc-123", false, false},
		{"", true, false},
		{"a\nb", true, false},
		{`a"b`, true, false},
		{string(make([]byte, maxRequestID+1)), true, false},
	} {
		x := exchange.Exchange{Trusted: test.trusted, In: &http.Request{Header: http.Header{"X-Request-Id": {test.sent}}}}
		if got := requestID(&x); (got == test.sent) != test.kept {
			t.Errorf("of %q, trusted %v, came %q", test.sent, test.trusted, got)
		}
	}
}

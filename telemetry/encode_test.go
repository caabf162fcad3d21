package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/failure"
)

var start = time.Date(2026, 10, 3, 7, 5, 9, 42_999_999, time.FixedZone("", 2*3600))

// answered is an ordinary record.
func answered() *Record {
	return &Record{
		Start: start, Duration: 12_345_678, FirstByte: 11_000_999, Upstream: 10 * time.Millisecond,
		Listener: "public", Route: "orders", Service: "orders-v1", RequestID: "0199a2b4-7c1e-7000-8000-0123456789ab",
		Client: netip.MustParseAddr("192.0.2.7"), Consumer: "mobile-app",
		Method: "GET", Scheme: "https", Host: "api.example.com", Path: "/orders/17", Proto: "HTTP/1.1",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", Status: 200, RequestBytes: 0, ResponseBytes: 150,
		Attempts: []Attempt{{Endpoint: "10.0.0.1:8080", Duration: 10 * time.Millisecond, Status: 200}},
	}
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		name   string
		record *Record
		want   string
	}{
		{"answered", answered(), `{"time":"2026-10-03T05:05:09.042Z","request_id":"0199a2b4-7c1e-7000-8000-0123456789ab",` +
			`"client":"192.0.2.7","consumer":"mobile-app","listener":"public","method":"GET","scheme":"https",` +
			`"host":"api.example.com","path":"/orders/17","proto":"HTTP/1.1","status":200,"route":"orders",` +
			`"service":"orders-v1","endpoint":"10.0.0.1:8080","attempts":1,"duration_ms":12.345,"first_byte_ms":11.000,` +
			`"upstream_ms":10.000,"request_bytes":0,"response_bytes":150,` +
			`"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}`},
		{"retried in vain", &Record{
			Start: start, Duration: 3 * time.Second, FirstByte: 3 * time.Second, Upstream: 2*time.Second + time.Microsecond,
			Client: netip.MustParseAddr("2001:db8::1"), Method: "GET", Scheme: "http", Host: "h", Path: "/", Query: "a=1&b=%20",
			Proto: "HTTP/2.0", Route: "r", Service: "s", Status: 502,
			Attempts: []Attempt{
				{Endpoint: "a:1", Duration: time.Microsecond, Failure: failure.ConnectionRefused},
				{Endpoint: "b:1", Duration: 2 * time.Second, Status: 503},
			},
			Failure: &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionRefused, Detail: "The service is away.",
				Err: errors.New("dial tcp 10.0.0.1:80: connection refused")},
		}, `{"time":"2026-10-03T05:05:09.042Z","request_id":"","client":"2001:db8::1","method":"GET","scheme":"http","host":"h",` +
			`"path":"/","query":"a=1&b=%20","proto":"HTTP/2.0","status":502,"route":"r","service":"s","endpoint":"b:1",` +
			`"attempts":2,"attempt_list":[{"endpoint":"a:1","failure":"connection_refused","duration_ms":0.001},` +
			`{"endpoint":"b:1","status":503,"duration_ms":2000.000}],"duration_ms":3000.000,"first_byte_ms":3000.000,` +
			`"upstream_ms":2000.001,"request_bytes":0,"response_bytes":0,"failure":"connection_refused",` +
			`"failure_source":"upstream","reason":"The service is away.: dial tcp 10.0.0.1:80: connection refused"}`},
		{"nothing known", &Record{}, `{"time":"0001-01-01T00:00:00.000Z","request_id":"","client":"","method":"","scheme":"",` +
			`"host":"","path":"","proto":"","status":0,"attempts":0,"duration_ms":0.000,"request_bytes":0,"response_bytes":0}`},
		{"hostile", &Record{
			RequestID: "a\",\"status\":200,\"x\":\"", Method: "G\x00T", Host: "h\\", Path: "/a\nb\r\tc\x1b[2J\x7f",
			Proto: "\xff\xc3\x28", UserAgent: "\u202eé\u2028\u0085😀<&>\ufeff", Client: netip.MustParseAddr(`fe80::1%"},{`),
			Failure: failure.Request(400, "bad\nline"), Status: 400,
		}, `{"time":"0001-01-01T00:00:00.000Z","request_id":"a\",\"status\":200,\"x\":\"","client":"fe80::1%\"},{",` +
			`"method":"G\u0000T","scheme":"","host":"h\\","path":"/a\nb\r\tc\u001b[2J\u007f","proto":"\ufffd\ufffd(","status":400,` +
			`"attempts":0,"duration_ms":0.000,"request_bytes":0,"response_bytes":0,` +
			`"user_agent":"\u202eé\u2028\u0085😀<&>\ufeff","failure":"http_request_error","failure_source":"client","reason":"bad\nline"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(appendRecord(nil, c.record))
			if got != c.want+"\n" {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if !json.Valid([]byte(got)) {
				t.Error("it is not JSON")
			}
		})
	}
}

func TestReasonKeepsQueriesOut(t *testing.T) {
	wrapped := &url.Error{Op: "Get", URL: "http://h/?key=secret", Err: errors.New("EOF")}
	for _, c := range []struct {
		f    failure.Error
		want string
	}{
		{failure.Error{Err: wrapped}, "EOF"},
		{failure.Error{Err: wrapped, Detail: "It broke."}, "It broke.: EOF"},
		{failure.Error{Detail: "It broke."}, "It broke."},
		{failure.Error{}, ""},
	} {
		if got := reason(&c.f); got != c.want {
			t.Errorf("reason = %q, want %q", got, c.want)
		}
	}
}

func TestLongFieldsAreCut(t *testing.T) {
	r := answered()
	r.UserAgent = strings.Repeat("\x01", 1<<20)
	r.Path = "/" + strings.Repeat("é", 1<<20)
	line := appendRecord(nil, r)
	var got struct {
		Path      string `json:"path"`
		UserAgent string `json:"user_agent"`
	}
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if got.UserAgent != strings.Repeat("\x01", maxField)+"…" {
		t.Errorf("user_agent has %d bytes, want %d and the sign of a cut", len(got.UserAgent), maxField)
	}
	if !strings.HasSuffix(got.Path, "…") || len(got.Path) > maxField+10 {
		t.Errorf("path has %d bytes and ends in %q", len(got.Path), got.Path[len(got.Path)-10:])
	}
}

func TestTheWorstLineFitsTheBuffer(t *testing.T) {
	worst := strings.Repeat("\x01", 1<<20)
	r := &Record{
		RequestID: worst, Method: worst, Host: worst, Path: worst, Query: worst, Proto: worst, UserAgent: worst,
		Failure: failure.Request(400, worst),
	}
	if n := len(appendRecord(nil, r)); n > bufferSize/2 {
		t.Errorf("a client can make a line of %d bytes, want at most %d", n, bufferSize/2)
	}
}

func TestManyAttemptsAreToldInPart(t *testing.T) {
	r := answered()
	r.Attempts = make([]Attempt, 100)
	r.Attempts[99].Endpoint = "last:1"
	var got struct {
		Endpoint string `json:"endpoint"`
		Attempts int    `json:"attempts"`
		List     []any  `json:"attempt_list"`
	}
	if err := json.Unmarshal(appendRecord(nil, r), &got); err != nil {
		t.Fatal(err)
	}
	if got.Attempts != 100 || len(got.List) != maxAttempts || got.Endpoint != "last:1" {
		t.Errorf("%d attempts, %d told, last at %q", got.Attempts, len(got.List), got.Endpoint)
	}
}

func TestTimeIsRFC3339(t *testing.T) {
	for _, c := range []time.Time{
		start, {}, time.Unix(0, 0), time.Date(1999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(2024, 2, 29, 0, 0, 0, 1_000_000, time.FixedZone("", -11*3600)),
	} {
		if got, want := string(appendTime(nil, c)), c.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("%v is %s, want %s", c, got, want)
		}
	}
	for _, c := range []struct {
		year int
		want string
	}{{-5, "0000-"}, {12345, "9999-"}} {
		if got := string(appendTime(nil, time.Date(c.year, 1, 1, 0, 0, 0, 0, time.UTC))); !strings.HasPrefix(got, c.want) {
			t.Errorf("year %d is %s", c.year, got)
		}
	}
}

func TestMillis(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.000", 999: "0.000", time.Microsecond: "0.001", -time.Hour: "0.000", 1_234_567: "1.234", time.Hour: "3600000.000",
		1<<63 - 1: "9223372036854.775",
	} {
		if got := string(appendMillis(nil, "", d)); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

// FuzzRecord: whatever comes in is one line, valid JSON, shows no control characters, and reads back as it went in.
func FuzzRecord(f *testing.F) {
	f.Add("/orders", "curl/8", "example.com", "fe80::1%\"", "", int64(5), int64(1e9))
	f.Add("/\n{}", "\xff\x00\u2028", "\\\"", "::1", "x=1", int64(-1), int64(-1))
	f.Fuzz(func(t *testing.T, path, agent, host, client, query string, bytesOut, nanos int64) {
		addr, _ := netip.ParseAddr(client)
		r := &Record{
			Start: time.Unix(0, nanos), Duration: time.Duration(nanos), FirstByte: time.Duration(nanos), Path: path, UserAgent: agent,
			Host: host, Client: addr, Query: query, ResponseBytes: bytesOut, RequestID: agent, Method: host,
			Attempts: []Attempt{{Endpoint: host}, {Endpoint: path, Failure: failure.Kind(query)}},
			Failure:  &failure.Error{Detail: path, Err: errors.New(agent)},
		}
		line := appendRecord(nil, r)
		text, ok := bytes.CutSuffix(line, newline)
		if !ok {
			t.Fatal("the line does not end")
		}
		for i := 0; i < len(text); {
			c, size := utf8.DecodeRune(text[i:])
			if unicode.IsControl(c) || c == utf8.RuneError || c == 0x2028 || c == 0x2029 {
				t.Fatalf("%q is on the line", c)
			}
			i += size
		}
		var got struct {
			Path   string  `json:"path"`
			Agent  string  `json:"user_agent"`
			Host   string  `json:"host"`
			Query  string  `json:"query"`
			Client string  `json:"client"`
			Bytes  int64   `json:"response_bytes"`
			Millis float64 `json:"duration_ms"`
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		if err := decoder.Decode(&got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if decoder.InputOffset() != int64(len(text)) {
			t.Fatalf("there is more on the line: %s", text)
		}
		if len(path) <= maxField && got.Path != valid(path) || len(agent) <= maxField && got.Agent != valid(agent) ||
			len(host) <= maxField && got.Host != valid(host) || len(query) <= maxField && got.Query != valid(query) {
			t.Fatalf("%q %q %q %q read back as %+v", path, agent, host, query, got)
		}
		if addr.IsValid() && len(client) < maxField && got.Client != valid(addr.String()) || got.Bytes != bytesOut || got.Millis < 0 {
			t.Fatalf("read back as %+v", got)
		}
	})
}

// valid is s with every byte that is no UTF-8 replaced.
func valid(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	r := answered()
	b := make([]byte, 0, 4<<10)
	if n := testing.AllocsPerRun(100, func() { b = appendRecord(b[:0], r) }); n != 0 {
		t.Errorf("%v allocations a line, want none", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	r := answered()
	line := make([]byte, 0, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		line = appendRecord(line[:0], r)
	}
	b.SetBytes(int64(len(line)))
}

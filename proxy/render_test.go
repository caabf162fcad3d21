package proxy_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/failure"
)

func TestFailureIsAProblem(t *testing.T) {
	for _, test := range []struct {
		name string
		f    *failure.Error
		want string // the header, then the body but for the request id
	}{
		{"of the client", failure.Denied(403, "The address is not allowed."), `403
Cache-Control: no-store
Content-Type: application/problem+json
Date: …
Proxy-Status: sluice; error=http_request_denied; details="The address is not allowed."
X-Request-Id: …

{"type":"about:blank","title":"Forbidden","status":403,"detail":"The address is not allowed.","error":"http_request_denied","requestId":"…"}
`},
		{"of the upstream, whose cause is not told", &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionRefused, Err: errSecret}, `502
Cache-Control: no-store
Content-Type: application/problem+json
Date: …
Proxy-Status: sluice; error=connection_refused
X-Request-Id: …

{"type":"about:blank","title":"Bad Gateway","status":502,"error":"connection_refused","requestId":"…"}
`},
		{"that passes", &failure.Error{Source: failure.Upstream, Kind: failure.DestinationUnavailable}, `503
Cache-Control: no-store
Content-Type: application/problem+json
Date: …
Proxy-Status: sluice; error=destination_unavailable
Retry-After: 1
X-Request-Id: …

{"type":"about:blank","title":"Service Unavailable","status":503,"error":"destination_unavailable","requestId":"…"}
`},
		{"with fields of its own and a detail to be escaped",
			&failure.Error{Kind: failure.HTTPRequestDenied, Status: 429, Detail: "say \"hé\"\r\nX: y", Header: http.Header{"retry-after": {"7"}}}, `429
Cache-Control: no-store
Content-Type: application/problem+json
Date: …
Proxy-Status: sluice; error=http_request_denied; details="say 'h''''X: y"
Retry-After: 7
X-Request-Id: …

{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"say \"hé\"\r\nX: y","error":"http_request_denied","requestId":"…"}
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := failing(t, test.f).do(t, request("/"))
			id := w.header.Get("X-Request-Id")
			have := strconv.Itoa(w.status) + "\n" + head(w.header) + "\n" + strings.ReplaceAll(w.body, id, "…")
			if diff := cmp.Diff(test.want, have); diff != "" {
				t.Errorf("(-want +have)\n%s", diff)
			}
			if !json.Valid([]byte(w.body)) {
				t.Error("the body is no JSON")
			}
		})
	}
}

// An error that is none of ours is a 500 that tells nothing.
func TestUnknownErrorTellsNothing(t *testing.T) {
	w := failing(t, errSecret).do(t, request("/"))
	if w.status != 500 || strings.Contains(head(w.header)+w.body, "10.0.0.9") {
		t.Errorf("%d\n%s\n%s", w.status, head(w.header), w.body)
	}
}

func TestFailureAsGRPCTellsIt(t *testing.T) {
	for _, test := range []struct{ status, code int }{
		{400, 13}, {401, 16}, {403, 7}, {404, 12}, {405, 12}, {408, 4}, {413, 8}, {414, 13}, {429, 8}, {431, 13},
		{500, 13}, {502, 14}, {503, 14}, {504, 4}, {418, 2}, {508, 2},
	} {
		f := failure.Denied(test.status, "Not 100 % fine\n.")
		f.Header = http.Header{"Www-Authenticate": {"Key"}}
		w := failing(t, f).do(t, grpcRequest("/pkg.Service/Method"))
		if w.status != 200 || w.body != "" || w.header.Get("Content-Type") != "application/grpc+proto" {
			t.Errorf("%d: status %d, %s, body %q", test.status, w.status, w.header.Get("Content-Type"), w.body)
		}
		if got := w.header.Get("Grpc-Status"); got != strconv.Itoa(test.code) {
			t.Errorf("%d is grpc-status %s, want %d", test.status, got, test.code)
		}
		if got := w.header.Get("Grpc-Message"); got != "Not 100 %25 fine%0A." {
			t.Errorf("%d: grpc-message %q", test.status, got)
		}
		if w.header.Get("Www-Authenticate") != "Key" || w.header.Get("Proxy-Status") == "" {
			t.Errorf("%d: the fields of the failure are lost:\n%s", test.status, head(w.header))
		}
	}
}

// Without a detail, the message is the status in words; application/grpc-web is not gRPC.
func TestWhatCountsAsGRPC(t *testing.T) {
	e := failing(t, &failure.Error{Kind: failure.DestinationUnavailable})
	for mediaType, grpc := range map[string]bool{
		"application/grpc": true, "application/grpc+json": true, "application/grpc;x=y": true,
		"application/grpc-web": false, "application/json": false, "": false,
	} {
		in := grpcRequest("/a")
		in.Header["Content-Type"] = []string{mediaType}
		w := e.do(t, in)
		if got := w.header.Get("Grpc-Message") == "Service Unavailable"; got != grpc {
			t.Errorf("%q is told as gRPC: %v\n%s", mediaType, got, head(w.header))
		}
	}
}

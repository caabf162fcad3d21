package batch

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzBatch: whatever a batch is, it is refused, or holds requests that a request line and a head can carry.
func FuzzBatch(f *testing.F) {
	f.Add(`{"requests":[{"id":1,"method":"POST","path":"/a?b","headers":{"x":"y"},"body":{}}]}`)
	f.Add(`[{"path":"/%2e%2e/x"}]`)
	b := &Batch{Requests: 5, RequestBytes: 1 << 12, Inherit: []string{"Cookie"}}
	f.Fuzz(func(t *testing.T, text string) {
		outer := &http.Request{Header: http.Header{"Content-Type": {"application/json"}, "Cookie": {"a=b"}}, Body: io.NopCloser(strings.NewReader(text))}
		requests, err := b.read(outer)
		if err != nil {
			return
		}
		if len(requests) == 0 || len(requests) > 5 {
			t.Fatalf("%q made %d requests", text, len(requests))
		}
		for _, r := range requests {
			if !strings.HasPrefix(r.in.RequestURI, "/") || strings.HasPrefix(r.in.RequestURI, "//") || strings.ContainsAny(r.in.RequestURI+r.in.Method, " \r\n\x00#") {
				t.Fatalf("%q asks for %q", text, r.in.RequestURI)
			}
			for name, values := range r.in.Header {
				if isForGateway(name) || strings.ContainsAny(name+values[0], "\r\n\x00") {
					t.Fatalf("%q says %s: %q", text, name, values)
				}
			}
		}
	})
}

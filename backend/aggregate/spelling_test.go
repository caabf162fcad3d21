package aggregate

import (
	"net/http"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
)

// Only what the rules of fields.go have seen as they are written becomes a line: a line frames what it says.
func TestOddFieldsAreNoLines(t *testing.T) {
	for name, values := range map[string][]string{
		"content-length": {"5"}, "transfer-Encoding": {"chunked"}, "X-Split": {"a\r\nX-Other: b"}, "X Space": {"a"}, "X-Own": {"a"},
	} {
		r := &run{a: &Aggregate{lines: true, own: map[string]bool{"X-Own": true}}}
		r.x = &exchange.Exchange{In: &http.Request{}, Out: &http.Request{Header: http.Header{name: values, "X-Set": {"one", "two"}}}}
		r.collect()
		if want := "X-Set: one\r\nX-Set: two\r\n"; string(r.lines) != want || len(r.fields) != 1 || r.fields[0].name != name {
			t.Errorf("%s: %q is written, %v is left to the header", name, r.lines, r.fields)
		}
	}
}

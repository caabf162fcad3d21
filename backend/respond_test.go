package backend

import (
	"io"
	"net/http"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
)

// Every answer is its own: what a filter does to one is not seen in the next.
func TestRespondAnswersAreApart(t *testing.T) {
	b := &Respond{Status: 418, Header: http.Header{"X-A": {"1"}}, Body: "short and stout\n"}
	if b.Forwards() {
		t.Error("it asks for a request to be forwarded")
	}
	for range 2 {
		x := new(exchange.Exchange)
		if err := b.Answer(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(x.Response.Body)
		if err != nil || string(body) != b.Body || x.Response.ContentLength != int64(len(b.Body)) {
			t.Errorf("body %q of %d, %v", body, x.Response.ContentLength, err)
		}
		if x.Response.StatusCode != 418 || len(x.Response.Header) != 1 || x.Response.Header.Get("X-A") != "1" {
			t.Errorf("%d %v", x.Response.StatusCode, x.Response.Header)
		}
		x.Response.Header.Set("X-A", "changed")
		x.Response.Header.Set("X-B", "added")
	}
}

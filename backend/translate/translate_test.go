package translate

import (
	"context"
	"net/http"
	"testing"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/exchange"
)

type service struct{ asked int }

func (*service) Forwards() bool { return true }

func (s *service) Answer(_ context.Context, x *exchange.Exchange) error {
	s.asked++
	x.Response = &http.Response{StatusCode: 200, Header: http.Header{}}
	return nil
}

// of takes the requests of one content type, and marks what it carried.
type of string

func (t of) Takes(x *exchange.Exchange) bool { return x.In.Header.Get("Content-Type") == string(t) }

func (t of) Answer(ctx context.Context, x *exchange.Exchange, next backend.Backend) error {
	if err := next.Answer(ctx, x); err != nil {
		return err
	}
	x.Response.Header.Set("Content-Type", string(t))
	return nil
}

func (t of) RenderFailure(_ *exchange.Exchange, header http.Header) *http.Response {
	header.Set("Content-Type", string(t))
	return &http.Response{StatusCode: 200, Header: header}
}

func TestTheFirstThatTakesItTranslates(t *testing.T) {
	for _, test := range []struct{ sent, want string }{
		{"a/a", "a/a"}, {"b/b", "b/b"}, {"c/c", ""}, {"", ""},
	} {
		s := new(service)
		b := &Backend{Next: s, Translators: []Translator{of("a/a"), of("b/b"), of("a/a")}}
		x := &exchange.Exchange{In: &http.Request{Header: http.Header{"Content-Type": {test.sent}}}}
		if err := b.Answer(t.Context(), x); err != nil || s.asked != 1 {
			t.Fatalf("%v, the service was asked %d times", err, s.asked)
		}
		if got := x.Response.Header.Get("Content-Type"); got != test.want {
			t.Errorf("%q was translated as %q, want %q", test.sent, got, test.want)
		}
		rendered := b.RenderFailure(x, http.Header{})
		if (rendered == nil) != (test.want == "") || rendered != nil && rendered.Header.Get("Content-Type") != test.want {
			t.Errorf("a failure of %q is rendered as %v", test.sent, rendered)
		}
	}
}

func TestUntouchedCostsNoMemory(t *testing.T) {
	b := &Backend{Next: nothing{}, Translators: []Translator{of("a/a"), of("b/b")}}
	x := &exchange.Exchange{In: &http.Request{Header: http.Header{"Content-Type": {"application/grpc"}}}}
	if n := testing.AllocsPerRun(100, func() { _ = b.Answer(t.Context(), x) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type nothing struct{}

func (nothing) Forwards() bool                                   { return true }
func (nothing) Answer(context.Context, *exchange.Exchange) error { return nil }

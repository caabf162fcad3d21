package exchange

import (
	"context"
	"errors"
	"testing"

	"github.com/sluice-gateway/sluice/failure"
)

// Whatever broke because the client left is the client's doing; a deadline of ours is not.
func TestFail(t *testing.T) {
	live := t.Context()
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	upstream := &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseTimeout}
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want failure.Kind
	}{
		{"a failure", live, upstream, failure.HTTPResponseTimeout},
		{"another error", live, errors.New("?"), failure.ProxyInternalError},
		{"the client left", left, upstream, failure.ClientGone},
		{"too late", late, upstream, failure.HTTPResponseTimeout},
	} {
		x := new(Exchange)
		if x.Fail(test.ctx, test.err); x.Failure == nil || x.Failure.Kind != test.want {
			t.Errorf("%s: %v, want %s", test.name, x.Failure, test.want)
		}
	}
}

// Nothing of one request is left for the next.
func TestResetForgets(t *testing.T) {
	x := new(Exchange)
	x.Reset()
	x.Host, x.Route, x.Identity, x.Failure = "a", "r", &Identity{}, &failure.Error{}
	x.Captures = append(x.Captures, Capture{"id", "7"})
	x.Limits = append(x.Limits, Limit{Quota: 1})
	x.Challenges = []string{"Key"}
	x.UseConsumers(new(Directory))
	x.Reset()
	if x.Host != "" || x.Route != "" || x.Identity != nil || x.Failure != nil || x.Consumers() != nil ||
		len(x.Captures)+len(x.Limits)+len(x.Attempts)+len(x.Challenges) != 0 {
		t.Errorf("%+v", x)
	}
	if got := x.room.captures[0]; got != (Capture{}) {
		t.Errorf("a captured segment is left: %+v", got)
	}
}

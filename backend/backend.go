// Package backend is what a route ends in: a service, a split over several, an answer of our own, a redirect.
package backend

import (
	"context"

	"github.com/sluice-gateway/sluice/exchange"
)

// Backend answers an exchange: it sets x.Response, or returns why it could not. One instance serves many requests.
type Backend interface {
	Answer(ctx context.Context, x *exchange.Exchange) error
	// Forwards says whether Answer needs x.Out, the request made ready to be sent on.
	Forwards() bool
}

// LineSender is a Backend that may be able to do without the fields that it does not read itself: x.Forwarding in the header of
// x.Out, and in that of the answer all but x.Reads.
type LineSender interface {
	SendsLines() bool
}

// OutPreparer is a Backend that has a word about x.Out before any filter edits it: what a filter then removes stays removed,
// whatever the client called it.
type OutPreparer interface {
	PrepareOut(x *exchange.Exchange)
}

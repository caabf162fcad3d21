// Package filter is the contract between the pipeline and what runs in it: four optional hooks, the phases that order
// them, and the registry that turns settings into instances.
package filter

import (
	"context"
	"fmt"

	"github.com/sluice-gateway/sluice/exchange"
)

// A Filter implements one or more of RequestFilter, OutFilter, ResponseFilter, FinishFilter, and io.Closer if it holds
// something. One instance serves many requests at once.
type Filter any

// RequestFilter sees the request before it is forwarded. It answers by setting x.Response, refuses by returning an
// error (a *failure.Error chooses the status), and otherwise leaves both alone. In phase Transform it edits x.Out.
type RequestFilter interface {
	OnRequest(ctx context.Context, x *exchange.Exchange) error
}

// OutFilter runs when x.Out has just been made, before Transform: a filter of an earlier phase hides what it consumed
// and says what it learned. It does not answer; an error refuses the request. Of the fields that tell how the request came,
// X-Forwarded-For and the like, it knows nothing: they may stand in x.Forwarding.
type OutFilter interface {
	OnOut(ctx context.Context, x *exchange.Exchange) error
}

// ResponseFilter sees the answer as a value, before it is written: it edits x.Response or wraps its Body. It runs for
// every filter placed at or before the one that answered, last to first. x.Failure tells a failure that was rendered.
type ResponseFilter interface {
	OnResponse(ctx context.Context, x *exchange.Exchange) error
}

// FieldChanger is implemented by a ResponseFilter that neither reads nor changes any field of an answer but those it names,
// canonically, and leaves the Body in place. The others need then not be made ready for it.
type FieldChanger interface {
	ResponseFields() []string
}

// FinishFilter runs once when the answer is written or broken off, after a panic too, and for every filter of the
// pipeline: one whose OnRequest never came, because another answered first, tells by x.Kept that it holds nothing.
type FinishFilter interface {
	OnFinish(x *exchange.Exchange)
}

// Phaser is implemented by a filter whose settings decide its phase, such as a limit by address against one by
// consumer.
type Phaser interface {
	Phase() Phase
}

// Phase orders filters; inside a phase the order is the one written: top level, listener, route.
type Phase uint8

const (
	Respond      Phase = iota // outermost, so that refusals and cache hits pass it too: response headers, compression
	Admit                     // addresses, CORS preflight, size, limits by address
	Authenticate              // sets x.Identity or adds a challenge; the end of the phase answers 401
	Authorize
	Limit
	Inspect // validation, web application firewall
	Cache
	Transform // edits x.Out; runs only if something will be forwarded
)

var phaseNames = [...]string{"Respond", "Admit", "Authenticate", "Authorize", "Limit", "Inspect", "Cache", "Transform"}

func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

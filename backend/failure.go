package backend

import (
	"net/http"

	"github.com/sluice-gateway/sluice/exchange"
)

// FailureRenderer is a Backend whose clients read failures in a way of their own. The proxy asks it for every failure of
// its route, whoever failed: a filter that refused, the service, the gateway.
type FailureRenderer interface {
	// RenderFailure makes the answer that tells x.Failure, or nil for the way of every other route. Header holds what
	// such an answer must carry whatever its form (Proxy-Status, Allow, WWW-Authenticate, Retry-After); it may be
	// changed and kept. x.Out may be nil: the failure may have come before it.
	RenderFailure(x *exchange.Exchange, header http.Header) *http.Response
}

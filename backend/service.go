package backend

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/upstream"
)

// Service sends the request to one service and answers with what it says.
type Service struct {
	Upstream *upstream.Service
	Policy   *upstream.Policy
	Affinity *Affinity // nil: callers are not kept with an endpoint
}

func (*Service) Forwards() bool { return true }

// SendsLines implements LineSender.
func (b *Service) SendsLines() bool { return b.Upstream != nil && b.Upstream.TakesLines() } // nil: it was reported

func (b *Service) Answer(ctx context.Context, x *exchange.Exchange) error {
	x.Service = b.Upstream.Name()
	b.passUpgrade(x)
	var call upstream.Call // and field by field: a literal would be made beside it and copied
	call.Request, call.Lines, call.Reads = x.Out, x.Forwarding, x.Reads
	call.HashKey, call.Anonymous = b.Affinity.key(x), x.Anonymous()
	call.Policy, call.Timeout = b.Policy, grpcTimeout(x.Out.Header)
	call.Inform, call.Attempts = x.Inform, x.Attempts
	response, err := b.Upstream.Do(ctx, &call)
	x.Attempts = call.Attempts
	x.Response = response
	b.Affinity.remember(x, call.Token)
	return err
}

// passUpgrade asks for the protocol that the client wants to switch to, if the service may be asked for it.
func (b *Service) passUpgrade(x *exchange.Exchange) {
	token := exchange.UpgradeToken(x.In)
	if token == "" || !b.Upstream.MayUpgrade(token) {
		return
	}
	x.Out.Header["Connection"] = []string{"Upgrade"}
	x.Out.Header["Upgrade"] = x.In.Header["Upgrade"]
	delete(x.Out.Header, "Te")
	x.Out.Body = http.NoBody
}

// grpcTimeout is the client's own deadline, which wins over the route's where it is shorter. 0: none, or not readable:
// at most eight digits and a unit, as the gRPC protocol over HTTP/2 writes it.
func grpcTimeout(h http.Header) time.Duration {
	values := h["Grpc-Timeout"]
	if len(values) != 1 || len(values[0]) < 2 || len(values[0]) > 9 {
		return 0
	}
	digits, unit := values[0][:len(values[0])-1], values[0][len(values[0])-1]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0
	}
	limit := grpcUnits[unit]
	if limit > 0 && time.Duration(n) > math.MaxInt64/limit {
		return math.MaxInt64
	}
	return time.Duration(n) * limit
}

var grpcUnits = [256]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1,
}

package filter

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"slices"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// Placed is a filter at its place in a route's order.
type Placed struct {
	Name   string // as explained: rateLimit, rateLimit#2
	Scope  string // "", "listener/NAME" or "route/NAME"
	Phase  Phase
	Filter Filter
}

// Pipeline is a route's filters, sorted once by compile into one slice a hook. It is immutable; the zero value is empty,
// and reads everything.
type Pipeline struct {
	placed    []Placed
	request   []step[RequestFilter] // phases before Transform
	out       []OutFilter
	transform []step[RequestFilter]
	response  []step[ResponseFilter] // last to first
	finish    []FinishFilter
	reads     []string // see Reads

	// Where the Authenticate phase ends in request; authenticates says whether there is one.
	authenticated int
	authenticates bool
}

type step[F any] struct {
	place int // index into placed
	run   F
}

// Everywhere is the place of an answer that came from behind all filters.
const Everywhere = int(^uint(0) >> 1)

// NewPipeline sorts filters by phase and keeps the written order inside each.
func NewPipeline(placed []Placed) *Pipeline {
	p := &Pipeline{placed: slices.Clone(placed)}
	slices.SortStableFunc(p.placed, func(a, b Placed) int { return cmp.Compare(a.Phase, b.Phase) })
	for place, f := range p.placed {
		if r, ok := f.Filter.(RequestFilter); ok {
			p.addRequest(place, f.Phase, r)
		}
		if r, ok := f.Filter.(OutFilter); ok {
			p.out = append(p.out, r)
		}
		if r, ok := f.Filter.(ResponseFilter); ok {
			p.response = append(p.response, step[ResponseFilter]{place, r})
		}
		if r, ok := f.Filter.(FinishFilter); ok {
			p.finish = append(p.finish, r)
		}
	}
	slices.Reverse(p.response)
	p.reads = p.fieldsRead()
	return p
}

func (p *Pipeline) addRequest(place int, phase Phase, r RequestFilter) {
	if phase == Transform {
		p.transform = append(p.transform, step[RequestFilter]{place, r})
		return
	}
	p.request = append(p.request, step[RequestFilter]{place, r})
	if phase <= Authenticate {
		p.authenticated = len(p.request)
	}
	p.authenticates = p.authenticates || phase == Authenticate
}

// Outermost is the place of an answer given before any filter ran: only the filters of phase Respond see it.
func (p *Pipeline) Outermost() int {
	n := 0
	for n < len(p.placed) && p.placed[n].Phase == Respond {
		n++
	}
	return n - 1
}

// Placed is the final order, for explain.
func (p *Pipeline) Placed() []Placed { return p.placed }

// Request runs the phases before Transform until one answers. It returns the place of the filter that answered, which
// Response wants back, and the failure if it refused. With nobody answering, x.Response is nil and err is nil.
func (p *Pipeline) Request(ctx context.Context, x *exchange.Exchange) (answered int, err error) {
	for i, s := range p.request {
		if i == p.authenticated && p.authenticates && x.Identity == nil {
			return p.request[i-1].place, unauthenticated(x)
		}
		if err := s.run.OnRequest(ctx, x); err != nil || x.Response != nil {
			return s.place, err
		}
	}
	if p.authenticates && p.authenticated == len(p.request) && x.Identity == nil {
		return p.request[p.authenticated-1].place, unauthenticated(x)
	}
	return Everywhere, nil
}

// Out runs the hooks that edit x.Out as soon as it is made, in the order of the phases, until one refuses.
func (p *Pipeline) Out(ctx context.Context, x *exchange.Exchange) error {
	for _, f := range p.out {
		if err := f.OnOut(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// Reads are the fields of an answer that the response filters read or change, and those that every route reads; nil: any.
func (p *Pipeline) Reads() []string { return p.reads }

// alwaysRead are the fields of an answer that the attempt loop judges by, and the one that the proxy sets.
var alwaysRead = []string{"Grpc-Status", "X-Request-Id"}

func (p *Pipeline) fieldsRead() []string {
	names := slices.Clone(alwaysRead)
	whose := make(map[string]reflect.Type)
	for _, s := range p.response {
		f, ok := s.run.(FieldChanger)
		if !ok {
			return nil
		}
		for _, name := range f.ResponseFields() {
			if t, known := whose[name]; known && t != reflect.TypeOf(f) {
				return nil // what one writes beside the header the other would not find in it
			}
			whose[name] = reflect.TypeOf(f)
			names = append(names, name)
		}
	}
	return names
}

// Transforms reports whether any filter edits x.Out.
func (p *Pipeline) Transforms() bool { return len(p.transform) > 0 }

// Transform runs the phase that edits x.Out.
func (p *Pipeline) Transform(ctx context.Context, x *exchange.Exchange) (answered int, err error) {
	for _, s := range p.transform {
		if err := s.run.OnRequest(ctx, x); err != nil || x.Response != nil {
			return s.place, err
		}
	}
	return Everywhere, nil
}

// Response runs the response hooks of all filters placed at or before answered, last to first. A hook that fails ends
// the pass; the proxy renders its failure and goes on with the hooks before it, so the place returned is one less.
func (p *Pipeline) Response(ctx context.Context, x *exchange.Exchange, answered int) (rest int, err error) {
	for _, s := range p.response {
		if s.place > answered {
			continue
		}
		if err := s.run.OnResponse(ctx, x); err != nil {
			return s.place - 1, err
		}
	}
	return -1, nil
}

// Finish tells every filter that the exchange is over. One that panics costs the others nothing: what they hold for the
// exchange must be given back.
func (p *Pipeline) Finish(x *exchange.Exchange) {
	if len(p.finish) > 0 {
		finish(p.finish, x)
	}
}

func finish(filters []FinishFilter, x *exchange.Exchange) {
	at := 0
	defer func() {
		if at < len(filters) { // it panics, and goes on to
			finish(filters[at+1:], x)
		}
	}()
	for ; at < len(filters); at++ {
		filters[at].OnFinish(x)
	}
}

// unauthenticated is one 401 with every challenge that the phase collected (RFC 9110 section 11.6.1).
func unauthenticated(x *exchange.Exchange) error {
	f := failure.Denied(http.StatusUnauthorized, "No credential was given.")
	f.Header = http.Header{"Www-Authenticate": slices.Clone(x.Challenges)}
	return f
}

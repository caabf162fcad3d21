// Package translate lets a client of one protocol call a service of another. It decorates what a route ends in: each
// request is asked for by the translators of the route in turn, the first that knows its protocol carries it, and one
// that none of them takes is passed on untouched, which costs no more than the question.
//
//	                    ┌─ takes it ──▶ Translator: x.Out is rewritten ──▶ next ──▶ x.Response is rewritten
//	x ──▶ Translators ──┤
//	                    └─ none does ─▶ next
//
// A translator is a package below this one. What they share is beside them: schema, the methods and messages that a
// service has, and grpc, how gRPC frames, ends and refuses.
package translate

import (
	"context"
	"net/http"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/exchange"
)

// Translator carries the requests of one protocol to a service that speaks another. One instance serves many requests.
type Translator interface {
	// Takes reports whether a request is of this translator's protocol. It is asked of every request and of every
	// failure, so it looks at x.In alone and allocates nothing.
	Takes(x *exchange.Exchange) bool

	// Answer rewrites x.Out, lets next answer, and rewrites x.Response. An error that it returns is rendered by
	// RenderFailure. It may answer without next: a method that does not exist, a document.
	Answer(ctx context.Context, x *exchange.Exchange, next backend.Backend) error

	// RenderFailure tells x.Failure as the client reads failures, or is nil for problem+json. See
	// backend.FailureRenderer.
	RenderFailure(x *exchange.Exchange, header http.Header) *http.Response
}

// Backend is what a route ends in when translators stand before it.
type Backend struct {
	Next        backend.Backend
	Translators []Translator // in the order they are asked
}

var (
	_ backend.FailureRenderer = (*Backend)(nil)
	_ backend.OutPreparer     = (*Backend)(nil)
)

// Forwards is true: whoever is translated reaches a service.
func (b *Backend) Forwards() bool { return true }

// Answer implements backend.Backend.
func (b *Backend) Answer(ctx context.Context, x *exchange.Exchange) error {
	if t := b.translator(x); t != nil {
		return t.Answer(ctx, x, b.Next)
	}
	return b.Next.Answer(ctx, x)
}

// PrepareOut implements backend.OutPreparer for the translators that do.
func (b *Backend) PrepareOut(x *exchange.Exchange) {
	if t, ok := b.translator(x).(backend.OutPreparer); ok {
		t.PrepareOut(x)
	}
}

// RenderFailure implements backend.FailureRenderer.
func (b *Backend) RenderFailure(x *exchange.Exchange, header http.Header) *http.Response {
	if t := b.translator(x); t != nil {
		return t.RenderFailure(x, header)
	}
	return nil
}

func (b *Backend) translator(x *exchange.Exchange) Translator {
	for _, t := range b.Translators {
		if t.Takes(x) {
			return t
		}
	}
	return nil
}

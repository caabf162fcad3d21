// Package transcode lets HTTP clients that speak JSON call gRPC services, by the rules of google.api.http; methods without
// a rule are POST /package.Service/Method.
//
//	GET /v1/orders/7?view=FULL ─▶ POST /shop.Orders/Get  08 07 10 02 ─▶ service
//	{"id":"7",…}               ◀─ 08 07 …, grpc-status 0             ◀─
//
// The request's message is put together on the wire: first what the body says, then what the path and the query say,
// field by field, for parsers merge the parts of a message. No message is ever made in memory (see jsonwire).
//
// A unary answer is read to its status before a byte goes to the client. A stream goes on as it comes: each message a
// line of JSON or a server-sent event, and a status other than OK the last of them. What the gateway itself refuses is a
// problem, as everywhere; what the service answers with another status than OK is a google.rpc.Status in JSON.
package transcode

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/backend/translate"
	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/httprule"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// Options are how a route is translated.
type Options struct {
	JSON         jsonwire.Options
	MessageBytes int           // the largest message, each way; 0: no limit
	Timeout      time.Duration // the route's; 0: none
	OpenAPI      string        // where the document is served; empty: nowhere
	Title        string        // of the document
}

// Translator is the translation of one route.
type Translator struct {
	options Options
	timeout string // the route's, as a grpc-timeout
	api     schema.Derived[*api]
}

var (
	_ translate.Translator = (*Translator)(nil)
	_ backend.OutPreparer  = (*Translator)(nil)
)

// New makes a translator for the methods of a schema.
func New(s *schema.Schema, o Options) *Translator {
	t := &Translator{options: o, timeout: grpc.FormatTimeout(o.Timeout)}
	t.api = schema.Derived[*api]{From: s, Build: func(set *schema.Set) *api { return newAPI(set, &t.options) }}
	return t
}

// Check compiles the methods as far as they are known, and returns what is wrong with their rules.
func (t *Translator) Check() []error {
	if a, known := t.api.Get(); known {
		return a.mistakes
	}
	return nil
}

// Takes implements translate.Translator: all that is not gRPC.
func (t *Translator) Takes(x *exchange.Exchange) bool { return !grpc.Is(x.In.Header) }

// PrepareOut implements backend.OutPreparer: filters see metadata under its own names, or a prefix would be a way around
// one that removes a field.
func (t *Translator) PrepareOut(x *exchange.Exchange) { takePrefixes(x.Out.Header) }

// RenderFailure implements translate.Translator: a failure is a problem, as everywhere.
func (t *Translator) RenderFailure(*exchange.Exchange, http.Header) *http.Response { return nil }

// Answer implements translate.Translator.
func (t *Translator) Answer(ctx context.Context, x *exchange.Exchange, next backend.Backend) error {
	a, known := t.api.Get()
	if !known {
		return unknownYet(t.api.From.Err())
	}
	if t.options.OpenAPI != "" && x.Path == t.options.OpenAPI {
		return a.serveDocument(x)
	}
	c := calls.Get().(*call)
	c.translator, c.x = t, x
	handed, err := c.answer(ctx, a, next)
	if !handed {
		c.release()
	}
	return err
}

// unknownYet is the failure while nothing is known; why is for the log.
func unknownYet(why error) error {
	return &failure.Error{
		Source: failure.Upstream, Kind: failure.DestinationUnavailable, Err: why,
		Detail: "The service has not told of its methods yet.", Header: http.Header{"Retry-After": {"1"}},
	}
}

// api is what a set of methods looks like from outside.
type api struct {
	router   httprule.Router[*operation]
	all      []*operation
	mistakes []error
	document []byte
}

func newAPI(set *schema.Set, o *Options) *api {
	a := new(api)
	codecs := jsonwire.New(set, o.JSON)
	for _, m := range set.Methods() {
		operations, err := operationsOf(codecs, m)
		if err != nil {
			a.mistakes = append(a.mistakes, err)
		}
		for _, op := range operations {
			if err := a.router.Add(op.httpMethod, op.template, op); err != nil {
				a.mistakes = append(a.mistakes, mistake(m, "%v", err))
				continue
			}
			a.all = append(a.all, op)
		}
	}
	if o.OpenAPI != "" {
		a.document = document(a.all, o)
	}
	return a
}

// find is the operation of a request, or why there is none.
func (a *api) find(m *httprule.Match[*operation], method, path string) (*operation, error) {
	if a.router.Find(m, method, path) {
		return m.Value, nil
	}
	if len(m.Allowed) == 0 {
		return nil, failure.Request(http.StatusNotFound, "The service has no operation at this path.")
	}
	f := failure.Request(http.StatusMethodNotAllowed, "The operation at this path takes another method.")
	f.Header = http.Header{"Allow": {allowed(m.Allowed)}}
	return nil, f
}

func allowed(methods []string) string {
	list := strings.Join(methods, ", ")
	for _, m := range methods {
		if m == http.MethodGet {
			list += ", " + http.MethodHead
		}
	}
	return list
}

func (a *api) serveDocument(x *exchange.Exchange) error {
	if x.In.Method != http.MethodGet && x.In.Method != http.MethodHead {
		f := failure.Request(http.StatusMethodNotAllowed, "The document can only be read.")
		f.Header = http.Header{"Allow": {"GET, HEAD"}}
		return f
	}
	x.Response = &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: newBytesBody(a.document), ContentLength: int64(len(a.document)),
	}
	return nil
}

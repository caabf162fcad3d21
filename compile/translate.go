package compile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/backend/translate"
	"github.com/sluice-gateway/sluice/backend/translate/connect"
	"github.com/sluice-gateway/sluice/backend/translate/grpcweb"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/backend/translate/rest"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
	"github.com/sluice-gateway/sluice/backend/translate/transcode"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/upstream"
)

// reflectionTimeout is how long a service may take until it begins to tell of itself.
const reflectionTimeout = 10 * time.Second

// translation is what the translators of a route are made of.
type translation struct {
	at       string // routes[2].translate
	config   *config.Translate
	policy   *upstream.Policy
	protocol string // of the service, or of all services of the split
	schema   *schema.Schema
}

// translated puts the translators of a route before its end, if it has any.
func (k *compiler) translated(at string, c *config.Route, e end) end {
	if c.Translate == nil || e.backend == nil {
		return e
	}
	t := translation{at: at + ".translate", config: c.Translate, policy: k.policy(c)}
	var ok bool
	if t.protocol, ok = k.protocolOf(t.at, c); !ok {
		return e
	}
	list := k.translators(&t, c, e)
	e.backend = &translate.Backend{Next: e.backend, Translators: list}
	e.words = "translate, " + e.words
	return e
}

// translators is where a translation is plugged in. The order is the order in which they are asked whose a request is;
// what none of them takes passes through untouched.
func (k *compiler) translators(t *translation, c *config.Route, e end) []translate.Translator {
	var list []translate.Translator
	if t.config.GRPC != nil {
		if t.schema = k.schema(t, c, e); t.schema == nil {
			return nil
		}
		switch t.protocol {
		case "grpc":
			// gRPC-Web and Connect first, then all else, which is HTTP with JSON
			limit := int(t.config.GRPC.MessageBytes)
			list = append(list,
				&grpcweb.Translator{Limit: limit},
				&connect.Translator{Methods: connect.NewMethods(t.schema, jsonOf(t.config.GRPC)), Limit: limit, Timeout: c.Timeout},
				k.transcoder(t, c))
		default:
			list = append(list, k.toREST(t, c))
		}
	}
	if t.config.SOAP != nil {
		if soap := k.soap(t, c); soap != nil {
			list = append(list, soap)
		}
	}
	return list
}

// transcoder carries HTTP with JSON. Rules that are wrong are mistakes of the file that has them; what reflection brings is
// not known yet, and wrong rules are left out when it is.
func (k *compiler) transcoder(t *translation, c *config.Route) translate.Translator {
	o := transcode.Options{
		JSON: jsonOf(t.config.GRPC), MessageBytes: int(t.config.GRPC.MessageBytes), Timeout: c.Timeout,
		OpenAPI: t.config.OpenAPI, Title: c.Name,
	}
	if o.OpenAPI != "" {
		path, err := exchange.CanonicalPath(o.OpenAPI)
		if err != nil || path != o.OpenAPI {
			k.errorf(t.at+".openapi", "this is no path that a request can have; write it without dot segments, query and needless encoding")
		}
	}
	tr := transcode.New(t.schema, o)
	if mistakes := tr.Check(); len(mistakes) > 0 {
		k.errorf(t.at+".grpc", "%v", errors.Join(mistakes...))
	}
	return tr
}

// toREST carries gRPC clients to a service that speaks HTTP and JSON.
func (k *compiler) toREST(t *translation, c *config.Route) translate.Translator {
	if t.config.OpenAPI != "" {
		k.errorf(t.at+".openapi", "the service behind speaks HTTP and JSON itself; only what is translated from it is described")
	}
	tr := rest.New(t.schema, rest.Options{JSON: jsonOf(t.config.GRPC), MessageBytes: int(t.config.GRPC.MessageBytes), Timeout: c.Timeout})
	if mistakes := tr.Check(); len(mistakes) > 0 {
		k.errorf(t.at+".grpc", "%v", errors.Join(mistakes...))
	}
	return tr
}

func jsonOf(g *config.TranslateGRPC) jsonwire.Options {
	return jsonwire.Options{
		DiscardUnknown: g.UnknownFields == "discard", PrintDefaults: g.PrintDefaults, ProtoNames: g.ProtoNames, EnumNumbers: g.EnumNumbers,
	}
}

// protocolOf is what the route's services speak: a translator speaks one protocol, so all sides must agree.
func (k *compiler) protocolOf(at string, c *config.Route) (string, bool) {
	names := []string{c.Service}
	if c.Service == "" {
		names = names[:0]
		for _, side := range c.Split {
			names = append(names, side.Service)
		}
	}
	protocol, found := "", 0
	for _, svc := range k.config.Services {
		for _, name := range names {
			if svc.Name != name {
				continue
			}
			if protocol != "" && protocol != svc.Protocol {
				k.errorf(at, "the services of the split speak %s and %s; requests are translated to one protocol", protocol, svc.Protocol)
				return "", false
			}
			protocol = svc.Protocol
			found++
		}
	}
	return protocol, found == len(names) && protocol != ""
}

// schema is where the route's methods are known from. It is nil, and the mistake reported, if that cannot be read. Routes
// that name the same files share one.
func (k *compiler) schema(t *translation, c *config.Route, e end) *schema.Schema {
	g, at := t.config.GRPC, t.at+".grpc"
	key := newKey("schema")
	switch {
	case g.Reflection:
		key.add([]byte("reflection"), []byte(e.services[0].Name()))
	case g.Descriptors != "":
		key.add([]byte("descriptors"), []byte(g.Descriptors))
	default:
		key.add([]byte("protos"), []byte(strings.Join(g.Protos, "\x00")), []byte(strings.Join(g.ImportPaths, "\x00")))
	}
	s, known := k.schemas[key.String()]
	if !known {
		s = k.newSchema(at, g, t.protocol, e.services[0], key.String())
		if k.schemas == nil {
			k.schemas = make(map[string]*schema.Schema)
		}
		k.schemas[key.String()] = s
	}
	if s == nil && known {
		k.errorf(at, "the methods are not known here either")
	}
	if s == nil {
		return nil
	}
	k.knownServices(at, g, s.Set())
	return s.Only(g.Services)
}

func (k *compiler) newSchema(at string, g *config.TranslateGRPC, protocol string, svc *upstream.Service, key string) *schema.Schema {
	if g.Reflection {
		if protocol != "grpc" {
			k.errorf(at+".reflection", "only a service with protocol: grpc can be asked by reflection; name descriptors or protos")
			return nil
		}
		return k.reflected(svc, key)
	}
	var set *schema.Set
	var err error
	place := at + ".descriptors"
	if g.Descriptors != "" {
		data, ok := k.file(place, g.Descriptors)
		if !ok {
			return nil
		}
		set, err = schema.FromDescriptors(data)
		if err != nil {
			err = fmt.Errorf("%s: %w", g.Descriptors, err)
		}
	} else {
		place = at + ".protos"
		set, err = schema.FromProtos(g.Protos, g.ImportPaths, k.ReadFile)
	}
	if err != nil {
		k.errorf(place, "%v", err)
		return nil
	}
	if len(set.Methods()) == 0 {
		k.errorf(place, "no service is declared there, so there is nothing to call")
		return nil
	}
	return schema.Static(set)
}

// reflected asks the service, with a policy of its own: no route's timeout is meant for it.
func (k *compiler) reflected(svc *upstream.Service, key string) *schema.Schema {
	call := func(ctx context.Context, r *http.Request) (*http.Response, error) {
		return svc.Do(ctx, &upstream.Call{Request: r, Policy: &upstream.Policy{Timeout: reflectionTimeout, Retry: upstream.RetryPolicy{Attempts: 1}}})
	}
	var before *schema.Schema
	if k.Previous != nil {
		before, _ = k.Previous.Part(key).(*schema.Schema)
	}
	s := schema.Reflected(call, before)
	k.parts = append(k.parts, snapshot.NamedPart{Key: key, Part: s})
	return s
}

// knownServices checks the names in services against what is known of them now.
func (k *compiler) knownServices(at string, g *config.TranslateGRPC, set *schema.Set) {
	if set == nil {
		return
	}
	for i, name := range g.Services {
		if !set.HasService(name) {
			k.errorf(index(at+".services", i), "no service %q is declared in what describes the methods", name)
		}
	}
}

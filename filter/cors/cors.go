// Package cors is the filter cors: it lets pages of other origins call and read, by the CORS protocol of the Fetch
// standard (https://fetch.spec.whatwg.org/#http-cors-protocol).
//
// A preflight (OPTIONS with Origin and Access-Control-Request-Method) never reaches the service. From an allowed origin
// it is answered 204 with what is allowed; whether that covers what the page wants is for the browser to decide, whose
// console then says what is missing. From another origin it is answered 403.
//
// Any other request goes on, whatever its origin: CORS protects readers, it does not authorise. Its response, a refusal
// or a failure included, carries Access-Control-Allow-Origin if the origin is allowed, and nothing if not. All
// Access-Control fields of the service are replaced. Vary names Origin wherever the answer depends on it, which is
// always but with "*".
//
// An origin is https://app.example.com, with a port if it is not the scheme's own; https://*.example.com is any name
// below example.com, of one or more labels, and not example.com itself; "*" is any origin, and cannot go with
// allowCredentials. A "*" in allowMethods or allowHeaders allows whatever is asked for. The filter runs in phase Admit:
// one written before it in that phase, an ipAllow or a limit by address, refuses without these fields.
package cors

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
)

// Config lets pages of other origins call and read.
type Config struct {
	// AllowOrigins are the origins that may: https://app.example.com, https://*.example.com, or "*" for all.
	AllowOrigins []string `yaml:"allowOrigins" required:"true"`
	// AllowMethods are the methods that may be used beyond GET, HEAD and POST, which need no leave; "*" for all.
	AllowMethods []string `yaml:"allowMethods" default:"GET,HEAD,POST"`
	// AllowHeaders are the request fields that pages may set; "*" for all.
	AllowHeaders []string `yaml:"allowHeaders"`
	// ExposeHeaders are the response fields that pages may read, beyond the few that they always may.
	ExposeHeaders []string `yaml:"exposeHeaders"`
	// AllowCredentials lets pages send cookies and client certificates, and read the answers.
	AllowCredentials bool `yaml:"allowCredentials" default:"false"`
	// MaxAge is how long a browser may remember a preflight, 0 to 24h; 0: not at all. Browsers have lower bounds of their own.
	MaxAge time.Duration `yaml:"maxAge" default:"10m" min:"0" max:"24h"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("cors", filter.Admit, New) }

// Filter is one cors.
type Filter struct {
	origins     origins
	methods     list
	headers     list
	expose      []string
	maxAge      []string
	credentials bool
}

var (
	_ filter.RequestFilter  = (*Filter)(nil)
	_ filter.ResponseFilter = (*Filter)(nil)
)

// The values that are the same for all. Nobody writes to them.
var (
	anyOrigin  = []string{"*"}
	yes        = []string{"true"}
	originOnly = []string{"Origin"}
	ofResponse = [...]string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
		"Access-Control-Expose-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age", "Access-Control-Allow-Private-Network"}

	errOrigin = failure.Denied(http.StatusForbidden, "Pages of this origin may not call this service.")
)

// list is the value of a field, or any: what was asked for.
type list struct {
	value []string // nil: the field is not written
	any   bool
}

// New makes the filter.
func New(_ filter.Env, c Config) (filter.Filter, error) {
	allowed, errOrigins := newOrigins(c.AllowOrigins)
	methods, errMethods := newList("allowMethods", c.AllowMethods, isMethod)
	headers, errHeaders := newList("allowHeaders", c.AllowHeaders, httpguts.ValidHeaderFieldName)
	expose, errExpose := newList("exposeHeaders", c.ExposeHeaders, httpguts.ValidHeaderFieldName)
	errs := []error{errOrigins, errMethods, errHeaders, errExpose}
	if c.AllowCredentials && allowed.any {
		errs = append(errs, filter.Setting("allowCredentials",
			`cannot go with the origin "*": every page in the world could act for its visitor; list the origins`))
	}
	if expose.any && c.AllowCredentials {
		errs = append(errs, filter.Setting("exposeHeaders",
			`browsers do not read "*" as all when allowCredentials is set: list the fields`))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if expose.any {
		expose.value = anyOrigin
	}
	return &Filter{
		origins: allowed, methods: methods, headers: headers, expose: expose.value, credentials: c.AllowCredentials,
		maxAge: []string{strconv.FormatInt(int64(c.MaxAge/time.Second), 10)},
	}, nil
}

func newList(key string, words []string, valid func(string) bool) (list, error) {
	var errs []error
	for i, word := range words {
		if !valid(word) {
			errs = append(errs, filter.Setting(key+"["+strconv.Itoa(i)+"]", "%q is not a name that can stand here", word))
		}
	}
	if len(words) == 0 {
		return list{}, nil
	}
	return list{[]string{strings.Join(words, ", ")}, slices.Contains(words, "*")}, errors.Join(errs...)
}

// isMethod refuses lower case: browsers compare methods letter by letter, and patch is not PATCH.
func isMethod(word string) bool {
	return httpguts.ValidHeaderFieldName(word) && word == strings.ToUpper(word)
}

// isPreflight is Fetch's CORS-preflight request.
func isPreflight(in *http.Request) bool {
	return in.Method == http.MethodOptions && len(in.Header["Origin"]) > 0 && len(in.Header["Access-Control-Request-Method"]) > 0
}

// OnRequest answers preflights.
func (f *Filter) OnRequest(_ context.Context, x *exchange.Exchange) error {
	if !isPreflight(x.In) {
		return nil
	}
	origin, ok := f.origin(x.In)
	if !ok {
		return errOrigin
	}
	h := make(http.Header, 8)
	f.writeOrigin(h, origin)
	f.methods.write(h, "Access-Control-Allow-Methods", x.In.Header["Access-Control-Request-Method"])
	f.headers.write(h, "Access-Control-Allow-Headers", x.In.Header["Access-Control-Request-Headers"])
	h["Access-Control-Max-Age"] = f.maxAge
	x.Response = &http.Response{StatusCode: http.StatusNoContent, Header: h, Body: http.NoBody}
	return nil
}

// OnResponse marks every other response. What varies is said of every response, so that a cache does not give one
// origin's to another.
func (f *Filter) OnResponse(_ context.Context, x *exchange.Exchange) error {
	if x.Response.Header == nil {
		x.Response.Header = make(http.Header)
	}
	h := x.Response.Header
	if isPreflight(x.In) {
		addVary(h, "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
		return nil
	}
	for _, name := range ofResponse {
		delete(h, name)
	}
	if !f.origins.any {
		addVary(h, "Origin")
	}
	if origin, ok := f.origin(x.In); ok {
		f.writeOrigin(h, origin)
		if f.expose != nil {
			h["Access-Control-Expose-Headers"] = f.expose
		}
	}
	return nil
}

// origin is the request's, as the answer names it, if it is allowed. With "*" the answer is the same for all, and for a
// request without an origin too, so that a cache may keep one for both.
func (f *Filter) origin(in *http.Request) (value []string, ok bool) {
	if f.origins.any {
		return anyOrigin, true
	}
	sent := in.Header["Origin"]
	if len(sent) != 1 || !f.origins.allow(sent[0]) {
		return nil, false
	}
	return sent[:1:1], true
}

func (f *Filter) writeOrigin(h http.Header, origin []string) {
	h["Access-Control-Allow-Origin"] = origin
	if f.credentials {
		h["Access-Control-Allow-Credentials"] = yes
	}
}

// write names what is allowed. Any is told by repeating what was asked for: browsers take a "*" for all only without
// credentials, and never for Authorization.
func (l list) write(h http.Header, name string, asked []string) {
	switch {
	case l.any && len(asked) > 0:
		h[name] = []string{strings.Join(asked, ", ")}
	case !l.any && l.value != nil:
		h[name] = l.value
	}
}

// addVary adds the names that Vary lacks, to a list of its own.
func addVary(h http.Header, names ...string) {
	before := h["Vary"]
	if len(before) == 0 && len(names) == 1 {
		h["Vary"] = originOnly
		return
	}
	missing := slices.DeleteFunc(names, func(name string) bool {
		return httpguts.HeaderValuesContainsToken(before, name) || httpguts.HeaderValuesContainsToken(before, "*")
	})
	if len(missing) > 0 {
		h["Vary"] = append(before[:len(before):len(before)], strings.Join(missing, ", "))
	}
}

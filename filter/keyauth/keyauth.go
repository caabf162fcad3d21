// Package keyauth is the filter keyAuth: it knows callers by an API key.
//
// The key is looked for in the header field `header` and, only if `query` names one, in that query parameter. The
// consumers of the configuration hold the keys; they are kept and compared as SHA-256. A request with a key that
// nobody holds, with an empty one, or with more than one, is refused with 401; one without is given the challenge
// Key realm="sluice", and is refused with 401 at the end of phase Authenticate unless another scheme knows the caller.
// With `groups`, a known consumer who is in none of them is refused with 403.
//
// The key is not forwarded, unless `keepCredential` is set: the field is removed, and the parameter is cut out of the
// query, whose rest stays as it was written. The service is told X-Consumer-Name and X-Consumer-Groups (joined by
// commas); these are never taken from the client.
package keyauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
)

// Config knows callers by an API key: 401 without a right one.
type Config struct {
	// Header is the header field that holds the key.
	Header string `yaml:"header" default:"apikey"`
	// Query is the query parameter that may hold the key instead. Absent: the query is not looked at. Queries end up in logs.
	Query string `yaml:"query"`
	// KeepCredential forwards the key to the service.
	KeepCredential bool `yaml:"keepCredential" default:"false"`
	// Groups are those that a consumer must be in, one of them at least. Absent: every consumer may pass.
	Groups []string `yaml:"groups"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("keyAuth", filter.Authenticate, New) }

// Filter is one keyAuth.
type Filter struct {
	header string // canonical
	query  string
	keep   bool
	groups []string
}

var (
	_ filter.RequestFilter = (*Filter)(nil)
	_ filter.OutFilter     = (*Filter)(nil)
)

const (
	scheme    = "keyAuth"
	challenge = `Key realm="sluice"`
	maxKey    = 4096 // bytes; a longer one is nobody's, and not worth hashing
)

var (
	errWrong     = unauthorized("The API key is not valid.")
	errSeveral   = unauthorized("More than one API key was given.")
	errForbidden = failure.Denied(http.StatusForbidden, "This consumer is not allowed here.")
)

// written are fields that no client is believed in, since the gateway tells services what they say.
var written = []string{
	"Forwarded", "Via", "X-Attempt", "X-Consumer-Groups", "X-Consumer-Name", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Mirror", "X-Real-Ip", "X-Request-Id",
}

func unauthorized(detail string) *failure.Error {
	f := failure.Denied(http.StatusUnauthorized, detail)
	f.Header = http.Header{"Www-Authenticate": {challenge}}
	return f
}

// New makes the filter.
func New(_ filter.Env, c Config) (filter.Filter, error) {
	if c.Header == "" {
		c.Header = "apikey"
	}
	header := http.CanonicalHeaderKey(c.Header)
	var errs []error
	if !httpguts.ValidHeaderFieldName(header) {
		errs = append(errs, filter.Setting("header", "%q cannot be the name of a header field", c.Header))
	} else if header == "Host" || header == "Cookie" || filter.BelongsToConnection(header) != "" {
		errs = append(errs, filter.Setting("header", "%s cannot hold a key: name a field of its own, like apikey", header))
	} else if slices.Contains(written, header) {
		errs = append(errs, filter.Setting("header", "%s is written by the gateway itself: name a field of its own, like apikey", header))
	}
	if slices.Contains(c.Groups, "") {
		errs = append(errs, filter.Setting("groups", "a group has a name"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Filter{header: header, query: c.Query, keep: c.KeepCredential, groups: c.Groups}, nil
}

// OnRequest sets x.Identity, adds a challenge, or refuses.
func (f *Filter) OnRequest(_ context.Context, x *exchange.Exchange) error {
	key, found := f.credential(x.In)
	switch {
	case found == 0:
		x.Challenges = append(x.Challenges, challenge)
		return nil
	case found > 1:
		return errSeveral
	case key == "" || len(key) > maxKey:
		return errWrong
	}
	consumer, known := x.Consumers().ByKey(key)
	if !known {
		return errWrong
	}
	if len(f.groups) > 0 && !slices.ContainsFunc(consumer.Groups, func(g string) bool { return slices.Contains(f.groups, g) }) {
		return errForbidden
	}
	if x.Identity == nil {
		x.Identify(consumer, scheme)
	}
	return nil
}

// credential is the key and how many were given.
func (f *Filter) credential(in *http.Request) (key string, found int) {
	if values := in.Header[f.header]; len(values) > 0 {
		key, found = values[0], len(values)
	}
	if f.query == "" || in.URL == nil {
		return key, found
	}
	for pair := range strings.SplitSeq(in.URL.RawQuery, "&") {
		if value, ok := f.parameter(pair); ok {
			key, found = value, found+1
		}
	}
	return key, found
}

// parameter is the value of a raw pair of the query, if it is the one that holds the key. A value with a broken
// escape is empty, and so refused: passed over, it would be forwarded.
func (f *Filter) parameter(pair string) (value string, ok bool) {
	name, raw, _ := strings.Cut(pair, "=")
	if name != f.query {
		decoded, err := url.QueryUnescape(name)
		if err != nil || decoded != f.query {
			return "", false
		}
	}
	value, _ = url.QueryUnescape(raw) // empty with an error
	return value, true
}

// OnOut hides the key and says who calls.
func (f *Filter) OnOut(_ context.Context, x *exchange.Exchange) error {
	if !f.keep {
		delete(x.Out.Header, f.header)
		if f.query != "" {
			x.Out.URL.RawQuery = f.cut(x.Out.URL.RawQuery)
		}
	}
	if name := x.Identity.Name(); name != "" {
		x.Tell("X-Consumer-Name", name)
		if groups := x.Identity.Consumer.Groups; len(groups) > 0 {
			x.Tell("X-Consumer-Groups", strings.Join(groups, ","))
		}
	}
	return nil
}

// cut takes the pairs that hold the key out of a raw query. What is left is not written anew.
func (f *Filter) cut(raw string) string {
	holds := func(pair string) bool {
		_, ok := f.parameter(pair)
		return ok
	}
	pairs := strings.Split(raw, "&")
	if !slices.ContainsFunc(pairs, holds) {
		return raw
	}
	return strings.Join(slices.DeleteFunc(pairs, holds), "&")
}

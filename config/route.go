package config

import (
	"net/netip"
	"time"
)

// Route says which requests it takes and what becomes of them. It has exactly one end: service, split, aggregate, batch,
// respond or redirect.
type Route struct {
	// What metrics, logs and `sluice explain` call the route. Letters, digits, `.`, `_` and `-`, at most 64; unique.
	Name string `yaml:"name" required:"true"`

	// The listeners it stands on. May be left out while there is only one.
	Listeners []string `yaml:"listeners"`

	// The hosts it answers for; none means any. Port, case and a final dot do not matter; a leading `*.` stands for one
	// or more labels.
	Hosts []string `yaml:"hosts"`

	// What a request must look like: a mapping, all of which must hold, or a list of them, any of which is enough.
	// Absent: every request to the hosts.
	Match []Match `yaml:"match" one:"true"`

	// Overrides specificity: the higher wins. Only for the rare case that the order by specificity does not fit.
	Priority int `yaml:"priority" default:"0" min:"-1000000" max:"1000000"`

	// Filters of this route. One of the same name as the listener's or the top's replaces it; `NAME: off` removes it.
	Filters []Filter `yaml:"filters"`

	// End: forward to this service.
	Service string `yaml:"service"`

	// End: forward to one of several services by weight: canary, blue/green, A/B.
	Split []SplitEnd `yaml:"split"`

	// With `split`, the selector by which a caller keeps its side while weights move: `cookie:sid`, `consumer`,
	// `client.ip`, several joined by `+`.
	StickyBy string `yaml:"stickyBy"`

	// With `service` or `split`, lets clients of another protocol call it.
	Translate *Translate `yaml:"translate"`

	// End: ask several services and make one answer of what they say.
	Aggregate *Aggregate `yaml:"aggregate"`

	// End: take several requests in one, send each through the routes of the listener, answer with all their answers.
	Batch *Batch `yaml:"batch"`

	// With `service` or `split`, copies requests to another service.
	Mirror *Mirror `yaml:"mirror"`

	// How much its requests matter while the gateway itself is overloaded: `sheddable` ones are refused first, then
	// `default`, `critical` never. Needs the top level's `overload`.
	Criticality string `yaml:"criticality" default:"default" enum:"critical,default,sheddable"`

	// End: answer from the configuration.
	Respond *Respond `yaml:"respond"`

	// End: send the client elsewhere.
	Redirect *Redirect `yaml:"redirect"`

	// The size of a request body, in place of the listener's limit; 0 means no limit.
	BodyBytes *Size `yaml:"bodyBytes" min:"0"`

	// The time until the answer begins, retries included; 0 means no limit. Streams are not cut. A shorter
	// `grpc-timeout` wins.
	Timeout time.Duration `yaml:"timeout" default:"30s" min:"0"`

	// When a failed attempt is repeated. `off` for never.
	Retry *Retry `yaml:"retry" default:"{}" off:"true"`

	// When a request is sent to a second endpoint because the first is late. Absent: never.
	Hedge *Hedge `yaml:"hedge"`
}

// SplitEnd is one side of a split.
type SplitEnd struct {
	// The service that gets this share.
	Service string `yaml:"service" required:"true"`

	// The share, relative to the sum of all weights; 0 gets nothing.
	Weight int `yaml:"weight" default:"1" min:"0" max:"1000000"`

	// Requests that come to this side whatever the weights: a mapping of selectors to conditions, all of which must hold
	// (`header:x-canary: always`, `consumer: {prefix: beta-}`), or a list of such mappings, any of which is enough. The
	// sides are asked in their order.
	When []map[string]ValueMatch `yaml:"when" one:"true"`
}

// Match is a set of conditions on a request, all of which must hold.
type Match struct {
	// The path: exact; `{name}` is one segment; a trailing `/*` is this path and all below it; or `{regex: ...}`.
	Path *PathMatch `yaml:"path"`

	// The methods taken; none means any. GET includes HEAD.
	Methods []string `yaml:"methods"`

	// Header fields, by name.
	Headers map[string]ValueMatch `yaml:"headers"`

	// Query parameters, by name.
	Query map[string]ValueMatch `yaml:"query"`

	// Cookies, by name.
	Cookies map[string]ValueMatch `yaml:"cookies"`

	// Client addresses or prefixes, any of which is enough.
	ClientIPs []netip.Prefix `yaml:"clientIPs"`

	// A CEL expression over `request` and `client` that must be true. A runtime error is no match.
	Expression string `yaml:"expression"`
}

// PathMatch is a path pattern, or a regular expression. Exactly one of its fields is set.
type PathMatch struct {
	// The pattern, as written: `/orders/{id}`, `/static/*`.
	Pattern string `yaml:"-" short:"true"`

	// A regular expression (RE2) over the canonical path. It is not anchored unless written so.
	Regex string `yaml:"regex"`
}

// ValueMatch is a condition on one header field, query parameter or cookie. Exactly one of its fields is set.
type ValueMatch struct {
	// The value, exactly.
	Exact *string `yaml:"-" short:"true"`

	// True: it must be there, whatever its value. False: it must not be there.
	Present *bool `yaml:"present"`

	// What the value begins with.
	Prefix *string `yaml:"prefix"`

	// What the value ends with.
	Suffix *string `yaml:"suffix"`

	// A regular expression (RE2) that the value matches. It is not anchored unless written so.
	Regex *string `yaml:"regex"`

	// What the value must differ from. An absent one differs.
	Not *string `yaml:"not"`
}

// Respond is an answer given by the gateway itself.
type Respond struct {
	// The status code.
	Status int `yaml:"status" default:"200" min:"200" max:"599"`

	// The body, as text.
	Body string `yaml:"body"`

	// Header fields of the answer. Content-Type is `text/plain; charset=utf-8` unless it is named here.
	Headers map[string]string `yaml:"headers"`
}

// Redirect sends the client elsewhere. What is not named stays as it was; the query is kept.
type Redirect struct {
	// The scheme to go to.
	Scheme string `yaml:"scheme" enum:"http,https"`

	// The host to go to, without a port.
	Host string `yaml:"host"`

	// The port to go to. 0: the one of the request while neither scheme nor host is named, else the scheme's own.
	Port int `yaml:"port" default:"0" min:"0" max:"65535"`

	// The path to go to. A trailing `/*` is replaced by the rest of the path that the route's own `/*` took; captures of
	// the route may be named: `/v2/{id}`.
	Path string `yaml:"path"`

	// The status code.
	Status int `yaml:"status" default:"308" enum:"301,302,303,307,308"`
}

// Retry says when a failed attempt is repeated. Only what is safe to repeat is: idempotent methods, and requests of
// which nothing was sent.
type Retry struct {
	// Attempts in all, the first one included.
	Attempts int `yaml:"attempts" default:"2" min:"1" max:"10"`

	// The failures that are worth another attempt; a list replaces the default. `connectFailure`, `reset` (before any
	// byte of the answer), `timeout` (of one attempt), `5xx`, single codes such as 503, and gRPC status names such as
	// `grpc-unavailable`.
	On []RetryCondition `yaml:"on" default:"connectFailure,reset"`

	// The time one attempt may take until its answer begins; 0 means no limit but the route's.
	PerAttempt time.Duration `yaml:"perAttempt" default:"0" min:"0"`

	// Methods that may be repeated beyond the idempotent ones. The service must bear it.
	Methods []string `yaml:"methods"`

	// How much of a request body is kept for another attempt. A larger one is sent once.
	BodyBytes Size `yaml:"bodyBytes" default:"64KiB" min:"0" max:"64MiB"`

	// The pause before another attempt: exponential, with full jitter.
	Backoff Backoff `yaml:"backoff"`
}

// Backoff is the pause between attempts.
type Backoff struct {
	// The upper bound of the first pause; it doubles with each attempt.
	Base time.Duration `yaml:"base" default:"25ms" min:"0" max:"1m"`

	// The upper bound of every pause.
	Max time.Duration `yaml:"max" default:"250ms" min:"0" max:"1m"`
}

package config

import (
	"bytes"
	"time"
)

// Aggregate asks several services and makes one answer of what they say. Calls that need nothing of each other run at
// once.
type Aggregate struct {
	// The time all calls have together, their answers' bodies included; 0: the route's `timeout`.
	Timeout time.Duration `yaml:"timeout" default:"0" min:"0"`

	// The calls, at most 32. One whose texts name another call waits for its answer.
	Calls []AggregateCall `yaml:"calls" required:"true"`

	// How the answers become one JSON object: `named`, each under its call's name, or `flat`, their members side by side;
	// of members of one name the last counts, in the order of the calls.
	Merge string `yaml:"merge" default:"named" enum:"named,flat"`

	// A jq program that makes the answer of the merged object. Absent: that is the answer.
	Response string `yaml:"response"`

	// Header fields of the client's that go to every call, beside those of tracing. What the gateway itself says of the
	// client goes without being named; credentials, cookies and everything else do not.
	Forward []string `yaml:"forward"`

	// What one request may make the gateway hold.
	Limits AggregateLimits `yaml:"limits"`
}

// AggregateLimits bounds what one request can make an aggregate hold.
type AggregateLimits struct {
	// One answer of a service. A longer one fails its call.
	AnswerBytes Size `yaml:"answerBytes" default:"1MiB" min:"1" max:"64MiB"`

	// All answers together, and the one made of them.
	TotalBytes Size `yaml:"totalBytes" default:"8MiB" min:"1" max:"256MiB"`

	// The body of the request, if a call refers to it. A longer one is answered 413.
	RequestBytes Size `yaml:"requestBytes" default:"64KiB" min:"1" max:"16MiB"`

	// How deep a document may be nested.
	Depth int `yaml:"depth" default:"64" min:"1" max:"512"`
}

// AggregateCall is one call of an aggregate. `method`, `path`, `query`, `headers` and `body` may refer to the request and to
// the answers of other calls: `{id}` is a captured segment; `{query.x}`, `{header.x}`, `{cookie.x}`, `{claim.x}`,
// `{consumer}`, `{client.ip}`, `{host}`, `{method}`, `{requestId}` and `{body.x}` are of the request; `{user.regionId}` is
// of the answer of the call `user`. `{x:-y}` is y where there is no x; without a default the call then fails.
type AggregateCall struct {
	// What the others call it, and where its answer stands. Not the name of a captured segment.
	Name string `yaml:"name" required:"true"`

	// The service that is asked.
	Service string `yaml:"service" required:"true"`

	// The path, and a query if it has one. References become one segment, or one value.
	Path string `yaml:"path" required:"true"`

	// The method. Absent: GET, or POST if there is a `body`.
	Method string `yaml:"method"`

	// Query parameters to add, by name.
	Query map[string]string `yaml:"query"`

	// Header fields to set, by name.
	Headers map[string]string `yaml:"headers"`

	// The body. In JSON, a reference within quotes is text, outside of quotes a whole value.
	Body string `yaml:"body"`

	// The type of `body`. Absent: `application/json`.
	ContentType string `yaml:"contentType"`

	// Header fields of the client's that go to this call, beside those of the aggregate's `forward`.
	Forward []string `yaml:"forward"`

	// What the answer must be: `json`, `xml`, which becomes JSON, or `text`, which becomes a string.
	Format string `yaml:"format" default:"json" enum:"json,xml,text"`

	// The members to keep, as paths: `items`, `customer.name`. Arrays are picked from element by element. Absent: all.
	// References see the whole answer.
	Pick []string `yaml:"pick"`

	// Whether the whole fails if this call does.
	Required bool `yaml:"required"`

	// What stands in for the answer if the call fails. Absent: it is left out.
	Fallback *Node `yaml:"fallback"`

	// The time this call has, its answer's body included; 0: that of the aggregate.
	Timeout time.Duration `yaml:"timeout" default:"0" min:"0"`

	// When a failed attempt is repeated. Absent: as the route says. `off` for never.
	Retry *Retry `yaml:"retry" off:"true"`

	// A list to make one call for each element of: `.orders.items`, or `.body.ids`. The element is `{item}` and its place
	// `{index}`; the answer is the array of all answers in the list's order.
	ForEach string `yaml:"forEach"`

	// The calls of a `forEach` that run at once.
	Concurrency int `yaml:"concurrency" default:"8" min:"1" max:"64"`

	// The most elements that a `forEach` takes. A longer list fails the call.
	Items int `yaml:"items" default:"100" min:"1" max:"10000"`
}

// JSON is the node as a JSON text, as it was written: numbers keep their digits, secrets are not hidden.
func (n Node) JSON() ([]byte, error) {
	if n.n == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	err := n.n.writeJSON(&b, false)
	return b.Bytes(), err
}

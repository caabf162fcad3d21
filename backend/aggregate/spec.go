package aggregate

import (
	"time"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/upstream"
)

// Spec is what an aggregate is made from.
type Spec struct {
	Timeout  time.Duration // of all calls together; 0: none
	Calls    []Call
	Flat     bool              // members of the answers side by side, not each answer under its name
	Response *document.Program // makes the answer of the merged document; nil: that is the answer
	Forward  []string          // fields of the client's that go to every call
	Limits   Limits
}

// Limits bound what one request can make us hold.
type Limits struct {
	AnswerBytes  int64 // of one answer
	TotalBytes   int64 // of all, and of the answer made of them
	RequestBytes int64 // of the request's body, if a call refers to it
	Depth        int   // of a document
}

// Call is one call as configured. Method, Path, Headers, Query and Body are templates.
type Call struct {
	Name    string
	Service *upstream.Service
	Policy  *upstream.Policy

	Method      string // empty: GET, or POST if there is a body
	Path        string
	Query       map[string]string // added to what Path holds
	Headers     map[string]string
	Body        string
	ContentType string // of Body

	Format   Format
	Pick     []string
	Required bool
	Fallback document.Value // nil: an optional call that fails is left out
	Timeout  time.Duration  // 0: that of the aggregate
	Forward  []string       // as Spec.Forward, for this call

	ForEach     string // a path to a list, beginning with a call's name or with body; empty: one call
	Concurrency int    // calls of a ForEach at once
	Items       int    // the most elements that ForEach takes
}

// Format is what a call's answer is read as.
type Format string

const (
	JSON Format = "json"
	XML  Format = "xml"
	Text Format = "text"
)

// MaxCalls bounds the calls of an aggregate.
const MaxCalls = 32

// Mistake is something wrong with a Spec. Call is -1 for what concerns no single call; Key is a path below it.
type Mistake struct {
	Call int
	Key  string
	Err  error
}

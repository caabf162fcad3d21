// Package route finds the rule that takes a request.
//
// A table is a segment tree for every host that is named, one for every wildcard, and one for rules without a host.
// A look-up walks these trees in the order of precedence, and the first rule that holds wins:
//
//  1. hosts: the exact one, then wildcards, the longest first, then none;
//  2. the path, segment by segment: a literal before a {name} before /*; then regular expressions; then rules that say
//     nothing of the path;
//  3. a rule with methods before one without;
//  4. the larger number of conditions;
//  5. the order in which the rules were given.
//
// Priority overrides all of it. Every host, node and leaf knows the highest priority at or below it, and a search that
// has found a rule goes on only where a higher one can still be. With equal priorities that is nowhere, so whoever does
// not use them does not pay for them.
//
// What fails deeper down is tried again one step less specific, up to the rules without a host. A node is visited at
// most once for a request, so the work is bounded by the rules and never by what a client sends.
//
// A table knows no filter and no backend. It does no I/O, is never changed after Build, and a look-up allocates nothing
// but what an expression or a captured regular expression needs.
package route

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
)

// A Rule is one way to reach a Value. All that it names must hold; what it leaves out holds for every request.
type Rule[T any] struct {
	Name       string               // for Explain; several rules may share one
	Hosts      []string             // exact, or "*.example.net" for one or more labels; any of them. None: every host
	Path       Path                 // the zero Path is every path
	Methods    []string             // any of them; GET includes HEAD. None: every method
	Headers    []Condition          // all of them; names in any case
	Query      []Condition          // all of them; names decoded
	Cookies    []Condition          // all of them
	ClientIPs  []netip.Prefix       // any of them. None: every address
	Expression *exchange.Expression // nil: none. One that fails is no match
	Priority   int                  // the higher wins, whatever is more specific. 0 where nobody asks for more
	Value      T
}

// Outcome is what a look-up ended with.
type Outcome uint8

const (
	NotFound         Outcome = iota // no rule fits: 404
	Found                           // a rule fits
	MethodNotAllowed                // a rule fits in all but its methods: 405, with what Table.Allowed says
)

// A Table finds the rule for a request. The zero Table has none. It is safe for concurrent use.
type Table[T any] struct {
	// ExpressionFailed, unless nil, is told of every expression that failed during Match, with the value of its rule.
	// It is set before the table is used, and is called concurrently.
	ExpressionFailed func(value T, err error)

	hosts hostIndex
	rules []*rule
}

// Build compiles rules, whose order decides between equals. It reports every mistake at once; the table is nil if
// there is one.
func Build[T any](rules []Rule[T]) (*Table[T], []*RuleError) {
	t := &Table[T]{rules: make([]*rule, len(rules))}
	var mistakes mistakes
	for i := range rules {
		t.rules[i] = compileRule(&mistakes, i, &rules[i])
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	words := make(spelled)
	for _, r := range t.rules {
		words.share(r)
		t.hosts.add(r)
	}
	t.hosts.seal()
	return t, nil
}

// Match finds the rule for x by x.Host, x.Path, x.Client and x.In, and binds x.Captures. The value is the zero T unless
// the outcome is Found.
func (t *Table[T]) Match(x *exchange.Exchange) (value T, outcome Outcome) {
	s := newSearch(x)
	if t.ExpressionFailed != nil {
		s.failures = t
	}
	x.Captures = x.Captures[:0]
	s.run(&t.hosts)
	switch {
	case s.best != nil:
		return s.best.value.(T), Found
	case s.missed:
		return value, MethodNotAllowed
	}
	return value, NotFound
}

func (t *Table[T]) expressionFailed(r *rule, err error) { t.ExpressionFailed(r.value.(T), err) }

// Allowed lists, sorted, the methods that a request like x could use instead: those of every rule that fits x in all
// else. It is what Allow says (RFC 9110 section 10.2.1) when Match reported MethodNotAllowed.
func (t *Table[T]) Allowed(x *exchange.Exchange) []string {
	s := newSearch(x)
	var allowed methods
	s.allowed = &allowed
	s.run(&t.hosts)
	return allowed.names()
}

// Len is the number of rules.
func (t *Table[T]) Len() int { return len(t.rules) }

// requestedMethod is the method a request is matched by: of a CORS preflight the one it asks for, so that a route that
// names POST answers it.
func requestedMethod(in *http.Request) string {
	if in.Method != http.MethodOptions || len(in.Header["Origin"]) == 0 {
		return in.Method
	}
	asked := in.Header["Access-Control-Request-Method"]
	if len(asked) == 0 || asked[0] == "" {
		return in.Method
	}
	return strings.TrimSpace(asked[0])
}

package exchange

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

const (
	// maxExpression bounds an expression's text, in bytes.
	maxExpression = 4096
	// maxExpressionCost bounds one evaluation in CEL's units: about one for each step and one for each ten characters
	// that a function reads. What needs more is an error.
	maxExpressionCost = 100_000
)

// Env says which variables an expression sees.
type Env uint8

const (
	// MatchRule sees request.{method,host,path,scheme} and client.ip as strings, and request.{headers,query,cookies}
	// as maps of strings. Header names are lower case and repeats joined by ", "; of query parameters and cookies
	// that are repeated the first counts. The path is the canonical one.
	MatchRule Env = iota
	// AccessRule sees consumer and route (strings, empty if there is none) and claims (a map) as well.
	AccessRule
)

// An Expression is a compiled CEL expression that is true or false for a request. It is safe for concurrent use.
type Expression struct {
	text    string
	program cel.Program
}

// ExpressionError says what is wrong with an expression, and where in its text.
type ExpressionError struct {
	Line, Column int // from 1; 0: the text as a whole
	Message      string
}

func (e *ExpressionError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
}

// environments are made at first use: they are large, and most configurations have no expression.
var environments = [...]func() (*cel.Env, error){
	MatchRule: sync.OnceValues(func() (*cel.Env, error) { return cel.NewEnv(matchVariables()...) }),
	AccessRule: sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(append(matchVariables(),
			cel.Variable("consumer", cel.StringType),
			cel.Variable("route", cel.StringType),
			cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)))...)
	}),
}

// matchVariables are declared one by one, not as fields of a map, so that request.hots is an error at compile.
func matchVariables() []cel.EnvOption {
	texts := cel.MapType(cel.StringType, cel.StringType)
	return []cel.EnvOption{
		cel.Variable("request.method", cel.StringType),
		cel.Variable("request.host", cel.StringType),
		cel.Variable("request.path", cel.StringType),
		cel.Variable("request.scheme", cel.StringType),
		cel.Variable("request.headers", texts),
		cel.Variable("request.query", texts),
		cel.Variable("request.cookies", texts),
		cel.Variable("client.ip", cel.StringType),
	}
}

// CompileExpression compiles text, of at most 4096 bytes. What is wrong with it is an *ExpressionError.
func CompileExpression(text string, env Env) (*Expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, &ExpressionError{Message: "the expression is empty"}
	}
	if len(text) > maxExpression {
		return nil, &ExpressionError{Message: fmt.Sprintf("the expression is longer than %d bytes", maxExpression)}
	}
	if int(env) >= len(environments) {
		return nil, fmt.Errorf("there is no expression environment %d", env)
	}
	e, err := environments[env]()
	if err != nil {
		return nil, fmt.Errorf("setting up expressions: %w", err)
	}
	ast, issues := e.Compile(text)
	if err := firstIssue(issues); err != nil {
		return nil, err
	}
	if out := ast.OutputType(); !out.IsExactType(cel.BoolType) {
		return nil, &ExpressionError{1, 1, fmt.Sprintf("the expression must be true or false, this one is of type %s", out)}
	}
	program, err := e.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxExpressionCost))
	if err != nil {
		return nil, &ExpressionError{Message: err.Error()}
	}
	return &Expression{text: text, program: program}, nil
}

// firstIssue is the first mistake in the text; those after it are often its echo.
func firstIssue(issues *cel.Issues) error {
	if issues == nil || len(issues.Errors()) == 0 {
		return nil
	}
	first := issues.Errors()[0]
	for _, e := range issues.Errors()[1:] {
		if before(e, first) {
			first = e
		}
	}
	return &ExpressionError{max(first.Location.Line(), 1), max(first.Location.Column(), 0) + 1, first.Message}
}

func before(a, b *cel.Error) bool {
	if a.Location.Line() != b.Location.Line() {
		return a.Location.Line() < b.Location.Line()
	}
	return a.Location.Column() < b.Location.Column()
}

// String is the text the expression was compiled from.
func (e *Expression) String() string { return e.text }

// Eval evaluates the expression for x. A key that is missing, like any other failure, is an error and false.
func (e *Expression) Eval(x *Exchange) (bool, error) {
	value, _, err := e.program.Eval(&activation{x: x})
	if err != nil {
		return false, fmt.Errorf("expression %q: %w", e.text, err)
	}
	held, ok := value.(types.Bool)
	if !ok {
		return false, fmt.Errorf("expression %q: it is of type %s, not true or false", e.text, value.Type().TypeName())
	}
	return bool(held), nil
}

// activation gives CEL the variables of one exchange, and makes the maps only when they are asked for.
type activation struct {
	x                       *Exchange
	headers, query, cookies map[string]string
}

// Parent is nil: there is no wider scope.
func (*activation) Parent() cel.Activation { return nil }

func (a *activation) ResolveName(name string) (any, bool) {
	x := a.x
	switch name {
	case "request.method":
		return x.In.Method, true
	case "request.host":
		return x.Host, true
	case "request.path":
		return x.Path, true
	case "request.scheme":
		return x.Scheme, true
	case "request.headers":
		return once(&a.headers, func() map[string]string { return headerMap(x.In.Header) }), true
	case "request.query":
		return once(&a.query, func() map[string]string { return queryMap(x.In) }), true
	case "request.cookies":
		return once(&a.cookies, func() map[string]string { return cookieMap(x.In.Header) }), true
	case "client.ip":
		return addressText(x), true
	case "consumer":
		return x.Identity.Name(), true
	case "route":
		return x.Route, true
	case "claims":
		return claims(x.Identity), true
	}
	return nil, false
}

func once(m *map[string]string, build func() map[string]string) map[string]string {
	if *m == nil {
		*m = build()
	}
	return *m
}

func headerMap(h http.Header) map[string]string {
	m := make(map[string]string, len(h))
	for name, values := range h {
		m[strings.ToLower(name)] = joined(values)
	}
	return m
}

func queryMap(in *http.Request) map[string]string {
	m := map[string]string{}
	if in.URL == nil {
		return m
	}
	for q := NewQuery(in.URL.RawQuery); q.Next(); {
		if _, repeated := m[q.Name]; !repeated {
			m[q.Name] = q.Value
		}
	}
	return m
}

func cookieMap(h http.Header) map[string]string {
	m := map[string]string{}
	for c := NewCookies(h); c.Next(); {
		if _, repeated := m[c.Name]; !repeated {
			m[c.Name] = c.Value
		}
	}
	return m
}

func addressText(x *Exchange) string {
	if !x.Client.IsValid() {
		return ""
	}
	return x.Client.String()
}

// claims is never nil: a rule about a claim that nobody made is false or an error of its own, not one of a missing map.
func claims(i *Identity) map[string]any {
	if i == nil || i.Claims == nil {
		return map[string]any{}
	}
	return i.Claims
}

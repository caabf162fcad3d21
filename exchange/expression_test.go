package exchange

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
)

func expressionExchange() *Exchange {
	x := selectorExchange()
	x.Path, x.Scheme = "/orders/7", "https"
	x.In = &http.Request{
		Method: "POST",
		URL:    &url.URL{RawQuery: "q=1&q=2&e=%20"},
		Header: http.Header{"X-Tenant": {"eu-1"}, "X-Many": {"a", "b"}, "Cookie": {"beta=yes; beta=no"}},
	}
	return x
}

func TestExpression(t *testing.T) {
	for text, want := range map[string]bool{
		`request.method == "POST" && request.path == "/orders/7"`:         true,
		`request.host == "api.example.com" && request.scheme == "https"`:  true,
		`request.headers["x-tenant"].startsWith("eu-")`:                   true,
		`request.headers["x-many"] == "a, b"`:                             true,
		`request.query["q"] == "1" && request.query.e == " "`:             true,
		`request.cookies.beta == "yes"`:                                   true,
		`"x-none" in request.headers`:                                     false,
		`client.ip == "192.0.2.7"`:                                        true,
		`request.path.matches("^/orders/[0-9]+$")`:                        true,
		`request.headers.exists(h, h == "x-tenant")`:                      true,
		`request.headers["x-none"] == "1" || request.method == "POST"`:    true,
		`has(request.query.none)`:                                         false,
		`consumer == "mobile" && route == "orders" && claims.sub == "u1"`: true,
		`claims.n > 41.0 && claims.list[0] == "x"`:                        true,
	} {
		e, err := CompileExpression(text, AccessRule)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.Eval(expressionExchange()); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if e.String() != text {
			t.Errorf("%s: String is %q", text, e.String())
		}
	}
}

func TestExpressionFails(t *testing.T) {
	for _, text := range []string{
		`request.headers["x-none"] == "1"`,
		`claims.none_such == 1`,
		`claims.sub > 3`,
		`request.query.q == "1" && 1 / (request.path.size() - 9) == 1`,
	} {
		e, err := CompileExpression(text, AccessRule)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, err := e.Eval(expressionExchange()); got || err == nil {
			t.Errorf("%s: %v, %v; want an error", text, got, err)
		}
	}
}

func TestExpressionOfNobody(t *testing.T) {
	e, err := CompileExpression(`client.ip == "" && consumer == "" && claims.size() == 0 && request.query.size() == 0`, AccessRule)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Eval(&Exchange{In: &http.Request{}}); !got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestExpressionCostIsBounded(t *testing.T) {
	all := `request.headers.all(a, request.headers.all(b, request.headers.all(c, a + b + c != "x")))`
	e, err := CompileExpression(all, MatchRule)
	if err != nil {
		t.Fatal(err)
	}
	x := expressionExchange()
	for i := range 100 {
		x.In.Header["X-"+strings.Repeat("y", i)] = []string{"1"}
	}
	if got, err := e.Eval(x); got || err == nil || !strings.Contains(err.Error(), "cost") {
		t.Errorf("%v, %v; want the cost limit", got, err)
	}
}

func TestCompileExpressionErrors(t *testing.T) {
	for _, c := range []struct {
		text         string
		line, column int
		message      string
	}{
		{"", 0, 0, "empty"},
		{" \n", 0, 0, "empty"},
		{strings.Repeat("x", 4097), 0, 0, "longer than"},
		{`"a"`, 1, 1, "must be true or false, this one is of type string"},
		{`request.headers["x"]`, 1, 1, "type string"},
		{`claims.x`, 1, 1, "undeclared"},
		{"true &&\n  request.hots == \"x\"", 2, 10, "undeclared"},
		{`1 +`, 1, 4, "Syntax"},
		{`request.method == 1`, 1, 16, "overload"},
		{`consumer == "x"`, 1, 1, "undeclared"},
		{"true &&\n nobody == nothing", 2, 2, "undeclared reference to 'nobody'"},
		{`request.path.matches("(")`, 0, 0, "missing closing"},
		{strings.Repeat("(", 600) + "true" + strings.Repeat(")", 600), 1, 1, "recursion"},
	} {
		_, err := CompileExpression(c.text, MatchRule)
		e, ok := errors.AsType[*ExpressionError](err)
		if !ok {
			t.Errorf("%q: %v, want an ExpressionError", c.text, err)
			continue
		}
		if e.Line != c.line || e.Column != c.column || !strings.Contains(e.Message, c.message) {
			t.Errorf("%.60q: %d:%d %q, want %d:%d %q", c.text, e.Line, e.Column, e.Message, c.line, c.column, c.message)
		}
	}
	if got := (&ExpressionError{2, 3, "x"}).Error() + (&ExpressionError{Message: "y"}).Error(); got != "2:3: xy" {
		t.Errorf("errors read %q", got)
	}
	if _, err := CompileExpression("true", Env(9)); err == nil {
		t.Error("an environment that does not exist was taken")
	}
}

func TestExpressionIsConcurrent(t *testing.T) {
	e, err := CompileExpression(`request.headers["x-tenant"] == request.cookies.tenant`, MatchRule)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for _, tenant := range []string{"a", "b", "c", "d"} {
		group.Go(func() {
			x := &Exchange{Client: netip.Addr{}, In: &http.Request{Header: http.Header{"X-Tenant": {tenant}, "Cookie": {"tenant=" + tenant}}}}
			for range 200 {
				if held, err := e.Eval(x); !held || err != nil {
					t.Errorf("%s: %v, %v", tenant, held, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func FuzzExpression(f *testing.F) {
	f.Add(`request.headers["a"] == "b"`)
	f.Add(`[1,2].map(x, x * 2).exists(y, y > 3)`)
	f.Add(`"`)
	x := expressionExchange()
	f.Fuzz(func(t *testing.T, text string) {
		e, err := CompileExpression(text, AccessRule)
		if err != nil {
			return
		}
		if held, err := e.Eval(x); held && err != nil {
			t.Fatalf("%q: true and %v", text, err)
		}
	})
}

func BenchmarkExpression(b *testing.B) {
	e, err := CompileExpression(`request.headers["x-tenant"].startsWith("eu-")`, MatchRule)
	if err != nil {
		b.Fatal(err)
	}
	x := expressionExchange()
	b.ReportAllocs()
	for b.Loop() {
		if held, err := e.Eval(x); !held || err != nil {
			b.Fatal(held, err)
		}
	}
}

package route

import (
	"net/netip"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	table := build(t,
		Rule[string]{Name: "orders", Hosts: []string{"api.example.com"}, Path: Path{Pattern: "/orders/{id}"}, Methods: []string{"GET"}},
		Rule[string]{Name: "orders-v2", Hosts: []string{"api.example.com"}, Path: Path{Pattern: "/orders/{id}"}, Headers: []Condition{{Name: "x-api-version", Value: "2"}}},
		Rule[string]{Name: "orders-all", Path: Path{Pattern: "/orders/*"}},
		Rule[string]{Name: "inside", Path: Path{Pattern: "/orders/*"}, ClientIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		Rule[string]{Name: "wild", Hosts: []string{"*.example.com", "x.example"}, Path: Path{Pattern: "/orders/*"}},
		Rule[string]{Name: "users", Path: Path{Pattern: "/users"}, Expression: expression(t, "false")},
		Rule[string]{Name: "far", Hosts: []string{"far.example"}, Path: Path{Regex: "^/far"}},
	)
	check := func(x []Reason, want ...string) {
		t.Helper()
		for i, w := range want {
			if i >= len(x) {
				t.Errorf("there is no reason %d: %q", i, w)
				continue
			}
			if got := x[i].Name + ": " + x[i].Text; got != w || x[i].Won != strings.Contains(w, ": fits: ") {
				t.Errorf("reason %d is %q (won: %v), want %q", i, got, x[i].Won, w)
			}
		}
		if len(x) != len(want) {
			t.Errorf("there are %d reasons, want %d: %v", len(x), len(want), x)
		}
	}
	check(table.Explain(ask(t, "GET api.example.com/orders/7", "X-Api-Version", "1")),
		"orders: fits: host api.example.com, path /orders/{id}, method GET or HEAD",
		"orders-all: fits as well, but the host of orders is more specific",
		"wild: fits as well, but the host of orders is more specific",
		`orders-v2: path fits, header x-api-version is "1", wants "2"`,
		"inside: path fits, address 192.0.2.7 is not in 10.0.0.0/8",
		`users: path /orders/7 is not /users, expression "false" is false`,
	)
	check(table.Explain(ask(t, "POST api.example.com/orders/7"))[:3],
		"wild: fits: host *.example.com or x.example, path /orders/*",
		"orders-all: fits as well, but the host of wild is more specific",
		`orders-v2: path fits, header x-api-version is missing, wants "2"`,
	)
	check(table.Explain(ask(t, "POST api.example.com/orders/7"))[4:5], "orders: path fits, method POST is not GET or HEAD")
	check(table.Explain(ask(t, "GET /nowhere"))[3:],
		"orders: host (none) is not api.example.com, path /nowhere is not /orders/{id}",
		"wild: host (none) is not *.example.com or x.example, path /nowhere is not /orders/*")
}

func TestExplainOrder(t *testing.T) {
	methods, header := []string{"GET"}, []Condition{{Name: "a", Test: Absent}}
	for want, losers := range map[string][2]Rule[string]{
		"w has priority 3 over 0":        {{Name: "w", Priority: 3}, {Path: Path{Pattern: "/a"}}},
		"the host of w is more specific": {{Name: "w", Hosts: []string{"*.b.c"}}, {Hosts: []string{"*.c"}}},
		"the path of w is more specific": {{Name: "w", Path: Path{Pattern: "/{x}"}}, {Path: Path{Pattern: "/*"}}},
		"w names its methods":            {{Name: "w", Methods: methods}, {Headers: header}},
		"w has more conditions":          {{Name: "w", Headers: header}, {}},
		"w comes first in the file":      {{Name: "w"}, {}},
	} {
		reasons := build(t, losers[0], losers[1]).Explain(ask(t, "GET a.b.c/a"))
		if len(reasons) != 2 || !reasons[0].Won || reasons[0].Name != "w" || reasons[1].Text != "fits as well, but "+want {
			t.Errorf("%+v, want %q", reasons, want)
		}
	}
}

func TestExplainConditions(t *testing.T) {
	for want, c := range map[string]Condition{
		`header a is missing, wants any value`:            {Name: "a", Test: Present},
		`header b is "1, 2", wants none`:                  {Name: "b", Test: Absent},
		`header b is "1, 2", wants "x" at its start`:      {Name: "b", Test: Prefix, Value: "x"},
		`header b is "1, 2", wants "x" at its end`:        {Name: "b", Test: Suffix, Value: "x"},
		`header b is "1, 2", wants a match of "^x"`:       {Name: "b", Test: Regex, Value: "^x"},
		`header b is "1, 2", wants anything but "2"`:      {Name: "b", Test: Not, Value: "2"},
		`query parameter q is "1, 2", wants "3"`:          {Name: "q", Value: "3"},
		`cookie k is "v", wants "w"`:                      {Name: "k", Value: "w"},
		"the expression \"request.headers['x'] == ''\": ": {},
	} {
		r := Rule[string]{Name: "r"}
		switch {
		case strings.HasPrefix(want, "header"):
			r.Headers = []Condition{c}
		case strings.HasPrefix(want, "query"):
			r.Query = []Condition{c}
		case strings.HasPrefix(want, "cookie"):
			r.Cookies = []Condition{c}
		default:
			r.Expression = expression(t, "request.headers['x'] == ''")
		}
		reasons := build(t, r).Explain(ask(t, "GET h/?q=1&q=2", "b", "1", "b", "2", "Cookie", "k=v"))
		if len(reasons) != 1 || reasons[0].Won || !strings.HasPrefix(reasons[0].Text, want) {
			t.Errorf("%+v, want %q", reasons, want)
		}
	}
	all := build(t, Rule[string]{Name: "all"}, Rule[string]{Name: "all2", Priority: 2, Headers: []Condition{{Name: "a"}}, ClientIPs: []netip.Prefix{netip.MustParsePrefix("::/0")}})
	if got := all.Explain(ask(t, "GET h/"))[0].Text; got != "takes every request" {
		t.Errorf("%q", got)
	}
}

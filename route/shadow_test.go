package route

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

func TestShadowed(t *testing.T) {
	p := func(pattern string) Path { return Path{Pattern: pattern} }
	h := func(value string) []Condition { return []Condition{{Name: "x", Value: value}} }
	nets := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	for _, c := range []struct {
		name  string
		rules []Rule[string]
		want  []Shadow
	}{
		{"the same twice", []Rule[string]{{Path: p("/a")}, {Path: p("/a")}}, []Shadow{{1, 0}}},
		{"three times", []Rule[string]{{Path: p("/a")}, {Path: p("/a")}, {Path: p("/a")}}, []Shadow{{1, 0}, {2, 0}}},
		{"captures of other names", []Rule[string]{{Path: p("/a/{x}/*")}, {Path: p("/a/{y}/*")}}, []Shadow{{1, 0}}},
		{"another spelling", []Rule[string]{{Path: p("/%61")}, {Path: p("/a")}}, []Shadow{{1, 0}}},
		{"more specific", []Rule[string]{{Path: p("/*")}, {Path: p("/{x}")}, {Path: p("/a")}, {Path: p("/a/*")}}, nil},
		{"regex after /*", []Rule[string]{{Path: Path{Regex: "^/v"}}, {Path: p("/*")}}, []Shadow{{0, 1}}},
		{"no path after /*", []Rule[string]{{}, {Path: p("/*")}}, []Shadow{{0, 1}}},
		{"no path after a conditional /*", []Rule[string]{{}, {Path: p("/*"), Headers: h("1")}}, nil},
		{"no path after /* of a method", []Rule[string]{{}, {Path: p("/*"), Methods: []string{"GET"}}}, nil},
		{"GET after /* of GET", []Rule[string]{{Methods: []string{"HEAD"}}, {Path: p("/*"), Methods: []string{"GET"}}}, []Shadow{{0, 1}}},
		{"regex twice", []Rule[string]{{Path: Path{Regex: "^/v"}}, {Path: Path{Regex: "^/v"}}, {Path: Path{Regex: "^/w"}}}, []Shadow{{1, 0}}},
		{"no path before regex", []Rule[string]{{}, {Path: Path{Regex: "^/v"}}}, nil},
		{"no path twice", []Rule[string]{{}, {}}, []Shadow{{1, 0}}},
		{"methods within", []Rule[string]{{Path: p("/a"), Methods: []string{"GET", "PURGE"}}, {Path: p("/a"), Methods: []string{"PURGE", "HEAD"}}}, []Shadow{{1, 0}}},
		{"methods beside", []Rule[string]{{Path: p("/a"), Methods: []string{"GET"}}, {Path: p("/a"), Methods: []string{"GET", "POST"}}}, nil},
		{"other methods beside", []Rule[string]{{Path: p("/a"), Methods: []string{"LOCK"}}, {Path: p("/a"), Methods: []string{"PURGE"}}}, nil},
		{"methods before none", []Rule[string]{{Path: p("/a")}, {Path: p("/a"), Methods: []string{"GET"}}}, nil},
		{"equal conditions", []Rule[string]{{Path: p("/a"), Headers: h("1")}, {Path: p("/a"), Headers: h("1")}}, []Shadow{{1, 0}}},
		{"other conditions", []Rule[string]{{Path: p("/a"), Headers: h("1")}, {Path: p("/a"), Headers: h("2")}, {Path: p("/a"), Query: h("1")}, {Path: p("/a")}}, nil},
		{"addresses within", []Rule[string]{{Path: p("/a"), ClientIPs: nets("10.0.0.0/8")}, {Path: p("/a"), ClientIPs: nets("10.1.0.0/16", "10.2.0.0/16")}}, []Shadow{{1, 0}}},
		{"addresses beside", []Rule[string]{{Path: p("/a"), ClientIPs: nets("10.0.0.0/8")}, {Path: p("/a"), ClientIPs: nets("10.1.0.0/16", "11.2.0.0/16")}}, nil},
		{"addresses against a header", []Rule[string]{{Path: p("/a"), ClientIPs: nets("0.0.0.0/0")}, {Path: p("/a"), Headers: h("1")}}, nil},
		{"equal expressions", []Rule[string]{{Path: p("/a"), Expression: expression(t, "true")}, {Path: p("/a"), Expression: expression(t, "true")}}, []Shadow{{1, 0}}},
		{"other expressions", []Rule[string]{{Path: p("/a"), Expression: expression(t, "true")}, {Path: p("/a"), Expression: expression(t, "!false")}}, nil},
		{"priority over a path", []Rule[string]{{Path: p("/a/b")}, {Path: p("/a/{x}")}, {Path: p("/a/*"), Priority: 1}, {Path: p("/b/c")}}, []Shadow{{0, 2}, {1, 2}}},
		{"priority of one segment", []Rule[string]{{Path: p("/a/*")}, {Path: p("/a/b/*")}, {Path: p("/{x}/b"), Priority: 1}, {Path: p("/a/b")}}, []Shadow{{3, 2}}},
		{"a capture is not empty", []Rule[string]{{Path: p("/a/")}, {Path: p("/a/{x}"), Priority: 1}}, nil},
		{"/* and what it stands on", []Rule[string]{{Path: p("/a/b")}, {Path: p("/a/b/*"), Priority: 1}}, []Shadow{{0, 1}}},
		{"priority over conditions", []Rule[string]{{Path: p("/a"), Headers: h("1")}, {Path: p("/a"), Priority: 1}}, []Shadow{{0, 1}}},
		{"priority of a condition", []Rule[string]{{Path: p("/a")}, {Path: p("/a"), Headers: h("1"), Priority: 1}}, nil},
		{"priority of no path", []Rule[string]{{Path: p("/a")}, {Path: Path{Regex: "x"}}, {Priority: 1}}, []Shadow{{0, 2}, {1, 2}}},
		{"hosts", []Rule[string]{{Hosts: []string{"a"}, Path: p("/a")}, {Hosts: []string{"b"}, Path: p("/a")}, {Path: p("/a")}}, nil},
		{"one host of two", []Rule[string]{{Hosts: []string{"a"}}, {Hosts: []string{"a", "b"}}}, nil},
		{"both hosts", []Rule[string]{{Hosts: []string{"a"}}, {Hosts: []string{"B."}}, {Hosts: []string{"a", "b", "a:1"}}}, []Shadow{{2, 0}}},
		{"priority of a wildcard", []Rule[string]{{Hosts: []string{"a.b.net"}}, {Hosts: []string{"*.b.net"}}, {Hosts: []string{"*.net"}, Priority: 1}, {Hosts: []string{"net"}}}, []Shadow{{0, 2}, {1, 2}}},
		{"priority of no host", []Rule[string]{{Hosts: []string{"*.b.net"}}, {Hosts: []string{"a"}}, {Priority: 1}}, []Shadow{{0, 2}, {1, 2}}},
		{"a wildcard does not take its own name", []Rule[string]{{Hosts: []string{"b.net"}}, {Hosts: []string{"*.b.net"}, Priority: 1}}, nil},
	} {
		for i := range c.rules {
			c.rules[i].Name = fmt.Sprint(i)
		}
		if got := build(t, c.rules...).Shadowed(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestShadowedInLargeLeaf has more rules on one path than are compared with each other.
func TestShadowedInLargeLeaf(t *testing.T) {
	var rules []Rule[string]
	for i := range 5000 {
		rules = append(rules, Rule[string]{Path: Path{Pattern: "/a"}, Headers: []Condition{{Name: "tenant", Value: fmt.Sprint(i)}}})
	}
	if got := build(t, rules...).Shadowed(); got != nil {
		t.Fatalf("%v, want none", got)
	}
	again := append(slices.Clone(rules), rules[4321], Rule[string]{Path: Path{Pattern: "/a"}, Priority: -1}, Rule[string]{Path: Path{Pattern: "/a"}})
	if got, want := build(t, again...).Shadowed(), []Shadow{{5000, 4321}, {5001, 5002}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

package compile

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/snapshot"
)

const shifted = `
listeners: [{name: a, address: ":1"}]
overload: {}
routes:
  - {name: r, match: {path: /*}, service: live, mirror: {service: m}, criticality: sheddable}
  - {name: c, match: {path: /c}, service: live, criticality: critical}
switches: [{name: live, services: [s, t], active: s}]
services:
  - {name: s, endpoints: [{url: "http://10.0.0.1"}]}
  - {name: t, endpoints: [{url: "http://10.0.0.2"}]}
  - {name: m, endpoints: [{url: "http://10.0.0.3"}]}
`

// Copies on their way, and the pressure, are those of before as long as nothing about them has changed.
func TestPartsAreCarriedOver(t *testing.T) {
	before := mustCompile(t, shifted, nil, nil)
	for _, test := range []struct {
		what, old, new    string
		copies, watchings bool
	}{
		{"nothing", "", "", true, true},
		{"the mirror's share", "{service: m}", "{service: m, percent: 5}", true, true},
		{"the switch", "active: s", "active: t", true, true},
		{"the route's name", "name: r,", "name: q,", false, true},
		{"the threshold", "overload: {}", "overload: {schedulingDelay: 5ms}", true, false},
		{"the listener", "name: a,", "name: b,", true, false},
		{"no overload", "overload: {}\n", "", true, false},
	} {
		text := strings.Replace(shifted, test.old, test.new, 1)
		if test.what == "no overload" {
			text = strings.NewReplacer(", criticality: sheddable", "", ", criticality: critical", "").Replace(text)
		}
		next := mustCompile(t, text, before, nil)
		if same := next.Part("mirror/r") != nil && next.Part("mirror/r") == before.Part("mirror/r"); same != test.copies {
			t.Errorf("%s: the copies are the same: %v", test.what, same)
		}
		if same := next.Overload == before.Overload; same != test.watchings {
			t.Errorf("%s: the monitor is the same: %v", test.what, same)
		}
		if next.Overload == nil && (valveOf(next, "r") || valveOf(next, "c")) {
			t.Errorf("%s: a route is shed though nothing watches", test.what)
		}
	}
	if !valveOf(before, "r") || valveOf(before, "c") {
		t.Error("the sheddable route has no valve, or the critical one has")
	}
}

func valveOf(s *snapshot.Snapshot, route string) bool {
	for _, r := range s.Routes {
		if r.Name == route {
			return r.Valve != nil
		}
	}
	return false
}

func TestASwitchTurnsEveryRoute(t *testing.T) {
	for _, active := range []string{"s", "t"} {
		s := mustCompile(t, strings.Replace(shifted, "active: s", "active: "+active, 1), nil, nil)
		for _, r := range s.Routes {
			if r.Services[0].Name() != active {
				t.Errorf("%s goes to %s, the switch says %s", r.Name, r.Services[0].Name(), active)
			}
		}
		if len(s.Services) != 3 {
			t.Errorf("%d services, want 3: those that wait too", len(s.Services))
		}
	}
}

func TestFits(t *testing.T) {
	text := func(s string) *string { return &s }
	yes, no := true, false
	for _, test := range []struct {
		match                  config.ValueMatch
		fits, differs, missing bool // what "beta-1", "alpha" and nothing are
	}{
		{config.ValueMatch{Exact: text("beta-1")}, true, false, false},
		{config.ValueMatch{Prefix: text("beta")}, true, false, false},
		{config.ValueMatch{Suffix: text("-1")}, true, false, false},
		{config.ValueMatch{Regex: text(`^b.*\d$`)}, true, false, false},
		{config.ValueMatch{Not: text("beta-1")}, false, true, true},
		{config.ValueMatch{Present: &yes}, true, true, false},
		{config.ValueMatch{Present: &no}, false, false, true},
	} {
		f, err := fits(test.match)
		if err != nil {
			t.Fatal(err)
		}
		if got := [...]bool{f("beta-1", true), f("alpha", true), f("", false)}; got != [...]bool{test.fits, test.differs, test.missing} {
			t.Errorf("%+v: %v", test.match, got)
		}
	}
	if _, err := fits(config.ValueMatch{Regex: text("(")}); err == nil {
		t.Error("a malformed expression is taken")
	}
}

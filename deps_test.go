// Package sluice_test holds what is true of the whole tree: which package may know of which.
package sluice_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-gateway/sluice/"

// allowed is the import table of ARCHITECTURE.md: what a package may import of ours, by path below the module. A "/..."
// at the end of a key or a value means the package and all below it. The most specific key counts. A package that no
// key covers fails: it needs a line here, and first a word in CONTEXT.md.
var allowed = map[string][]string{
	"failure":                 {},
	"store/...":               {"failure", "store"},
	"telemetry":               {"failure"},
	"telemetry/telemetrytest": {"telemetry"},
	"config":                  {"failure"},
	"http1":                   {"failure"},
	"overload":                {"failure", "telemetry"},
	"exchange":                {"failure", "telemetry"},
	"document":                {}, // structured bodies: aggregates and transforms read the same
	"template":                {"document", "exchange"},

	"source/...": {"config", "failure", "telemetry", "source"},

	"filter":     {"exchange", "store", "failure", "telemetry"},
	"filter/...": {"filter", "exchange", "store", "failure", "telemetry", "document", "template"},
	"filter/all": {"filter/..."},

	"route": {"exchange", "failure"},

	"upstream/...": {"upstream/...", "http1", "failure", "telemetry"},
	"backend/...":  {"backend/...", "document", "template", "exchange", "upstream", "store", "failure", "telemetry"},
	"snapshot":     {"route", "overload", "filter", "backend", "upstream", "exchange", "failure", "telemetry"},
	"proxy":        {"snapshot", "route", "filter", "backend", "backend/translate/grpcweb", "backend/translate/connect", "upstream", "exchange", "failure", "telemetry"},

	"listen":               {"proxy", "listen/servertls", "snapshot", "http1", "exchange", "failure", "telemetry"},
	"listen/servertls":     {"failure"},
	"compile":              {"config", "snapshot", "overload", "route", "filter", "backend/...", "document", "upstream/...", "exchange", "store", "failure", "telemetry", "listen/servertls"},
	"admin":                {"config", "compile", "snapshot", "route", "filter", "backend", "upstream", "exchange", "failure", "telemetry"},
	"app":                  {"..."},
	"cmd/...":              {"..."},
	"config/internal/...":  {"..."}, // generators: they read every Config, and nothing imports them
	"gatewaytest":          {"..."},
	"gatewaytest/freeport": {},
	"test/...":             {"..."},
	"bench/...":            {"..."},
	"examples":             {"..."},
}

// importedByNobody are the packages at the top: they wire, and nothing may lean on them. Tests may.
var importedByNobody = []string{"app", "cmd/...", "gatewaytest", "test/...", "bench/...", "examples"}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, p := range packages(t) {
		name := ours(p.ImportPath)
		if name == "" {
			continue // the module's root holds this test only
		}
		may, covered := rule(name)
		if !covered {
			t.Errorf("%s is not in the import table", name)
			continue
		}
		for _, path := range p.Imports {
			imported := ours(path)
			if imported == "" {
				continue
			}
			if !slices.ContainsFunc(may, func(pattern string) bool { return covers(pattern, imported) }) {
				t.Errorf("%s imports %s, which the import table does not allow", name, imported)
			}
			top := slices.ContainsFunc(importedByNobody, func(pattern string) bool { return covers(pattern, imported) })
			if mayWire, _ := rule(name); top && !slices.Contains(mayWire, "...") {
				t.Errorf("%s imports %s, which nothing may lean on", name, imported)
			}
		}
	}
}

func TestNoDrawers(t *testing.T) {
	for _, p := range packages(t) {
		for part := range strings.SplitSeq(ours(p.ImportPath), "/") {
			switch part {
			case "util", "utils", "common", "helpers", "types", "shared", "misc", "base":
				t.Errorf("%s is a drawer: name the thing", p.ImportPath)
			}
		}
	}
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// ours is the path below the module, or empty for a package of somebody else's.
func ours(path string) string {
	name, inside := strings.CutPrefix(path, module)
	if !inside {
		return ""
	}
	return name
}

// rule is the line of the table for a package: the most specific key that covers it.
func rule(name string) (may []string, covered bool) {
	best := ""
	for key, list := range allowed {
		exact := key == name
		if covers(key, name) && (exact || len(key) > len(best)) {
			may, covered, best = list, true, key
			if exact {
				return may, true
			}
		}
	}
	return may, covered
}

func covers(pattern, name string) bool {
	below, tree := strings.CutSuffix(pattern, "...")
	if !tree {
		return pattern == name
	}
	below = strings.TrimSuffix(below, "/")
	return below == "" || name == below || strings.HasPrefix(name, below+"/")
}

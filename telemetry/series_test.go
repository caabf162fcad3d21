package telemetry

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// count is the number of requests of service that ended with code; code 0 stands for no code of three digits.
func count(r *RouteSeries, service string, code int) (n uint64) {
	for _, t := range r.tables() {
		if t.service != service {
			continue
		}
		if code == 0 {
			return t.other.Load()
		}
		t.each(func(c int, count uint64) {
			if c == code {
				n = count
			}
		})
	}
	return n
}

func TestRouteSeriesCountsEveryCodeByItself(t *testing.T) {
	r := NewRouteSeries("public", "orders")
	for code := 100; code <= 999; code++ {
		for range code%7 + 1 {
			r.Observe("orders", code, time.Millisecond)
		}
	}
	for code := 100; code <= 999; code++ {
		if got, want := count(r, "orders", code), uint64(code%7+1); got != want {
			t.Errorf("code %d: %d, want %d", code, got, want)
		}
	}
}

func TestRouteSeriesCountsImpossibleCodesAsOther(t *testing.T) {
	r := NewRouteSeries("public", "orders")
	for _, code := range []int{-1, 0, 99, 1000, 1 << 40} {
		r.Observe("orders", code, 0)
	}
	if got := count(r, "orders", 0); got != 5 {
		t.Errorf("other = %d, want 5", got)
	}
}

func TestRouteSeriesTellsServicesApart(t *testing.T) {
	r := NewRouteSeries("public", "checkout")
	r.Observe("", 404, 0)
	r.Observe("v1", 200, 0)
	r.Observe("v2", 200, 0)
	r.Observe("v1", 200, 0)
	for service, want := range map[string]uint64{"v1": 2, "v2": 1} {
		if got := count(r, service, 200); got != want {
			t.Errorf("%s: %d, want %d", service, got, want)
		}
	}
	if got := count(r, "", 404); got != 1 {
		t.Errorf("no service: %d, want 1", got)
	}
}

func TestRouteSeriesBoundsItsServices(t *testing.T) {
	r := NewRouteSeries("public", "checkout")
	for i := range maxServices + 100 {
		r.Observe(strconv.Itoa(i), 200, 0)
	}
	if got := len(r.tables()); got != maxServices+1 {
		t.Errorf("%d tables, want %d and one for the others", got, maxServices)
	}
	if got := count(r, other, 200); got != 100 {
		t.Errorf("others = %d, want 100", got)
	}
}

func TestRouteSeriesLosesNothingUnderConcurrentFirstSights(t *testing.T) {
	const workers, rounds = 8, 200
	for range rounds {
		r := NewRouteSeries("public", "orders")
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() { r.Observe(strconv.Itoa(w%2), 200+w%2*300, 0) })
		}
		all.Wait()
		if got := count(r, "0", 200) + count(r, "1", 500); got != workers {
			t.Fatalf("%d of %d requests were counted", got, workers)
		}
	}
}

func TestAnIdleRouteTakesLittleMemory(t *testing.T) {
	const routes = 10_000
	list := make([]*RouteSeries, routes)
	perRoute := heapOf(func() {
		for i := range list {
			list[i] = NewRouteSeries("public", "route")
		}
	}) / routes
	if perRoute >= 1024 {
		t.Errorf("an idle route takes %d bytes, want less than 1024", perRoute)
	}
	busy := heapOf(func() {
		for _, r := range list {
			for _, code := range []int{200, 404, 429, 502} {
				r.Observe("orders", code, time.Millisecond)
			}
		}
	}) / routes
	t.Logf("idle %d bytes, with four codes of one service %d more", perRoute, busy)
	if busy >= 2048 {
		t.Errorf("a route with four codes takes %d bytes more, want less than 2048", busy)
	}
	runtime.KeepAlive(list)
}

func heapOf(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return after.HeapAlloc - before.HeapAlloc
}

func TestServiceSeriesCountsOutcomes(t *testing.T) {
	s := NewServiceSeries("orders")
	s.Attempt(Success, time.Millisecond)
	s.Attempt(Status5xx, time.Millisecond)
	s.Attempt(failure.ConnectionRefused, time.Millisecond)
	s.Attempt("no_such_kind", time.Millisecond)
	got := map[string]uint64{}
	for i := range s.outcomes {
		if n := s.outcomes[i].Load(); n > 0 {
			got[outcomeLabel(i)] = n
		}
	}
	want := map[string]uint64{"success": 1, "status_5xx": 1, "connection_refused": 1, "other": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
}

// Every kind of failure has its own counter: a kind added to package failure must be added to outcomes.
func TestEveryKindOfFailureIsAnOutcome(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../failure/failure.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Kind" {
			return true
		}
		kinds++
		name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(outcomes[:], failure.Kind(name)) {
			t.Errorf("%s is not among the outcomes", name)
		}
		return true
	})
	if kinds == 0 {
		t.Error("no kind found: the test looks in the wrong place")
	}
}

func TestListenerSeriesIgnoresUnknownRejections(t *testing.T) {
	s := NewListenerSeries("public")
	s.Rejected(RejectedTLS)
	s.Rejected(Rejection(len(rejections)))
	if got := s.rejected[RejectedTLS].Load(); got != 1 {
		t.Errorf("tls = %d, want 1", got)
	}
}

func BenchmarkRouteObserve(b *testing.B) {
	r := NewRouteSeries("public", "orders")
	b.ReportAllocs()
	for b.Loop() {
		r.Observe("orders", 200, 3*time.Millisecond)
	}
}

func BenchmarkRouteObserveParallel(b *testing.B) {
	r := NewRouteSeries("public", "orders")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Observe("orders", 200, 3*time.Millisecond)
		}
	})
}

func BenchmarkServiceAttempt(b *testing.B) {
	s := NewServiceSeries("orders")
	b.ReportAllocs()
	for b.Loop() {
		s.Attempt(Success, 3*time.Millisecond)
	}
}

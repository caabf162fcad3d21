package telemetry

import (
	"fmt"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/sluice-gateway/sluice/failure"
)

// gather scrapes m as Prometheus does, and reads what it says.
func gather(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: %d: %s", w.Code, w.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatalf("the page is not in the text format: %v", err)
	}
	return families
}

// series writes the gateway's own samples as name{labels} value, histograms by their count, sorted.
func series(families map[string]*dto.MetricFamily) (list []string) {
	for name, family := range families {
		if !strings.HasPrefix(name, "sluice_") {
			continue
		}
		for _, metric := range family.Metric {
			var labels []string
			for _, l := range metric.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			list = append(list, fmt.Sprintf("%s{%s} %v", name, strings.Join(labels, ","), value))
		}
	}
	slices.Sort(list)
	return list
}

// busyLive is a snapshot in which everything that can be counted was.
func busyLive() Live {
	l := NewListenerSeries("public")
	l.Open.Add(4)
	l.Active(7).Add(1)
	l.Upgraded.Add(1)
	l.Rejected(RejectedLimit)
	r := NewRouteSeries("public", "orders")
	r.Observe("orders", 200, time.Millisecond)
	r.Observe("orders", 200, time.Millisecond)
	r.Observe("", 429, time.Millisecond)
	r.Observe("orders", 0, time.Millisecond)
	r.ExpressionError()
	s := NewServiceSeries("orders")
	s.Attempt(Success, time.Millisecond)
	s.Attempt(failure.ConnectionRefused, time.Millisecond)
	s.RetrySuppressed()
	s.SetEndpoints(func() []EndpointUp {
		return []EndpointUp{{"10.0.0.1:8080", true, nil}, {"10.0.0.2:8080", false, []string{"unhealthy", "drained"}}}
	})
	return Live{
		Listeners: []*ListenerSeries{l, nil},
		Routes:    []*RouteSeries{r, NewRouteSeries("public", "idle"), nil},
		Services:  []*ServiceSeries{s, NewServiceSeries("idle"), nil},
		Revision:  "0123456789ab",
		Overload:  &Overload{Pressure: 0.5, SchedulingDelay: 2 * time.Second},
	}
}

func TestEveryMetricIsShownWithItsLabels(t *testing.T) {
	live := busyLive()
	m := NewMetrics(func() Live { return live })
	limits := m.RateLimit("orders")
	limits.Allowed()
	limits.Allowed()
	limits.Limited()
	limits.Shadow()
	m.Reload(true)
	m.Reload(false)
	m.Panic()
	m.linesDropped.Add(7)

	got := series(gather(t, m))
	want := []string{
		`sluice_accesslog_dropped_total{} 7`,
		`sluice_config_reloads_total{outcome=failure} 1`,
		`sluice_config_reloads_total{outcome=success} 1`,
		`sluice_config_revision_info{revision=0123456789ab} 1`,
		`sluice_connections_rejected_total{listener=public,reason=limit} 1`,
		`sluice_connections_rejected_total{listener=public,reason=proxy_protocol} 0`,
		`sluice_connections_rejected_total{listener=public,reason=tls} 0`,
		`sluice_connections{listener=public,state=active} 1`,
		`sluice_connections{listener=public,state=idle} 2`,
		`sluice_connections{listener=public,state=open} 4`,
		`sluice_connections{listener=public,state=upgraded} 1`,
		`sluice_endpoint_out{endpoint=10.0.0.2:8080,reason=drained,service=orders} 1`,
		`sluice_endpoint_out{endpoint=10.0.0.2:8080,reason=unhealthy,service=orders} 1`,
		`sluice_endpoint_up{endpoint=10.0.0.1:8080,service=orders} 1`,
		`sluice_endpoint_up{endpoint=10.0.0.2:8080,service=orders} 0`,
		`sluice_expression_errors_total{listener=public,route=orders} 1`,
		`sluice_overload_pressure{} 0.5`,
		`sluice_panics_total{} 1`,
		`sluice_ratelimit_total{outcome=allowed,route=orders} 2`,
		`sluice_ratelimit_total{outcome=limited,route=orders} 1`,
		`sluice_ratelimit_total{outcome=shadow,route=orders} 1`,
		`sluice_request_duration_seconds{listener=public,route=orders} 4`,
		`sluice_requests_total{code=200,listener=public,route=orders,service=orders} 2`,
		`sluice_requests_total{code=429,listener=public,route=orders,service=} 1`,
		`sluice_requests_total{code=other,listener=public,route=orders,service=orders} 1`,
		`sluice_scheduling_delay_seconds{} 2`,
		`sluice_upstream_attempts_total{outcome=connection_refused,service=orders} 1`,
		`sluice_upstream_attempts_total{outcome=success,service=orders} 1`,
		`sluice_upstream_duration_seconds{service=orders} 2`,
		`sluice_upstream_retries_suppressed_total{service=idle} 0`,
		`sluice_upstream_retries_suppressed_total{service=orders} 1`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("series are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	runtime.KeepAlive(limits)
}

// What names.go describes, and nothing else, is what a busy gateway shows, each with its help and kind.
func TestEveryDescribedMetricIsShown(t *testing.T) {
	live := busyLive()
	resilient(live.Services[0])
	m := NewMetrics(func() Live { return live })
	m.SetEvents(NewEvents(nil))
	kept := []any{
		m.RateLimit("orders"), m.Throttle("orders"), m.ConcurrencyLimit("orders"), m.Fault("orders"), m.Mirror("orders"), m.Shed("orders"),
	}
	families := gather(t, m)
	var shown int
	for name, family := range families {
		if !strings.HasPrefix(name, "sluice_") {
			continue
		}
		shown++
		if family.GetHelp() == "" {
			t.Errorf("%s has no help text", name)
		}
		if strings.HasSuffix(name, "_total") != (family.GetType() == dto.MetricType_COUNTER) {
			t.Errorf("%s is a %v", name, family.GetType())
		}
	}
	if shown != len(descs) {
		t.Errorf("%d metrics are shown, names.go has %d", shown, len(descs))
	}
	source, err := os.ReadFile("names.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), "NewDesc("); n != len(descs) {
		t.Errorf("names.go defines %d metrics, descs lists %d", n, len(descs))
	}
	runtime.KeepAlive(kept)
}

func TestHistogramOnThePage(t *testing.T) {
	r := NewRouteSeries("public", "orders")
	r.Observe("orders", 200, 700*time.Microsecond)
	r.Observe("orders", 200, 2*time.Minute)
	m := NewMetrics(func() Live { return Live{Routes: []*RouteSeries{r}} })
	h := gather(t, m)["sluice_request_duration_seconds"].GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != 2 || h.GetSampleSum() != 120.0007 {
		t.Errorf("count %d, sum %v; want 2 and 120.0007", h.GetSampleCount(), h.GetSampleSum())
	}
	if got, want := len(h.Bucket), len(bounds)+1; got != want {
		t.Fatalf("%d buckets, want %d", got, want)
	}
	if b := h.Bucket[1]; b.GetUpperBound() != 0.001 || b.GetCumulativeCount() != 1 {
		t.Errorf("second bucket is %v, want 1 at 0.001", b)
	}
}

func TestSeriesDisappearWithWhatTheyCount(t *testing.T) {
	live := busyLive()
	m := NewMetrics(func() Live { return live })
	limits := m.RateLimit("orders")
	for _, name := range []string{"sluice_requests_total", "sluice_endpoint_up", "sluice_connections", "sluice_ratelimit_total"} {
		if gather(t, m)[name] == nil {
			t.Fatalf("%s is not shown while it is live", name)
		}
	}
	live = Live{Revision: "next"}
	got := series(gather(t, m))
	want := []string{
		`sluice_accesslog_dropped_total{} 0`,
		`sluice_config_reloads_total{outcome=failure} 0`,
		`sluice_config_reloads_total{outcome=success} 0`,
		`sluice_config_revision_info{revision=next} 1`,
		`sluice_panics_total{} 0`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("series are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	runtime.KeepAlive(limits)
}

func TestEndpointsAreAskedAtEachScrape(t *testing.T) {
	s := NewServiceSeries("orders")
	m := NewMetrics(func() Live { return Live{Services: []*ServiceSeries{s}} })
	up := true
	s.SetEndpoints(func() []EndpointUp { return []EndpointUp{{"a:1", up, nil}} })
	for _, want := range []float64{1, 0} {
		up = want == 1
		if got := gather(t, m)["sluice_endpoint_up"].GetMetric()[0].GetGauge().GetValue(); got != want {
			t.Errorf("up is %v, want %v", got, want)
		}
	}
	s.SetEndpoints(nil)
	if gather(t, m)["sluice_endpoint_up"] != nil {
		t.Error("endpoints are shown after they are gone")
	}
}

func TestTheProcessIsShownBeforeAnythingIsLive(t *testing.T) {
	families := gather(t, NewMetrics(nil))
	for _, name := range []string{"go_goroutines", "process_open_fds", "sluice_config_reloads_total"} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if families["sluice_config_revision_info"] != nil {
		t.Error("a revision is shown though none runs")
	}
}

// One name in two places is a mistake of compile's; the rest of the page must survive it.
func TestADuplicateDoesNotHideTheRest(t *testing.T) {
	a, b := NewRouteSeries("public", "twice"), NewRouteSeries("public", "twice")
	a.Observe("orders", 200, 0)
	b.Observe("orders", 200, 0)
	families := gather(t, NewMetrics(func() Live { return Live{Routes: []*RouteSeries{a, b}} }))
	if families["sluice_requests_total"] == nil || families["go_goroutines"] == nil {
		t.Error("the page is not complete")
	}
}

func TestALabelThatIsNoTextDoesNotHideTheRest(t *testing.T) {
	bad := NewServiceSeries("\xff")
	bad.Attempt(Success, 0)
	families := gather(t, NewMetrics(func() Live { return Live{Services: []*ServiceSeries{bad}} }))
	if families["go_goroutines"] == nil {
		t.Error("the page is not complete")
	}
}

func TestRateLimitSeriesAreSharedWhileKept(t *testing.T) {
	m := NewMetrics(nil)
	a, b := m.RateLimit("orders"), m.RateLimit("orders")
	if a != b {
		t.Error("two limits of one route have two series")
	}
	if m.RateLimit("users") == a {
		t.Error("two routes have one series")
	}
	if (*Metrics)(nil).RateLimit("orders") == nil {
		t.Error("nil metrics give no series")
	}
	runtime.KeepAlive(a)
}

func TestRateLimitSeriesGoWithTheirLastFilter(t *testing.T) {
	var limits perRoute[RateLimitSeries]
	kept := limits.series("kept")
	for i := range 100 {
		limits.series(fmt.Sprint(i)).Allowed()
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(limits.all()) > 1 {
		if time.Now().After(deadline) {
			t.Fatalf("%d series are still held", len(limits.all()))
		}
		runtime.GC()
	}
	if limits.all()["kept"] != kept || len(limits.byRoute) != 1 {
		t.Errorf("%d series are left, want the one that is kept", len(limits.byRoute))
	}
	runtime.KeepAlive(kept)
}

func BenchmarkScrape10000Routes(b *testing.B) {
	var live Live
	for i := range 10_000 {
		r := NewRouteSeries("public", fmt.Sprintf("route-%d", i))
		r.Observe("orders", 200, time.Millisecond)
		live.Routes = append(live.Routes, r)
	}
	m := NewMetrics(func() Live { return live })
	b.ReportAllocs()
	for b.Loop() {
		m.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}

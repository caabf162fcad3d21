package ratelimit

import (
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/telemetry"
)

func TestMetrics(t *testing.T) {
	metrics := telemetry.NewMetrics(func() telemetry.Live {
		return telemetry.Live{Routes: []*telemetry.RouteSeries{telemetry.NewRouteSeries("l", "orders"), telemetry.NewRouteSeries("l", "watched")}}
	})
	c := Config{Limit: 2, Window: time.Hour}
	f := build(t, filter.Env{Metrics: metrics, Route: "orders"}, c)
	c.Shadow = true
	shadow := build(t, filter.Env{Metrics: metrics, Route: "watched"}, c)
	for range 5 {
		ask(from("192.0.2.1"), f)
		ask(from("192.0.2.1"), shadow)
	}
	defer runtime.KeepAlive([]*Filter{f, shadow}) // series go with the filters that count on them
	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`sluice_ratelimit_total{outcome="allowed",route="orders"} 2`,
		`sluice_ratelimit_total{outcome="limited",route="orders"} 3`,
		`sluice_ratelimit_total{outcome="allowed",route="watched"} 2`,
		`sluice_ratelimit_total{outcome="shadow",route="watched"} 3`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s is not in the metrics", want)
		}
	}
}

// Package telemetrytest reads metrics in tests, as Prometheus would see them.
package telemetrytest

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/telemetry"
)

// NewMetrics are metrics in which a route is live.
func NewMetrics(route string) *telemetry.Metrics {
	return telemetry.NewMetrics(func() telemetry.Live {
		return telemetry.Live{Routes: []*telemetry.RouteSeries{telemetry.NewRouteSeries("public", route)}}
	})
}

// Page is the metrics page.
func Page(m *telemetry.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// Shows fails the test unless the page has these lines.
func Shows(t testing.TB, m *telemetry.Metrics, lines ...string) {
	t.Helper()
	page := "\n" + Page(m)
	for _, line := range lines {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("the metrics do not show %s", line)
		}
	}
}

package upstream

import (
	"net/url"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/breaker"
	"github.com/sluice-gateway/sluice/upstream/concurrency"
)

// BenchmarkResilience is what a request pays for health, breaker and budget together, and for the bulkhead besides: every
// hook of one call with one attempt. The promise is less than 300 ns.
func BenchmarkResilience(b *testing.B) {
	settings := breaker.Settings{
		Window: 10 * time.Second, MinRequests: 20, ErrorPercent: 50, SlowPercent: 100, SlowAfter: 5 * time.Second,
		OpenFor: 5 * time.Second, Probes: 3,
	}
	for _, c := range []struct {
		name   string
		change func(*Spec)
	}{
		{"budget", func(*Spec) {}},
		{"health, outliers, breaker, budget", func(s *Spec) {
			s.HealthCheck, s.OutlierDetection, s.Breaker = checks(), outliers(), &Breaker{Settings: settings}
		}},
		{"the same, breaker per endpoint", func(s *Spec) {
			s.HealthCheck, s.OutlierDetection = checks(), outliers()
			s.Breaker = &Breaker{Settings: settings, PerEndpoint: true}
		}},
		{"all, adaptive concurrency too", func(s *Spec) {
			s.HealthCheck, s.OutlierDetection, s.Breaker = checks(), outliers(), &Breaker{Settings: settings}
			s.Concurrency = &concurrency.Settings{Adaptive: true}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			u, _ := url.Parse("http://127.0.0.1:1")
			spec := Spec{Name: "s", Endpoints: []EndpointSpec{{URL: u, Weight: 1}}, RetryBudget: RetryBudget{Percent: 20, MinPerSecond: 3}}
			c.change(&spec)
			spec.HealthCheck = nil // it has no part in a request; its goroutine would have one in the measurement
			s := New(spec, nil)
			for _, t := range s.tasks {
				t.Start(s)
				t.Members(s.Endpoints())
			}
			defer s.Retire(nil)
			e := s.Endpoints()[0].Endpoint
			now := time.Now() // the loop reads the clock for itself, and shares it
			good := Outcome{Kind: telemetry.Success, Status: 200, Latency: time.Millisecond, At: now}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				l := &loop{service: s, members: s.membership.Load()}
				for pb.Next() {
					l.admitted, l.outcome = 0, good
					if err := l.admit(b.Context()); err != nil {
						b.Error(err)
						return
					}
					s.budget.Request(now)
					tickets, _ := l.beginsAt(0)
					for i, w := range s.watchers {
						w.End(e, tickets[i], good)
					}
					l.answered()
					l.passOut()
				}
			})
		})
	}
}

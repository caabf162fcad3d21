// Package telemetry is what the gateway says about itself: metrics, the access log, and the record of one request that
// both are made from.
//
// Metrics are plain atomics that belong to a listener, a route or a service of the running snapshot. Nothing is
// registered or looked up by label while a request is served: at a scrape the collector walks what is live and turns
// it into Prometheus metrics, so a series disappears with what it counts.
package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Live is what the running snapshot shows. Nil members are skipped.
type Live struct {
	Listeners []*ListenerSeries
	Routes    []*RouteSeries
	Services  []*ServiceSeries
	Revision  string // empty: none runs yet
	Overload  *Overload
}

// Overload is how the gateway itself is doing.
type Overload struct {
	Pressure        float64       // 0: nothing is shed; 1: all that is sheddable; 2: the default too
	SchedulingDelay time.Duration // that goroutines wait for a processor
}

// Metrics are the process's own counters and the way to everything that is live.
type Metrics struct {
	live         func() Live
	reloads      struct{ success, failure Counter }
	panics       Counter
	linesDropped Counter // of the access log
	handler      http.Handler
	events       *Events

	limits      perRoute[RateLimitSeries]
	throttles   perRoute[ThrottleSeries]
	concurrency perRoute[ConcurrencySeries]
	faults      perRoute[FaultSeries]
	mirrors     perRoute[MirrorSeries]
	sheds       perRoute[ShedSeries]
}

// maxScrapes bounds the scrapes answered at once; those beyond it are told 503.
const maxScrapes = 4

// NewMetrics makes the metrics of a process. live is asked at each scrape; nil: nothing is live.
func NewMetrics(live func() Live) *Metrics {
	if live == nil {
		live = func() Live { return Live{} }
	}
	m := &Metrics{live: live}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{m}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError, // half a page beats none while something is on fire
		MaxRequestsInFlight: maxScrapes,
	})
	return m
}

// Handler serves the metrics in the Prometheus text format.
func (m *Metrics) Handler() http.Handler { return m.handler }

// Reload counts a configuration that was put in force, or refused.
func (m *Metrics) Reload(ok bool) {
	if ok {
		m.reloads.success.Inc()
	} else {
		m.reloads.failure.Inc()
	}
}

// SetEvents says which event log belongs to the process: the metrics count its entries, by kind, and whoever is given
// the metrics finds it. It is called before anybody else uses m.
func (m *Metrics) SetEvents(e *Events) { m.events = e }

// Events is the event log of the process, or nil, which keeps nothing.
func (m *Metrics) Events() *Events {
	if m == nil {
		return nil
	}
	return m.events
}

// Panic counts a panic caught while serving a request.
func (m *Metrics) Panic() { m.panics.Inc() }

// collector is the scrape. It is a type of its own so that Metrics does not show the library's methods.
type collector struct{ *Metrics }

var _ prometheus.Collector = collector{}

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	out := scrape(ch)
	live := c.live()
	for _, l := range live.Listeners {
		out.listener(l)
	}
	for _, r := range live.Routes {
		out.route(r)
	}
	for _, s := range live.Services {
		out.service(s)
	}
	if live.Revision != "" {
		out.gauge(configRevision, 1, live.Revision)
	}
	out.rateLimits(&c.limits, live.Routes)
	out.traffic(c.Metrics, live.Routes)
	if o := live.Overload; o != nil {
		out.gauge(overloadPressure, o.Pressure)
		out.gauge(schedulingDelay, o.SchedulingDelay.Seconds())
	}
	out.counter(configReloads, &c.reloads.success, "success")
	out.counter(configReloads, &c.reloads.failure, "failure")
	out.events(c.Metrics.events)
	out.counter(panics, &c.panics)
	out.counter(accessLogDropped, &c.linesDropped)
}

// scrape is one walk over what is live, sent to the library.
type scrape chan<- prometheus.Metric

func (out scrape) listener(l *ListenerSeries) {
	if l == nil {
		return
	}
	n := l.Connections()
	out.gauge(connections, float64(n.Open), l.listener, "open")
	out.gauge(connections, float64(n.Active), l.listener, "active")
	out.gauge(connections, float64(n.Idle), l.listener, "idle")
	out.gauge(connections, float64(n.Upgraded), l.listener, "upgraded")
	for i := range l.rejected {
		out.counter(connectionsRejected, &l.rejected[i], l.listener, rejections[i])
	}
}

// route shows nothing of a route without requests: of 10,000 routes most are idle, and each would be some 20 lines.
func (out scrape) route(r *RouteSeries) {
	if r == nil {
		return
	}
	if r.expressions.Load() > 0 {
		out.counter(expressionErrors, &r.expressions, r.listener, r.route)
	}
	if r.duration.empty() {
		return
	}
	out.histogram(requestDuration, &r.duration, r.listener, r.route)
	r.eachCode(func(service string, code int, n uint64) {
		label := other
		if code != 0 {
			label = strconv.Itoa(code)
		}
		out.send(requestsTotal, prometheus.CounterValue, float64(n), r.listener, r.route, service, label)
	})
}

func (out scrape) service(s *ServiceSeries) {
	if s == nil {
		return
	}
	for _, e := range s.EndpointsUp() {
		up := 0.0
		if e.Up {
			up = 1
		}
		out.gauge(endpointUp, up, s.service, e.Endpoint)
		for _, reason := range e.Out {
			out.gauge(endpointOut, 1, s.service, e.Endpoint, reason)
		}
	}
	out.counter(retriesSuppressed, &s.suppressed, s.service)
	out.resilience(s)
	if s.duration.empty() {
		return
	}
	out.histogram(upstreamDuration, &s.duration, s.service)
	for i := range s.outcomes {
		if s.outcomes[i].Load() > 0 {
			out.counter(upstreamAttempts, &s.outcomes[i], s.service, outcomeLabel(i))
		}
	}
}

func (out scrape) rateLimits(limits *perRoute[RateLimitSeries], routes []*RouteSeries) {
	limits.each(routes, func(route string, s *RateLimitSeries) {
		out.counter(ratelimitTotal, &s.allowed, route, "allowed")
		out.counter(ratelimitTotal, &s.limited, route, "limited")
		out.counter(ratelimitTotal, &s.shadow, route, "shadow")
	})
}

func (out scrape) events(e *Events) {
	if e == nil {
		return
	}
	for i := range e.byKind {
		out.counter(eventsTotal, &e.byKind[i], string(eventKinds[i]))
	}
}

func (out scrape) counter(desc *prometheus.Desc, c *Counter, labels ...string) {
	out.send(desc, prometheus.CounterValue, float64(c.Load()), labels...)
}

func (out scrape) gauge(desc *prometheus.Desc, value float64, labels ...string) {
	out.send(desc, prometheus.GaugeValue, value, labels...)
}

func (out scrape) histogram(desc *prometheus.Desc, h *histogram, labels ...string) {
	total, sum, cumulative := h.read()
	m, err := prometheus.NewConstHistogram(desc, total, sum, cumulative, labels...)
	out.sendOr(desc, m, err)
}

func (out scrape) send(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	m, err := prometheus.NewConstMetric(desc, kind, value, labels...)
	out.sendOr(desc, m, err)
}

func (out scrape) sendOr(desc *prometheus.Desc, m prometheus.Metric, err error) {
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	out <- m
}

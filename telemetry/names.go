package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Every series the gateway shows beside the Go and process collectors' own. A label never carries what a client can
// choose: its values come from the configuration, from tables in this package, or are status codes of three digits.
var (
	requestsTotal = prometheus.NewDesc("sluice_requests_total",
		"Requests finished, by the status code the client saw (499: the client went away first).",
		[]string{"listener", "route", "service", "code"}, nil)
	requestDuration = prometheus.NewDesc("sluice_request_duration_seconds",
		"Time from the request's head to the last byte handed to the client's connection.",
		[]string{"listener", "route"}, nil)
	expressionErrors = prometheus.NewDesc("sluice_expression_errors_total",
		"Expressions that failed on a request, a missing key included: no match, and in an access rule a refusal.",
		[]string{"listener", "route"}, nil)
	upstreamDuration = prometheus.NewDesc("sluice_upstream_duration_seconds",
		"Time of one attempt, from choosing an endpoint to the head of its answer or to the failure.",
		[]string{"service"}, nil)
	upstreamAttempts = prometheus.NewDesc("sluice_upstream_attempts_total",
		"Attempts by outcome: success, status_5xx, or the kind of failure.",
		[]string{"service", "outcome"}, nil)
	retriesSuppressed = prometheus.NewDesc("sluice_upstream_retries_suppressed_total",
		"Retries that the policy allowed and the retry budget did not.",
		[]string{"service"}, nil)
	endpointUp = prometheus.NewDesc("sluice_endpoint_up",
		"1 while the endpoint is considered able to answer, else 0.",
		[]string{"service", "endpoint"}, nil)
	endpointOut = prometheus.NewDesc("sluice_endpoint_out",
		"1 for each reason why the endpoint takes no requests: unhealthy, waiting, ejected, breaker_open or drained.",
		[]string{"service", "endpoint", "reason"}, nil)
	ratelimitTotal = prometheus.NewDesc("sluice_ratelimit_total",
		"Decisions of rate limits: allowed, limited, or shadow (would have been). Above a route the label is empty.",
		[]string{"route", "outcome"}, nil)
	healthChecks = prometheus.NewDesc("sluice_health_checks_total",
		"Active health checks by outcome: success or failure.",
		[]string{"service", "outcome"}, nil)
	healthTransitions = prometheus.NewDesc("sluice_health_transitions_total",
		"Endpoints that active checks moved to healthy or unhealthy.",
		[]string{"service", "to"}, nil)
	ejections = prometheus.NewDesc("sluice_endpoint_ejections_total",
		"Endpoints put aside by outlier detection, by reason: consecutive_errors or error_rate.",
		[]string{"service", "reason"}, nil)
	readmissions = prometheus.NewDesc("sluice_endpoint_readmissions_total",
		"Endpoints whose ejection was over.",
		[]string{"service"}, nil)
	breakerState = prometheus.NewDesc("sluice_breaker_state",
		"State of the service's circuit breaker: 0 closed, 1 half-open, 2 open.",
		[]string{"service"}, nil)
	breakerTransitions = prometheus.NewDesc("sluice_breaker_transitions_total",
		"Transitions of circuit breakers, the service's and its endpoints', by the state entered.",
		[]string{"service", "to"}, nil)
	breakerRefused = prometheus.NewDesc("sluice_breaker_refused_total",
		"Requests that an open circuit breaker did not let through.",
		[]string{"service"}, nil)
	breakerFallbacks = prometheus.NewDesc("sluice_breaker_fallbacks_total",
		"Answers given in place of the service's: answer, service or last_good.",
		[]string{"service", "by"}, nil)
	hedges = prometheus.NewDesc("sluice_hedges_total",
		"Hedged attempts: sent, won (a part of those), suppressed by the retry budget.",
		[]string{"service", "outcome"}, nil)
	overloaded = prometheus.NewDesc("sluice_service_overloaded_total",
		"Requests refused by a cap of the service: in_flight, pending or adaptive.",
		[]string{"service", "reason"}, nil)
	serviceInFlight = prometheus.NewDesc("sluice_service_in_flight",
		"Requests that the service has not answered to the end.",
		[]string{"service"}, nil)
	serviceLimit = prometheus.NewDesc("sluice_service_concurrency_limit",
		"How many requests the service may have in flight now.",
		[]string{"service"}, nil)
	discoveryTotal = prometheus.NewDesc("sluice_discovery_total",
		"Answers of a service's discovery: updated, unchanged or failed. A failure leaves the last good endpoints in force.",
		[]string{"service", "outcome"}, nil)
	discoveryEndpoints = prometheus.NewDesc("sluice_discovery_endpoints",
		"Endpoints in force of a service that discovers them.",
		[]string{"service"}, nil)
	discoveryLastGood = prometheus.NewDesc("sluice_discovery_last_success_timestamp_seconds",
		"When the service's discovery last gave a usable answer, in Unix time.",
		[]string{"service"}, nil)
	shedTotal = prometheus.NewDesc("sluice_shed_total",
		"Requests refused because the gateway itself is overloaded, by criticality of the route.",
		[]string{"route", "criticality"}, nil)
	overloadPressure = prometheus.NewDesc("sluice_overload_pressure",
		"0: nothing is shed; up to 1 a growing share of the sheddable, up to 2 of the default requests too.",
		nil, nil)
	schedulingDelay = prometheus.NewDesc("sluice_scheduling_delay_seconds",
		"How long goroutines that could run waited for a processor, 90th percentile of the last 100 ms.",
		nil, nil)
	mirrorTotal = prometheus.NewDesc("sluice_mirror_total",
		"Copies of requests: answered, failed, dropped_full, dropped_body or dropped_incomplete.",
		[]string{"route", "outcome"}, nil)
	mirrorInFlight = prometheus.NewDesc("sluice_mirror_in_flight",
		"Copies of requests in flight.",
		[]string{"route"}, nil)
	throttleTotal = prometheus.NewDesc("sluice_throttle_total",
		"Decisions of throttles: passed, delayed or refused; gone: the client left while it waited. Above a route the label is empty.",
		[]string{"route", "outcome"}, nil)
	throttleWaiting = prometheus.NewDesc("sluice_throttle_waiting",
		"Requests that wait in throttles now.",
		[]string{"route"}, nil)
	concurrencyTotal = prometheus.NewDesc("sluice_concurrency_limit_total",
		"Decisions of concurrency limits: allowed or limited; gone: the client left while it waited. Above a route the label is empty.",
		[]string{"route", "outcome"}, nil)
	concurrencyInFlight = prometheus.NewDesc("sluice_concurrency_limit_in_flight",
		"Requests that hold a place of a concurrency limit now.",
		[]string{"route"}, nil)
	concurrencyWaiting = prometheus.NewDesc("sluice_concurrency_limit_waiting",
		"Requests that wait for a place of a concurrency limit now.",
		[]string{"route"}, nil)
	faultsTotal = prometheus.NewDesc("sluice_faults_total",
		"Faults injected on purpose: delay or abort; not injected: skipped (too many are held up), expression_error. Above a route the label is empty.",
		[]string{"route", "kind"}, nil)
	eventsTotal = prometheus.NewDesc("sluice_events_total",
		"Entries of the event log by kind; bursts of refusals count once a second.",
		[]string{"kind"}, nil)
	connections = prometheus.NewDesc("sluice_connections",
		"Client connections: open is all of them; active, idle and upgraded are what they are doing.",
		[]string{"listener", "state"}, nil)
	connectionsRejected = prometheus.NewDesc("sluice_connections_rejected_total",
		"Client connections closed before their first request, by reason.",
		[]string{"listener", "reason"}, nil)
	configReloads = prometheus.NewDesc("sluice_config_reloads_total",
		"Configurations read, by outcome. A failure leaves the running one in force.",
		[]string{"outcome"}, nil)
	configRevision = prometheus.NewDesc("sluice_config_revision_info",
		"Always 1; the label names the configuration in force.",
		[]string{"revision"}, nil)
	accessLogDropped = prometheus.NewDesc("sluice_accesslog_dropped_total",
		"Access log lines lost because the log's sink was blocked or failing.",
		nil, nil)
	panics = prometheus.NewDesc("sluice_panics_total",
		"Panics caught while serving a request. Each one was a 500 and is a bug; the log has its stack.",
		nil, nil)
)

// descs is all of the above.
var descs = []*prometheus.Desc{
	requestsTotal, requestDuration, expressionErrors, upstreamDuration, upstreamAttempts, retriesSuppressed, endpointUp, endpointOut,
	healthChecks, healthTransitions, ejections, readmissions, breakerState, breakerTransitions, breakerRefused,
	breakerFallbacks, hedges, overloaded, serviceInFlight, serviceLimit, discoveryTotal, discoveryEndpoints, discoveryLastGood, shedTotal, overloadPressure, schedulingDelay, mirrorTotal, mirrorInFlight,
	throttleTotal, throttleWaiting, concurrencyInFlight, concurrencyWaiting,
	concurrencyTotal, faultsTotal, eventsTotal, ratelimitTotal, connections, connectionsRejected, configReloads, configRevision, accessLogDropped, panics,
}

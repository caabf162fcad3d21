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
	ratelimitTotal = prometheus.NewDesc("sluice_ratelimit_total",
		"Decisions of rate limits: allowed, limited, or shadow (would have been). Above a route the label is empty.",
		[]string{"route", "outcome"}, nil)
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
	requestsTotal, requestDuration, expressionErrors, upstreamDuration, upstreamAttempts, retriesSuppressed, endpointUp,
	ratelimitTotal, connections, connectionsRejected, configReloads, configRevision, accessLogDropped, panics,
}

// Package failure is the one value that says why a request was not answered as asked: who failed, how, and whether
// trying again is safe. Rendering, metrics, the access log, retries and the circuit breaker all read it and nothing else.
//
// Kinds use the names of the "error" parameter of Proxy-Status, RFC 9209 section 2.3.
package failure

import (
	"errors"
	"net/http"
	"strings"
)

// Source names the party a failure belongs to.
type Source uint8

const (
	Gateway  Source = iota // we failed: a bug, a limit of our own, a configuration that cannot serve
	Client                 // the request was wrong, was refused, or its sender went away
	Upstream               // the service or the way to it failed
)

func (s Source) String() string {
	switch s {
	case Client:
		return "client"
	case Upstream:
		return "upstream"
	default:
		return "gateway"
	}
}

// Kind is a failure's type. Its text is what metrics, logs and Proxy-Status show.
type Kind string

// The kinds in use. All but the last three are registered by RFC 9209 section 2.3.
const (
	DNSTimeout             Kind = "dns_timeout"
	DNSError               Kind = "dns_error"
	DestinationNotFound    Kind = "destination_not_found"   // no route matches
	DestinationUnavailable Kind = "destination_unavailable" // no healthy endpoint, breaker open
	ConnectionRefused      Kind = "connection_refused"
	ConnectionTerminated   Kind = "connection_terminated" // reset or closed before the answer began
	ConnectionTimeout      Kind = "connection_timeout"    // no connection within connectTimeout
	ConnectionLimitReached Kind = "connection_limit_reached"
	TLSProtocolError       Kind = "tls_protocol_error"
	TLSCertificateError    Kind = "tls_certificate_error"
	HTTPRequestError       Kind = "http_request_error"  // malformed or over a limit; Status says which
	HTTPRequestDenied      Kind = "http_request_denied" // understood and refused; Status says which
	HTTPResponseIncomplete Kind = "http_response_incomplete"
	HTTPResponseHeaderSize Kind = "http_response_header_section_size"
	HTTPResponseBodySize   Kind = "http_response_body_size"
	HTTPResponseCoding     Kind = "http_response_content_coding"
	HTTPResponseTimeout    Kind = "http_response_timeout"
	HTTPUpgradeFailed      Kind = "http_upgrade_failed"
	HTTPProtocolError      Kind = "http_protocol_error"
	ProxyInternalError     Kind = "proxy_internal_error"
	ProxyConfiguration     Kind = "proxy_configuration_error"
	ProxyLoopDetected      Kind = "proxy_loop_detected"
	ClientGone             Kind = "client_gone"    // never sent: nobody is left to read it; logged as 499
	ClientStalled          Kind = "client_stalled" // the client neither sent nor read for stallTimeout
	FaultInjected          Kind = "fault_injected" // made on purpose, to rehearse a failure
)

// statuses is the one table from kind to status code. A failure whose kind covers several codes carries its own Status.
var statuses = map[Kind]int{
	DNSTimeout:             http.StatusGatewayTimeout,
	DNSError:               http.StatusBadGateway,
	DestinationNotFound:    http.StatusNotFound,
	DestinationUnavailable: http.StatusServiceUnavailable,
	ConnectionRefused:      http.StatusBadGateway,
	ConnectionTerminated:   http.StatusBadGateway,
	ConnectionTimeout:      http.StatusGatewayTimeout,
	ConnectionLimitReached: http.StatusServiceUnavailable,
	TLSProtocolError:       http.StatusBadGateway,
	TLSCertificateError:    http.StatusBadGateway,
	HTTPRequestError:       http.StatusBadRequest,
	HTTPRequestDenied:      http.StatusForbidden,
	HTTPResponseIncomplete: http.StatusBadGateway,
	HTTPResponseHeaderSize: http.StatusBadGateway,
	HTTPResponseBodySize:   http.StatusBadGateway,
	HTTPResponseCoding:     http.StatusBadGateway,
	HTTPResponseTimeout:    http.StatusGatewayTimeout,
	HTTPUpgradeFailed:      http.StatusBadGateway,
	HTTPProtocolError:      http.StatusBadGateway,
	ProxyInternalError:     http.StatusInternalServerError,
	ProxyConfiguration:     http.StatusInternalServerError,
	ProxyLoopDetected:      http.StatusLoopDetected,
	ClientGone:             StatusClientClosedRequest,
	ClientStalled:          http.StatusRequestTimeout,
	FaultInjected:          http.StatusServiceUnavailable,
}

// StatusClientClosedRequest is logged, and never sent, for a client that went away before its answer. nginx's number.
const StatusClientClosedRequest = 499

// Error is a failure. The zero Source is the gateway itself. An Error is made once and never changed after.
type Error struct {
	Source    Source
	Kind      Kind
	Status    int         // 0: the kind's own
	RetrySafe bool        // nothing of the request reached the other side, so repeating it cannot do harm
	BreakOff  bool        // the client gets no answer: its connection, on HTTP/2 its stream, is broken off
	Detail    string      // for the client: one sentence without addresses or secrets; may be empty
	Header    http.Header // fields the answer must carry (Allow, Retry-After, WWW-Authenticate); may be nil
	Err       error       // the cause, for the log only; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Source.String())
	b.WriteString(": ")
	b.WriteString(string(e.Kind))
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Code is the status code the client is to see.
func (e *Error) Code() int {
	if e.Status != 0 {
		return e.Status
	}
	if code, ok := statuses[e.Kind]; ok {
		return code
	}
	return http.StatusInternalServerError
}

// From finds the failure in err, or wraps err as an internal error of the gateway. It is nil only for nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Source: Gateway, Kind: ProxyInternalError, Err: err}
}

// Request is a failure of the client's message itself, with the status that names the reason.
func Request(status int, detail string) *Error {
	return &Error{Source: Client, Kind: HTTPRequestError, Status: status, Detail: detail}
}

// Denied is a request understood and refused.
func Denied(status int, detail string) *Error {
	return &Error{Source: Client, Kind: HTTPRequestDenied, Status: status, Detail: detail}
}

package failure

import "net/http"

// GRPCStatus is the code that a client of gRPC, gRPC-Web or Connect is to see.
func (e *Error) GRPCStatus() int {
	switch e.Code() {
	case http.StatusBadRequest, http.StatusRequestHeaderFieldsTooLarge, http.StatusRequestURITooLong:
		return 13 // INTERNAL, as the gRPC documents map 400
	case http.StatusUnauthorized:
		return 16 // UNAUTHENTICATED
	case http.StatusForbidden:
		return 7 // PERMISSION_DENIED
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return 12 // UNIMPLEMENTED
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return 8 // RESOURCE_EXHAUSTED
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return 14 // UNAVAILABLE
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return 4 // DEADLINE_EXCEEDED
	case StatusClientClosedRequest:
		return 1 // CANCELLED
	case http.StatusInternalServerError:
		return 13 // INTERNAL
	default:
		return 2 // UNKNOWN
	}
}

// Message is what a client of those protocols reads beside the code: the detail, or the status in words.
func (e *Error) Message() string {
	if e.Detail != "" {
		return e.Detail
	}
	return http.StatusText(e.Code())
}

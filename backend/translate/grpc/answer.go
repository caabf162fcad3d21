package grpc

import (
	"net/http"
	"strconv"
)

// Refused reads an answer that is none of gRPC's, though gRPC was asked for: a proxy's error page, a service of another
// protocol. Its status says what to tell the client (http-grpc-status-mapping of the gRPC documents); one that names a
// status of gRPC's own is believed.
func Refused(res *http.Response) (Status, bool) {
	if res.StatusCode == http.StatusOK && Is(res.Header) {
		return Status{}, false
	}
	if s, found := StatusOf(res.Header); found && s.Code != OK {
		return s, true
	}
	if res.StatusCode == http.StatusOK {
		return Status{Code: Unknown, Message: "the service did not answer with gRPC"}, true
	}
	return Status{Code: CodeOfAnswer(res.StatusCode), Message: "the service answered with HTTP status " + strconv.Itoa(res.StatusCode)}, true
}

// CodeOfAnswer is the code that a gRPC client makes of an HTTP status where it finds no grpc-status.
func CodeOfAnswer(status int) Code {
	switch status {
	case http.StatusBadRequest:
		return Internal
	case http.StatusUnauthorized:
		return Unauthenticated
	case http.StatusForbidden:
		return PermissionDenied
	case http.StatusNotFound:
		return Unimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Unavailable
	}
	return Unknown
}

// Early is the status in the head of an answer, which has it there if it is of trailers only. The body of any other must
// end with one: an answer that ends without saying how has not ended well, whatever came before.
func Early(h http.Header) Status {
	if s, found := StatusOf(h); found {
		return s
	}
	return Status{Code: Internal, Message: "the service ended its answer without a status"}
}

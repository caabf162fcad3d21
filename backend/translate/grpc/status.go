package grpc

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// Code is a canonical status code.
type Code uint32

// The canonical codes, by their numbers in google/rpc/code.proto.
const (
	OK Code = iota
	Canceled
	Unknown
	InvalidArgument
	DeadlineExceeded
	NotFound
	AlreadyExists
	PermissionDenied
	ResourceExhausted
	FailedPrecondition
	Aborted
	OutOfRange
	Unimplemented
	Internal
	Unavailable
	DataLoss
	Unauthenticated
)

var names = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// String is the name in google/rpc/code.proto: NOT_FOUND. A code beyond them is UNKNOWN.
func (c Code) String() string {
	if int(c) < len(names) {
		return names[c]
	}
	return names[Unknown]
}

// statuses is the HTTP mapping that google/rpc/code.proto states beside each code.
var statuses = [...]int{200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401}

// HTTP is the status code of an answer that tells c.
func (c Code) HTTP() int {
	if int(c) < len(statuses) {
		return statuses[c]
	}
	return http.StatusInternalServerError
}

// CodeOf is the code for the status of a service that speaks plain HTTP: google/rpc/code.proto read the other way. Where
// several codes share a status it is the most general of them, and an unknown status is that of its class.
func CodeOf(status int) Code {
	switch status {
	case http.StatusBadRequest:
		return InvalidArgument
	case http.StatusUnauthorized:
		return Unauthenticated
	case http.StatusForbidden:
		return PermissionDenied
	case http.StatusNotFound, http.StatusGone:
		return NotFound
	case http.StatusConflict:
		return Aborted
	case http.StatusPreconditionFailed:
		return FailedPrecondition
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return ResourceExhausted
	case http.StatusRequestedRangeNotSatisfiable:
		return OutOfRange
	case 499:
		return Canceled
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return Unimplemented
	case http.StatusInternalServerError:
		return Internal
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return Unavailable
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return DeadlineExceeded
	}
	switch {
	case status >= 200 && status < 300:
		return OK
	case status >= 400 && status < 500:
		return FailedPrecondition
	}
	return Unknown
}

// Status is how a call ended.
type Status struct {
	Code    Code
	Message string
	Details []byte // a serialized google.rpc.Status, from Grpc-Status-Details-Bin; nil: there is none
}

// StatusOf reads a status from trailers, or from the header of an answer that has trailers only. There is none if
// Grpc-Status is missing. What cannot be read is Unknown; code 0 with anything wrong is never OK.
func StatusOf(h http.Header) (s Status, found bool) {
	values := h["Grpc-Status"]
	if len(values) == 0 {
		return Status{}, false
	}
	code, err := strconv.ParseUint(values[0], 10, 32)
	if err != nil || len(values) > 1 {
		return Status{Code: Unknown, Message: "the service sent a grpc-status that is no number"}, true
	}
	s.Code = Code(code)
	if m := h["Grpc-Message"]; len(m) > 0 {
		s.Message = DecodeMessage(m[0])
	}
	if d := h["Grpc-Status-Details-Bin"]; len(d) > 0 {
		s.Details, _ = DecodeBinary(d[0])
	}
	return s, true
}

// Set writes the status into trailers.
func (s Status) Set(h http.Header) {
	h["Grpc-Status"] = []string{strconv.FormatUint(uint64(s.Code), 10)}
	if s.Message != "" {
		h["Grpc-Message"] = []string{EncodeMessage(s.Message)}
	}
	if s.Details != nil {
		h["Grpc-Status-Details-Bin"] = []string{base64.RawStdEncoding.EncodeToString(s.Details)}
	}
}

// IsStatusField reports whether a trailer tells the status and is none of the service's own.
func IsStatusField(name string) bool {
	return name == "Grpc-Status" || name == "Grpc-Message" || name == "Grpc-Status-Details-Bin"
}

// DecodeBinary reads the value of a field whose name ends in -bin: base64, padded or not.
func DecodeBinary(value string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
}

// EncodeMessage writes a grpc-message: printable ASCII but '%' stands as it is, every other octet is percent-encoded.
func EncodeMessage(s string) string {
	plain := func(c byte) bool { return c >= ' ' && c <= '~' && c != '%' }
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := append(make([]byte, 0, len(s)+16), s[:i]...)
	for ; i < len(s); i++ {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// DecodeMessage reads a grpc-message. What is broken stays as it stands, as the protocol demands; octets that are no
// UTF-8 become U+FFFD.
func DecodeMessage(s string) string {
	if strings.IndexByte(s, '%') >= 0 {
		b := make([]byte, 0, len(s))
		for i := 0; i < len(s); i++ {
			if s[i] == '%' && i+2 < len(s) {
				if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
					b = append(b, byte(v))
					i += 2
					continue
				}
			}
			b = append(b, s[i])
		}
		s = string(b)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

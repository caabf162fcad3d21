package health

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The gRPC health protocol is one call with one string and one number in it, so its messages are written and read here
// by hand (github.com/grpc/grpc-proto, grpc/health/v1/health.proto):
//
//	message HealthCheckRequest  { string service = 1; }
//	message HealthCheckResponse { ServingStatus status = 1; }   // UNKNOWN 0, SERVING 1, NOT_SERVING 2, SERVICE_UNKNOWN 3
const healthCheck = "/grpc.health.v1.Health/Check"

var servingStatus = []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

const serving = 1

// maxMessage bounds the answer's message, which has two bytes if the other side sends nothing that it need not.
const maxMessage = 1 << 10

// grpc asks after a service by name.
func (a *asker) grpc(service string) Probe {
	message := frame(healthRequest(service))
	return func(ctx context.Context) error {
		r := a.request("POST", healthCheck)
		r.Header["Content-Type"] = []string{"application/grpc"}
		r.Header["Te"] = []string{"trailers"}
		r.ContentLength = int64(len(message))
		r.Body = io.NopCloser(bytes.NewReader(message))
		res, err := a.ask(ctx, r)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		return readHealth(res)
	}
}

// healthRequest is a HealthCheckRequest. A proto3 string that is empty is not written.
func healthRequest(service string) []byte {
	if service == "" {
		return nil
	}
	b := binary.AppendUvarint([]byte{1<<3 | lengthDelimited}, uint64(len(service)))
	return append(b, service...)
}

// frame is a message with its prefix: not compressed, and its length.
func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// readHealth reads the whole answer, for the call's status comes last.
func readHealth(res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %d", res.StatusCode)
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/grpc") {
		return errors.New("its answer is not gRPC")
	}
	if status := res.Header.Get("Grpc-Status"); status != "" && status != "0" { // trailers only
		return fmt.Errorf("the call ended with gRPC status %s", word(status))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxMessage+1))
	switch status := res.Trailer.Get("Grpc-Status"); {
	case err != nil:
		return err
	case len(body) > maxMessage:
		return errors.New("its answer is too long")
	case status != "0":
		return fmt.Errorf("the call ended with gRPC status %s", word(status))
	}
	return judgeHealth(body)
}

func judgeHealth(body []byte) error {
	status, err := parseHealth(body)
	switch {
	case err != nil:
		return err
	case status == serving:
		return nil
	case status < uint64(len(servingStatus)):
		return errors.New("it says " + servingStatus[status])
	default:
		return fmt.Errorf("it says status %d", status)
	}
}

var errMessage = errors.New("its answer is not a HealthCheckResponse")

// parseHealth finds the status in a framed HealthCheckResponse. Absent is 0; fields that are not known are passed over.
func parseHealth(body []byte) (status uint64, err error) {
	if len(body) < 5 || body[0] != 0 || uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-5) {
		return 0, errMessage
	}
	for rest := body[5:]; len(rest) > 0; {
		tag, n := binary.Uvarint(rest)
		if n <= 0 || tag>>3 == 0 {
			return 0, errMessage
		}
		rest = rest[n:]
		value, size := field(tag&7, rest)
		if size < 0 {
			return 0, errMessage
		}
		if tag == 1<<3|varint {
			status = value
		}
		rest = rest[size:]
	}
	return status, nil
}

// Wire types of Protocol Buffers. Groups, 3 and 4, are not in use any more.
const (
	varint          = 0
	fixed64         = 1
	lengthDelimited = 2
	fixed32         = 5
)

// field is the value of a varint at the start of b, and how many bytes a field of that wire type takes; -1 if b does
// not hold it.
func field(wireType uint64, b []byte) (value uint64, size int) {
	switch wireType {
	case varint:
		value, size = binary.Uvarint(b)
		if size <= 0 {
			return 0, -1
		}
		return value, size
	case fixed64:
		size = 8
	case fixed32:
		size = 4
	case lengthDelimited:
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)) {
			return 0, -1
		}
		size = n + int(length)
	default:
		return 0, -1
	}
	if size > len(b) {
		return 0, -1
	}
	return 0, size
}

// word is a status as it may be shown: a number, or that there is none.
func word(status string) string {
	if status == "" || len(status) > 2 || strings.Trim(status, "0123456789") != "" {
		return "unknown"
	}
	return status
}

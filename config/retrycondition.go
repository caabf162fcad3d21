package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// RetryCondition is a failure worth another attempt: a word, a status code, or a gRPC status name.
type RetryCondition string

// The conditions that are no codes.
const (
	OnConnectFailure RetryCondition = "connectFailure" // nothing was sent
	OnReset          RetryCondition = "reset"          // the connection broke before any byte of the answer
	OnTimeout        RetryCondition = "timeout"        // of one attempt
	On5xx            RetryCondition = "5xx"            // any status from 500 to 599
)

// grpcStatusNames are the names of gRPC's status codes 1 to 16, in their order.
var grpcStatusNames = []string{
	"cancelled", "unknown", "invalid-argument", "deadline-exceeded", "not-found", "already-exists", "permission-denied",
	"resource-exhausted", "failed-precondition", "aborted", "out-of-range", "unimplemented", "internal", "unavailable",
	"data-loss", "unauthenticated",
}

// Status is the HTTP status code that the condition names, or 0.
func (c RetryCondition) Status() int {
	if n, err := strconv.Atoi(string(c)); err == nil {
		return n
	}
	return 0
}

// GRPC is the gRPC status code that the condition names, or 0.
func (c RetryCondition) GRPC() int {
	name, ok := strings.CutPrefix(string(c), "grpc-")
	for i, known := range grpcStatusNames {
		if ok && name == known {
			return i + 1
		}
	}
	return 0
}

// UnmarshalText accepts the conditions and nothing else.
func (c *RetryCondition) UnmarshalText(text []byte) error {
	*c = RetryCondition(text)
	switch *c {
	case OnConnectFailure, OnReset, OnTimeout, On5xx:
		return nil
	}
	if status := c.Status(); len(text) == 3 && 400 <= status && status <= 599 || c.GRPC() > 0 {
		return nil
	}
	words := []string{string(OnConnectFailure), string(OnReset), string(OnTimeout), string(On5xx)}
	for _, name := range grpcStatusNames {
		words = append(words, "grpc-"+name)
	}
	if near := nearName(string(text), words); near != "" {
		return fmt.Errorf("unknown condition, did you mean `%s`?", near)
	}
	return errors.New("a condition is connectFailure, reset, timeout, 5xx, a status from 400 to 599, or grpc-NAME")
}

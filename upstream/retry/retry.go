// Package retry holds what decides, beside a route's policy, whether a request is sent again: what its method means, how
// much a service bears, and how long to wait first.
package retry

import (
	"math/rand/v2"
	"time"
)

// Idempotent reports whether sending a request twice means the same as once (RFC 9110 section 9.2.2).
func Idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// Backoff is how long to wait before the n-th retry, counted from 1: evenly at random between nothing and base x 2^(n-1),
// or most if that is less. The full jitter keeps the callers that failed together from coming back together. Base 0 is
// no wait, most 0 no bound.
func Backoff(base, most time.Duration, n int) time.Duration {
	if base <= 0 {
		return 0
	}
	bound := base
	for range n - 1 {
		if bound > 1<<62-1-bound || most > 0 && bound >= most {
			break
		}
		bound *= 2
	}
	if most > 0 {
		bound = min(bound, most)
	}
	return rand.N(bound)
}

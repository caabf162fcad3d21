// Package health asks endpoints how they are, in time of its own and over connections of its own, so that a full pool
// is not taken for a sick endpoint. A Checker has the checks of one service, a State is what they have told of one
// endpoint. What follows from it is the service's business.
//
// An endpoint is new until its first success. It goes down after UnhealthyAfter failures in a row and comes back after
// HealthyAfter successes in a row. A new one counts as up, unless RequireHealthy is set: then it waits, however often it
// fails, and joins after its first success.
package health

import (
	"context"
	"time"
)

// Settings are how the endpoints of a service are checked.
type Settings struct {
	Type           Type
	Path           string   // http: the path asked for
	Host           string   // http and grpc: the Host sent; empty: the endpoint's
	Service        string   // grpc: the service asked after; empty: the server as a whole
	Expect         Statuses // http: the statuses that mean healthy
	Interval       time.Duration
	Timeout        time.Duration
	HealthyAfter   int
	UnhealthyAfter int
	RequireHealthy bool
}

// Type is how an endpoint is asked.
type Type string

const (
	HTTP Type = "http" // a GET whose status is among the expected
	TCP  Type = "tcp"  // a connection can be made, TLS included where the service has it
	GRPC Type = "grpc" // grpc.health.v1.Health/Check says SERVING
)

// Probe asks an endpoint once. It is healthy if there is no error, and must return soon after ctx has ended.
type Probe func(ctx context.Context) error

// Change is what a check has changed.
type Change struct {
	Up  bool
	Err error // why it went down; nil if Up
}

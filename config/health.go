package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// HealthCheck asks each endpoint how it is, in the background and over connections of its own.
type HealthCheck struct {
	// How it is asked. `http`: a GET, whose status must be one of `expect`. `tcp`: it is enough that a connection can be
	// made, TLS included on `https://`. `grpc`: the gRPC health protocol must say SERVING.
	Type string `yaml:"type" default:"http" enum:"http,tcp,grpc"`

	// The path to ask for, a query included. For `http`.
	Path string `yaml:"path" default:"/healthz"`

	// The Host to send. Empty: the service's `host`, else that of the endpoint. For `http` and `grpc`.
	Host string `yaml:"host"`

	// The status codes that mean healthy: codes and ranges, at most eight. For `http`.
	Expect []StatusRange `yaml:"expect" default:"200-299"`

	// The name to ask after. Empty: the server as a whole. For `grpc`.
	Service string `yaml:"service"`

	// The time from one check of an endpoint to the next, give or take a tenth. The first is made at once.
	Interval time.Duration `yaml:"interval" default:"5s" min:"100ms" max:"1h"`

	// The time a check may take, connecting included.
	Timeout time.Duration `yaml:"timeout" default:"1s" min:"10ms" max:"1m"`

	// Successes in a row that make an unhealthy endpoint healthy.
	HealthyAfter int `yaml:"healthyAfter" default:"2" min:"1" max:"1000"`

	// Failures in a row that make a healthy endpoint unhealthy.
	UnhealthyAfter int `yaml:"unhealthyAfter" default:"3" min:"1" max:"1000"`

	// A new endpoint gets no requests before its first success. (While no endpoint is healthy at all, `panic` still uses
	// it; `panic: false` is strict.)
	RequireHealthy bool `yaml:"requireHealthy" default:"false"`
}

// OutlierDetection learns from the answers to ordinary requests which endpoints do worse than the others, and leaves
// them alone for a while. An error is a connection that cannot be made or breaks, an attempt that times out, or a 5xx.
type OutlierDetection struct {
	// Errors in a row that eject an endpoint at once.
	ConsecutiveErrors int `yaml:"consecutiveErrors" default:"5" min:"1" max:"1000000"`

	// How often the share of errors of each endpoint is compared with that of all the others. It is ejected if it is ten
	// percentage points worse and more than chance explains, from 20 attempts in the interval on.
	Interval time.Duration `yaml:"interval" default:"10s" min:"100ms" max:"1h"`

	// How long the first ejection lasts. The second lasts twice as long, up to ten times; each `ejectFor` without another
	// takes one away again.
	EjectFor time.Duration `yaml:"ejectFor" default:"30s" min:"100ms" max:"24h"`

	// The most endpoints that are ejected at once, in percent. One always may be; the last one never is.
	MaxEjectedPercent float64 `yaml:"maxEjectedPercent" default:"50" min:"1" max:"100"`
}

// StatusRange is a status code, or two joined by a dash.
type StatusRange struct{ From, To int }

// UnmarshalText reads 204 or 200-299.
func (r *StatusRange) UnmarshalText(text []byte) error {
	low, high, ranged := strings.Cut(string(text), "-")
	if !ranged {
		high = low
	}
	var ok1, ok2 bool
	r.From, ok1 = finalStatus(low)
	r.To, ok2 = finalStatus(high)
	switch {
	case !ok1 || !ok2:
		return errors.New("a status from 200 to 599 or a range of them is wanted: 204, 200-299")
	case r.From > r.To:
		return errors.New("the range ends before it begins")
	}
	return nil
}

// MarshalText writes it as it is read.
func (r StatusRange) MarshalText() ([]byte, error) {
	text := strconv.Itoa(r.From)
	if r.To != r.From {
		text += "-" + strconv.Itoa(r.To)
	}
	return []byte(text), nil
}

// finalStatus reads a status code that ends an answer, in three digits.
func finalStatus(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && len(text) == 3 && 200 <= n && n <= 599
}

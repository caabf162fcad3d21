package config

// Telemetry is what the gateway says about itself.
type Telemetry struct {
	// One line for each request. `off` for none.
	AccessLog *AccessLog `yaml:"accessLog" default:"{}" off:"true"`

	// Prometheus metrics, on the admin listener at `/metrics`.
	Metrics Metrics `yaml:"metrics"`
}

// AccessLog says where the lines of requests go.
type AccessLog struct {
	// `stdout`, `stderr`, `off`, or the path of a file; SIGHUP opens the file again.
	To string `yaml:"to" default:"stdout" required:"true"`

	// How a line is written.
	Format string `yaml:"format" default:"json" enum:"json"`

	// The share of requests that is logged, from 0 to 1.
	Sample float64 `yaml:"sample" default:"1" min:"0" max:"1"`
}

// Metrics has no settings yet.
type Metrics struct{}

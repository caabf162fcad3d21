package config

import (
	"fmt"
	"time"
)

// Overload is when the gateway itself has too much to do. It then refuses a growing share of requests with 503 before
// any work is done for them: first those of routes with `criticality: sheddable`, when all of these are refused those with
// `criticality: default`, and never those with `criticality: critical`. The share grows while a threshold is exceeded and
// falls slowly when none is.
type Overload struct {
	// How long a goroutine that could run waits for a processor, in 90 of 100 cases, when the gateway is overloaded.
	// Measured every 100ms.
	SchedulingDelay time.Duration `yaml:"schedulingDelay" default:"20ms" min:"100us" max:"10s"`

	// How many client connections may have a request in progress before the gateway is overloaded; an HTTP/2 connection
	// counts as one. 0 means no limit.
	ActiveConnections int `yaml:"activeConnections" default:"0" min:"0" max:"10000000"`
}

func (k *checker) overload(c *Config) {
	if c.Overload != nil {
		return
	}
	for i := range c.Routes {
		if at := fmt.Sprintf("routes[%d].criticality", i); k.written(at) && !k.faulty(at) {
			k.errorAt(at, "write `overload: {}` at the top level",
				"criticality says what is shed under overload, but nothing says when that is")
			return
		}
	}
}

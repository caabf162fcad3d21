// Package overload tells when the gateway itself has too much to do, and refuses a share of the requests then.
//
// The signal is measured off the data path, by one goroutine every 100 ms: how long goroutines that could run waited for
// a processor (the runtime's own histogram of it, 90th percentile since the last look), and how many connections have a
// request in progress. When processors are short, that wait is what every request pays at each of its steps, whatever
// the reason: too many requests, a neighbour on the machine, a quota. CPU time itself says less: a busy processor is not
// yet a late one.
//
// The answer is one number, the pressure, from 0 to 2: up to 1 the share of the sheddable requests that is refused, above
// 1 all of these and that share less 1 of the default ones. While a threshold is exceeded pressure rises, by 0.1 for
// each time that the threshold is exceeded by, at most 0.4 a look; while none is it falls by 0.025. So it finds, from
// above, what the gateway can carry, and does not swing between all and nothing. A request reads it as one atomic load.
package overload

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
)

// Settings are the thresholds.
type Settings struct {
	SchedulingDelay   time.Duration // above 0
	ActiveConnections int           // 0: no limit
}

const (
	every   = 100 * time.Millisecond
	full    = 1000 // the unit of pressure: 1.0
	rise    = full / 10
	maxRise = 4
	fall    = full / 40
)

// Monitor watches while it is started. Make it with New.
type Monitor struct {
	settings Settings
	active   func() int64 // connections with a request in progress
	delay    func() time.Duration

	pressure atomic.Uint32 // in thousandths
	last     atomic.Int64  // the delay measured last, in nanoseconds

	mu   sync.Mutex
	stop chan struct{} // nil: not started
	done chan struct{}
}

// New makes a monitor that does nothing yet. active is asked ten times a second.
func New(s Settings, active func() int64) *Monitor {
	return &Monitor{settings: s, active: active, delay: newWaits().percentile90}
}

// Start begins to watch, if it does not yet.
func (m *Monitor) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stop == nil {
		m.stop, m.done = make(chan struct{}), make(chan struct{})
		go m.watch(m.stop, m.done)
	}
}

// Stop ends watching and with it all refusing.
func (m *Monitor) Stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stop == nil {
		return
	}
	close(m.stop)
	<-m.done
	m.stop = nil
	m.pressure.Store(0)
}

func (m *Monitor) watch(stop, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.look()
		case <-stop:
			return
		}
	}
}

// look measures once and moves the pressure.
func (m *Monitor) look() {
	delay := m.delay()
	m.last.Store(int64(delay))
	excess := float64(delay) / float64(m.settings.SchedulingDelay)
	if limit := m.settings.ActiveConnections; limit > 0 {
		excess = max(excess, float64(m.active())/float64(limit))
	}
	p := int(m.pressure.Load())
	if excess > 1 {
		p += int(rise * min(excess, maxRise))
	} else {
		p -= fall
	}
	m.pressure.Store(uint32(min(max(p, 0), 2*full)))
}

// State is what the metrics show.
func (m *Monitor) State() *telemetry.Overload {
	return &telemetry.Overload{
		Pressure: float64(m.pressure.Load()) / full, SchedulingDelay: time.Duration(m.last.Load()),
	}
}

// Valve is where the requests of one route are let through or refused. A nil valve lets all through.
type Valve struct {
	Monitor     *Monitor
	Criticality telemetry.Criticality
	Series      *telemetry.ShedSeries
	Event       *telemetry.Burst
}

var refused = &failure.Error{
	Source: failure.Gateway, Kind: failure.HTTPRequestDenied, Status: http.StatusServiceUnavailable, RetrySafe: true,
	Detail: "The gateway is overloaded and refuses requests of this criticality.", Header: http.Header{"Retry-After": {"1"}},
}

// Refuses is why a request is not let through, or nil.
func (v *Valve) Refuses() error {
	if v == nil {
		return nil
	}
	pressure := v.Monitor.pressure.Load()
	if pressure == 0 || !v.drawn(pressure) {
		return nil
	}
	v.Series.Shed(v.Criticality)
	v.Event.Inc()
	return refused
}

func (v *Valve) drawn(pressure uint32) bool {
	switch v.Criticality {
	case telemetry.Critical:
		return false
	case telemetry.Default:
		return pressure > full && rand.Uint32N(full) < pressure-full
	}
	return rand.Uint32N(full) < pressure
}

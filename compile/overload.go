package compile

import (
	"fmt"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/overload"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
)

// overload makes the monitor of the gateway's own load. It counts on the series of listeners, which are carried over by
// name: the same settings over the same listeners are the same monitor.
func (k *compiler) overload(s *snapshot.Snapshot) {
	c := k.config.Overload
	if c == nil {
		return
	}
	key := "overload/" + fmt.Sprintf("%+v", *c)
	var series []*telemetry.ListenerSeries
	for _, l := range s.Listeners {
		key += "\x00" + l.Name
		series = append(series, l.Series)
	}
	if k.Previous != nil {
		s.Overload, _ = k.Previous.Part(key).(*overload.Monitor)
	}
	if s.Overload == nil {
		settings := overload.Settings{SchedulingDelay: c.SchedulingDelay, ActiveConnections: c.ActiveConnections}
		s.Overload = overload.New(settings, func() (active int64) {
			for _, l := range series {
				active += l.Connections().Active
			}
			return active
		})
	}
	k.parts = append(k.parts, snapshot.NamedPart{Key: key, Part: s.Overload})
}

// valve is where the requests of a route are refused under overload; nil: nowhere.
func (k *compiler) valve(s *snapshot.Snapshot, c *config.Route) *overload.Valve {
	criticality := criticalities[c.Criticality]
	if s.Overload == nil || criticality == telemetry.Critical {
		return nil
	}
	return &overload.Valve{
		Monitor: s.Overload, Criticality: criticality, Series: k.Metrics.Shed(c.Name),
		Event: k.Metrics.Events().Burst(telemetry.Event{
			Kind: telemetry.ShedEvent, Route: c.Name, Reason: "the gateway is overloaded, the route is " + criticality.String(),
		}),
	}
}

var criticalities = map[string]telemetry.Criticality{
	"critical": telemetry.Critical, "default": telemetry.Default, "sheddable": telemetry.Sheddable,
}

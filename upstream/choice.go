package upstream

import (
	"time"

	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/balance"
)

// choice is who may be chosen of a membership and by what weight, for one version of the reasons. It lasts until the
// reasons change or, while an endpoint starts slowly, until its next step.
//
//	weight as configured
//	  → 0 while a reason holds                      (panic: unless only health is against it, and against all)
//	  → a part of it while the endpoint starts slowly
//	  → shared out over the zones: the gateway's own first, others for what that cannot bear
type choice struct {
	version uint64
	until   time.Time // zero: no end
	picker  balance.Picker
	beyond  balance.Picker // all zones, for a retry when the picker has nobody left; nil: the picker knows them all
	takers  int            // members that may be chosen

	panicking bool // nobody is healthy, and so all are chosen among
}

// pick is the position of the member to ask, none of those tried; -1: there is none. The request counts as in flight there
// until done.
func (m *membership) pick(ask balance.Ask) int {
	c := m.choice(ask.Now)
	at := c.picker.Pick(ask)
	if at < 0 && c.beyond != nil {
		return c.beyond.Pick(ask)
	}
	return at
}

// done ends what pick began.
func (m *membership) done(at int) { m.set.Done(at) }

// choice is the one in force.
func (m *membership) choice(now time.Time) *choice {
	c := m.chosen.Load()
	if c != nil && m.lasts(c, now) {
		return c
	}
	return m.choose(c, now)
}

func (m *membership) lasts(c *choice, now time.Time) bool {
	return c.version == m.lineage.version.Load() && (c.until.IsZero() || now.Before(c.until))
}

// choose makes the choice anew. While one request does, the others use the one before, if that has anybody to choose. Should
// the reasons change meanwhile, the next request makes another.
func (m *membership) choose(before *choice, now time.Time) *choice {
	if before == nil || before.takers == 0 {
		m.mu.Lock()
	} else if !m.mu.TryLock() {
		return before
	}
	defer m.mu.Unlock()
	if c := m.chosen.Load(); c != nil && m.lasts(c, now) {
		return c
	}
	version := m.lineage.version.Load()
	c := m.newChoice(now)
	c.version = version
	m.tell(c.panicking)
	m.chosen.Store(c)
	return c
}

func (m *membership) newChoice(now time.Time) *choice {
	c := new(choice)
	weights, near, until, panicking := m.weights(now)
	c.until, c.panicking = until, panicking
	for _, w := range weights {
		if w > 0 {
			c.takers++
		}
	}
	if near == nil {
		c.picker = m.set.Picker(weights)
	} else {
		c.picker, c.beyond = m.set.Picker(near), m.set.Picker(weights)
	}
	return c
}

// weights are the members' weights for a choice, those that share requests out over zones, nil if there is nothing to
// share out, until when they are right, and whether nobody's health counts.
func (m *membership) weights(now time.Time) (weights, near []int64, until time.Time, panicking bool) {
	weights, panicking = m.fitWeights()
	if m.set.ByKey() { // neither zones nor a slow start may move a key
		return weights, nil, time.Time{}, panicking
	}
	until = m.slow(weights, now)
	return weights, m.near(weights), until, panicking
}

// fitWeights are the members' weights, 0 for those that take no requests. In panic nobody's health counts.
func (m *membership) fitWeights() (weights []int64, panicking bool) {
	weights = make([]int64, len(m.members))
	if m.weigh(weights, ^Reason(0)) || !m.balancing.panic {
		return weights, false
	}
	return weights, m.weigh(weights, ^unfit)
}

// weigh gives those their weight whom none of the reasons barred keeps out, and reports whether there are any.
func (m *membership) weigh(weights []int64, barred Reason) (some bool) {
	for i, member := range m.members {
		if member.Reasons()&barred == 0 && member.weight > 0 {
			weights[i], some = int64(member.weight), true
		}
	}
	return some
}

// tell records that panic was entered, or left. It is noticed by a request, so it is told of when it matters to one.
func (m *membership) tell(panicking bool) {
	if m.lineage.panicking.Swap(panicking) == panicking {
		return
	}
	event := telemetry.Event{Kind: telemetry.PanicEvent, Service: m.service, State: "left", Reason: "an endpoint is healthy again"}
	if panicking {
		event.State, event.Reason = "entered", "no endpoint is healthy, so all are used"
	}
	m.events.Record(event)
}

// slowSteps is in how many steps an endpoint comes to its full share. It begins with the first, so never with nothing.
const slowSteps = 20

// slow takes from the weights of the members that joined a short time ago, and tells until when that is right: zero, if
// there are none.
func (m *membership) slow(weights []int64, now time.Time) (until time.Time) {
	span := m.balancing.slowStart
	if span <= 0 {
		return time.Time{}
	}
	steps := make([]int64, len(weights))
	for i, member := range m.members {
		steps[i] = slowSteps
		joined := member.joined.Load()
		if age := now.Sub(time.Unix(0, joined)); joined > 0 && weights[i] > 0 && age < span {
			steps[i] = 1 + int64(float64(max(0, age))/float64(span)*slowSteps)
			until = now.Add(max(1, span/slowSteps))
		}
	}
	if until.IsZero() {
		return until
	}
	for i := range weights {
		weights[i] *= steps[i]
	}
	return until
}

const (
	// nearReserve is what the own zone is trusted with beyond its share: it bears all of its requests while at least 1/1.4,
	// 71 %, of it is fit.
	nearReserve = 1.4
	// nearTotal is what the weights add up to, about, while they are shared out over zones.
	nearTotal = 1 << 20
)

// near shares the requests out over zones: all to the gateway's own while enough of it is fit, and what it cannot bear to
// the others by weight. Nil: as if there were no zones.
func (m *membership) near(weights []int64) []int64 {
	if m.balancing.zone == "" {
		return nil
	}
	var configured, fit, here, there float64
	for i, member := range m.members {
		switch {
		case member.zone != m.balancing.zone:
			there += float64(weights[i])
			continue
		case member.Reasons()&Drained == 0:
			configured += float64(member.weight)
		}
		here += float64(weights[i])
		if weights[i] > 0 {
			fit += float64(member.weight)
		}
	}
	if here == 0 || there == 0 {
		return nil
	}
	share := min(1, nearReserve*fit/configured)
	shared := make([]int64, len(weights))
	for i, member := range m.members {
		switch {
		case weights[i] == 0:
		case member.zone == m.balancing.zone && share == 1:
			shared[i] = weights[i]
		case member.zone == m.balancing.zone:
			shared[i] = max(1, int64(float64(weights[i])/here*share*nearTotal))
		case share < 1:
			shared[i] = max(1, int64(float64(weights[i])/there*(1-share)*nearTotal))
		}
	}
	return shared
}

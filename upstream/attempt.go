package upstream

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/http1"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/transport"
)

// attempt is one try at one endpoint.
type attempt struct {
	loop     *loop
	endpoint *Endpoint
	member   int // its position
	number   int
	hedge    bool
	cancel   context.CancelFunc // nil: it has no context of its own
	watched  watched
	told     int            // watchers told of its end
	res      *http.Response // what came of it; nil: nothing yet
	over     bool           // it has let go of what it held
	start    time.Time
	body     *bodyReader // nil: the request has none
	trip     transport.Trip
	reader   bodyReader
}

// send sends the request, waits for the head of the answer, and tells of it.
func (a *attempt) send(ctx context.Context) (*http.Response, error) {
	res, err := a.ask(ctx)
	a.record(res, err)
	return res, err
}

// ask sends the request and waits for the head of the answer.
func (a *attempt) ask(ctx context.Context) (*http.Response, error) {
	call, trip := &a.loop.call, &a.trip
	trip.Request, trip.Host, trip.Lines, trip.Reads = a.request(), a.host(call.Request.Host), call.Lines, call.Reads
	trip.AnswerBy, trip.Observer = a.answerBy(), a
	if trip.Body = http.NoBody; a.body != nil {
		trip.Body = a.body
	}
	if !a.loop.racing {
		trip.Inform = call.Inform
	}
	return a.endpoint.transport.RoundTrip(ctx, &a.trip)
}

// answerBy is when the answer must have begun: the end of the call, or of the attempt if that comes first.
func (a *attempt) answerBy() time.Time {
	by := a.loop.deadline
	if limit := a.loop.policy.Retry.PerAttempt; limit > 0 {
		if own := a.start.Add(limit); by.IsZero() || own.Before(by) {
			by = own
		}
	}
	return by
}

// request is the one this attempt sends: the call's own, or one that says which attempt it is for.
func (a *attempt) request() *http.Request {
	r := a.loop.call.Request
	if a.number == 1 {
		return r
	}
	again := *r
	again.Header = r.Header.Clone()
	again.Header["X-Attempt"] = []string{strconv.Itoa(a.number)}
	return &again
}

func (a *attempt) host(asked string) string {
	switch {
	case a.loop.service.spec.Host != "":
		return a.loop.service.spec.Host
	case asked != "":
		return asked
	default:
		return a.endpoint.host
	}
}

// record tells of the attempt.
// Out of line: decision 014.
//
//go:noinline
func (a *attempt) record(res *http.Response, err error) {
	a.res = res
	now := http1.Now()
	d := now.Sub(a.start)
	call, service := &a.loop.call, a.loop.service
	t := telemetry.Attempt{Endpoint: a.endpoint.address, Duration: d, Reused: a.trip.Reused}
	outcome := telemetry.Success
	switch {
	case a.loop.ctx.Err() != nil:
		t.Failure = failure.ClientGone
		outcome = t.Failure
	case err != nil:
		t.Failure = failure.From(err).Kind
		outcome = t.Failure
	default:
		t.Status = res.StatusCode
		if res.StatusCode >= 500 || service.spec.Protocol == GRPC && failedGRPC(res) {
			outcome = telemetry.Status5xx
		}
	}
	call.Attempts = append(call.Attempts, t)
	service.spec.Series.Attempt(outcome, d)
	o := Outcome{Kind: outcome, Status: t.Status, Latency: d, At: now}
	a.endpoint.learn(o, now)
	a.observe(o, now)
	o.Latency = now.Sub(a.loop.start)
	a.loop.outcome = o
}

// recordLost tells of an attempt that is given up because another was answered first. It says little about the endpoint:
// that it takes at least so long.
func (a *attempt) recordLost() {
	now := http1.Now()
	d := now.Sub(a.start)
	call := &a.loop.call
	call.Attempts = append(call.Attempts, telemetry.Attempt{Endpoint: a.endpoint.address, Duration: d, Failure: telemetry.Lost})
	a.loop.service.spec.Series.Attempt(telemetry.Lost, d)
	if d > a.endpoint.load.Latency() {
		a.endpoint.load.Learn(d, now)
	}
	a.observe(Outcome{Kind: telemetry.Lost, Latency: d, At: now}, now)
}

// observe tells the watchers, and the quantile by which attempts are hedged.
func (a *attempt) observe(o Outcome, now time.Time) {
	a.tell(o)
	service := a.loop.service
	if h := a.loop.policy.Hedge; h != nil && h.After == 0 && (o.Kind == telemetry.Lost || !o.Silent() && !o.Failed()) {
		service.lineage.latencies.Observe(o.Latency, now)
	}
}

// tell tells those watchers that were not told yet.
func (a *attempt) tell(o Outcome) {
	watchers := a.loop.service.watchers
	for a.told < len(watchers) {
		i := a.told
		a.told++ // one that panics is not told again
		watchers[i].End(a.endpoint, a.watched[i], o)
	}
}

// discard ends an attempt that did not bring the answer.
func (a *attempt) discard(res *http.Response) {
	if res != nil {
		res.Body.Close() // which tells us
	} else {
		a.AnswerEnded()
	}
	a.loop.hand = nil
}

// abandon ends an attempt that nobody has in hand any more: it lost a race, or a panic cut it short, wherever that was.
func (a *attempt) abandon() {
	defer a.AnswerEnded()
	if a.res != nil {
		defer a.res.Body.Close()
	}
	a.tell(unknown())
}

// unknown is the outcome of an attempt of which nobody will know what came.
func unknown() Outcome { return Outcome{Kind: failure.ProxyInternalError, At: http1.Now()} }

// AnswerEnded implements http1.Observer: the attempt is over, and lets go of what it holds. One that is abandoned may be told
// so twice, by us and by the end of an answer.
func (a *attempt) AnswerEnded() {
	if a.over {
		return
	}
	a.over = true
	l := a.loop
	if a.body != nil {
		a.body.finish()
	}
	l.members.done(a.member)
	if a.cancel != nil {
		a.cancel()
	}
	l.release()
}

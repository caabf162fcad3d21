package admin

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/upstream"
)

// service is one service in the answer to /services. What the service does not have is left out.
type service struct {
	Name        string       `json:"name"`
	Breaker     string       `json:"breaker,omitempty"` // closed | half_open | open
	Panic       bool         `json:"panic,omitempty"`   // no endpoint is healthy, so all are used
	Concurrency *concurrency `json:"concurrency,omitempty"`
	Discovery   *discovery   `json:"discovery,omitempty"`
	Endpoints   []endpoint   `json:"endpoints"`
	Away        []string     `json:"drained_away,omitempty"` // addresses that were drained by hand, and that it does not have now
}

type concurrency struct {
	InFlight int `json:"in_flight"`
	Limit    int `json:"limit"`
	Pending  int `json:"pending"` // waiting for a place
}

type discovery struct {
	Source     string     `json:"source"`
	Endpoints  int        `json:"endpoints"`            // in the last usable answer
	Duplicates int        `json:"duplicates,omitempty"` // in it, beside those
	LastGood   *time.Time `json:"last_good"`            // null: there was none yet
	LastChange *time.Time `json:"last_change"`          // when an answer was last put in force
	LastError  string     `json:"last_error,omitempty"` // of the last failure; absent: the last answer was usable
	FailedAt   *time.Time `json:"failed_at,omitempty"`
	Failures   int        `json:"failures,omitempty"` // in a row
}

type endpoint struct {
	Address      string     `json:"address"`
	Weight       int        `json:"weight"` // as configured or found; 0 drains
	Share        float64    `json:"share"`  // of new requests that it is meant to get now, 0 to 1
	Zone         string     `json:"zone,omitempty"`
	InFlight     int        `json:"in_flight"`         // requests sent and not yet answered to their end
	Up           bool       `json:"up"`                // considered able to answer
	Out          []string   `json:"out,omitempty"`     // why it is not: unhealthy, waiting, ejected, breaker_open, drained
	Latency      float64    `json:"latency_ms"`        // moving average of the time to the head of its answers; 0: none came yet
	Breaker      string     `json:"breaker,omitempty"` // its own
	EjectedUntil *time.Time `json:"ejected_until,omitempty"`
	LastCheck    *time.Time `json:"last_check,omitempty"`  // of its health
	CheckError   string     `json:"check_error,omitempty"` // what was wrong then
}

// services lists all services by name, each with its endpoints in the order of the configuration, or as they were found.
func (a *api) services(w http.ResponseWriter, _ *http.Request) {
	s := a.Snapshots.Load() // ServeHTTP lets nobody here before there is one
	list := make([]service, 0, len(s.Services))
	for _, svc := range s.Services {
		list = append(list, shownService(svc))
	}
	slices.SortFunc(list, func(a, b service) int { return strings.Compare(a.Name, b.Name) })
	writeJSON(w, http.StatusOK, struct {
		Services []service `json:"services"`
	}{list})
}

// one shows a single service.
func (a *api) one(w http.ResponseWriter, r *http.Request) {
	if svc := a.Snapshots.Load().Services[r.PathValue("name")]; svc != nil {
		writeJSON(w, http.StatusOK, shownService(svc))
		return
	}
	text(w, http.StatusNotFound, "there is no service of this name\n")
}

func shownService(svc *upstream.Service) service {
	seen := svc.Seen()
	shown := service{Name: svc.Name(), Panic: seen.Panic, Discovery: shownDiscovery(svc.Discovery()), Endpoints: []endpoint{}, Away: seen.Away}
	if state, has := svc.Breaker(); has {
		shown.Breaker = state.String()
	}
	if now, pending, has := svc.Concurrency(); has {
		shown.Concurrency = &concurrency{InFlight: now.InFlight, Limit: now.Limit, Pending: pending}
	}
	for _, m := range seen.Members {
		shown.Endpoints = append(shown.Endpoints, shownEndpoint(m))
	}
	return shown
}

func shownEndpoint(m upstream.SeenMember) endpoint {
	reasons := m.Reasons()
	shown := endpoint{
		Address: m.Address(), Weight: m.Weight(), Share: math.Round(m.Share*1e4) / 1e4, Zone: m.Zone(), InFlight: m.InFlight(),
		Up: reasons == 0, Out: reasons.Names(), Latency: float64(m.Latency().Microseconds()) / 1000,
		EjectedUntil: moment(m.EjectedUntil()),
	}
	if state, has := m.Breaker(); has {
		shown.Breaker = state.String()
	}
	at, wrong := m.LastCheck()
	shown.LastCheck, shown.CheckError = moment(at), wrong
	return shown
}

func shownDiscovery(d *upstream.DiscoveryState) *discovery {
	if d == nil {
		return nil
	}
	return &discovery{
		Source: d.Source, Endpoints: d.Endpoints, Duplicates: d.Duplicates, LastGood: moment(d.LastGood), LastChange: moment(d.LastChange),
		LastError: d.LastError, FailedAt: moment(d.FailedAt), Failures: d.Failures,
	}
}

// moment is a time as JSON has it; null for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

// drain takes an endpoint out for new requests, and undrain puts it back. Both answer with the endpoint as it is then, if
// the service has it, and may be repeated.
func (a *api) drain(w http.ResponseWriter, r *http.Request)   { a.setDrained(w, r, true) }
func (a *api) undrain(w http.ResponseWriter, r *http.Request) { a.setDrained(w, r, false) }

func (a *api) setDrained(w http.ResponseWriter, r *http.Request, drained bool) {
	svc := a.Snapshots.Load().Services[r.PathValue("name")]
	if svc == nil {
		text(w, http.StatusNotFound, "there is no service of this name\n")
		return
	}
	address := r.PathValue("address")
	if !svc.Drain(address, drained) {
		text(w, http.StatusNotFound, "the service has no endpoint of this address; write it as /services shows it, percent-encoded\n")
		return
	}
	for _, m := range svc.Seen().Members {
		if m.Address() == address {
			writeJSON(w, http.StatusOK, shownEndpoint(m))
			return
		}
	}
	w.WriteHeader(http.StatusNoContent) // discovery does not find it now: it is done, and there is nothing to show
}

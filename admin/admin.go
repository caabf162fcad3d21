// Package admin is what operators ask a running gateway: its metrics, whether it is alive and ready, the configuration
// in force, the services behind it and what happened to them. It reads, but for one thing: an endpoint may be drained by
// hand. The configuration is never changed here; the file is the truth.
//
// Every request passes the same gates, in this order: it must not come from a web page elsewhere (see foreign), it must
// carry the token if one is set, then the path must exist and take the method. Liveness and plain readiness need no
// token, because what asks for them often cannot send one.
package admin

import (
	"net/http"
	"net/http/pprof"

	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
)

// Options is what the admin API looks at. All of it may change while it serves.
type Options struct {
	Snapshots *snapshot.Holder // also says which token and host name are in force
	Metrics   *telemetry.Metrics
	Status    *Status
	PProf     bool // profiles under /debug/pprof/
}

// api serves the paths.
type api struct {
	Options
	mux *http.ServeMux
}

// New makes the admin API.
func New(o Options) http.Handler {
	a := &api{Options: o, mux: http.NewServeMux()}
	a.mux.HandleFunc("GET /{$}", a.index)
	a.mux.Handle("GET /metrics", o.Metrics.Handler())
	a.mux.HandleFunc("GET /healthz", a.healthz)
	a.mux.HandleFunc("GET /readyz", a.readyz)
	a.mux.HandleFunc("GET /config", a.config)
	a.mux.HandleFunc("GET /services", a.services)
	a.mux.HandleFunc("GET /services/{name}", a.one)
	a.mux.HandleFunc("POST /services/{name}/endpoints/{address}/drain", a.drain)
	a.mux.HandleFunc("DELETE /services/{name}/endpoints/{address}/drain", a.undrain)
	a.mux.HandleFunc("GET /events", a.events)
	if o.PProf {
		a.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		a.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		a.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		a.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		a.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	var settings snapshot.Admin
	running := a.Snapshots.Load()
	if running != nil {
		settings = running.Admin
	}
	if why := foreign(r, settings.Address); why != "" {
		text(w, http.StatusForbidden, why+"\n")
		return
	}
	if !open(r) {
		if running == nil { // nobody knows yet whether a token is needed
			text(w, http.StatusServiceUnavailable, "starting\n")
			return
		}
		if !authorised(w, r, settings.Token) {
			return
		}
	}
	a.mux.ServeHTTP(w, r)
}

func (a *api) index(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, `Sluice admin

/metrics          Prometheus metrics
/healthz          200 while the process lives
/readyz           200 while traffic is welcome; 503 starting or draining
/readyz?verbose   the same with revision, listeners and the last reload
/config           the configuration in force, secrets redacted
/services         services and their endpoints: health, load, breakers, discovery
/services/{name}  one of them
/events           what happened: ejections, breakers, shedding, discovery; ?after=SEQ&kind=&service=&limit=

POST /services/{name}/endpoints/{address}/drain    no new requests for an endpoint; its address percent-encoded
DELETE the same                                    and again
`)
	if a.PProf {
		w.Write([]byte("/debug/pprof/     profiles\n"))
	}
}

// healthz says that the process can answer. It never asks whether anything else does: a restart would not mend that.
func (a *api) healthz(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") }

func (a *api) config(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(a.Snapshots.Load().Config) // ServeHTTP lets nobody here before there is one
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(body))
}

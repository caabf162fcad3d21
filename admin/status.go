package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/snapshot"
)

// Status is where the gateway is in its life. The zero value is starting; app moves it on.
type Status struct {
	mu     sync.Mutex
	state  state
	reload *reload // nil: none yet
}

type state uint8

const (
	stateStarting state = iota
	stateReady
	stateDraining
)

// String is the body of plain /readyz, and the state in the verbose one.
func (s state) String() string {
	switch s {
	case stateReady:
		return "ok"
	case stateDraining:
		return "draining"
	default:
		return "starting"
	}
}

// reload is how the last change of the configuration ended.
type reload struct {
	Time    time.Time `json:"time"`
	Outcome string    `json:"outcome"` // success | failure
	Error   string    `json:"error,omitempty"`
}

// maxReloadError bounds the text kept of a reload that failed. A file can hold any number of mistakes.
const maxReloadError = 16 << 10

// Ready says that traffic is welcome. It does not undo Draining.
func (s *Status) Ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateStarting {
		s.state = stateReady
	}
}

// Draining says that no more traffic is welcome. There is no way back.
func (s *Status) Draining() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = stateDraining
}

// Reloaded keeps how a change of the configuration ended: nil, or what was wrong, whose text is shown to whoever may see
// /readyz?verbose and so must hold no secret.
func (s *Status) Reloaded(at time.Time, err error) {
	last := &reload{Time: at.UTC(), Outcome: "success"}
	if err != nil {
		last.Outcome = "failure"
		last.Error = cut(err.Error(), maxReloadError)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reload = last
}

func (s *Status) read() (state, *reload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.reload
}

// cut shortens text to at most limit bytes, at a line's end if it can.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	text = strings.ToValidUTF8(text[:limit], "")
	if i := strings.LastIndexByte(text, '\n'); i > 0 {
		text = text[:i]
	}
	return text + "\n(more was cut off)"
}

// report is the answer to /readyz?verbose.
type report struct {
	State      string     `json:"state"` // starting | ok | draining
	Revision   string     `json:"revision,omitempty"`
	Loaded     *time.Time `json:"loaded,omitempty"`
	LastReload *reload    `json:"last_reload"` // null: there was none since the start
	Listeners  []listener `json:"listeners"`
}

type listener struct {
	Name      string   `json:"name"`
	Address   string   `json:"address"`
	Protocols []string `json:"protocols"`
	TLS       bool     `json:"tls"`
}

// verbose reports whether r asks for the report. The gate and the answer must agree on it.
func verbose(r *http.Request) bool { return r.URL.Query().Has("verbose") }

// readyz is 503 before the first configuration serves and from the drain on. A reload that failed leaves it at 200: the
// configuration before serves as it did.
func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	state, last := a.Status.read()
	status := http.StatusServiceUnavailable
	if state == stateReady {
		status = http.StatusOK
	}
	if !verbose(r) {
		text(w, status, state.String()+"\n")
		return
	}
	rep := report{State: state.String(), LastReload: last, Listeners: []listener{}}
	if s := a.Snapshots.Load(); s != nil {
		rep.describe(s)
	}
	writeJSON(w, status, rep)
}

func (r *report) describe(s *snapshot.Snapshot) {
	loaded := s.Loaded.UTC()
	r.Revision, r.Loaded = s.Revision, &loaded
	for _, l := range s.Listeners {
		shown := listener{Name: l.Name, Address: l.Address, Protocols: protocols(l), TLS: l.TLS != nil}
		r.Listeners = append(r.Listeners, shown)
	}
}

func protocols(l *snapshot.Listener) []string {
	list := []string{}
	if l.HTTP1 {
		list = append(list, "http1")
	}
	if l.HTTP2 {
		list = append(list, "http2")
	}
	return list
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	e.Encode(v) // an error is a client that left
}

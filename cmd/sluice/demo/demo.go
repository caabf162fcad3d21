// Package demo is a small world to try the gateway in: sample microservices inside the process, a gateway
// configuration in front of them, and a list of commands that show what it does.
//
//   - fleet.go starts the microservices, each on a socket of its own, and tells the configuration where they are
//   - users.go, orders.go, catalog.go, flaky.go, echo.go, greeter.go are one microservice each
//   - gateway.yaml is the configuration, an example in its own right
//   - tour.go is the picture and the commands to paste
//   - call.go speaks gRPC and WebSocket for people who have only curl
//
// The microservices answer with what reached them, so that the gateway's part is visible in every answer.
package demo

import (
	_ "embed"
	"encoding/json"
	"net/http"
)

// Configuration is the gateway's. It reads addresses from variables, and its defaults are the fixed ports below, so it
// also runs by itself: `sluice demo services` in one terminal, `sluice run gateway.yaml` in another.
//
//go:embed gateway.yaml
var Configuration string

// answer is what a sample microservice says: who it is, what reached it, and its data.
type answer struct {
	Service   string `json:"service"`
	Version   string `json:"version,omitempty"`
	Method    string `json:"method"`
	Path      string `json:"path"`
	Query     string `json:"query,omitempty"`
	RequestID string `json:"requestId,omitempty"`
	Consumer  string `json:"consumer,omitempty"`
	Groups    string `json:"groups,omitempty"`
	Client    string `json:"client,omitempty"`
	Attempt   string `json:"attempt,omitempty"`
	Data      any    `json:"data,omitempty"`
}

// reply writes what arrived, with data, as one line of JSON.
func reply(w http.ResponseWriter, r *http.Request, a answer) {
	a.Method, a.Path, a.Query = r.Method, r.URL.EscapedPath(), r.URL.RawQuery
	a.RequestID = r.Header.Get("X-Request-Id")
	a.Consumer, a.Groups = r.Header.Get("X-Consumer-Name"), r.Header.Get("X-Consumer-Groups")
	a.Client, a.Attempt = r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Attempt")
	line, err := json.Marshal(a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(line, '\n'))
}

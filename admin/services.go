package admin

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/upstream"
)

// service is one service in the answer to /services.
type service struct {
	Name      string     `json:"name"`
	Endpoints []endpoint `json:"endpoints"`
}

type endpoint struct {
	Address  string `json:"address"`
	Weight   int    `json:"weight"`    // 0 drains
	InFlight int    `json:"in_flight"` // requests sent and not yet answered to their end
	Up       bool   `json:"up"`        // considered able to answer
}

// services lists all services by name, each with its endpoints in the order of the configuration.
func (a *api) services(w http.ResponseWriter, _ *http.Request) {
	s := a.Snapshots.Load() // ServeHTTP lets nobody here before there is one
	list := make([]service, 0, len(s.Services))
	for name, svc := range s.Services {
		list = append(list, service{Name: name, Endpoints: endpoints(svc)})
	}
	slices.SortFunc(list, func(a, b service) int { return strings.Compare(a.Name, b.Name) })
	writeJSON(w, http.StatusOK, struct {
		Services []service `json:"services"`
	}{list})
}

func endpoints(svc *upstream.Service) []endpoint {
	up := make(map[string]bool)
	for _, e := range svc.Series().EndpointsUp() {
		up[e.Endpoint] = e.Up
	}
	list := []endpoint{}
	for _, e := range svc.Endpoints() {
		list = append(list, endpoint{Address: e.Address(), Weight: e.Weight(), InFlight: e.InFlight(), Up: up[e.Address()]})
	}
	return list
}

package aggregate_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// Three services under load, each of them killed, slowed and corrupted in turn, all faults mixed: every request says which
// service is to do what, and every answer must be what the policy makes of exactly that. The id that each request carries
// must stand in all parts of its answer: nothing of another request may.
func TestThePolicyHoldsUnderFaults(t *testing.T) {
	services := map[string]*httptest.Server{}
	for _, name := range []string{"user", "orders", "region"} {
		services[name] = faulty(name)
		defer services[name].Close()
	}
	g := gatewaytest.Start(t, faultyConfiguration(services))

	requests := make(chan [3]string)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for r := range requests {
				got := ask(t, g, "GET", "/get/"+r[0]+"?at="+r[1]+"&fault="+r[2], "")
				if want := wanted(r[0], r[1], r[2]); !strings.HasPrefix(got.String(), want) || strings.Contains(got.body, "garbage") {
					t.Errorf("%s of %s: %v\nwant %s", r[2], r[1], got, want)
				}
			}
		})
	}
	id := 0
	for range 6 {
		for _, at := range []string{"user", "orders", "region"} {
			for _, fault := range []string{"none", "kill", "slow", "slow-body", "garbage", "half", "type", "404", "500"} {
				id++
				requests <- [3]string{fmt.Sprint(id), at, fault}
			}
		}
	}
	close(requests)
	clients.Wait()
}

// A service that dies for good while requests are under way: each answer is whole, or what the policy makes of its death.
func TestThePolicyHoldsWhenAServiceDies(t *testing.T) {
	for _, victim := range []string{"user", "orders", "region"} {
		services := map[string]*httptest.Server{}
		for _, name := range []string{"user", "orders", "region"} {
			services[name] = faulty(name)
			defer services[name].Close()
		}
		g := gatewaytest.Start(t, faultyConfiguration(services))
		var clients sync.WaitGroup
		die := make(chan struct{})
		for c := range 8 {
			clients.Go(func() {
				for i := range 40 {
					if c == 0 && i == 10 {
						close(die)
					}
					id := fmt.Sprint(c*1000 + i)
					got := ask(t, g, "GET", "/get/"+id+"?at=none&fault=none", "")
					whole, dead := wanted(id, "none", "none"), wanted(id, victim, "kill")
					if !strings.HasPrefix(got.String(), whole) && !strings.HasPrefix(got.String(), dead) {
						t.Errorf("%s dies: %v\nwant %s\nor %s", victim, got, whole, dead)
					}
				}
			})
		}
		<-die
		services[victim].CloseClientConnections()
		services[victim].Close()
		clients.Wait()
		if got := ask(t, g, "GET", "/get/1?at=none&fault=none", ""); !strings.HasPrefix(got.String(), wanted("1", victim, "kill")) {
			t.Errorf("%s is dead: %v", victim, got)
		}
	}
}

func faultyConfiguration(services map[string]*httptest.Server) string {
	return configuration(`
calls:
  - {name: user, service: a, path: "/{id}?at={query.at}&fault={query.fault}", required: true, timeout: 1s}
  - {name: orders, service: b, path: "/{id}?at={query.at}&fault={query.fault}", fallback: {id: none}, timeout: 1s}
  - {name: region, service: c, path: "/{user.id}?at={query.at}&fault={query.fault}", timeout: 1s}
`, &service{url: services["user"].URL}, &service{url: services["orders"].URL}, &service{url: services["region"].URL})
}

// faulty does what a request asks of it, if it is the one that is asked.
func faulty(name string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		whole := fmt.Sprintf(`{"id":%q,"from":%q}`, r.URL.Path[1:], name)
		fault := r.URL.Query().Get("fault")
		if r.URL.Query().Get("at") != name {
			fault = "none"
		}
		w.Header().Set("Content-Type", "application/json")
		switch fault {
		case "kill":
			panic(http.ErrAbortHandler)
		case "slow":
			<-r.Context().Done()
		case "slow-body":
			io.WriteString(w, `{"garbage":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "garbage":
			io.WriteString(w, whole[:len(whole)-1]+"garbage")
		case "half":
			w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
			io.WriteString(w, whole[:len(whole)/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "type":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "garbage")
		case "404", "500":
			w.WriteHeader(map[string]int{"404": 404, "500": 500}[fault])
			io.WriteString(w, "garbage")
		default:
			io.WriteString(w, whole)
		}
	}))
}

// wanted is what the policy says.
func wanted(id, at, fault string) string {
	part := func(name string) string { return fmt.Sprintf(`"%s":{"id":%q,"from":%q}`, name, id, name) }
	switch {
	case fault == "none":
		return "200 completed=true failed= {" + part("user") + "," + part("orders") + "," + part("region") + "}"
	case at == "user":
		status := map[string]string{"404": "404", "slow": "504", "slow-body": "504"}[fault]
		if status == "" {
			status = "502"
		}
		return status + " completed=false failed=user "
	case at == "orders":
		return "200 completed=false failed=orders {" + part("user") + `,"orders":{"id":"none"},` + part("region") + "}"
	}
	return "200 completed=false failed=region {" + part("user") + "," + part("orders") + "}"
}

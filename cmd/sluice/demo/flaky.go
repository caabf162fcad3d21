package demo

import (
	"net/http"
	"time"
)

// slowness is longer than the demo's route waits for the flaky microservice.
const slowness = 3 * time.Second

// flaky fails by plan, so that what the gateway makes of it can be told beforehand:
//
//	/flaky/first    the first attempt of every request is a 503, the next one a 200
//	/flaky/always   503
//	/flaky/slow     200 after 3 s
//	/flaky/reset    closes the connection without an answer
//	anything else   200
func flaky() http.Handler {
	mux := http.NewServeMux()
	busy := func(w http.ResponseWriter) {
		http.Error(w, `{"service":"flaky","error":"busy"}`, http.StatusServiceUnavailable)
	}
	fine := func(w http.ResponseWriter, r *http.Request) { reply(w, r, answer{Service: "flaky"}) }
	mux.HandleFunc("/flaky/first", func(w http.ResponseWriter, r *http.Request) {
		if attempt := r.Header.Get("X-Attempt"); attempt == "" || attempt == "1" {
			busy(w)
			return
		}
		fine(w, r)
	})
	mux.HandleFunc("/flaky/always", func(w http.ResponseWriter, _ *http.Request) { busy(w) })
	mux.HandleFunc("/flaky/slow", func(w http.ResponseWriter, r *http.Request) {
		wait := time.NewTimer(slowness)
		defer wait.Stop()
		select {
		case <-wait.C:
			fine(w, r)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/flaky/reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/", fine)
	return mux
}

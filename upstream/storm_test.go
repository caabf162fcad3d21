package upstream

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// storm sends n requests from 16 clients, and returns how many came to the service.
func storm(t *testing.T, n int, budget RetryBudget, p *Policy, fails http.HandlerFunc) int64 {
	t.Helper()
	var received atomic.Int64
	count := func(w http.ResponseWriter, r *http.Request) {
		received.Add(1)
		fails(w, r)
	}
	s := spec(t, serve(t, count).URL, serve(t, count).URL, serve(t, count).URL)
	s.RetryBudget = budget
	svc := start(t, s, nil)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range n / 16 {
				res, err := svc.Do(context.Background(), &Call{Request: out("GET", nil, 0), Policy: p})
				if err == nil {
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			}
		})
	}
	all.Wait()
	return received.Load()
}

// A service that fails half of what it gets is not buried under retries: it receives at most 1.2 times what clients sent.
func TestRetriesDoNotBecomeAStorm(t *testing.T) {
	const n = 8000
	var turn atomic.Int64
	half := func(w http.ResponseWriter, r *http.Request) {
		if turn.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	always := policy(5, onStatus(500, 599))
	got := storm(t, n, RetryBudget{Percent: 20, MinPerSecond: 3}, always, half) // as is the default
	t.Logf("%d requests of clients, %d received: %.3f times", n, got, float64(got)/n)
	if got > n*12/10 || got < n*11/10 {
		t.Errorf("%d received, want at most 1.2 times %d, and most of that", got, n)
	}
}

// Neither do hedges, should all be late.
func TestHedgesDoNotBecomeAStorm(t *testing.T) {
	const n = 2000
	late := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * time.Millisecond):
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	p := policy(5, onStatus(500, 599))
	p.Hedge = &HedgePolicy{After: time.Millisecond}
	got := storm(t, n, RetryBudget{Percent: 20}, p, late)
	t.Logf("%d requests of clients, %d received: %.3f times", n, got, float64(got)/n)
	if got > n*12/10 || got < n*11/10 {
		t.Errorf("%d received, want at most 1.2 times %d, and most of that", got, n)
	}
}

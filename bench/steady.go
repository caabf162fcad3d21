package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// steadyLatency sends at a constant rate, 20 % of what nginx can do, and counts from the moment a request was meant to be
// sent: a proxy that stalls is charged for all that had to wait behind it.
func steadyLatency(r *rig, c benchCase) error {
	fmt.Printf("%d. %s   (%s)\n", c.number, c.title, c.want)
	rate, err := r.fifthOfPeak()
	if err != nil {
		return err
	}
	peers := []peer{nginx, haproxy, sluice}
	p99s, p999s := make(map[string][]time.Duration), make(map[string][]time.Duration)
	for range r.rounds {
		for _, p := range peers {
			err := r.with(p, func(int) error {
				latencies, err := steady(r.Plain, "/small", rate, r.length)
				if err != nil {
					return err
				}
				p99s[p.name] = append(p99s[p.name], quantile(latencies, 0.99))
				p999s[p.name] = append(p999s[p.name], quantile(latencies, 0.999))
				return nil
			})
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	fmt.Printf("  %d requests a second\n", rate)
	for _, p := range peers {
		p99, p999 := sortedMedian(p99s[p.name]), sortedMedian(p999s[p.name])
		fmt.Printf("  %-10s p99 %-10v ratio %.2f   p99.9 %-10v ratio %.2f\n", p.name, round(p99), ratio(p99, sortedMedian(p99s["nginx"])),
			round(p999), ratio(p999, sortedMedian(p999s["nginx"])))
	}
	return nil
}

func sortedMedian(d []time.Duration) time.Duration {
	return median(slices.Sorted(slices.Values(d)))
}

func (r *rig) fifthOfPeak() (rate int, err error) {
	err = r.with(nginx, func(int) error {
		l, err := plainLoad(64)(r).run(2 * time.Second)
		rate = int(l.requests / 2 / 5)
		return err
	})
	return rate, err
}

const steadyConnections = 16

// steady spreads the rate over connections, each with its own clock, and returns all latencies, sorted.
func steady(address, path string, rate int, length time.Duration) ([]time.Duration, error) {
	var (
		all     []time.Duration
		failed  error
		mu      sync.Mutex
		senders sync.WaitGroup
	)
	gap := time.Second * steadyConnections / time.Duration(rate)
	start := time.Now().Add(50 * time.Millisecond)
	for i := range steadyConnections {
		senders.Go(func() {
			mine, err := send(address, path, start.Add(gap*time.Duration(i)/steadyConnections), gap, start.Add(length))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
			if err != nil {
				failed = err
			}
		})
	}
	senders.Wait()
	slices.Sort(all)
	return all, failed
}

// send asks on one connection at first, first+gap, … until end.
func send(address, path string, first time.Time, gap time.Duration, end time.Time) ([]time.Duration, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address)
	in := bufio.NewReader(c)
	var latencies []time.Duration
	for due := first; due.Before(end); due = due.Add(gap) {
		time.Sleep(time.Until(due))
		if _, err := c.Write(request); err != nil {
			return latencies, err
		}
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return latencies, err
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return latencies, err
		}
		latencies = append(latencies, time.Since(due))
	}
	return latencies, nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(float64(len(sorted))*q), len(sorted)-1)]
}

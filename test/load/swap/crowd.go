package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/test/load"
)

// clients is how many requests may be out at once.
const clients = 32

// crowd asks for all routes in turn, in an order that has nothing to do with theirs.
type crowd struct {
	address string
	probes  []load.Probe
	client  http.Client
}

func newCrowd(address string, probes []load.Probe) *crowd {
	transport := &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}
	return &crowd{address: address, probes: probes, client: http.Client{Transport: transport, Timeout: patience}}
}

// ask sends the nth request and checks that the right route took it.
func (c *crowd) ask(n int) error {
	const stride = 7919 // a prime: n goes round all of them
	p := c.probes[n*stride%len(c.probes)]
	r, err := http.NewRequest(p.Method, "http://"+c.address+p.Path, nil)
	if err != nil {
		return err
	}
	r.Host = p.Host
	res, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if got := res.Header.Get("X-Route"); got != p.Route {
		return fmt.Errorf("%s http://%s%s: %s by route %q, want %q", p.Method, p.Host, p.Path, res.Status, got, p.Route)
	}
	return nil
}

// askAll asks for every route once, so that nothing is measured that does not work.
func (c *crowd) askAll() error {
	return c.together(func(client int, _ *[]time.Duration) error {
		for n := client; n < len(c.probes); n += clients {
			if err := c.ask(n); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// together runs what each client does. latencies, if any, takes what they measured.
func (c *crowd) together(does func(client int, latencies *[]time.Duration) error, latencies *[]time.Duration) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for i := range clients {
		all.Go(func() {
			var own []time.Duration
			err := does(i, &own)
			mu.Lock()
			defer mu.Unlock()
			failed = first(failed, err)
			if latencies != nil {
				*latencies = append(*latencies, own...)
			}
		})
	}
	all.Wait()
	return failed
}

// window sends rate requests a second, whatever becomes of them.
func (c *crowd) window(rate int, length time.Duration) (figures, error) {
	interval := time.Second / time.Duration(rate)
	total := int(length / interval)
	began := time.Now()
	var latencies []time.Duration
	err := c.together(func(client int, own *[]time.Duration) error {
		for n := client; n < total; n += clients {
			due := began.Add(time.Duration(n) * interval)
			time.Sleep(time.Until(due))
			if err := c.ask(n); err != nil {
				return err
			}
			*own = append(*own, time.Since(due))
		}
		return nil
	}, &latencies)
	return figuresOf(latencies), err
}

// figures are of one window.
type figures struct {
	requests      int
	p50, p99, max time.Duration
}

func figuresOf(latencies []time.Duration) figures {
	n := len(latencies)
	if n == 0 {
		return figures{}
	}
	slices.Sort(latencies)
	return figures{n, latencies[n/2], latencies[n*99/100], latencies[n-1]}
}

func medians(windows []figures) (f figures) {
	var p50, p99, longest []time.Duration
	for _, w := range windows {
		f.requests += w.requests
		p50, p99, longest = append(p50, w.p50), append(p99, w.p99), append(longest, w.max)
	}
	f.p50, f.p99, f.max = median(p50), median(p99), median(longest)
	return f
}

func (f figures) print(name string) {
	fmt.Printf("%12s %9d %9.2f %9.2f %9.2f\n", name, f.requests, ms(f.p50), ms(f.p99), ms(f.max))
}

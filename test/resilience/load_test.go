package resilience_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"
)

// traffic is an open load: so many requests a second at even distances, however long their answers take. Every answer is
// read and checked.
type traffic struct {
	stop    chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex
	answers []answered
}

type answered struct {
	began time.Time
	took  time.Duration
	err   error // anything but a 200 with the right body
}

// send begins a load. end stops it and waits for the answers that are due.
func send(client *http.Client, path string, rate int) *traffic {
	l := &traffic{stop: make(chan struct{})}
	l.running.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.running.Go(func() { l.ask(client, path) })
			case <-l.stop:
				return
			}
		}
	})
	return l
}

func (l *traffic) end() {
	close(l.stop)
	l.running.Wait()
}

func (l *traffic) ask(client *http.Client, path string) {
	a := answered{began: time.Now()}
	a.err = check(client, path)
	a.took = time.Since(a.began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, a)
}

func check(client *http.Client, path string) error {
	res, err := client.Get("http://api.test" + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%d %s", res.StatusCode, res.Header.Get("Proxy-Status"))
	case string(body) != "ok\n":
		return fmt.Errorf("the body is %q", body)
	}
	return nil
}

// during is what was asked between two instants.
func (l *traffic) during(from, to time.Time) (part period) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.answers {
		if a.began.Before(from) || !a.began.Before(to) {
			continue
		}
		part.asked++
		if a.err != nil {
			part.failed++
			part.why = a.err
		}
		part.took = append(part.took, a.took)
	}
	slices.Sort(part.took)
	return part
}

// period is what came of the requests of some time.
type period struct {
	asked, failed int
	why           error // of the last that failed
	took          []time.Duration
}

// p99 is the 99th percentile, by the nearest rank.
func (p period) p99() time.Duration {
	if len(p.took) == 0 {
		return 0
	}
	return p.took[int(math.Ceil(0.99*float64(len(p.took))))-1]
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// median is the middle one of some runs' figures; of an even number the greater of the two.
func median(runs []float64) float64 { return slices.Sorted(slices.Values(runs))[len(runs)/2] }

func round(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

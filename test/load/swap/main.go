// Command swap measures what it costs to put 10,000 routes in force: how long compiling them takes, how long it takes from
// a changed file to the first request that is served by it, and what those who are being served meanwhile notice.
//
//	go run ./test/load/swap
//
// The gateway is the real binary, in a process of its own. Windows of the same steady load alternate, one quiet and one in
// which the file changes every second. A latency counts from when the request was due, so that what waits behind a slow
// one counts too.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/test/load"
)

type options struct {
	routes, rate, pairs int
	window, every       time.Duration
	binary              string
}

func main() {
	var o options
	flag.IntVar(&o.routes, "routes", 10_000, "`routes` of the configuration")
	flag.IntVar(&o.rate, "rate", 500, "`requests` a second")
	flag.IntVar(&o.pairs, "pairs", 5, "`windows` of each kind")
	flag.DurationVar(&o.window, "window", 6*time.Second, "length of one window")
	flag.DurationVar(&o.every, "every", time.Second, "from one swap to the next")
	flag.StringVar(&o.binary, "binary", "", "`file` of a gateway that has been built; one is built if it is left out")
	flag.Parse()
	if err := measure(o); err != nil {
		fmt.Fprintln(os.Stderr, "swap:", err)
		os.Exit(1)
	}
}

func measure(o options) error {
	origin, err := load.NewOrigin()
	if err != nil {
		return err
	}
	defer origin.Close()
	routes, probes := load.Routes(o.routes)
	if err := reportCompile(configuration(routes, "127.0.0.1:0", origin.URL, 0)); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-swap")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	g, err := startGateway(dir, o.binary, func(address string, generation int) string {
		return configuration(routes, address, origin.URL, generation)
	})
	if err != nil {
		return err
	}
	defer g.stop()
	c := newCrowd(g.address, probes)
	if err := c.askAll(); err != nil {
		return err
	}
	return alternate(o, g, c)
}

const document = `
listeners: [{name: public, address: "%s"}]
admin: off
telemetry: {accessLog: off}
services: [{name: origin, endpoints: [{url: "%s"}]}]
%s  - {name: generation, match: {path: /generation}, respond: {status: 200, body: "%d"}}
`

// configuration differs from one generation to the next in what one route answers.
func configuration(routes, address, origin string, generation int) string {
	return fmt.Sprintf(document, address, origin, routes, generation)
}

// alternate runs the windows and prints what they show.
func alternate(o options, g *gateway, c *crowd) error {
	var quiet, swapping []figures
	var lives []time.Duration
	fmt.Printf("%d requests a second, windows of %v\n%12s %9s %9s %9s %9s  (ms)\n", o.rate, o.window, "", "requests", "p50", "p99", "max")
	for range o.pairs {
		f, err := c.window(o.rate, o.window)
		if err != nil {
			return err
		}
		f.print("quiet")
		quiet = append(quiet, f)
		stop := g.swapEvery(o.every)
		f, err = c.window(o.rate, o.window)
		took, failed := stop()
		if err = first(err, failed); err != nil {
			return err
		}
		f.print(fmt.Sprintf("%d swaps", len(took)))
		swapping = append(swapping, f)
		lives = append(lives, took...)
	}
	summarise(quiet, swapping, lives)
	return nil
}

func summarise(quiet, swapping []figures, lives []time.Duration) {
	before, during := medians(quiet), medians(swapping)
	before.print("quiet")
	during.print("swapping")
	fmt.Printf("medians of %d windows each; a swap every second adds %+.2f ms to p50, %+.2f ms to p99\n",
		len(quiet), ms(during.p50-before.p50), ms(during.p99-before.p99))
	slices.Sort(lives)
	if n := len(lives); n > 0 {
		fmt.Printf("from the changed file to the first answer out of it: median %.0f ms, longest %.0f ms (%d swaps)\n",
			ms(lives[n/2]), ms(lives[n-1]), n)
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// replace puts a file in the place of another at once.
func replace(name, text string) error {
	next := filepath.Join(filepath.Dir(name), ".next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, name)
}

// Command bench compares Sluice with nginx and haproxy on one machine in one run.
//
// The proxy under test has core 0 to itself (one worker, GOMAXPROCS=1); the origin and the load share core 1. A measure is
// CPU time of the proxy's processes from /proc/PID/stat, divided by the requests that the load counted. Peers alternate
// within a case, several rounds; what is printed is the median, its spread, and the median of each round's own ratio to nginx.
// Ratios, not times, are the result: the machine is shared, its speed changes from minute to minute, and the two measures of
// a round are seconds apart.
//
//	go run ./bench -sluice ./sluice                 all cases
//	go run ./bench -sluice ./sluice -cases 1,5      some
//	go run ./bench -sluice ./sluice -profile F      writes to F where the gateway spends its time under the loads of the
//	                                                cases, for the compiler to optimise by
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 && os.Args[1] == "grpc-origin" {
		grpcOrigin(os.Args[2])
		return
	}
	var o options
	flag.StringVar(&o.sluice, "sluice", "./sluice", "the binary to measure")
	flag.IntVar(&o.rounds, "rounds", 9, "rounds of each pair")
	flag.DurationVar(&o.length, "length", 2*time.Second, "length of one measurement")
	only := flag.String("cases", "", "numbers of the cases to run, separated by commas; empty: all")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile to this file instead")
	flag.Parse()
	if err := bench(o, *only); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	sluice string
	rounds int
	length time.Duration

	profile string // empty: measure
}

func bench(o options, only string) error {
	wanted, err := numbers(only)
	if err != nil {
		return err
	}
	r, err := newRig(o)
	if err != nil {
		return err
	}
	defer r.close()
	if o.profile != "" {
		return r.writeProfile(o.profile)
	}
	fmt.Printf("%d rounds of %v a pair; the proxy on core 0, origin and load on core 1\n\n", o.rounds, o.length)
	for _, c := range cases {
		if len(wanted) > 0 && !slices.Contains(wanted, c.number) {
			continue
		}
		if err := c.run(r, c); err != nil {
			return fmt.Errorf("case %d: %w", c.number, err)
		}
		fmt.Println()
	}
	return nil
}

func numbers(list string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("-cases %q: %w", list, err)
		}
		all = append(all, n)
	}
	return all, nil
}

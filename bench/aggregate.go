package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// aggregated is Sluice asking three services for each request.
var aggregated = sluiceWith("sluice, 3 calls", "sluice-aggregate.yaml")

// ownTime measures what an aggregate adds to its calls: the duration of a request less that of its slowest needed chain of
// calls, from the access log, at a fifth of the rate that nginx can do for one plain request, divided by three. An attempt
// ends with the head of its answer, so reading the body is counted as ours.
func ownTime(r *rig, c benchCase) error {
	fmt.Printf("%d. %s   (%s)\n", c.number, c.title, c.want)
	rate, err := r.fifthOfPeak()
	if err != nil {
		return err
	}
	rate /= 3
	r.AccessLog = filepath.Join(r.Dir, accessLog)
	defer func() { r.AccessLog = "off" }()
	var p50s, p99s []time.Duration
	for range r.rounds {
		err := r.with(aggregated, func(int) error {
			_, err := steady(r.Plain, "/chain", rate, r.length)
			return err
		})
		if err != nil {
			return err
		}
		own, err := ownTimes(r.AccessLog)
		if err != nil {
			return err
		}
		p50s, p99s = append(p50s, quantile(own, 0.50)), append(p99s, quantile(own, 0.99))
	}
	fmt.Printf("  %d requests a second   p50 %v   p99 %v   worst p99 %v\n", rate, round(sortedMedian(p50s)), round(sortedMedian(p99s)), round(slices.Max(p99s)))
	return nil
}

// ownTimes reads the log of the route chain: its attempts are user, orders, region, and region waits for user.
func ownTimes(path string) ([]time.Duration, error) {
	log, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var all []time.Duration
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var record struct {
			Route    string  `json:"route"`
			Status   int     `json:"status"`
			Duration float64 `json:"duration_ms"`
			Attempts []struct {
				Duration float64 `json:"duration_ms"`
			} `json:"attempt_list"`
		}
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			return nil, err
		}
		if record.Route != "chain" {
			continue
		}
		if len(record.Attempts) != 3 || record.Status != 200 {
			return nil, fmt.Errorf("a request with status %d and %d attempts", record.Status, len(record.Attempts))
		}
		chain := max(record.Attempts[1].Duration, record.Attempts[0].Duration+record.Attempts[2].Duration)
		all = append(all, time.Duration((record.Duration-chain)*float64(time.Millisecond)))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s tells of no request", path)
	}
	slices.Sort(all)
	return all, nil
}

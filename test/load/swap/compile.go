package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/compile"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter/all"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/store/memory"
	"github.com/sluice-gateway/sluice/telemetry"
)

const compilations = 7

// reportCompile prints how long parsing and compiling take: the first time, and with the snapshot before at hand.
func reportCompile(text string) error {
	registry, err := all.Registry()
	if err != nil {
		return err
	}
	o := compile.Options{
		Registry: registry, Limiter: memory.New(0), ReadFile: os.ReadFile,
		Metrics: telemetry.NewMetrics(func() telemetry.Live { return telemetry.Live{} }),
	}
	var parse, afresh, again []time.Duration
	for range compilations {
		began := time.Now()
		c, found := config.Parse([]config.File{{Name: "swap.yaml", Data: []byte(text)}}, config.Options{})
		parse = append(parse, time.Since(began))
		s, took, err := compiled(c, found, o, nil)
		if err != nil {
			return err
		}
		afresh = append(afresh, took)
		if _, took, err = compiled(c, found, o, s); err != nil {
			return err
		}
		again = append(again, took)
	}
	fmt.Printf("%d KiB: parsed in %.0f ms, compiled in %.0f ms, compiled upon the snapshot before in %.0f ms (medians of %d)\n",
		len(text)>>10, ms(median(parse)), ms(median(afresh)), ms(median(again)), compilations)
	return nil
}

func compiled(c *config.Config, found config.Diagnostics, o compile.Options, previous *snapshot.Snapshot) (*snapshot.Snapshot, time.Duration, error) {
	o.Previous = previous
	began := time.Now()
	s, diagnostics := compile.Compile(c, found, o)
	took := time.Since(began)
	if s == nil {
		return nil, 0, diagnostics.Err()
	}
	return s, took, nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

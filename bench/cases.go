package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// benchCase is one row of the table in docs/benchmarks.md.
type benchCase struct {
	number int
	title  string
	want   string // what it must reach, in words
	run    func(*rig, benchCase) error
}

var cases = []benchCase{
	{1, "plain proxy, keep-alive, 150-byte JSON, 64 connections", "≤ 1.10, aim 1.00", perRequest(pair{[]peer{nginx, haproxy, sluice, caddy}, plainLoad(64)})},
	{2, "the same with key, limit, metrics, request id and access log, against nginx without", "≤ 1.25, aim 1.10", perRequest(pair{[]peer{nginx, full}, fullLoad})},
	{3, "10,000 routes, requests spread over all, against one route", "≤ 1.05", manyRoutes},
	{4, "1 MiB answers, CPU per request", "≤ 1.00", perRequest(pair{[]peer{nginx, haproxy, sluice}, largeLoad})},
	{5, "TLS in front, keep-alive, AES-GCM", "≤ 1.15", perRequest(pair{[]peer{nginx, sluice}, tlsLoad})},
	{6, "POST of 16 KiB", "≤ 1.15", perRequest(pair{[]peer{nginx, haproxy, sluice}, postLoad})},
	{7, "1,024 connections", "≤ 1.15, p99 ≤ 1.25", longer(4, perRequest(pair{[]peer{nginx, haproxy, sluice}, plainLoad(1024)}))},
	{8, "HTTP/2 clients, 32 streams, HTTP/1.1 upstream", "report", perRequest(pair{[]peer{nginx, sluice}, http2Load})},
	{9, "gRPC unary through", "report", perRequest(pair{[]peer{nginx, sluice}, grpcLoad})},
	{10, "resident memory per idle connection, at 5,000", "≤ 8 KiB, aim 5", idleMemory},
	{11, "latency at 20 % of peak, constant arrival rate", "p99 ≤ 1.5", steadyLatency},
	{12, "three services asked at once, against one plain request", "≤ 4.00", perRequest(pair{[]peer{nginx, aggregated}, plainLoad(64)})},
	{13, "three services, one waiting for another: own time beside the slowest chain", "p99 ≤ 2 ms", ownTime},
	{14, "a unary gRPC call as HTTP with JSON, against gRPC through", "≤ 1.50", transcoding},
}

// pair is the peers of a case, nginx or the reference first, and what is sent to each.
type pair struct {
	peers []peer
	load  func(*rig) generator
}

type generator interface {
	run(time.Duration) (load, error)
}

func plainLoad(connections int) func(*rig) generator {
	return func(r *rig) generator { return wrk{url: "http://" + r.Plain + "/small", connections: connections} }
}

func fullLoad(r *rig) generator {
	return wrk{url: "http://" + r.Plain + "/small", connections: 64, headers: []string{"apikey: bench-key"}}
}

func largeLoad(r *rig) generator { return wrk{url: "http://" + r.Plain + "/1m", connections: 16} }

func tlsLoad(r *rig) generator { return wrk{url: "https://" + r.TLS + "/small", connections: 64} }

func postLoad(r *rig) generator {
	script := filepath.Join(r.Dir, "post.lua")
	write(script, `wrk.method = "POST"; wrk.headers["Content-Type"] = "application/octet-stream"; wrk.body = string.rep("x", 16384)`)
	return wrk{url: "http://" + r.Plain + "/post", connections: 64, script: script}
}

func http2Load(r *rig) generator {
	return h2load{url: "https://" + r.TLS + "/small", clients: 8, streams: 32}
}

func grpcLoad(r *rig) generator {
	return h2load{url: "https://" + r.TLS + "/bench.Echo/Unary", clients: 4, streams: 32, data: filepath.Join(r.Dir, "frame"),
		headers: []string{"content-type: application/grpc", "te: trailers"}}
}

func write(path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		panic(err) // our own folder
	}
}

// sample is one measurement of one peer.
type sample struct {
	cpu time.Duration // per request
	p99 time.Duration
}

// perRequest measures every peer once a round, so that whatever the machine does besides, it does to all of them.
func perRequest(p pair) func(*rig, benchCase) error {
	return func(r *rig, c benchCase) error {
		samples := make(map[string][]sample)
		p.peers = r.here(p.peers)
		for round := range r.rounds {
			for i := range p.peers {
				peer := p.peers[(i+round)%len(p.peers)]
				s, err := r.measure(peer, p.load(r))
				if err != nil {
					return err
				}
				samples[peer.name] = append(samples[peer.name], s)
				fmt.Fprintf(os.Stderr, "\rcase %d: round %d of %d, %-14s", c.number, round+1, r.rounds, peer.name)
			}
		}
		fmt.Fprint(os.Stderr, "\r\033[K")
		c.print(p.peers, samples)
		return nil
	}
}

// longer runs a case for so many lengths of the others. With a thousand connections the first requests would be the slowest
// hundredth of a short run, and its p99 that of a handshake.
func longer(lengths int, run func(*rig, benchCase) error) func(*rig, benchCase) error {
	return func(r *rig, c benchCase) error {
		length := r.length
		r.length *= time.Duration(lengths)
		defer func() { r.length = length }()
		return run(r, c)
	}
}

func (r *rig) measure(p peer, g generator) (s sample, err error) {
	err = r.with(p, func(pid int) error {
		if _, err := g.run(time.Second); err != nil { // warm: connections open, code and caches hot
			return err
		}
		before, err := cpu(pid)
		if err != nil {
			return err
		}
		l, err := g.run(r.length)
		if err != nil {
			return err
		}
		after, err := cpu(pid)
		if err != nil {
			return err
		}
		if l.requests == 0 || l.failed*1000 > l.requests {
			return fmt.Errorf("%s: %d of %d requests failed", p.name, l.failed, l.requests)
		}
		s = sample{cpu: (after - before) / time.Duration(l.requests), p99: l.p99}
		return nil
	})
	return s, err
}

func (c benchCase) print(peers []peer, samples map[string][]sample) {
	fmt.Printf("%d. %s   (%s)\n", c.number, c.title, c.want)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tCPU/request\tspread\tratio\tp99\tp99 ratio\t")
	reference := samples[peers[0].name]
	for _, p := range peers {
		list := samples[p.name]
		cpu, p99 := column(list, func(s sample) time.Duration { return s.cpu }), column(list, func(s sample) time.Duration { return s.p99 })
		fmt.Fprintf(w, "%s\t%v\t%v–%v\t%s\t%v\t%s\t\n", p.name, round(median(cpu)), round(cpu[0]), round(cpu[len(cpu)-1]),
			inPairs(list, reference, func(s sample) time.Duration { return s.cpu }), round(median(p99)),
			inPairs(list, reference, func(s sample) time.Duration { return s.p99 }))
	}
	w.Flush()
}

// column is one figure of all samples, sorted.
func column(samples []sample, figure func(sample) time.Duration) []time.Duration {
	var all []time.Duration
	for _, s := range samples {
		all = append(all, figure(s))
	}
	slices.Sort(all)
	return all
}

func median(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// inPairs is the median of the ratios of each round: what slows the machine down for a while slows both of a pair.
func inPairs(list, reference []sample, figure func(sample) time.Duration) string {
	var ratios []float64
	for i := range list {
		if base := figure(reference[i]); base > 0 {
			ratios = append(ratios, ratio(figure(list[i]), base))
		}
	}
	if len(ratios) == 0 {
		return "–"
	}
	slices.Sort(ratios)
	return fmt.Sprintf("%.2f", ratios[len(ratios)/2])
}

func round(d time.Duration) time.Duration {
	if d > time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(10 * time.Nanosecond)
}

const routes = 10_000

// manyRoutes compares one route with 10,000 under the very same requests, in pairs.
func manyRoutes(r *rig, c benchCase) error {
	script := filepath.Join(r.Dir, "routes.lua")
	write(script, fmt.Sprintf(`local n = 0
request = function()
  n = (n * 1103515245 + 12345) %% 2147483648
  return wrk.format("GET", "/team-" .. (n %% %d) .. "/items/" .. (n %% 977))
end`, routes))
	pairs := pair{[]peer{sluice, sluiceWith("10,000 routes", "routes.yaml")}, func(r *rig) generator {
		return wrk{url: "http://" + r.Plain + "/", connections: 64, script: script}
	}}
	write(filepath.Join(r.Dir, "routes.yaml"), routesConfig(r))
	pairs.peers[1].args = func(r *rig) []string { return []string{r.sluice, "run", filepath.Join(r.Dir, "routes.yaml")} }
	rounds := r.rounds
	r.rounds = max(rounds, 11)
	defer func() { r.rounds = rounds }()
	return perRequest(pairs)(r, c)
}

func routesConfig(r *rig) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listeners: [{name: plain, address: %q, protocols: [http1]}]\n", r.Plain)
	fmt.Fprintf(&b, "services: [{name: origin, endpoints: [{url: %q}], connections: {max: 4096, maxIdle: 1024}}]\n", "http://"+r.Origin)
	b.WriteString("telemetry: {accessLog: off}\nadmin: off\nroutes:\n")
	for i := range routes {
		fmt.Fprintf(&b, "  - {name: r%d, match: {path: \"/team-%d/items/{id}\"}, service: origin}\n", i, i)
	}
	return b.String()
}

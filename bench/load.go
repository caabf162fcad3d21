package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// load is one run of a generator: how many requests were answered, and how long the slow ones took.
type load struct {
	requests int64
	bytes    int64
	p99      time.Duration
	failed   int64
}

// wrk drives HTTP/1.1 over keep-alive connections from core 1.
type wrk struct {
	url         string
	connections int
	headers     []string
	script      string // Lua, empty: plain GETs
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in [\d.]+\w+, ([\d.]+)(B|KB|MB|GB) read`)
	wrkP99      = regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s)`)
	wrkErrors   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	wrkStatuses = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
)

func (w wrk) run(length time.Duration) (load, error) {
	args := []string{"-c", "1", "wrk", "-t1", "-c", strconv.Itoa(w.connections), "-d", fmt.Sprintf("%ds", int(length.Seconds())), "--latency"}
	for _, h := range w.headers {
		args = append(args, "-H", h)
	}
	if w.script != "" {
		args = append(args, "-s", w.script)
	}
	out, err := exec.Command("taskset", append(args, w.url)...).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return readWrk(string(out))
}

func readWrk(out string) (load, error) {
	m := wrkRequests.FindStringSubmatch(out)
	if m == nil {
		return load{}, fmt.Errorf("wrk said nothing of requests:\n%s", out)
	}
	var l load
	l.requests, _ = strconv.ParseInt(m[1], 10, 64)
	size, _ := strconv.ParseFloat(m[2], 64)
	l.bytes = int64(size * map[string]float64{"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[m[3]])
	if m := wrkP99.FindStringSubmatch(out); m != nil {
		n, _ := strconv.ParseFloat(m[1], 64)
		l.p99 = time.Duration(n * float64(map[string]time.Duration{"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second}[m[2]]))
	}
	if m := wrkErrors.FindStringSubmatch(out); m != nil {
		for _, s := range m[1:] {
			n, _ := strconv.ParseInt(s, 10, 64)
			l.failed += n
		}
	}
	if m := wrkStatuses.FindStringSubmatch(out); m != nil {
		n, _ := strconv.ParseInt(m[1], 10, 64)
		l.failed += n
	}
	return l, nil
}

// h2load drives HTTP/2 from core 1.
type h2load struct {
	url     string
	clients int
	streams int
	headers []string
	data    string // a file to POST
}

var h2Requests = regexp.MustCompile(`(\d+) succeeded, (\d+) failed, (\d+) errored`)

func (h h2load) run(length time.Duration) (load, error) {
	args := []string{"-c", "1", "h2load", "-t1", "-c", strconv.Itoa(h.clients), "-m", strconv.Itoa(h.streams), "-D", strconv.Itoa(int(length.Seconds()))}
	for _, header := range h.headers {
		args = append(args, "-H", header)
	}
	if h.data != "" {
		args = append(args, "-d", h.data)
	}
	out, err := exec.Command("taskset", append(args, h.url)...).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("h2load: %w\n%s", err, out)
	}
	m := h2Requests.FindStringSubmatch(string(out))
	if m == nil {
		return load{}, fmt.Errorf("h2load said nothing of requests:\n%s", out)
	}
	var l load
	l.requests, _ = strconv.ParseInt(m[1], 10, 64)
	failed, _ := strconv.ParseInt(m[2], 10, 64)
	errored, _ := strconv.ParseInt(m[3], 10, 64)
	l.failed = failed + errored
	if strings.Contains(string(out), "status codes") && !strings.Contains(string(out), " 0 4xx, 0 5xx") {
		l.failed++
	}
	return l, nil
}

package script_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

const (
	largeBody  = 5 << 30
	shortBody  = 512 << 20
	heapGrowth = 32 << 20 // of clients, gateway and origin together
)

// Bodies of any size pass through the same few buffers, both ways, with a length and without one.
func TestLargeBodiesConstantMemory(t *testing.T) {
	size := int64(largeBody)
	if testing.Short() || raceDetector {
		size = shortBody
	}
	origin := httptest.NewServer(http.HandlerFunc(largeOrigin))
	t.Cleanup(origin.Close)
	g := gatewaytest.Start(t, `
listeners: [{name: public, address: "127.0.0.1:0", limits: {bodyBytes: 0}}]
routes: [{name: all, match: {path: /*}, service: o}]
services: [{name: o, endpoints: [{url: "`+origin.URL+`"}]}]
`)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)

	for _, length := range []string{"known", "chunked"} {
		t.Run("upload "+length, func(t *testing.T) {
			m := &meter{Reader: io.LimitReader(zeros{}, size)}
			r, err := http.NewRequest("PUT", g.URL("public", "/"), m)
			if err != nil {
				t.Fatal(err)
			}
			if length == "known" {
				r.ContentLength = size
			}
			answer := fetch(t, client, r)
			defer answer.Body.Close()
			counted, err := io.ReadAll(answer.Body)
			if err != nil || string(counted) != strconv.FormatInt(size, 10) {
				t.Errorf("the origin counted %q bytes (%v), want %d", counted, err, size)
			}
			m.check(t)
		})
		t.Run("download "+length, func(t *testing.T) {
			r, err := http.NewRequest("GET", g.URL("public", fmt.Sprintf("/?size=%d&length=%s", size, length)), nil)
			if err != nil {
				t.Fatal(err)
			}
			answer := fetch(t, client, r)
			defer answer.Body.Close()
			m := &meter{Reader: answer.Body}
			if n, err := io.Copy(io.Discard, m); n != size || err != nil {
				t.Errorf("%d bytes came (%v), want %d", n, err, size)
			}
			m.check(t)
		})
	}
}

func fetch(t *testing.T, client *http.Client, r *http.Request) *http.Response {
	t.Helper()
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the status is %d", answer.StatusCode)
	}
	return answer
}

// largeOrigin counts an upload, or sends as many zeros as it is asked for.
func largeOrigin(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
		return
	}
	size, err := strconv.ParseInt(r.FormValue("size"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.FormValue("length") == "known" {
		w.Header().Set("Content-Length", r.FormValue("size"))
	}
	_, _ = io.CopyN(w, zeros{}, size)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A meter looks at the process's memory while a body passes through it.
type meter struct {
	io.Reader
	passed, next int64
	first, peak  uint64 // of the heap in use
}

const meterStep = 64 << 20

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if m.passed += int64(n); m.passed >= m.next {
		m.next += meterStep
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		if m.first == 0 {
			m.first = s.HeapInuse
		}
		m.peak = max(m.peak, s.HeapInuse)
	}
	return n, err
}

func (m *meter) check(t *testing.T) {
	t.Logf("%d MiB passed; heap in use %.1f MiB at first, %.1f MiB at most; resident at most %s",
		m.passed>>20, float64(m.first)/(1<<20), float64(m.peak)/(1<<20), peakResident())
	if m.peak > m.first+heapGrowth {
		t.Errorf("the heap grew by %d MiB while the body passed, more than %d", (m.peak-m.first)>>20, heapGrowth>>20)
	}
}

// peakResident is what Linux says of this process; elsewhere it is not known.
func peakResident() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

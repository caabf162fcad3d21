package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
)

// patience bounds what is waited for.
const patience = 30 * time.Second

// gateway is the running binary, and the file it watches.
type gateway struct {
	address    string
	file       string
	text       func(address string, generation int) string
	generation int
	process    *exec.Cmd
	said       bytes.Buffer
	client     http.Client
}

func startGateway(dir, binary string, text func(string, int) string) (*gateway, error) {
	address, err := freeport.Find()
	if err != nil {
		return nil, err
	}
	g := &gateway{address: address, file: filepath.Join(dir, "sluice.yaml"), text: text, client: http.Client{Timeout: patience}}
	if binary == "" {
		if binary, err = build(dir); err != nil {
			return nil, err
		}
	}
	if err := replace(g.file, text(address, 0)); err != nil {
		return nil, err
	}
	g.process = exec.Command(binary, "run", g.file)
	g.process.Stderr = &g.said
	began := time.Now()
	if err := g.process.Start(); err != nil {
		return nil, err
	}
	if err := g.await(0); err != nil {
		g.stop()
		return nil, fmt.Errorf("the gateway does not start: %w\n%s", err, &g.said)
	}
	fmt.Printf("from the start of the program to the first answer: %.0f ms\n", ms(time.Since(began)))
	return g, nil
}

func build(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "sluice")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/sluice-gateway/sluice/cmd/sluice").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

func (g *gateway) stop() {
	_ = g.process.Process.Signal(syscall.SIGTERM)
	_ = g.process.Wait()
}

// await waits until a generation is in force.
func (g *gateway) await(generation int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if got, err := g.asked(); err == nil && got == strconv.Itoa(generation) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the configuration does not come into force")
		case <-tick.C:
		}
	}
}

func (g *gateway) asked() (string, error) {
	res, err := g.client.Get("http://" + g.address + "/generation")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// swap changes the file, and returns how long it takes until an answer comes out of it.
func (g *gateway) swap() (time.Duration, error) {
	g.generation++
	text := g.text(g.address, g.generation)
	began := time.Now()
	if err := replace(g.file, text); err != nil {
		return 0, err
	}
	err := g.await(g.generation)
	return time.Since(began), err
}

// swapEvery swaps until stop is called, which returns how long each swap took.
func (g *gateway) swapEvery(d time.Duration) (stop func() ([]time.Duration, error)) {
	done := make(chan struct{})
	var swapping sync.WaitGroup
	var took []time.Duration
	var failed error
	swapping.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for failed == nil {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			var t time.Duration
			t, failed = g.swap()
			took = append(took, t)
		}
	})
	return func() ([]time.Duration, error) {
		close(done)
		swapping.Wait()
		return took, failed
	}
}

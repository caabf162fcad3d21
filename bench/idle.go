package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const idleConnections = 5000

// idleMemory opens many connections, sends one request on each, waits until the process is quiet, and divides what its
// resident memory has grown by their number.
func idleMemory(r *rig, c benchCase) error {
	fmt.Printf("%d. %s   (%s)\n", c.number, c.title, c.want)
	for _, p := range []peer{nginx, haproxy, sluice} {
		err := r.with(p, func(pid int) error {
			perConnection, err := r.idleGrowth(pid)
			if err == nil {
				fmt.Printf("  %-10s %.1f KiB\n", p.name, perConnection/1024)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func (r *rig) idleGrowth(pid int) (float64, error) {
	if _, err := (wrk{url: "http://" + r.Plain + "/small", connections: 64}).run(2 * time.Second); err != nil {
		return 0, err
	}
	before, err := settled(pid)
	if err != nil {
		return 0, err
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range idleConnections {
		c, err := oneRequest(r.Plain)
		if err != nil {
			return 0, err
		}
		open = append(open, c)
	}
	after, err := settled(pid)
	if err != nil {
		return 0, err
	}
	return float64(after-before) / idleConnections, nil
}

// settled is the resident memory once it has stopped to move for a while.
func settled(pid int) (int64, error) {
	last, err := resident(pid)
	for quiet := 0; err == nil && quiet < 4; {
		time.Sleep(500 * time.Millisecond)
		var now int64
		now, err = resident(pid)
		if diff := now - last; diff < 64<<10 && diff > -64<<10 {
			quiet++
		} else {
			quiet = 0
		}
		last = now
	}
	return last, err
}

func oneRequest(address string) (net.Conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "GET /small HTTP/1.1\r\nHost: %s\r\n\r\n", address)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return c, err
}

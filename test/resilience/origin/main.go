// Command origin is a service whose faults can be switched, for the scenarios of package resilience.
//
//	origin ADDRESS CONTROL
//
// It answers at ADDRESS, after 2 ms, and is told what to do at the unix socket CONTROL: PUT /MODE, where MODE is ok,
// slow (100 times as slow), error (500), half (every second request fails), hang (no answer), refuse (the port is closed,
// connections are broken off) or flap (ok and error in turn, each for 250 ms). GET / says how many requests came.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	usual = 2 * time.Millisecond
	flap  = 250 * time.Millisecond
)

type origin struct {
	address  string
	mode     atomic.Value // of string
	requests atomic.Int64

	mu     sync.Mutex
	server *http.Server // nil: the port is closed
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: origin ADDRESS CONTROL")
		os.Exit(2)
	}
	o := &origin{address: os.Args[1]}
	o.mode.Store("ok")
	control, err := net.Listen("unix", os.Args[2])
	if err == nil {
		err = o.open()
	}
	if err == nil {
		err = http.Serve(control, http.HandlerFunc(o.control))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func (o *origin) control(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		fmt.Fprint(w, o.requests.Load())
		return
	}
	mode := strings.TrimPrefix(r.URL.Path, "/")
	o.mode.Store(mode)
	var err error
	if mode == "refuse" {
		err = o.close()
	} else {
		err = o.open()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (o *origin) open() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", o.address)
	if err != nil {
		return err
	}
	o.address = l.Addr().String()
	o.server = &http.Server{Handler: http.HandlerFunc(o.answer)}
	go o.server.Serve(l)
	return nil
}

func (o *origin) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.server == nil {
		return nil
	}
	server := o.server
	o.server = nil
	return server.Close()
}

func (o *origin) answer(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	n := o.requests.Add(1)
	status := http.StatusOK
	pause := usual
	switch o.mode.Load() {
	case "slow":
		pause = 100 * usual
	case "error":
		status = http.StatusInternalServerError
	case "half":
		if n%2 == 0 {
			status = http.StatusInternalServerError
		}
	case "flap":
		if time.Now().UnixNano()/int64(flap)%2 == 0 {
			status = http.StatusInternalServerError
		}
	case "hang":
		<-r.Context().Done()
		return
	}
	time.Sleep(pause)
	w.WriteHeader(status)
	io.WriteString(w, "ok\n")
}

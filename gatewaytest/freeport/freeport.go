// Package freeport names addresses of loopback for programs that are told where to listen before they run.
//
// To ask the kernel for port 0, close and use that port later is not enough: the kernel may give it again, to another
// test, or as the source port of an outgoing connection, which then even connects to itself. These ports lie below the
// ones the kernel gives by itself, and none is named twice in a process.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// The ports that are named: first and how many. Linux gives 32768 and up (net.ipv4.ip_local_port_range).
const (
	first = 10_000
	count = 22_000
)

const attempts = 1000

var (
	mu    sync.Mutex
	named = make(map[int]bool) // at most count
)

// Find is an address of 127.0.0.1 with a port that nobody listens on and that was not named before.
func Find() (string, error) {
	mu.Lock()
	defer mu.Unlock()
	for range attempts {
		port := first + rand.IntN(count)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if named[port] || !free(address) {
			continue
		}
		named[port] = true
		return address, nil
	}
	return "", errors.New("freeport: no port of loopback is free")
}

// free tells whether address can be listened on, by TCP and by UDP.
func free(address string) bool {
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	udp.Close()
	return true
}

// For is Find for a test, which fails when there is none.
func For(t testing.TB) string {
	t.Helper()
	address, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

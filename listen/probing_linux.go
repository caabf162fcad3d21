package listen

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// probes are the keep-alive probes that package net would ask for, in seconds and, at last, how many: a peer that is gone
// without a word is noticed after 150 s.
var probes = [...]struct{ level, name, value int }{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
}

// probing sets the probes of a socket that is about to listen; what it accepts has them too (tcp(7)).
func probing(network, _ string, c syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var failed error
	err := c.Control(func(fd uintptr) {
		for _, p := range probes {
			if failed == nil {
				failed = unix.SetsockoptInt(int(fd), p.level, p.name, p.value)
			}
		}
	})
	if err != nil {
		return err
	}
	return failed
}

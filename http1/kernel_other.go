//go:build !linux

package http1

// Elsewhere than on Linux the engine works through net.Conn alone: correct, and good enough to develop on.

import (
	"net"
	"syscall"
)

func rawConn(net.Conn) syscall.RawConn { return nil }

func recv(uintptr, []byte) (int, syscall.Errno)         { return 0, syscall.EINVAL }
func send(uintptr, []byte, []byte) (int, syscall.Errno) { return 0, syscall.EINVAL }
func silent(uintptr) bool                               { return true }

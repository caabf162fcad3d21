//go:build linux

package http1

// The few system calls the engine makes itself. All of them are on non-blocking descriptors and return at once, hence
// RawSyscall: the scheduler need not be told.

import (
	"net"
	"syscall"
	"unsafe"
)

// rawConn returns the kernel's side of c, or nil if c is something the engine must not go behind.
func rawConn(c net.Conn) syscall.RawConn {
	var sc syscall.Conn
	switch c := c.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		sc = c
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

func recv(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM,
			fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// send sends p and then q, one of which may be empty.
func send(fd uintptr, p, q []byte) (int, syscall.Errno) {
	for {
		n, errno := sendOnce(fd, p, q)
		if errno != syscall.EINTR {
			return n, errno
		}
	}
}

func sendOnce(fd uintptr, p, q []byte) (int, syscall.Errno) {
	if len(p) > 0 && len(q) > 0 {
		return sendBoth(fd, p, q)
	}
	if len(p) == 0 {
		p = q
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO,
		fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func sendBoth(fd uintptr, p, q []byte) (int, syscall.Errno) {
	v := [2]syscall.Iovec{{Base: unsafe.SliceData(p)}, {Base: unsafe.SliceData(q)}}
	v[0].SetLen(len(p))
	v[1].SetLen(len(q))
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v)), 2)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// silent peeks: true while a read would have to wait.
func silent(fd uintptr) bool {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM,
		fd, uintptr(unsafe.Pointer(&b)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno == syscall.EAGAIN
}

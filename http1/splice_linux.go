package http1

// Large bodies between two plaintext connections go through a pipe inside the kernel, which moves pages and copies
// nothing. It costs two more system calls to a piece than copying saves for small ones, so it begins at spliceBytes;
// docs/benchmarks.md has the figures.

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	spliceBytes = 256 << 10 // of a body still to come, for the pipe to pay
	pipeBytes   = 256 << 10
	sparePipes  = 64 // kept open for the next body; 128 descriptors at most
)

type pipe struct{ r, w int }

var spares = make(chan pipe, sparePipes)

func takePipe() (pipe, error) {
	select {
	case p := <-spares:
		return p, nil
	default:
	}
	var fd [2]int
	if err := unix.Pipe2(fd[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return pipe{}, os.NewSyscallError("pipe2", err)
	}
	unix.FcntlInt(uintptr(fd[0]), unix.F_SETPIPE_SZ, pipeBytes) // or the default, which works too
	return pipe{fd[0], fd[1]}, nil
}

// giveBack keeps an empty pipe for the next body. One that still holds bytes is closed: they are nobody else's.
func (p pipe) giveBack(empty bool) {
	if empty {
		select {
		case spares <- p:
			return
		default:
		}
	}
	unix.Close(p.r)
	unix.Close(p.w)
}

// canSplice reports whether what is left of b is worth a pipe, and possible.
func (o *outlet) canSplice(b *body) bool {
	return !o.chunked && b.coding == byLength && b.left >= spliceBytes && b.err == nil && len(b.in.data) == 0 &&
		o.left >= b.left && b.in.sock.raw != nil && o.w.turn.conn.in.sock.raw != nil
}

// splice sends what is left of b. done is false if there is no pipe to be had, and nothing was moved.
func (o *outlet) splice(b *body) (done bool, err error) {
	p, err := takePipe()
	if err != nil {
		return false, nil
	}
	empty := true
	defer func() { p.giveBack(empty) }()
	a := o.w.turn.conn
	for b.left > 0 {
		n := 0
		err := b.await(func() (err error) {
			n, err = b.in.sock.spliceIn(p.w, int(min(b.left, 4*pipeBytes)), b.wait)
			return err
		})
		if n == 0 {
			return true, b.broken(err)
		}
		empty = false
		if err := o.charge(n); err != nil {
			return true, err
		}
		b.count(n) // with the last byte the endpoint's connection is free
		if err := a.in.sock.spliceOut(p.r, n, a.limits.StallTimeout); err != nil {
			return true, err
		}
		empty = true
	}
	return true, nil
}

// spliceIn moves what the socket holds, at most n bytes, into an empty pipe, waiting for it if need be.
func (s *socket) spliceIn(pipe, n int, wait time.Duration) (int, error) {
	s.wait, s.deadline = wait, 0
	return s.result(s.rawRead(func(fd uintptr) bool {
		s.n, s.errno = splice(fd, uintptr(pipe), n)
		if s.errno == syscall.EAGAIN {
			s.armWait()
			return false
		}
		return true
	}))
}

// spliceOut sends n bytes of the pipe.
func (s *socket) spliceOut(pipe, n int, stall time.Duration) error {
	return s.whileWritable(stall, func(fd uintptr) bool {
		for n > 0 {
			var k int
			if k, s.werrno = splice(uintptr(pipe), fd, n); s.werrno != 0 {
				return false
			}
			n -= k
		}
		return true
	})
}

func splice(from, to uintptr, n int) (int, syscall.Errno) {
	for {
		k, _, errno := syscall.RawSyscall6(syscall.SYS_SPLICE,
			from, 0, to, 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if errno == 0 {
			return int(k), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

package listen

import (
	"io"
	"net"
	"syscall"
)

// peek looks at what a connection has sent without taking it, until enough says so of what is seen, or buf is full. It
// returns io.EOF if the client closed before it sent a byte, and io.ErrUnexpectedEOF before it sent enough. The
// connection's read deadline holds; wait is called before the first wait there is, and may set one.
//
// Bytes that are not enough stay in the socket; the poller wakes for new ones only, so waiting for more does not spin.
func peek(c net.Conn, buf []byte, enough func(seen []byte) bool, wait func()) (int, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, syscall.ENOTSUP
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var failed error
	err = raw.Read(func(fd uintptr) (done bool) {
		n, done, failed = look(int(fd), buf, enough)
		if !done && wait != nil {
			wait()
			wait = nil
		}
		return done
	})
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, failed
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// look peeks without waiting; done says that waiting would bring nothing more.
func look(fd int, buf []byte, enough func([]byte) bool) (n int, done bool, err error) {
	for ended := false; ; {
		n, err = peekOnce(fd, buf)
		switch {
		case err == syscall.EAGAIN:
			return 0, false, nil
		case err != nil, n == 0, n == len(buf), enough(buf[:n]):
			return n, true, err
		case ended:
			return n, true, io.ErrUnexpectedEOF
		}
		if ended = hungUp(fd); !ended { // if so, look once more: the last bytes may have come with the end
			return n, false, nil
		}
	}
}

func peekOnce(fd int, buf []byte) (int, error) {
	for {
		n, _, err := syscall.Recvfrom(fd, buf, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

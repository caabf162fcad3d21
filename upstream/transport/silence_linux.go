package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// maxSilence is how long sent bytes may stay unacknowledged on a connection that many requests share. The system's own
// patience is a quarter of an hour, during which each of them would run into its timeout. A connection of HTTP/1.1 needs
// no bound: it is closed with the one request that timed out, and a service that is slow to read an upload, which counts
// as silence here, is within its rights.
const maxSilence = 30 * time.Second

// boundSilence sets TCP_USER_TIMEOUT (RFC 5482). Where it cannot, the connection is none the worse.
func boundSilence(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := t.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(maxSilence.Milliseconds()))
		})
	}
}

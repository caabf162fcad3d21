package listen

import "golang.org/x/sys/unix"

// hungUp reports whether no more will come: the client closed its side, or the connection broke. Data that was peeked
// at hides that from recv.
func hungUp(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}

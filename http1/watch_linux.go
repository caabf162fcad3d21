package http1

// One epoll instance per server watches what the runtime's poller does not tell: that a client has gone while its
// request is being worked on, and that a parked connection has something to say. It waits inside the runtime's poller
// (an epoll descriptor can itself be polled), so it costs one goroutine and no thread, and nothing per request: a busy
// connection is registered for its peer's FIN alone.

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	minding = unix.EPOLLRDHUP | unix.EPOLLET
	resting = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET | unix.EPOLLONESHOT
)

type watcher struct {
	server *Server
	file   *os.File // the epoll descriptor; nil if there is none to be had
	fd     int
	events [128]unix.EpollEvent
}

// newWatcher starts the watcher of s. Without one everything works but noticing and parking.
func newWatcher(s *Server) *watcher {
	w := &watcher{server: s}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return w
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return w
	}
	w.fd, w.file = fd, os.NewFile(uintptr(fd), "epoll")
	raw, err := w.file.SyscallConn()
	if err != nil {
		w.file.Close()
		w.file = nil
		return w
	}
	go w.run(raw)
	return w
}

func (w *watcher) close() {
	if w.file != nil {
		w.file.Close()
	}
}

func (w *watcher) run(raw syscall.RawConn) {
	raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), w.events[:], 0)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return true
			}
			for i := range n {
				w.tell(&w.events[i])
			}
			if n < len(w.events) {
				return false
			}
		}
	})
}

// tell passes one event on.
func (w *watcher) tell(e *unix.EpollEvent) {
	a := w.server.find(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
	switch {
	case a == nil:
	case a.claim():
		w.control(a, unix.EPOLL_CTL_MOD, minding)
		go a.run()
	case e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0:
		a.gone()
	}
}

// add begins to watch a; false if it cannot be watched.
func (w *watcher) add(a *accepted) bool {
	return w.file != nil && w.control(a, unix.EPOLL_CTL_ADD, minding)
}

// rest watches a parked connection.
func (w *watcher) rest(a *accepted) bool {
	if !w.control(a, unix.EPOLL_CTL_MOD, resting) {
		return false
	}
	w.server.sweepLater()
	return true
}

func (w *watcher) control(a *accepted, op int, events uint32) bool {
	raw := a.in.sock.raw
	if raw == nil {
		if raw = rawConn(netConn(a.in.sock.conn)); raw == nil {
			return false
		}
	}
	e := unix.EpollEvent{Events: events, Fd: int32(uint32(a.id)), Pad: int32(uint32(a.id >> 32))}
	var err error
	if raw.Control(func(fd uintptr) { err = unix.EpollCtl(w.fd, op, int(fd), &e) }) != nil {
		return false
	}
	return err == nil
}

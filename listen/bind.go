package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// unixMode lets the socket's owner and group connect. Who else may is for the directory's mode to say.
const unixMode = 0o660

// bind opens the socket of an address, "host:port" or "unix:/path", and does not accept yet.
//
// Go sets SO_REUSEADDR, so that a restart need not wait for connections in TIME_WAIT, and on what is accepted
// TCP_NODELAY. Keep-alive probes after 15 s are set on the listening socket, for connections to inherit: one by one they
// would cost each four system calls. Multipath TCP, on by default, is refused: nobody asked for it and every accept would
// pay.
func bind(address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1, Control: probing}
	config.SetMultipathTCP(false)
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return bindUnix(&config, path)
	}
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, explain(address, err)
	}
	return l, nil
}

func bindUnix(config *net.ListenConfig, path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, explain("unix:"+path, err)
	}
	if err := os.Chmod(path, unixMode); err != nil {
		l.Close()
		return nil, fmt.Errorf("unix:%s: cannot set the socket's mode: %w", path, err)
	}
	return l, nil
}

// removeStale removes a socket that nobody listens on any more, as a crash leaves it. Anything else stays.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("unix:%s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("unix:%s: the path exists and is not a socket: remove it or choose another path", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("unix:%s: the address is in use: stop the process that listens there or choose another path", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("unix:%s: cannot tell whether the socket is in use: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("unix:%s: cannot remove the socket that a process before left behind: %w", path, err)
	}
	return nil
}

// explain adds to an error of bind(2) what to do about it.
func explain(address string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "the address is in use: stop the process that holds it (`ss -ltnp` shows which) or choose another port"
	case errors.Is(err, syscall.EACCES):
		hint = "not allowed: ports below 1024 need CAP_NET_BIND_SERVICE, sockets a directory that may be written"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "this machine has no such address: `ip addr` shows those it has"
	default:
		return fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return fmt.Errorf("cannot listen on %s: %s: %w", address, hint, err)
}

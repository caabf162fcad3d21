package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of the admin listener. It serves a few operators and scrapers, and nothing it does is large.
const (
	maxConnections    = 128 // more wait to be accepted
	maxHeaderBytes    = 16 << 10
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = time.Minute // for a slow reader of a long page; profiles add their own seconds
	idleTimeout       = time.Minute
	closeTimeout      = 2 * time.Second
)

// Server is the admin listener: bound by Listen, answering from Serve until Close. It lives through the drain.
type Server struct {
	listener net.Listener
	http     *http.Server
	serving  sync.WaitGroup
}

// Listen binds address, host:port or unix:/path, and accepts nothing yet. A socket file that nobody listens on is
// replaced; a new one is for its owner alone.
func Listen(address string, api http.Handler) (*Server, error) {
	l, err := bind(address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: stop what holds it, choose another admin.address, or write `admin: off`", err)
	}
	if err != nil {
		return nil, err
	}
	return &Server{
		listener: l,
		http: &http.Server{
			Handler:           api,
			MaxHeaderBytes:    maxHeaderBytes,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
		},
	}, nil
}

func bind(address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return net.Listen("tcp", address)
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && stale(path) {
		os.Remove(path)
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// stale reports whether path is a socket that a process left behind. Connecting to an ordinary file is refused as well,
// and that one is not ours to remove.
func stale(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Addr is where the server is bound.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve begins to answer, and returns at once.
func (s *Server) Serve() {
	s.serving.Go(func() {
		s.http.Serve(netutil.LimitListener(s.listener, maxConnections)) // it ends when Close closes the listener
	})
}

// Close stops accepting, gives requests that are being answered 2 s to end, and breaks off the rest.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.listener.Close() // which Shutdown does not know of before Serve
	s.serving.Wait()
	return err
}

package listen

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/telemetry"
)

const (
	acceptBackoffMin = 5 * time.Millisecond // after accept failed, for want of file descriptors for instance
	acceptBackoffMax = time.Second

	newcomerGrace = time.Second // while draining: for the first byte of a connection that has sent none
	closeGrace    = time.Second // for requests to notice that their connection was closed
)

// A Listener is one socket and the connections that came in through it.
type Listener struct {
	address string
	socket  net.Listener
	name    atomic.Pointer[string]

	holder *snapshot.Holder
	proxy  Proxy
	http1  *http1Server
	engine atomic.Pointer[engine] // for the newest settings seen

	ctx    context.Context // of every connection; ends when they are closed hard
	cancel context.CancelFunc

	accepted atomic.Uint64 // connections so far

	mu          sync.Mutex
	connections map[*connection]struct{} // bounded by limits.connections, or by the process's file descriptors
	tunnels     map[*tunnel]struct{}     // at most one a connection
	draining    bool
	stopping    chan struct{} // closed when draining begins
	empty       chan struct{} // closed when draining and no connection is left
}

// Open binds the address of spec and does not accept yet, so that a configuration whose addresses cannot all be had
// is refused before anything has changed. The error names the address and says what to do.
func Open(spec *snapshot.Listener) (*Listener, error) {
	socket, err := bind(spec.Address)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", spec.Name, err)
	}
	l := &Listener{
		address:     spec.Address,
		socket:      socket,
		connections: make(map[*connection]struct{}),
		tunnels:     make(map[*tunnel]struct{}),
		stopping:    make(chan struct{}),
		empty:       make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.http1 = newHTTP1Server(l)
	l.Rename(spec.Name)
	return l, nil
}

// Name is what the snapshot calls the listener.
func (l *Listener) Name() string { return *l.name.Load() }

// Rename is for a reload that gives another name to the same address. Connections that are open take the new one too:
// they are served by what is in force, and not by what was when they came.
func (l *Listener) Rename(name string) { l.name.Store(&name) }

// Address is the configured one. Listeners with the same address are the same.
func (l *Listener) Address() string { return l.address }

// Addr is where the socket is bound: the port, if the configured one was 0.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }

// Serve accepts until Drain or Close and then returns nil at once, while connections may still be open. Each connection
// takes the settings that holder has for the listener's name when it is accepted. Serve is called at most once.
func (l *Listener) Serve(holder *snapshot.Holder, p Proxy) error {
	l.holder, l.proxy = holder, p
	backoff := acceptBackoffMin
	for {
		raw, err := l.socket.Accept()
		if err == nil {
			backoff = acceptBackoffMin
			l.admit(raw)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		// Out of descriptors or of memory, or the client left the queue: none of it is a reason to stop for good.
		if !l.pause(backoff) {
			return nil
		}
		backoff = min(2*backoff, acceptBackoffMax)
	}
}

// pause waits before the next accept; false: there is to be none.
func (l *Listener) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.stopping:
		return false
	}
}

// admit starts a connection, or closes it if there are too many: to let it wait in the kernel's queue would make its
// client guess for as long.
func (l *Listener) admit(raw net.Conn) {
	spec := l.spec()
	if spec == nil { // there is no snapshot yet, or the listener has been forgotten
		raw.Close()
		return
	}
	c := newConnection(l, l.engineOf(spec), raw)
	if !l.add(c, spec.Limits.Connections) {
		spec.Series.Rejected(telemetry.RejectedLimit)
		raw.Close()
		return
	}
	go c.serve()
}

// spec is what the snapshot in force says of the listener, or the last one that knew it while it is about to be drained.
func (l *Listener) spec() *snapshot.Listener {
	_, spec := l.holder.Listener(l.Name())
	return spec
}

// engineOf makes engines anew only when the settings changed.
func (l *Listener) engineOf(spec *snapshot.Listener) *engine {
	if e := l.engine.Load(); e != nil && e.spec == spec {
		return e
	}
	e := newEngine(spec)
	l.engine.Store(e)
	return e
}

func (l *Listener) add(c *connection, limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining || limit > 0 && len(l.connections) >= limit {
		return false
	}
	l.connections[c] = struct{}{}
	return true
}

func (l *Listener) remove(c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, present := l.connections[c]; !present {
		return
	}
	delete(l.connections, c)
	if l.draining && len(l.connections) == 0 {
		close(l.empty)
	}
}

// Drain stops accepting, closes connections that are idle, tells the others to go (Connection: close on HTTP/1.1, GOAWAY
// on HTTP/2), and waits until all of them are closed. When ctx ends it closes what is left and returns ctx's error.
// It is safe to call at any time, and again.
func (l *Listener) Drain(ctx context.Context) error {
	l.Stop()
	select {
	case <-l.empty:
		l.cancel()
		return nil
	case <-ctx.Done():
	}
	l.closeAll()
	t := time.NewTimer(closeGrace)
	defer t.Stop()
	select {
	case <-l.empty:
	case <-t.C:
	}
	return ctx.Err()
}

// Close closes the socket and every connection.
func (l *Listener) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Drain(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Stop begins to drain and does not wait: when it returns the address is free again.
func (l *Listener) Stop() {
	engines := make(map[*engine]struct{})
	for _, c := range l.beginDraining() {
		engines[c.engine] = struct{}{}
		c.hurry()
	}
	for e := range engines {
		e.drain()
	}
	l.http1.drain()
}

// beginDraining returns the connections that are open. There will be no others.
func (l *Listener) beginDraining() []*connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining {
		return nil
	}
	l.draining = true
	l.socket.Close()
	close(l.stopping)
	if len(l.connections) == 0 {
		close(l.empty)
	}
	return slices.Collect(maps.Keys(l.connections))
}

func (l *Listener) closeAll() {
	l.cancel()
	l.mu.Lock()
	for c := range l.connections {
		c.raw.Close()
	}
	l.mu.Unlock()
	l.CloseRoutes(func(string, string) bool { return true })
}

// CloseRoutes closes the tunnels of routes that are gone: only they can outlive a route for long. It does not wait for
// them to end.
func (l *Listener) CloseRoutes(gone func(listener, route string) bool) {
	l.mu.Lock()
	tunnels := slices.Collect(maps.Keys(l.tunnels))
	l.mu.Unlock()
	for _, t := range tunnels {
		if gone(t.listener, t.route) {
			t.close()
		}
	}
}

func (l *Listener) addTunnel(t *tunnel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tunnels[t] = struct{}{}
}

func (l *Listener) removeTunnel(t *tunnel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tunnels, t)
}

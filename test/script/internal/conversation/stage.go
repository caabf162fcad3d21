// Package conversation plays the part of clients and origins over raw connections, from a text of one step a line. The
// steps are described in test/script/README.md.
//
// Conversations of one script share a Stage. Each runs on its own goroutine; where their order matters one signals and
// the other awaits, so nothing depends on how fast anybody is. A stage has one deadline, long past anything that works:
// it only turns a conversation that hangs into one that fails. The first failure ends the others too, since they would
// wait for what never comes.
package conversation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"sync"
	"time"
)

// deadline is for a whole script.
const deadline = 20 * time.Second

// Stage is what the conversations of one script share: values under names, signals, connections, and an end.
type Stage struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc

	mu        sync.Mutex
	values    map[string]string
	signals   map[string]chan struct{}
	conns     []net.Conn
	listeners []net.Listener
	running   sync.WaitGroup
	failures  []error
}

// NewStage is an empty one. Close must be called.
func NewStage() *Stage {
	s := &Stage{values: make(map[string]string), signals: make(map[string]chan struct{})}
	timed, stop := context.WithTimeoutCause(context.Background(), deadline, errors.New("the script took too long"))
	s.stop = stop
	s.ctx, s.cancel = context.WithCancelCause(timed)
	context.AfterFunc(s.ctx, s.closeConnections)
	return s
}

// Done ends when the stage does.
func (s *Stage) Done() <-chan struct{} { return s.ctx.Done() }

// Set gives a value a name, under which every later step and configuration finds it as ${name}.
func (s *Stage) Set(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = value
}

var reference = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

// Expand replaces every ${name} that has a value, and leaves the others to whoever reads the text next.
func (s *Stage) Expand(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		if value, ok := s.values[ref[2:len(ref)-1]]; ok {
			return value
		}
		return ref
	})
}

// Close waits until every conversation has ended by itself, and says what went wrong in any. The gateway must be
// drained by then: origins wait for it to let go of its connections.
func (s *Stage) Close() error {
	s.mu.Lock()
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	s.stop()
	s.closeConnections()
	return s.Failure()
}

// Failure is what went wrong so far, or nil.
func (s *Stage) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.failures...)
}

// fail notes the failure of one conversation and ends all. What fails after the end fails because of it.
func (s *Stage) fail(err error) {
	s.mu.Lock()
	if s.ctx.Err() == nil || len(s.failures) == 0 {
		s.failures = append(s.failures, err)
	}
	s.mu.Unlock()
	s.cancel(err)
}

func (s *Stage) signal(name string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signals[name] == nil {
		s.signals[name] = make(chan struct{})
	}
	return s.signals[name]
}

// give is a step: it lets those go on who await name.
func (s *Stage) give(name string) error {
	select {
	case <-s.signal(name):
		return fmt.Errorf("%s was signalled before", name)
	default:
		close(s.signal(name))
		return nil
	}
}

func (s *Stage) await(name string) error {
	select {
	case <-s.signal(name):
		return nil
	case <-s.ctx.Done():
		return fmt.Errorf("%s was never signalled: %w", name, context.Cause(s.ctx))
	}
}

// own takes a connection that lives as long as the stage, unless it is closed before.
func (s *Stage) own(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	if s.ctx.Err() != nil {
		c.Close()
	}
}

func (s *Stage) closeConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	for _, l := range s.listeners {
		l.Close()
	}
}

// listen opens a socket for an origin: at path, or on a free port of 127.0.0.1 if path is empty.
func (s *Stage) listen(path string) (net.Listener, error) {
	network, address := "tcp", "127.0.0.1:0"
	if path != "" {
		network, address = "unix", path
		_ = os.Remove(path)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, l)
	return l, nil
}

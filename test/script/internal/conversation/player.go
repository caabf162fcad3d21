package conversation

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
)

// A player goes through the steps of a conversation. Its connection is opened by the first step that needs one.
type player struct {
	stage *Stage
	name  string
	open  func() (net.Conn, error) // dials, or accepts
	wire  *wire                    // nil: none yet, or none any more
	got   *message                 // that the last head or path step read
}

// Running is a conversation on its way.
type Running struct {
	done chan struct{} // closed when its steps are over
	err  error
}

// Wait returns how the conversation ended.
func (r *Running) Wait() error {
	<-r.done
	return r.err
}

func (s *Stage) start(name string, text *Text, play func() error) *Running {
	r := &Running{done: make(chan struct{})}
	s.running.Go(func() {
		if err := play(); err != nil {
			r.err = err
			s.fail(err)
		}
		close(r.done)
	})
	return r
}

// Client is how a client reaches the gateway.
type Client struct {
	Address string // host:port, or unix:/path
	From    string // its own address; empty: any
	TLS     *tls.Config
}

// Play starts a client. It closes its connection when its steps are over.
func (c Client) Play(s *Stage, name string, text *Text) *Running {
	return s.start(name, text, func() error {
		p := &player{stage: s, name: name, open: c.dial}
		err := p.play(text)
		if p.wire != nil {
			p.wire.Close()
		}
		return err
	})
}

func (c Client) dial() (net.Conn, error) {
	if path, unix := strings.CutPrefix(c.Address, "unix:"); unix {
		return net.Dial("unix", path)
	}
	var d net.Dialer
	if c.From != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.From)}
	}
	raw, err := d.Dial("tcp", c.Address)
	if err != nil || c.TLS == nil {
		return raw, err
	}
	return tls.Client(raw, c.TLS), nil
}

// Origin listens, at the path of a unix socket or, if that is empty, on a free port; the address becomes the value of
// name. It plays its steps once, over as many connections as they ask for, and fails if more comes than they say: another
// connection, or another byte on the last one before the gateway closes it.
func Origin(s *Stage, name, path string, text *Text) (*Running, error) {
	l, err := s.listenAs(name, path)
	if err != nil {
		return nil, err
	}
	p := &player{stage: s, name: name, open: l.Accept}
	r := s.start(name, text, func() error { return p.play(text) })
	s.running.Go(func() {
		if r.Wait() == nil {
			s.failIf(p.nothingMore(l))
		}
	})
	return r, nil
}

func (s *Stage) listenAs(name, path string) (net.Listener, error) {
	l, err := s.listen(path)
	if err != nil {
		return nil, err
	}
	if path != "" {
		s.Set(name, "unix:"+path)
	} else {
		s.Set(name, l.Addr().String())
	}
	return l, nil
}

func (s *Stage) failIf(err error) {
	if err != nil {
		s.fail(err)
	}
}

// nothingMore waits for the end of what is open.
func (p *player) nothingMore(l net.Listener) error {
	var more []byte
	if p.wire != nil {
		more, _ = p.wire.rest()
	}
	if len(more) > 0 && p.stage.ctx.Err() == nil {
		return fmt.Errorf("%s: after the last step came %q", p.name, more)
	}
	if c, err := l.Accept(); err == nil {
		c.Close()
		return fmt.Errorf("%s: a connection came that no step asks for", p.name)
	}
	return nil
}

// EachOrigin is an origin that plays its steps over and over, on every connection by itself.
func EachOrigin(s *Stage, name, path string, text *Text) error {
	l, err := s.listenAs(name, path)
	if err != nil {
		return err
	}
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p := &player{stage: s, name: name, open: func() (net.Conn, error) { return c, nil }}
			s.running.Go(func() { s.failIf(p.repeat(text)) })
		}
	})
	return nil
}

// repeat plays until the peer has nothing more to ask.
func (p *player) repeat(text *Text) error {
	for {
		w, err := p.line()
		if err != nil {
			return err
		}
		if _, err := w.in.Peek(1); err != nil {
			return nil
		}
		if err := p.play(text); err != nil {
			return err
		}
	}
}

func (p *player) play(text *Text) error {
	for _, s := range text.steps {
		if err := verbs[s.verb](p, p.stage.Expand(s.rest)); err != nil {
			return p.explain(text, s, err)
		}
	}
	return nil
}

func (p *player) explain(text *Text, s step, err error) error {
	if cause := context.Cause(p.stage.ctx); cause != nil && !errors.Is(err, cause) && errors.Is(err, net.ErrClosed) {
		err = fmt.Errorf("%w, because %w", err, cause)
	}
	err = fmt.Errorf("%s: %s:%d: %s %s\n  %w", p.name, text.file, s.line, s.verb, p.stage.Expand(s.rest), err)
	if p.wire != nil {
		err = fmt.Errorf("%w\n%s", err, p.wire.transcript())
	}
	return err
}

// line is the connection, opened if need be.
func (p *player) line() (*wire, error) {
	if p.wire != nil {
		return p.wire, nil
	}
	c, err := p.open()
	if err != nil {
		return nil, err
	}
	p.stage.own(c)
	p.wire = newWire(c)
	return p.wire, nil
}

// leave forgets the connection; the next step that needs one opens another.
func (p *player) leave(how func(*wire) error) error {
	w, err := p.line()
	if err != nil {
		return err
	}
	p.wire = nil
	return how(w)
}

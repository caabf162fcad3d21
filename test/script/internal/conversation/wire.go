package conversation

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// A wire is one connection, and keeps what went over it for the one who must find out what went wrong.
type wire struct {
	net.Conn
	in    *bufio.Reader
	heard bytes.Buffer // the last keptBytes of each direction
	said  bytes.Buffer
}

const (
	keptBytes = 2 << 10
	maxLine   = 128 << 10
)

func newWire(c net.Conn) *wire {
	w := &wire{Conn: c}
	w.in = bufio.NewReaderSize(io.TeeReader(c, &tail{&w.heard}), maxLine)
	return w
}

// tail keeps the end of what is written to it.
type tail struct{ *bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.Buffer.Write(p)
	t.Next(max(0, t.Len()-keptBytes))
	return len(p), nil
}

func (w *wire) say(p []byte) error {
	(&tail{&w.said}).Write(p)
	_, err := w.Conn.Write(p)
	return err
}

// line reads up to a CR LF, which it cuts off. A bare LF is not what this gateway writes.
func (w *wire) line() (string, error) {
	raw, err := w.in.ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("the line ends after %q: %w", raw, err)
	}
	text, ok := strings.CutSuffix(string(raw), "\r\n")
	if !ok {
		return "", fmt.Errorf("the line %q ends without CR", raw)
	}
	return text, nil
}

// exactly reads what must come now.
func (w *wire) exactly(want []byte) error {
	got := make([]byte, len(want))
	n, err := io.ReadFull(w.in, got)
	if !bytes.Equal(got[:n], want[:n]) || err != nil {
		return fmt.Errorf("came %q (%v)", got[:n], err)
	}
	return nil
}

// rest reads until the connection ends, and says how: nil for a clean end.
func (w *wire) rest() ([]byte, error) {
	data, err := io.ReadAll(w.in)
	if err == io.ErrUnexpectedEOF { // TLS without close_notify
		err = syscall.ECONNRESET
	}
	return data, err
}

// reset ends the connection with RST.
func (w *wire) reset() error {
	raw := w.Conn
	if t, ok := raw.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	return raw.Close()
}

// end closes our direction only.
func (w *wire) end() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.New("this connection cannot be closed by half")
}

// vanished reports whether err is how a connection looks that the peer broke off.
func vanished(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (w *wire) transcript() string {
	return fmt.Sprintf("  said  %q\n  heard %q", w.said.Bytes(), w.heard.Bytes())
}

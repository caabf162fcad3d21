package desync

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// One connection to the service, kept as long as it is good: whatever spoils it spoils the next request, and whatever
// loses it starves the next request.
const guarded = `
listeners:
  - {name: plain, address: "127.0.0.1:0", limits: {bodyBytes: 1MiB}}
  - {name: secure, address: "127.0.0.2:0", tls: {certificates: [{certFile: %s, keyFile: %s}]}, limits: {bodyBytes: 1MiB}}
routes:
  - {name: all, listeners: [plain, secure], hosts: [h, "*.h"], match: {path: /*}, service: origin, timeout: 5s}
services:
  - {name: origin, endpoints: [{url: "http://%s"}], upgrades: [], connections: {max: 1, maxIdle: 1, pending: 4}}
`

// hand is one way of sending bytes.
type hand struct {
	name string
	send func(c net.Conn, b []byte)
}

// What cannot be written is no error: the gateway may have had enough.
var hands = []hand{
	{"whole", func(c net.Conn, b []byte) { _, _ = c.Write(b) }},
	{"halves", func(c net.Conn, b []byte) {
		_, _ = c.Write(b[:len(b)/2])
		_, _ = c.Write(b[len(b)/2:])
	}},
	{"bytes", func(c net.Conn, b []byte) {
		for i := range min(len(b), bite) {
			if _, err := c.Write(b[i : i+1]); err != nil {
				return
			}
		}
		_, _ = c.Write(b[min(len(b), bite):])
	}},
}

// bite is how much of a message is sent byte by byte.
const bite = 2000

// TestHostileMessages sends every message of testdata over plaintext and TLS, whole and in pieces.
func TestHostileMessages(t *testing.T) {
	messages, err := ReadMessages(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) < 150 {
		t.Errorf("only %d messages", len(messages))
	}
	certFile, keyFile, trusting := certificate(t)
	origin := newOrigin(t)
	gateway := gatewaytest.Start(t, fmt.Sprintf(guarded, certFile, keyFile, origin.Addr()))
	for _, way := range []struct {
		listener string
		trusting *tls.Config
	}{{"plain", nil}, {"secure", trusting}} {
		for _, h := range hands {
			for i, m := range messages {
				t.Run(way.listener+"/"+h.name+"/"+m.Name, func(t *testing.T) {
					v := &victim{t: t, address: gateway.Addr(way.listener), trusting: way.trusting, origin: origin}
					v.prefix = fmt.Sprintf("%s-%s-%d", way.listener, h.name, i)
					v.suffer(&m, h)
				})
			}
		}
	}
	t.Logf("%d messages", len(messages))
}

// victim is who connects after the attacker, and on the attacker's connection.
type victim struct {
	t        *testing.T
	address  string
	trusting *tls.Config
	origin   *Origin
	prefix   string   // of the ids
	meant    []string // ids of the requests that must have arrived, in order
}

func (v *victim) suffer(m *Message, h hand) {
	v.t.Helper()
	c, err := Dial(v.address, v.trusting)
	if err != nil {
		v.t.Fatal(err)
	}
	defer c.Close()
	var sending sync.WaitGroup
	sending.Go(func() { h.send(c, m.Bytes(v.prefix)) }) // the gateway may answer before it has read
	v.answers(c, m)
	sending.Wait()
	if m.End == "cut" {
		v.cut(c)
	}
	v.after(c, m.End)
	v.balance()
}

func (v *victim) cut(c *Client) {
	if t, ok := c.Conn.(*tls.Conn); ok {
		_ = t.CloseWrite()
	}
	_ = c.raw.CloseWrite()
}

// answers reads what is to come and holds each answer against the request in its place.
func (v *victim) answers(c *Client, m *Message) {
	v.t.Helper()
	n := 1
	for i, want := range m.Statuses {
		a, err := c.Final(m.Method(n))
		if err != nil {
			v.t.Fatalf("answer %d: %v instead of %d", i+1, err, want)
		}
		if a.Status != want {
			v.t.Errorf("answer %d: %d instead of %d: %s", i+1, a.Status, want, a.Body)
		}
		id := fmt.Sprintf("%s-%d", v.prefix, n)
		n++
		if a.Status != 200 {
			continue
		}
		v.meant = append(v.meant, id)
		if got, err := a.ID(m.Method(n-1) == "HEAD"); err != nil || got != id {
			v.t.Errorf("answer %d is for %q instead of %q %v", i+1, got, id, err)
		}
	}
}

// after uses what the attacker used: its connection, if that lives on, and the connection to the origin.
func (v *victim) after(c *Client, end string) {
	v.t.Helper()
	switch end {
	case "keep":
		v.get(c, v.prefix+"-same")
	case "either":
		if err := c.Get(v.prefix + "-same"); err == nil {
			v.meant = append(v.meant, v.prefix+"-same")
		} else if !ended(err) {
			v.t.Error(err)
		}
	default:
		if err := c.Closed(); err != nil {
			v.t.Errorf("the gateway keeps the connection: %v", err)
		}
	}
	other, err := Dial(v.address, v.trusting)
	if err != nil {
		v.t.Fatal(err)
	}
	defer other.Close()
	v.get(other, v.prefix+"-other")
	v.get(other, v.prefix+"-again")
}

// ended reports whether an error is the end of the connection before an answer.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (v *victim) get(c *Client, id string) {
	v.t.Helper()
	if err := c.Get(id); err != nil {
		v.t.Errorf("%s: %v", id, err)
		return
	}
	v.meant = append(v.meant, id)
}

// balance compares what the origin got with what it was to get.
func (v *victim) balance() {
	v.t.Helper()
	got, breaches := v.origin.Take()
	if !slices.Equal(ids(got), v.meant) {
		v.t.Errorf("the origin got %q instead of %q", ids(got), v.meant)
	}
	for _, b := range breaches {
		v.t.Error(b)
	}
}

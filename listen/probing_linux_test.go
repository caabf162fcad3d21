package listen

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// What a listener accepts has the probes of its socket.
func TestAcceptedConnectionsProbe(t *testing.T) {
	l, err := open(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := l.socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	raw, err := accepted.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for _, p := range probes {
			if got, err := unix.GetsockoptInt(int(fd), p.level, p.name); err != nil || got != p.value {
				t.Errorf("option %d of level %d: %d, %v, want %d", p.name, p.level, got, err, p.value)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

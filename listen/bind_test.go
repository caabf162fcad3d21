package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/snapshot"
)

func open(t *testing.T, address string) (*Listener, error) {
	t.Helper()
	spec := defaults()
	spec.Address = address
	l, err := Open(spec)
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return l, err
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	taken, err := open(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	if _, err := open(t, "unix:"+socket); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ address, want string }{
		{taken.Addr().String(), "the address is in use"},
		{"192.0.2.1:8080", "no such address"},
		{"127.0.0.1:http-but-not", "cannot listen on"},
		{"unix:" + file, "is not a socket"},
		{"unix:" + socket, "the address is in use"},
		{"unix:" + filepath.Join(dir, "no", "such", "dir"), "cannot listen on unix:"},
		{"unix:" + filepath.Join(file, "below"), "not a directory"},
		{"unix:" + filepath.Join(dir, strings.Repeat("x", 200)), "cannot listen on unix:"},
	} {
		_, err := open(t, c.address)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.address) ||
			!strings.Contains(err.Error(), "listener public") {
			t.Errorf("%s: %v", c.address, err)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the file was touched: %q %v", data, err)
	}
	if got := explain(":80", syscall.EACCES).Error(); !strings.Contains(got, "CAP_NET_BIND_SERVICE") {
		t.Error(got)
	}
}

func TestUnixSocketsOfTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := open(t, "unix:"+path)
	if err != nil {
		t.Fatalf("a stale socket is in the way: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != unixMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket was left behind: %v", err)
	}
}

func TestOpenAfterConnections(t *testing.T) {
	u := start(t, tell)
	address := u.Addr().String()
	c := u.dial(t)
	eventually(t, "the connection came", func() bool { return u.open() == 1 })
	u.Close() // ours closes first: TIME_WAIT is on our side
	c.Close()
	if _, err := open(t, address); err != nil {
		t.Errorf("a restart has to wait: %v", err)
	}
}

func TestNames(t *testing.T) {
	l, err := Open(&snapshot.Listener{Name: "a", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Name() != "a" || l.Address() != "127.0.0.1:0" || l.Addr().(*net.TCPAddr).Port == 0 {
		t.Errorf("%s %s %s", l.Name(), l.Address(), l.Addr())
	}
	l.Rename("b")
	if l.Name() != "b" {
		t.Error(l.Name())
	}
}

// failing is a socket whose accept fails a few times before it works.
type failing struct {
	net.Listener
	left int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left > 0 {
		f.left--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestAcceptGoesOn(t *testing.T) {
	l, err := open(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.socket = &failing{l.socket, 4}
	u := &up{Listener: l, spec: defaults(), holder: new(snapshot.Holder), proxy: &standIn{serve: tell}, served: make(chan error, 1)}
	u.reload(u.spec)
	go func() { u.served <- l.Serve(u.holder, u.proxy) }()
	if status, _ := get(t, u.client(t, nil, protoHTTP1), "http://a"); status != 200 {
		t.Errorf("%d", status)
	}
	u.end(t)
}

func TestCloseWhileAcceptFails(t *testing.T) {
	l, err := open(t, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.socket = &failing{l.socket, 1 << 30}
	served := make(chan error, 1)
	go func() { served <- l.Serve(new(snapshot.Holder), &standIn{}) }()
	l.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

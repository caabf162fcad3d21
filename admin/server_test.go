package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/snapshot"
)

func serve(t *testing.T, address string, api http.Handler) *Server {
	t.Helper()
	s, err := Listen(address, api)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve()
	t.Cleanup(func() { s.Close() })
	return s
}

// get asks for path over a connection of its own and gives status and body.
func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, s.Addr().Network(), s.Addr().String())
		},
	}
	r, err := (&http.Client{Transport: transport}).Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestServeOnTCPAndUnix(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	for _, address := range []string{"127.0.0.1:0", "unix:" + socket} {
		s := serve(t, address, New(running(t, snapshot.Admin{Address: address})))
		if status, body := get(t, s, "/healthz"); status != 200 || body != "ok\n" {
			t.Errorf("%s: %d %q", address, status, body)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: Close: %v", address, err)
		}
		if c, err := net.Dial(s.Addr().Network(), s.Addr().String()); err == nil {
			c.Close()
			t.Errorf("%s is still open", address)
		}
	}
}

func TestTheSocketIsForItsOwner(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	serve(t, "unix:"+socket, http.NotFoundHandler())
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %o, want 600", info.Mode().Perm())
	}
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	s := serve(t, "unix:"+socket, New(running(t, snapshot.Admin{})))
	if status, _ := get(t, s, "/healthz"); status != 200 {
		t.Errorf("status %d", status)
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	tcp := serve(t, "127.0.0.1:0", http.NotFoundHandler())
	unix := serve(t, "unix:"+filepath.Join(dir, "live.sock"), http.NotFoundHandler())
	for _, address := range []string{tcp.Addr().String(), "unix:" + unix.Addr().String(), "unix:" + file} {
		if _, err := Listen(address, http.NotFoundHandler()); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "admin: off") {
			t.Errorf("%s: %v, want that it is in use and what to do", address, err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file in the way is now %q, %v", text, err)
	}
	if status, _ := get(t, unix, "/"); status != 404 {
		t.Errorf("the live socket answers %d", status)
	}
}

func TestCloseBeforeServe(t *testing.T) {
	s, err := Listen("127.0.0.1:0", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Listen(s.Addr().String(), http.NotFoundHandler())
	if err != nil {
		t.Fatalf("the address is not free: %v", err)
	}
	again.Close()
}

func TestCloseLetsAnAnswerFinish(t *testing.T) {
	asked, finish := make(chan struct{}), make(chan struct{})
	s := serve(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-finish
		io.WriteString(w, "whole")
	}))
	closed := make(chan error, 1)
	go func() {
		<-asked
		s.http.RegisterOnShutdown(sync.OnceFunc(func() { close(finish) })) // the answer ends only after Close has begun
		closed <- s.Close()
	}()
	if _, body := get(t, s, "/"); body != "whole" {
		t.Errorf("the answer is %q", body)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestCloseBreaksOffWhatDoesNotEnd(t *testing.T) {
	asked := make(chan struct{})
	s := serve(t, "127.0.0.1:0", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	done := make(chan struct{})
	go func() { io.Copy(io.Discard, c); close(done) }()
	<-asked
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	<-done
}

func TestHeaderLimit(t *testing.T) {
	s := serve(t, "127.0.0.1:0", New(running(t, snapshot.Admin{})))
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeaderBytes))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", r.StatusCode)
	}
}

func TestListenTellsWhatIsWrong(t *testing.T) {
	for _, address := range []string{"256.0.0.1:1", "unix:/no/such/dir/admin.sock", "127.0.0.1:99999"} {
		if s, err := Listen(address, http.NotFoundHandler()); err == nil {
			s.Close()
			t.Errorf("%s was taken", address)
		}
	}
}

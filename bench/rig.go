package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/template"
	"time"

	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
)

const accessLog = "access.log" // in rig.Dir; sluice-full.yaml says so too

//go:embed peers
var peers embed.FS

// rig is the folder, the addresses and the origins that all cases share.
type rig struct {
	options
	Dir                      string
	Origin, GRPC, Plain, TLS string
	Admin                    string // of the gateway whose profile is taken
	JSON                     string
	AccessLog                string // of a peer that has one: off, or a path
	running                  []*exec.Cmd
	said                     said // by the programs, shown only if one does not come up
}

func newRig(o options) (*rig, error) {
	dir, err := os.MkdirTemp("", "sluice-bench")
	if err != nil {
		return nil, err
	}
	r := &rig{options: o, Dir: dir, AccessLog: "off", JSON: strings.TrimSpace(`{"id":"9f86d081884c7d65","name":"a small document","tags":["one","two","three"],"price":12.5,"stock":42,"updated":"2026-01-01T00:00:00Z","ok":true}`)}
	for _, address := range []*string{&r.Origin, &r.GRPC, &r.Plain, &r.TLS} {
		if *address, err = freeport.Find(); err != nil {
			return nil, err
		}
	}
	if err := r.files(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if _, err := r.start(1, "nginx", "-p", dir, "-c", r.render("origin.conf")); err != nil {
		return nil, err
	}
	if _, err := r.start(1, self, "grpc-origin", r.GRPC); err != nil {
		return nil, err
	}
	for _, address := range []string{r.Origin, r.GRPC} {
		if err := awaitListener(address); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *rig) close() {
	for _, c := range r.running {
		stop(c)
	}
	os.RemoveAll(r.Dir)
}

// files are what origins serve and TLS needs.
func (r *rig) files() error {
	if err := os.Chmod(r.Dir, 0o755); err != nil { // nginx's worker is another user
		return err
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "1m"), bytes.Repeat([]byte("0123456789abcdef"), 1<<16), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "frame"), []byte("\x00\x00\x00\x00\x0chello, bench"), 0o644); err != nil {
		return err
	}
	return r.certificate()
}

func (r *rig) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.Dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o644)
}

// render writes a peer's configuration with this run's addresses and returns its path.
func (r *rig) render(name string) string {
	text := template.Must(template.ParseFS(peers, "peers/"+name))
	path := filepath.Join(r.Dir, name)
	var b bytes.Buffer
	if err := text.Execute(&b, r); err != nil {
		panic(err) // a template of ours names what rig has not
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		panic(err)
	}
	return path
}

// start runs a program on one core.
func (r *rig) start(core int, name string, args ...string) (*exec.Cmd, error) {
	c := exec.Command("taskset", append([]string{"-c", fmt.Sprint(core), name}, args...)...)
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	c.Stderr = &r.said
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return nil, err
	}
	r.running = append(r.running, c)
	return c, nil
}

// said is what the programs wrote to stderr.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func stop(c *exec.Cmd) {
	if c.ProcessState != nil {
		return
	}
	syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
	done := make(chan struct{})
	go func() { c.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		<-done
	}
}

func awaitListener(address string) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("nothing listens on %s", address)
}

// peer is one proxy under test.
type peer struct {
	name string
	args func(r *rig) []string
	rare bool // measured where make benchpeers, or somebody else, has installed it
}

var (
	nginx = peer{name: "nginx", args: func(r *rig) []string {
		return []string{"nginx", "-p", r.Dir, "-c", r.render("nginx.conf")}
	}}
	haproxy = peer{name: "haproxy", args: func(r *rig) []string { return []string{"haproxy", "-f", r.render("haproxy.cfg")} }}
	caddy   = peer{name: "caddy", rare: true, args: func(r *rig) []string {
		return []string{"caddy", "run", "--adapter", "caddyfile", "--config", r.render("Caddyfile")}
	}}
	sluice = sluiceWith("sluice", "sluice.yaml")
	full   = sluiceWith("sluice, all on", "sluice-full.yaml")
)

func sluiceWith(name, config string) peer {
	return peer{name: name, args: func(r *rig) []string { return []string{r.sluice, "run", r.render(config)} }}
}

// here are the peers that can be measured on this machine.
func (r *rig) here(peers []peer) []peer {
	return slices.DeleteFunc(slices.Clone(peers), func(p peer) bool {
		if !p.rare {
			return false
		}
		_, err := exec.LookPath(p.args(r)[0])
		return err != nil
	})
}

// with runs a peer on core 0 while do measures it. Its access log begins anew: one that grows from round to round is written to
// memory that the host has yet to give this machine, which costs more than the writing.
func (r *rig) with(p peer, do func(pid int) error) error {
	if err := os.RemoveAll(filepath.Join(r.Dir, accessLog)); err != nil {
		return err
	}
	args := p.args(r)
	c, err := r.start(0, args[0], args[1:]...)
	if err != nil {
		return err
	}
	defer stop(c)
	if err := awaitListener(r.Plain); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, err, r.said.String())
	}
	return do(c.Process.Pid)
}

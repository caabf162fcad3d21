package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/app"
	"github.com/sluice-gateway/sluice/cmd/sluice/demo"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/source/text"
)

type demoCommand struct {
	Start    demoStart    `cmd:"" default:"withargs" hidden:"" help:"Start the microservices and the gateway; the same as demo alone."`
	Services demoServices `cmd:"" help:"Start the sample microservices alone, on ports 7101 to 7110: the services of examples/*.yaml."`
	Call     demoCall     `cmd:"" help:"Make a gRPC call or open a WebSocket through the gateway."`
	Config   demoConfig   `cmd:"" help:"Print the configuration that the demo runs."`
}

type demoStart struct {
	Address  string `default:"127.0.0.1:8080" help:"Where clients connect. Port 0 takes any free one; so with the others."`
	Internal string `default:"127.0.0.1:8081" help:"Where internal clients connect."`
	Admin    string `default:"127.0.0.1:9901" help:"Where metrics, health and the running configuration are."`
}

// demoDrain is how long open requests have when the demo ends: a person waits for the prompt.
const demoDrain = 2 * time.Second

func (c *demoStart) Run(to console) error {
	ctx, stop := demoSignals()
	defer stop()
	return c.run(ctx, to)
}

func (c *demoStart) run(ctx context.Context, to console) error {
	if err := c.portsAreFree(); err != nil {
		return err
	}
	fleet, err := demo.Start(false)
	if err != nil {
		return err
	}
	defer fleet.Close()
	gateway, err := c.gateway(fleet, to)
	if err != nil {
		return err
	}
	if err := gateway.Start(); err != nil {
		if errors.Is(err, app.ErrConfiguration) {
			return errSaid
		}
		return err
	}
	defer gateway.Drain()
	tour := demo.Tour{
		Public: gateway.Address("public"), Internal: gateway.Address("internal"), Admin: gateway.AdminAddress(),
		Program: program(),
	}
	if err := tour.Print(to.Out); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (c *demoStart) gateway(fleet *demo.Fleet, to console) (*app.App, error) {
	addresses := map[string]string{"PUBLIC_ADDRESS": c.Address, "INTERNAL_ADDRESS": c.Internal, "ADMIN_ADDRESS": c.Admin}
	from := text.New("gateway.yaml", demo.Configuration, config.Options{LookupEnv: func(name string) (string, bool) {
		if address, ok := addresses[name]; ok {
			return address, true
		}
		return fleet.LookupEnv(name)
	}})
	log := slog.New(slog.NewTextHandler(to.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	gateway, err := newGateway(from, log, to.Err)
	if err != nil {
		return nil, err
	}
	gateway.DrainTimeout = demoDrain
	return gateway, nil
}

// portsAreFree looks before anything starts, so that the message can name the flag that helps.
func (c *demoStart) portsAreFree() error {
	for _, use := range []struct{ flag, address string }{
		{"--address", c.Address}, {"--internal", c.Internal}, {"--admin", c.Admin},
	} {
		l, err := net.Listen("tcp", use.address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s is taken by another program; name another address, such as `%s demo %s 127.0.0.1:0` for any free port",
				use.address, program(), use.flag)
		}
		if err != nil {
			return usageError(fmt.Sprintf("%s %s: %v", use.flag, use.address, err))
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

type demoServices struct{}

func (demoServices) Run(to console) error {
	ctx, stop := demoSignals()
	defer stop()
	fleet, err := demo.Start(true)
	if err != nil {
		return err
	}
	defer fleet.Close()
	for _, r := range fleet.Running {
		fmt.Fprintf(to.Out, "%-11s %s\n", r.Name, r.URL)
	}
	<-ctx.Done()
	return nil
}

type demoConfig struct{}

func (demoConfig) Run(to console) error {
	_, err := io.WriteString(to.Out, demo.Configuration)
	return err
}

type demoCall struct {
	GRPC      demoCallGRPC      `cmd:"" name:"grpc" help:"Greet a name: one unary call, one stream."`
	WebSocket demoCallWebSocket `cmd:"" name:"websocket" help:"Send a text and print its echo."`
}

// callTimeout bounds a call from the terminal.
const callTimeout = 5 * time.Second

type demoCallGRPC struct {
	Address string `default:"127.0.0.1:8080" help:"The gateway's address."`
	Name    string `arg:"" help:"Whom to greet."`
}

func (c *demoCallGRPC) Run(to console) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return demo.CallGRPC(ctx, to.Out, c.Address, c.Name)
}

type demoCallWebSocket struct {
	Address string `default:"127.0.0.1:8080" help:"The gateway's address."`
	Text    string `arg:"" help:"What to send."`
}

func (c *demoCallWebSocket) Run(to console) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return demo.CallWebSocket(ctx, to.Out, c.Address, c.Text)
}

// demoSignals is a context that ends with Ctrl-C or SIGTERM. `go run` hands no SIGTERM on and leaves its child behind, so
// below it the demo also ends when its parent does.
func demoSignals() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if !underGoRun() {
		return ctx, stop
	}
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent {
					stop()
					return
				}
			}
		}
	}()
	return ctx, stop
}

// program is what to type to start this binary again.
func program() string {
	if underGoRun() {
		return "go run ./cmd/sluice"
	}
	executable, err := os.Executable()
	if err != nil {
		return "sluice"
	}
	if found, err := exec.LookPath("sluice"); err == nil && sameFile(found, executable) {
		return "sluice"
	}
	return executable
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// underGoRun reports whether the go command built this binary to run it once: then it lies in a go-build directory, or
// in the build cache, wherever that is, under the hash of its content with -d behind it.
func underGoRun() bool {
	executable, err := os.Executable()
	if err != nil {
		return false
	}
	directory := filepath.Dir(executable)
	return strings.Contains(directory, "go-build") || strings.HasSuffix(directory, "-d") && len(filepath.Base(directory)) == 66
}

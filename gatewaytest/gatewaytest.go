// Package gatewaytest runs a whole gateway inside a test: configuration text in, a listening gateway on port 0 out.
package gatewaytest

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/app"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter/all"
	"github.com/sluice-gateway/sluice/source/text"
)

// Gateway is one that runs. It is drained when the test ends.
type Gateway struct {
	App    *app.App
	Source *text.Source
	Log    *Log

	t testing.TB
}

// Start runs a gateway, or fails the test. Listeners should listen on 127.0.0.1:0; an admin listener is put on a free
// port unless the text says otherwise, and the access log is off unless it does.
func Start(t testing.TB, configuration string) *Gateway {
	t.Helper()
	g, err := Try(t, configuration)
	if err != nil {
		t.Fatalf("the gateway did not start: %v\n%s", err, g.Log)
	}
	return g
}

// Try is Start for configurations that may not run.
func Try(t testing.TB, configuration string) (*Gateway, error) {
	t.Helper()
	registry, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{t: t, Log: new(Log), Source: text.New("test.yaml", complete(configuration), config.Options{})}
	g.App = app.New(app.Options{
		Source: g.Source, Registry: registry, Log: slog.New(slog.NewTextHandler(g.Log, nil)),
		DrainTimeout: 5 * time.Second,
		Diagnostics:  func(d config.Diagnostics) { _ = d.Print(g.Log) },
	})
	if err := g.App.Start(); err != nil {
		return g, err
	}
	t.Cleanup(g.App.Drain)
	return g, nil
}

func complete(configuration string) string {
	if !hasKey(configuration, "admin") {
		configuration += "\nadmin: {address: \"127.0.0.1:0\"}\n"
	}
	if !hasKey(configuration, "telemetry") {
		configuration += "\ntelemetry: {accessLog: off}\n"
	}
	return configuration
}

func hasKey(configuration, key string) bool {
	return strings.HasPrefix(configuration, key+":") || strings.Contains(configuration, "\n"+key+":")
}

// Reload puts another configuration in force, and returns why it was refused if it was.
func (g *Gateway) Reload(configuration string) error {
	g.Source.Set(complete(configuration))
	return g.App.Reload("test")
}

// Addr is where a listener listens.
func (g *Gateway) Addr(listener string) string { return g.App.Address(listener) }

// URL is a URL at a listener over plaintext.
func (g *Gateway) URL(listener, path string) string { return "http://" + g.Addr(listener) + path }

// Admin gets a path of the admin listener.
func (g *Gateway) Admin(path string) (status int, body string) {
	g.t.Helper()
	response, err := http.Get("http://" + g.App.AdminAddress() + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// Log collects what the gateway said of itself.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
	"github.com/sluice-gateway/sluice/upstream/transport"
)

// probe asks the endpoint at a URL once.
func probe(t *testing.T, s Settings, o transport.Options, endpoint string) error {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	o.Network, o.Address = transport.Endpoint(u.Scheme, u.Host, u.Path)
	if s.Timeout == 0 {
		s.Timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.Timeout)
	defer cancel()
	return NewProbe(&s, o, u.Scheme, u.Host)(ctx)
}

func says(t *testing.T, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("it is unhealthy: %v", err)
	case text != "" && (err == nil || !strings.Contains(err.Error(), text)):
		t.Errorf("the check says %v, want %q", err, text)
	}
}

func TestHTTPProbe(t *testing.T) {
	var connections atomic.Int64
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host == "sick.test":
			w.WriteHeader(503)
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/healthz", http.StatusFound)
		case r.URL.Path == "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		case r.URL.Path == "/hangs":
			<-r.Context().Done()
		case r.Method != "GET" || r.URL.RequestURI() != "/healthz?deep=1":
			w.WriteHeader(404)
		}
	}))
	origin.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	origin.Start()
	defer origin.Close()
	ok := Settings{Type: HTTP, Path: "/healthz?deep=1", Expect: Statuses{{200, 299}}}
	with := func(change func(*Settings)) Settings {
		s := ok
		change(&s)
		return s
	}
	for _, c := range []struct {
		name string
		Settings
		says string
	}{
		{"healthy", ok, ""},
		{"another path", with(func(s *Settings) { s.Path = "/other" }), "it answered 404"},
		{"expected", with(func(s *Settings) { s.Path, s.Expect = "/other", Statuses{{404, 404}} }), ""},
		{"redirect", with(func(s *Settings) { s.Path = "/moved" }), "it answered 302"},
		{"host", with(func(s *Settings) { s.Host = "sick.test" }), "it answered 503"},
		{"endless body", with(func(s *Settings) { s.Path = "/endless" }), ""},
		{"hangs", with(func(s *Settings) { s.Path, s.Timeout = "/hangs", 50*time.Millisecond }), "http_response_timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := connections.Load()
			says(t, probe(t, c.Settings, transport.Options{}, origin.URL), c.says)
			if n := connections.Load() - before; n != 1 {
				t.Errorf("%d connections were made, want one of its own", n)
			}
		})
	}
}

func TestProbeOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	says(t, probe(t, Settings{Type: TCP}, transport.Options{}, "http://"+l.Addr().String()), "")
	l.Close()
	address := "http://" + freeport.For(t)
	says(t, probe(t, Settings{Type: TCP}, transport.Options{}, address), "connection_refused")
	says(t, probe(t, Settings{Type: HTTP, Path: "/", Expect: Statuses{{200, 200}}}, transport.Options{}, address), "connection_refused")
	says(t, probe(t, Settings{Type: GRPC}, transport.Options{HTTP2: true}, address), "connection_refused")
}

// A check goes over TLS as the service does: its authorities, its name.
func TestProbeOverTLS(t *testing.T) {
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	origin.Config.ErrorLog = log.New(io.Discard, "", 0)
	origin.StartTLS()
	defer origin.Close()
	trusting := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "example.com"}
	trusting.RootCAs.AddCert(origin.Certificate())
	for _, s := range []Settings{{Type: HTTP, Path: "/", Expect: Statuses{{200, 200}}}, {Type: TCP}} {
		says(t, probe(t, s, transport.Options{TLS: trusting}, origin.URL), "")
		says(t, probe(t, s, transport.Options{TLS: &tls.Config{}}, origin.URL), "tls_certificate_error")
	}
}

func TestGRPCProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, state := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, state)
	go server.Serve(l)
	defer server.Stop()
	state.SetServingStatus("shop.Orders", grpc_health_v1.HealthCheckResponse_SERVING)
	state.SetServingStatus("shop.Stock", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	for service, want := range map[string]string{
		"":            "",
		"shop.Orders": "",
		"shop.Stock":  "it says NOT_SERVING",
		"shop.Nobody": "gRPC status 5",
	} {
		err := probe(t, Settings{Type: GRPC, Service: service}, transport.Options{HTTP2: true}, "http://"+l.Addr().String())
		says(t, err, want)
	}
}

func TestGRPCProbeOfAnother(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	answers := map[string]func(http.ResponseWriter){
		"it answered 503": func(w http.ResponseWriter) { w.WriteHeader(503) },
		"is not gRPC":     func(w http.ResponseWriter) { w.Write([]byte("ok")) },
		"too long": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Write(make([]byte, 1<<20))
		},
		"gRPC status unknown": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Write(frame([]byte{8, 1}))
		},
		"gRPC status 12": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "12")
		},
		"HealthCheckResponse": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			w.Write([]byte("nonsense"))
		},
	}
	for want, answer := range answers {
		origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
		origin.Config.Protocols = protocols
		origin.Start()
		says(t, probe(t, Settings{Type: GRPC}, transport.Options{HTTP2: true}, origin.URL), want)
		origin.Close()
	}
}

func FuzzParseHealth(f *testing.F) {
	for _, seed := range []string{
		"", "\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x02\x08\x01", "\x00\x00\x00\x00\x03\x08\x80\x01", "\x01\x00\x00\x00\x00",
		"\x00\x00\x00\x00\x04\x12\x02hi", "\x00\x00\x00\x00\x02\x12\xff", "\x00\x00\x00\x00\x05\x15abcd", "\x00\x00\x00\x00\x02\x00\x01",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		status, err := parseHealth(body)
		if err != nil && status != 0 {
			t.Errorf("%d and %v", status, err)
		}
		judgeHealth(body)
	})
}

// What is not known is passed over, and what is broken is told.
func TestParseHealth(t *testing.T) {
	for message, want := range map[string]int{
		"":                     0,
		"\x08\x01":             1,
		"\x08\x02":             2,
		"\x08\x01\x08\x02":     2, // the last one counts
		"\x12\x02hi\x08\x01":   1,
		"\x15abcd\x08\x01":     1,
		"\x11abcdefgh\x08\x01": 1,
		"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f": -1,
		"\x08":       -1,
		"\x12\x05hi": -1,
		"\x0b":       -1,
		"\x15abc":    -1,
		"\x00\x01":   -1,
	} {
		status, err := parseHealth(frame([]byte(message)))
		if err != nil {
			status = ^uint64(0)
		}
		if int(int64(status)) != want {
			t.Errorf("%q: %d, %v, want %d", message, int64(status), err, want)
		}
	}
}

package schema

//lint:file-ignore SA1019 a client of HTTP/2 alone, as x/net's is

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

// serve is grpc-go's health service with reflection, and a caller of it.
func serve(t *testing.T, register func(*grpc.Server)) Caller {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	healthgrpc.RegisterHealthServer(s, health.NewServer())
	register(s)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	transport := &http2.Transport{AllowHTTP: true}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	connection, err := transport.NewClientConn(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close(); s.Stop(); <-done })
	return func(ctx context.Context, r *http.Request) (*http.Response, error) {
		r = r.WithContext(ctx)
		r.URL.Scheme, r.URL.Host = "http", l.Addr().String()
		return connection.RoundTrip(r)
	}
}

func TestReflectionOfGRPCGo(t *testing.T) {
	for name, register := range map[string]func(*grpc.Server){
		"v1 and v1alpha": func(s *grpc.Server) { reflection.Register(s) },
		"v1alpha alone": func(s *grpc.Server) {
			reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(reflection.ServerOptions{Services: s}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			call := serve(t, register)
			s := Reflected(call, nil)
			if s.Set() != nil {
				t.Fatal("known before the start")
			}
			if err := s.fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
			m := s.Set().Method("grpc.health.v1.Health/Watch")
			if m == nil || !m.ServerStreaming || m.Output.Fields().ByName("status") == nil {
				t.Errorf("%+v", m)
			}
			if s.Set().HasService("grpc.reflection.v1.ServerReflection") {
				t.Error("reflection is offered to be translated")
			}
			before := s.Set()
			if err := s.fetch(t.Context()); err != nil || s.Set() != before {
				t.Errorf("what has not changed was put in force anew: %v", err)
			}
			if Reflected(call, s).Set() != before {
				t.Error("a reload forgets what is known")
			}
		})
	}
}

func TestNoReflection(t *testing.T) {
	s := Reflected(serve(t, func(*grpc.Server) {}), nil)
	if err := s.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "UNIMPLEMENTED") || s.Set() != nil {
		t.Error(err)
	}
}

// A service that is not there yet is asked again; what went wrong later costs nothing that is known.
func TestFetchingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		s := Reflected(func(context.Context, *http.Request) (*http.Response, error) {
			asked.Add(1)
			return nil, errors.New("refused")
		}, nil)
		s.set.Store(new(Set))
		s.Start()
		s.Start()
		synctest.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times at the start", asked.Load())
		}
		time.Sleep(3*retryFirst + time.Millisecond) // one, and twice that
		synctest.Wait()
		if asked.Load() != 3 || s.Err() == nil || s.Set() == nil {
			t.Errorf("asked %d times, %v, known: %v", asked.Load(), s.Err(), s.Set() != nil)
		}
		s.Stop()
		s.Stop()
	})
}

func TestAnswersThatAreNone(t *testing.T) {
	say := func(status int, header http.Header, body string, trailer http.Header) Caller {
		return func(context.Context, *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Trailer: trailer}, nil
		}
	}
	grpcHead := http.Header{"Content-Type": {"application/grpc"}}
	ok := http.Header{"Grpc-Status": {"0"}}
	for name, test := range map[string]struct {
		call Caller
		want string
	}{
		"HTML":            {say(200, http.Header{"Content-Type": {"text/html"}}, "<p>", nil), "no gRPC"},
		"an error":        {say(503, http.Header{}, "", nil), "status 503"},
		"half a frame":    {say(200, grpcHead, "\x00\x00\x00\x00\x09abc", ok), "ended inside"},
		"a huge frame":    {say(200, grpcHead, "\x00\xff\xff\xff\xffabc", ok), "over the limit"},
		"rubbish":         {say(200, grpcHead, "\x00\x00\x00\x00\x03\xff\xff\xff", ok), "cannot be read"},
		"no trailers":     {say(200, grpcHead, "\x00\x00\x00\x00\x00", nil), "without a status"},
		"too few answers": {say(200, grpcHead, "", ok), "0 answers to 1"},
		"no services":     {say(200, grpcHead, "\x00\x00\x00\x00\x00", ok), "no service"},
		"it refuses":      {say(200, grpcHead, "\x00\x00\x00\x00\x06\x3a\x04\x12\x02no", ok), "of itself: no"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := reflect(t.Context(), test.call); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

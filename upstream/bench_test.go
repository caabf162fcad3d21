package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/http1"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/balance"
)

// BenchmarkDo is a request's whole way between the two halves of the engine, with nothing of a gateway in between but
// the attempt loop. "answered here" is the same without the loop: the difference is what Do costs.
func BenchmarkDo(b *testing.B) {
	svc := New(Spec{Endpoints: specOf(b, "http://"+plainOrigin(b)), Series: telemetry.NewServiceSeries("bench")}, nil)
	defer svc.Retire(nil)
	const get = "GET /path HTTP/1.1\r\nHost: shop.test\r\nAccept: */*\r\n\r\n"
	const post = "POST /path HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000\r\n\r\n"
	body := strings.Repeat("x", 1000)
	for _, c := range []struct {
		name, request string
		svc           *Service
	}{
		{"answered here", get, nil},
		{"GET", get, svc},
		{"POST", post + body, svc},
	} {
		b.Run(c.name, func(b *testing.B) { exchanges(b, &relay{svc: c.svc, policy: policy(2)}, c.request) })
	}
}

// relay is a gateway of one service, with memory for one request at a time.
type relay struct {
	svc    *Service
	policy *Policy
	out    http.Request
	url    url.URL
	tried  [2]telemetry.Attempt
}

func (h *relay) ServeRequest(ctx context.Context, in *http.Request, w *http1.Writer) {
	if h.svc == nil {
		w.Write(&http.Response{StatusCode: 204, Header: in.Header})
		return
	}
	h.url = url.URL{Opaque: in.URL.Path}
	h.out = http.Request{Method: in.Method, URL: &h.url, Header: in.Header, Body: in.Body, ContentLength: in.ContentLength, Host: in.Host}
	call := Call{Request: &h.out, Policy: h.policy, Attempts: h.tried[:0]}
	res, err := h.svc.Do(ctx, &call)
	if err != nil {
		w.Abort()
		return
	}
	w.Write(res)
}

func (h *relay) ServeFailure(_ context.Context, _ *http.Request, _ *failure.Error, w *http1.Writer) {
	w.Abort()
}

// exchanges sends request and reads its answer, over and over, on one connection.
func exchanges(b *testing.B, h *relay, request string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server := &http1.Server{Handler: h}
	near, far := pair(b)
	over := make(chan struct{})
	go server.Adopt(ctx, far, func() { close(over) })
	defer func() { near.Close(); <-over; server.Shutdown() }()
	out, in := []byte(request), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := near.Write(out); err != nil {
			b.Fatal(err)
		}
		if n, err := near.Read(in); err != nil || string(in[9:11]) != "20" {
			b.Fatalf("%q %v", in[:n], err)
		}
	}
}

// plainOrigin answers whatever comes on a connection in one piece, and allocates nothing for it.
func plainOrigin(b *testing.B) string {
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", 100, strings.Repeat("j", 100))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go repeat(c, answer)
		}
	}()
	return l.Addr().String()
}

func repeat(c net.Conn, answer []byte) {
	defer c.Close()
	buf := make([]byte, 8192)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// pair is the two ends of a connection.
func pair(b *testing.B) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	return near, far
}

// BenchmarkPick is the whole choice among 100 endpoints, of which some take no requests, and its end.
func BenchmarkPick(b *testing.B) {
	for _, policy := range balance.Policies {
		b.Run(policy, func(b *testing.B) {
			spec := Spec{Name: "bench", Balance: Balance{Policy: policy}, SlowStart: time.Minute}
			for i := range 100 {
				u := &url.URL{Scheme: "http", Host: fmt.Sprintf("10.0.0.%d:80", i)}
				spec.Endpoints = append(spec.Endpoints, EndpointSpec{URL: u, Weight: 1 + i%3})
			}
			m := New(spec, nil).membership.Load()
			for i := range 10 {
				m.members[i*7].TakeOut(Ejected)
			}
			ask := balance.Ask{Key: "customer-42", Now: time.Now()}
			b.ReportAllocs()
			for b.Loop() {
				m.done(m.pick(ask))
			}
		})
	}
}

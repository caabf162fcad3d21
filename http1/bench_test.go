package http1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
)

const (
	benchRequest = "GET /orders/12345?page=2 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: wrk/4.1.0\r\nAccept: application/json\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\nX-Request-Id: 0190a5c8-2d5f-7c3e-9a8b-1c2d3e4f5a6b\r\n\r\n"
	benchResponse = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 22:16:22 GMT\r\nContent-Type: application/json\r\nContent-Length: 155\r\n\r\n"
)

func BenchmarkRequestParse(b *testing.B) {
	var r request
	l := DefaultLimits()
	b.ReportAllocs()
	b.SetBytes(int64(len(benchRequest)))
	for b.Loop() {
		if bad := r.parse([]byte(benchRequest), &l); bad != nil {
			b.Fatal(bad)
		}
	}
}

func BenchmarkResponseParse(b *testing.B) {
	var r response
	l := DefaultLimits()
	b.ReportAllocs()
	b.SetBytes(int64(len(benchResponse)))
	for b.Loop() {
		if bad := r.parse([]byte(benchResponse), "GET", &l); bad != nil {
			b.Fatal(bad)
		}
	}
}

func BenchmarkCompose(b *testing.B) {
	var r request
	l := DefaultLimits()
	r.parse([]byte(benchRequest), &l)
	b.ReportAllocs()
	for b.Loop() {
		var o outgoing
		if err := o.take(&r.http, &Call{}); err != nil {
			b.Fatal(err)
		}
		if err := o.compose(); err != nil {
			b.Fatal(err)
		}
		o.free()
	}
}

// BenchmarkRelay is one keep-alive GET through server and transport over loopback, client and endpoint included.
func BenchmarkRelay(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	accept := make(chan net.Conn, 2)
	go func() {
		for range 2 {
			c, _ := ln.Accept()
			accept <- c
		}
	}()
	dial := func(context.Context) (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
	client, _ := dial(nil)
	defer client.Close()
	s := &Server{Handler: relay(&Transport{Dial: dial})}
	over := make(chan bool)
	go s.Adopt(context.Background(), <-accept, func() { close(over) })
	go func() {
		c := <-accept
		defer c.Close()
		buf := make([]byte, 4096)
		answer := []byte(benchResponse + string(make([]byte, 155)))
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			c.Write(answer)
		}
	}()
	br := bufio.NewReader(client)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		io.WriteString(client, benchRequest)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
	}
	client.Close()
	<-over
	s.Shutdown()
}

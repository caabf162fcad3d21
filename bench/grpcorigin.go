package main

//lint:file-ignore SA1019 it takes its connections one by one

import (
	"io"
	"log"
	"net"
	"net/http"

	"golang.org/x/net/http2"
)

// grpcOrigin answers every unary call with its own message, over h2c.
func grpcOrigin(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	server := &http2.Server{MaxConcurrentStreams: 1000}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		message, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.Write(message)
		w.Header().Set("Grpc-Status", "0")
	})
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go server.ServeConn(c, &http2.ServeConnOpts{Handler: echo})
	}
}

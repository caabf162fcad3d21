package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// microservice is one of the samples.
type microservice struct {
	name     string
	variable string // under which the configuration asks for its URL
	port     int    // when ports are fixed: the default in gateway.yaml and in the examples
	start    func(ctx context.Context, l net.Listener) (stop func())
}

var microservices = []microservice{
	{"users", "USERS_URL", 7101, web(users())},
	{"orders", "ORDERS_URL", 7102, web(orders())},
	{"catalog-v1", "CATALOG_V1_URL", 7103, web(catalog("v1"))},
	{"catalog-v2", "CATALOG_V2_URL", 7104, web(catalog("v2"))},
	{"flaky", "FLAKY_URL", 7105, web(flaky())},
	{"echo", "ECHO_URL", 7106, startEcho},
	{"greeter", "GREETER_URL", 7107, startGreeter},
	{"calculator", "CALCULATOR_URL", 7110, web(calculator())},
}

// Fleet is the sample microservices, running on loopback. Close ends them.
type Fleet struct {
	Running []Running

	cancel context.CancelFunc
	stop   []func()
}

// Running says where one microservice listens.
type Running struct {
	Name     string
	Variable string // of the configuration, such as USERS_URL
	URL      string
	Port     int // that it has when ports are fixed
}

// Start runs every microservice: on the fixed ports 7101 to 7110, or on free ones.
func Start(fixed bool) (*Fleet, error) {
	ctx, cancel := context.WithCancel(context.Background())
	f := &Fleet{cancel: cancel}
	for _, m := range microservices {
		port := 0
		if fixed {
			port = m.port
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("sample service %s: %w", m.name, err)
		}
		f.stop = append(f.stop, m.start(ctx, l))
		f.Running = append(f.Running, Running{m.name, m.variable, "http://" + l.Addr().String(), m.port})
	}
	return f, nil
}

// LookupEnv answers for the variables that hold the microservices' URLs.
func (f *Fleet) LookupEnv(name string) (url string, ok bool) {
	for _, r := range f.Running {
		if r.Variable == name {
			return r.URL, true
		}
	}
	return "", false
}

// Close ends every microservice and waits until it has.
func (f *Fleet) Close() {
	f.cancel()
	for _, stop := range f.stop {
		stop()
	}
}

// patience is what a microservice that is told to stop leaves to the requests it still has. Their context has ended by
// then, so it is never used up.
const patience = 5 * time.Second

// web runs an HTTP/1.1 microservice. Requests see ctx end.
func web(h http.Handler) func(context.Context, net.Listener) func() {
	return func(ctx context.Context, l net.Listener) func() {
		server := &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 5 * time.Second,
			IdleTimeout:       2 * time.Minute, // longer than the gateway keeps a connection, or it would meet closed ones
			BaseContext:       func(net.Listener) context.Context { return ctx },
		}
		var serving sync.WaitGroup
		serving.Go(func() { server.Serve(l) })
		return func() {
			shut, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := server.Shutdown(shut); errors.Is(err, context.DeadlineExceeded) {
				server.Close()
			}
			serving.Wait()
		}
	}
}

// startGreeter runs the gRPC microservice.
func startGreeter(ctx context.Context, l net.Listener) func() {
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 10))
	server.RegisterService(&greeterDesc, greeter{})
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	return func() {
		server.Stop()
		serving.Wait()
	}
}
